//! Auto-allocated addresses, for hosts whose address nobody tells.
//!
//! Both are Istio's own algorithms, so that an address here is the one that istiod would have given in the same order. What
//! a control plane tells always wins; live sources are never guessed for.

pub mod legacy;
pub mod sequential;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::registry::model::{Provider, Resolution, Service, ServiceAddress};
use crate::registry::report::Report;

/// How hosts without an address get one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipAllocation {
    /// Istio's controller since 1.25.
    #[default]
    IstioV2,
    /// Istio's hash before.
    IstioLegacy,
    /// None.
    Off,
}

impl fmt::Display for VipAllocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IstioV2 => "istio-v2",
            Self::IstioLegacy => "istio-legacy",
            Self::Off => "off",
        })
    }
}

impl FromStr for VipAllocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::IstioV2, Self::IstioLegacy, Self::Off]
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| {
                format!("{text:?} is not a way to allocate VIPs: use istio-v2, istio-legacy or off")
            })
    }
}

/// A service, and whether we may give it an address when it has none.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) service: Service,
    pub(crate) allocate: bool,
}

/// Gives addresses to those `candidates` that may have one and have none, the oldest first, then in their order.
pub(crate) fn allocate(allocation: VipAllocation, candidates: &mut [Candidate]) -> Vec<Problem> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| {
        let created = candidates[*index].service.created;
        (created.is_none(), created)
    });
    match allocation {
        VipAllocation::Off => Vec::new(),
        VipAllocation::IstioV2 => allocate_sequentially(candidates, &order),
        VipAllocation::IstioLegacy => {
            allocate_by_hash(candidates, &order);
            Vec::new()
        }
    }
}

fn has_auto(service: &Service) -> bool {
    service.auto_v4.is_some() || service.auto_v6.is_some()
}

/// Each host of each object gets its own pair, also where two objects name the same host.
fn allocate_sequentially(candidates: &mut [Candidate], order: &[usize]) -> Vec<Problem> {
    let used = candidates.iter().flat_map(|candidate| used(&candidate.service)).collect();
    let mut pool = sequential::Pool::new(used);
    let mut problems = Vec::new();
    for index in order {
        let Candidate { service, allocate } = &mut candidates[*index];
        let has_name = !service.host().is_wildcard() || service.resolution == Resolution::DynamicDns;
        if !*allocate || !has_name || has_auto(service) || service.address != ServiceAddress::Unspecified {
            continue;
        }
        (service.auto_v4, service.auto_v6) = pool.next_pair();
        if service.auto_v4.is_none() {
            let mut report = Report::new(&service.source, Some(service.key.object.clone()));
            let message =
                format!("no address is left for {}: all of {} is taken", service.host(), sequential::V4);
            report.warning(
                "spec.hosts",
                message,
                "set spec.addresses, or drop ServiceEntries that nobody uses",
            );
            problems.extend(report.into_problems());
        }
    }
    problems
}

fn used(service: &Service) -> impl Iterator<Item = IpAddr> {
    let own = if let ServiceAddress::Ip(ip) = service.address { Some(ip) } else { None };
    own.into_iter().chain(service.auto_v4.map(IpAddr::V4)).chain(service.auto_v6.map(IpAddr::V6))
}

/// The hash looks at every host of the mesh, told or not, since each may push another out of its slot.
fn allocate_by_hash(candidates: &mut [Candidate], order: &[usize]) {
    let is_hashed = |service: &Service| {
        service.provider == Provider::External
            && service.address == ServiceAddress::Unspecified
            && service.resolution != Resolution::None
            && !service.host().as_str().contains('*')
    };
    let hashed: Vec<usize> =
        order.iter().copied().filter(|index| is_hashed(&candidates[*index].service)).collect();
    let keys: Vec<String> = hashed
        .iter()
        .map(|index| {
            legacy::key(
                candidates[*index].service.namespace().as_str(),
                candidates[*index].service.host().as_str(),
            )
        })
        .collect();
    for (index, pair) in hashed.iter().zip(legacy::allocate(&keys)) {
        let Candidate { service, allocate } = &mut candidates[*index];
        if let (true, false, Some((v4, v6))) = (*allocate, has_auto(service), pair) {
            (service.auto_v4, service.auto_v6) = (Some(v4), Some(v6));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (allocation, name) in [
            (VipAllocation::IstioV2, "istio-v2"),
            (VipAllocation::IstioLegacy, "istio-legacy"),
            (VipAllocation::Off, "off"),
        ] {
            assert_eq!((allocation.to_string(), name.parse()), (name.to_owned(), Ok(allocation)));
            assert_eq!(serde_json::to_value(allocation).unwrap(), name);
        }
        assert_eq!(VipAllocation::default(), VipAllocation::IstioV2);
        assert!("v2".parse::<VipAllocation>().unwrap_err().contains("istio-v2, istio-legacy or off"));
    }
}

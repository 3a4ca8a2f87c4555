//! Names: what they stand for, and what is said of one that stands for nothing known.

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::Port;
use enforcer_common::id::RuleId;
use enforcer_common::mode::OutboundPolicy;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Tables, Verdict, Workload};

use crate::name::Host;
use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Reading, Target};
use crate::policy::explain::steps::step;
use crate::policy::explain::{Judged, Step};
use crate::policy::offer::Place;
use crate::registry::model::{Service, ServiceAddress};

/// How many things of a kind are listed.
const LISTED: usize = 8;

impl Compiler {
    /// What `text` means as a destination of `spec`. When only the port is missing, the error lists those that are there.
    pub fn destination(&self, spec: &WorkloadSpec, text: &str) -> Result<Reading, String> {
        Destination::read(text).map_err(|error| {
            let ports = error.portless().map(|(target, _)| self.ports_at(spec, target)).unwrap_or_default();
            if ports.is_empty() {
                return error.to_string();
            }
            let more = if ports.len() > LISTED { ", ..." } else { "" };
            let ports = ports.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
            format!("{error}; registered there: {ports}{more}")
        })
    }

    /// The ports that `spec` sees at a target.
    fn ports_at(&self, spec: &WorkloadSpec, target: &Target) -> Vec<String> {
        let sidecar = self.sidecar(spec);
        let mut slots: Vec<_> = self
            .offers
            .values()
            .flatten()
            .filter(|offer| match (target, offer.place) {
                (Target::Host(host), _) => {
                    host.is_subset_of(offer.service.host()) && offer.slot == offer.rule.slot
                }
                (Target::Ip(ip), Place::Exact(addr)) => addr == (*ip).into(),
                (Target::Ip(ip), Place::Net(prefix)) => prefix.contains(&(*ip).into()),
                _ => false,
            })
            .filter(|offer| offer.audience.includes(&spec.namespace))
            .filter(|offer| {
                sidecar.is_none_or(|sidecar| sidecar.imports(&spec.namespace, &offer.service, offer.port))
            })
            .map(|offer| (offer.slot.1.get(), offer.slot.0))
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots.iter().map(|(port, protocol)| format!("{port}/{protocol}")).collect()
    }

    /// A name is what its addresses are; a name without any known address needs somebody who knows names.
    pub(super) fn judge_host<T: Tables>(
        &self,
        tables: &T,
        workload: Workload,
        spec: &WorkloadSpec,
        host: &Host,
        to: &Destination,
    ) -> Judged {
        let visible = self.visible_services(spec, host);
        let mut ips: Vec<IpAddr> = Vec::new();
        for ip in visible.iter().flat_map(|service| addresses(service, &self.settings().cluster_id)) {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        let Some(first) = ips.first() else {
            return self.judge_nameless(workload, host, &visible, to);
        };
        let mut judged = Judged::of(tables, workload, *first, to);
        judged.named = Some(stands_for(host, &visible, &ips));
        // Which of them a program dials is its resolver's choice.
        for ip in ips.iter().skip(1) {
            let other = super::judge(tables, workload, (*ip).into(), to);
            if (other.action, other.reason) != (judged.verdict.action, judged.verdict.reason) {
                judged.warnings.push(format!(
                    "{host} is also {ip}, and there the answer is {} ({})",
                    other.action.as_str(),
                    other.reason
                ));
            }
        }
        judged
    }

    fn judge_nameless(
        &self,
        workload: Workload,
        host: &Host,
        visible: &[Arc<Service>],
        to: &Destination,
    ) -> Judged {
        let deny = |reason| Verdict::deny(reason, RuleId::NONE);
        let has_port = |service: &&Arc<Service>| {
            service
                .ports
                .iter()
                .any(|port| port.number == to.port && port.protocol.transport() == to.protocol)
        };
        let with_port = visible.iter().find(has_port);
        let verdict = match (workload.policy(), with_port) {
            _ if !to.protocol.is_supported() => deny(Reason::Protocol),
            (OutboundPolicy::AllowAny, _) => {
                Verdict { action: Action::Allow, reason: Reason::AllowAny, ..deny(Reason::AllowAny) }
            }
            (OutboundPolicy::Unknown, _) => deny(Reason::PolicyUnknown),
            (OutboundPolicy::RegistryOnly, Some(service)) => {
                Verdict::deny(Reason::NeedsName, self.rule_at_port(service, to))
            }
            (OutboundPolicy::RegistryOnly, None) => deny(Reason::NotRegistered),
        };
        let named = match visible.first() {
            None => {
                step("name", "nothing", format!("No service that the workload may see stands for {host}."))
            }
            Some(service) => step(
                "name",
                "no_address",
                format!(
                    "{host} is a name of {}, which has no address: only a name could tell its flows from others.",
                    service.key.object
                ),
            ),
        };
        let warnings = Vec::new();
        Judged { verdict, ip: None, looks: Vec::new(), named: Some(named), warnings, range: None }
    }

    /// The rule that a service has for a destination's port, [`RuleId::NONE`] when that won nowhere.
    fn rule_at_port(&self, service: &Service, to: &Destination) -> RuleId {
        let slot = (to.protocol, Port::new(to.port));
        let offers = self.offers.get(&service.key).into_iter().flatten();
        let ids = offers.filter(|offer| offer.slot == slot).filter_map(|offer| self.rule_id(&offer.rule));
        ids.min().unwrap_or(RuleId::NONE)
    }

    /// The services that stand for `host` in the eyes of `spec`, exact names before wildcards.
    fn visible_services(&self, spec: &WorkloadSpec, host: &Host) -> Vec<Arc<Service>> {
        let mut services: Vec<Arc<Service>> = self
            .offers
            .values()
            .filter_map(|offers| offers.first())
            .filter(|offer| {
                host.is_subset_of(offer.service.host()) && offer.audience.includes(&spec.namespace)
            })
            .map(|offer| Arc::clone(&offer.service))
            .collect();
        services.sort_by_key(|service| service.host().is_wildcard());
        services
    }
}

fn stands_for(host: &Host, visible: &[Arc<Service>], ips: &[IpAddr]) -> Step {
    let is_auto = |ip: &&IpAddr| {
        let auto = |service: &Arc<Service>| {
            service.auto_v4.map(IpAddr::V4) == Some(**ip) || service.auto_v6.map(IpAddr::V6) == Some(**ip)
        };
        visible.iter().any(|service| service.address == ServiceAddress::Unspecified && auto(service))
    };
    let shown: Vec<String> = ips.iter().take(LISTED).map(ToString::to_string).collect();
    let mut detail = format!("{host} stands for {}", shown.join(", "));
    if ips.len() > LISTED {
        detail.push_str(", ...");
    }
    if ips.len() > 1 {
        detail.push_str("; the first is judged");
    }
    if ips.first().is_some_and(|ip| is_auto(&ip)) {
        detail.push_str(
            ". It is auto-allocated: a program goes there only if its DNS answers the name with this address",
        );
    }
    detail.push('.');
    step("name", "address", detail)
}

/// The addresses at which a service can be dialled.
pub fn addresses(service: &Service, cluster_id: &str) -> Vec<IpAddr> {
    let cluster_ips = crate::policy::offer::cluster_ips(service, cluster_id);
    if !cluster_ips.is_empty() {
        return cluster_ips;
    }
    match &service.address {
        ServiceAddress::Ip(ip) => vec![*ip],
        ServiceAddress::Cidr(net, _) => vec![net.network()],
        ServiceAddress::Unspecified => {
            let auto = [service.auto_v4.map(IpAddr::V4), service.auto_v6.map(IpAddr::V6)];
            auto.into_iter().flatten().collect()
        }
    }
}

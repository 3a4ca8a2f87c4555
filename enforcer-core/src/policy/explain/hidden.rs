//! Services that have a destination and that a workload does not see: which, why, and what would show them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::Namespace;
use crate::policy::compile::Compiler;
use crate::policy::offer::{Offer, Slot};
use crate::policy::{Settings, WorkloadSpec};
use crate::registry::kubernetes::EXPORT_TO;
use crate::registry::model::{Provider, Service, ServiceKey, Sidecar};
use crate::registry::visibility::Audience;

/// A service that has a destination, out of the sight of a workload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Hidden {
    /// Which, and why.
    pub(crate) what: String,
    /// The object and its field that would show it.
    pub(crate) remedy: String,
}

impl Compiler {
    /// Services that have `ip` for `slot` and that this workload does not see: in proportion to what is there.
    pub(crate) fn hidden_at(&self, spec: &WorkloadSpec, ip: IpAddr, slot: Slot) -> BTreeSet<Hidden> {
        self.unseen(spec, self.places.offered(ip.into(), slot))
    }

    /// Why this workload does not see the offers of `service` for `slot`; empty when it does.
    pub(crate) fn hidden_of(
        &self,
        spec: &WorkloadSpec,
        service: &ServiceKey,
        slot: Slot,
    ) -> BTreeSet<Hidden> {
        let offers = self.offers.get(service).into_iter().flatten();
        self.unseen(spec, offers.filter(|offer| offer.slot == slot))
    }

    /// Whether `service` is exported to `namespace`. A service that offers nothing is to nobody.
    pub(crate) fn is_exported(&self, service: &ServiceKey, namespace: &Namespace) -> bool {
        let offer = self.offers.get(service).and_then(|offers| offers.first());
        offer.is_some_and(|offer| offer.audience.includes(namespace))
    }

    pub(super) fn unseen<'a>(
        &self,
        spec: &WorkloadSpec,
        offers: impl Iterator<Item = &'a Arc<Offer>>,
    ) -> BTreeSet<Hidden> {
        let sidecar = self.sidecar(spec).map(|sidecar| &**sidecar);
        offers.filter_map(|offer| hidden(offer, spec, sidecar, self.settings())).collect()
    }
}

/// Why `spec` does not see an offer; `None` when it does.
fn hidden(
    offer: &Offer,
    spec: &WorkloadSpec,
    sidecar: Option<&Sidecar>,
    settings: &Settings,
) -> Option<Hidden> {
    let (of, host, namespace) = (&offer.service.key.object, offer.service.host(), &spec.namespace);
    if offer.audience.includes(namespace) {
        let sidecar = sidecar.filter(|sidecar| !sidecar.imports(namespace, &offer.service, offer.port))?;
        return Some(Hidden {
            what: format!("{of} ({host}) has this destination, but {} does not import it", sidecar.object),
            remedy: format!("import {}/{host} in spec.egress of {}", of.namespace, sidecar.object),
        });
    }
    let to = match &offer.audience {
        Audience::Everyone => "everyone".to_owned(),
        Audience::Only(namespaces) if namespaces.is_empty() => "nobody (exportTo \"~\")".to_owned(),
        Audience::Only(namespaces) => {
            let names: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
            format!("{} only", names.join(", "))
        }
    };
    let what = format!("{of} ({host}) has this destination, but is exported to {to}, not to {namespace}");
    Some(Hidden { what, remedy: exporting(&offer.service, namespace, settings) })
}

/// What would export `service` to `namespace`.
fn exporting(service: &Service, namespace: &Namespace, settings: &Settings) -> String {
    let of = &service.key.object;
    if service.provider == Provider::Kubernetes {
        return format!("add {namespace} to the annotation {EXPORT_TO} of {of}");
    }
    let export = format!("add {namespace} to spec.exportTo of {of}");
    match &settings.trusted_exporters {
        Some(trusted) if !trusted.contains(service.namespace()) => {
            let trust = format!("add {} to --trusted-exporters", service.namespace());
            let asked = |to: &str| service.export_to.contains(to);
            if asked("*") || asked(namespace.as_str()) { trust } else { format!("{export}, and {trust}") }
        }
        _ => export,
    }
}

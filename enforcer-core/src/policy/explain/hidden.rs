//! Services that have the destination, and that the workload does not see.

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Prefix};
use enforcer_common::verdict::Role;
use ipnet::IpNet;

use crate::name::Namespace;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Target};
use crate::policy::offer::{Offer, Place, Purpose, Slot};
use crate::policy::{Settings, WorkloadSpec};
use crate::registry::kubernetes::EXPORT_TO;
use crate::registry::model::{Provider, Service, ServiceKey, Sidecar};
use crate::registry::visibility::{Audience, Visibility};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// What hides it.
    pub(crate) by: HiddenBy,
    /// The same as a sentence.
    pub(crate) told: String,
    /// The object and its field that would show it.
    pub(crate) remedy: String,
}

/// What hides a service.
#[derive(Clone, Debug)]
pub(crate) enum HiddenBy {
    /// Its exportTo, or the mesh's default.
    ExportTo,
    /// `--trusted-exporters`, which its namespace is not among.
    Distrust,
    /// The workload's Sidecar.
    Sidecar(Arc<Sidecar>),
}

impl Compiler {
    /// Who has the destination and is hidden from `spec`, each service once.
    pub(super) fn hidden(&self, spec: &WorkloadSpec, ip: Option<IpAddr>, to: &Destination) -> Vec<Hidden> {
        let sidecar = self.sidecar(spec);
        let slot = (to.protocol, Port::new(to.port));
        let mut hidden: Vec<Hidden> = Vec::new();
        for offer in self.offers.values().flatten() {
            let known = |known: &Hidden| {
                (&known.service.key.object, known.service.host())
                    == (&offer.service.key.object, offer.service.host())
            };
            // An ICMP echo asks for the address alone.
            let is_asked =
                offer.slot == slot || !to.protocol.is_registrable() && !matches!(offer.place, Place::Any(_));
            if is_asked && is_there(offer, ip, to) && !hidden.iter().any(known) {
                hidden.extend(self.why_hidden(offer, spec, sidecar));
            }
        }
        hidden
    }

    /// Who has `ip` for `slot` and is hidden from `spec`, in proportion to what is there; by their words.
    pub(crate) fn hidden_at(&self, spec: &WorkloadSpec, ip: IpAddr, slot: Slot) -> Vec<Hidden> {
        self.unseen(spec, self.places.offered(ip.into(), slot))
    }

    /// Why `spec` does not see the offers of `service` for `slot`; empty when it does.
    pub(crate) fn hidden_of(&self, spec: &WorkloadSpec, service: &ServiceKey, slot: Slot) -> Vec<Hidden> {
        let offers = self.offers.get(service).into_iter().flatten();
        self.unseen(spec, offers.filter(|offer| offer.slot == slot))
    }

    /// Whether `service` is exported to `namespace`. A service that offers nothing is to nobody.
    pub(crate) fn is_exported(&self, service: &ServiceKey, namespace: &Namespace) -> bool {
        let offer = self.offers.get(service).and_then(|offers| offers.first());
        offer.is_some_and(|offer| offer.audience.includes(namespace))
    }

    fn unseen<'a>(&self, spec: &WorkloadSpec, offers: impl Iterator<Item = &'a Arc<Offer>>) -> Vec<Hidden> {
        let sidecar = self.sidecar(spec);
        let mut hidden: Vec<Hidden> =
            offers.filter_map(|offer| self.why_hidden(offer, spec, sidecar)).collect();
        hidden.sort_by(|a, b| a.told.cmp(&b.told));
        hidden
    }

    /// Why `spec` does not see an offer; `None` when it does.
    fn why_hidden(
        &self,
        offer: &Offer,
        spec: &WorkloadSpec,
        sidecar: Option<&Arc<Sidecar>>,
    ) -> Option<Hidden> {
        if offer.purpose == Purpose::Mesh || !offer.is_for_workloads() && spec.role != Role::MeshProxy {
            return None;
        }
        let service = &offer.service;
        let (of, host, namespace) = (&service.key.object, service.host(), &spec.namespace);
        let hidden = |by, told, remedy| Some(Hidden { service: Arc::clone(service), by, told, remedy });
        if offer.audience.includes(namespace) {
            let sidecar = sidecar.filter(|sidecar| !sidecar.imports(namespace, service, offer.port))?;
            let told =
                format!("{of} ({host}) has this destination, but {} does not import it", sidecar.object);
            let remedy = format!("import {}/{host} in spec.egress of {}", of.namespace, sidecar.object);
            return hidden(HiddenBy::Sidecar(Arc::clone(sidecar)), told, remedy);
        }
        let to = match &offer.audience {
            Audience::Everyone => "everyone".to_owned(),
            Audience::Only(namespaces) if namespaces.is_empty() => "nobody (exportTo \"~\")".to_owned(),
            Audience::Only(namespaces) => {
                let names: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
                format!("{} only", names.join(", "))
            }
        };
        let told = format!("{of} ({host}) has this destination, but is exported to {to}, not to {namespace}");
        let trusting = Visibility {
            default_export_to: self
                .registry()
                .mesh
                .as_ref()
                .map(|mesh| mesh.default_service_export_to.clone())
                .unwrap_or_default(),
            trusted_exporters: None,
        };
        let remedy = exporting(service, namespace, self.settings());
        if trusting.audience(service).includes(namespace) {
            let told = format!("{told}, because {} is no trusted exporter", of.namespace);
            return hidden(HiddenBy::Distrust, told, remedy);
        }
        hidden(HiddenBy::ExportTo, told, remedy)
    }
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

fn is_there(offer: &Offer, ip: Option<IpAddr>, to: &Destination) -> bool {
    match (offer.place, &to.target, ip) {
        (place, Target::Net(net), _) => is_all_of(place, *net),
        (Place::Exact(addr), _, Some(ip)) => addr == Addr::from(ip),
        (Place::Net(prefix), _, Some(ip)) => prefix.contains(&Addr::from(ip)),
        (_, Target::Host(host), _) => host.is_subset_of(offer.service.host()),
        _ => false,
    }
}

fn is_all_of(place: Place, net: IpNet) -> bool {
    matches!(place, Place::Net(prefix) if prefix.covers(&Prefix::of_ip(net.addr(), net.prefix_len())))
}

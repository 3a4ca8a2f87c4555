//! Services that have the destination, and that the workload does not see.

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Prefix};
use ipnet::IpNet;

use crate::name::Namespace;
use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Target};
use crate::policy::offer::{Offer, Place};
use crate::registry::model::{Service, Sidecar};
use crate::registry::visibility::{Audience, Visibility};

/// One of them.
pub(super) struct Hidden {
    /// The service.
    pub(super) service: Arc<Service>,
    /// What hides it.
    pub(super) by: HiddenBy,
    /// The same as a sentence.
    pub(super) told: String,
}

/// What hides a service.
pub(super) enum HiddenBy {
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
            if offer.slot == slot && is_there(offer, ip, to) && !hidden.iter().any(known) {
                hidden.extend(self.why_hidden(offer, spec, sidecar));
            }
        }
        hidden
    }

    /// Why `spec` does not see an offer; `None` when it does.
    fn why_hidden(
        &self,
        offer: &Offer,
        spec: &WorkloadSpec,
        sidecar: Option<&Arc<Sidecar>>,
    ) -> Option<Hidden> {
        let service = &offer.service;
        let (of, host, namespace) = (&service.key.object, service.host(), &spec.namespace);
        let hidden = |by, told| Some(Hidden { service: Arc::clone(service), by, told });
        if offer.audience.includes(namespace) {
            let sidecar = sidecar.filter(|sidecar| !sidecar.imports(namespace, service, offer.port))?;
            let told =
                format!("{of} ({host}) has this destination, but {} does not import it", sidecar.object);
            return hidden(HiddenBy::Sidecar(Arc::clone(sidecar)), told);
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
        if trusting.audience(service).includes(namespace) {
            return hidden(
                HiddenBy::Distrust,
                format!("{told}, because {} is no trusted exporter", of.namespace),
            );
        }
        hidden(HiddenBy::ExportTo, told)
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

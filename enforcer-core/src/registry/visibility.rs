//! Who may see a service: exportTo with the mesh's default, and what a Sidecar imports.
//!
//! Sources: istio `pilot/pkg/model/push_context.go` (`IsServiceVisible`, `initServiceRegistry`),
//! `pilot/pkg/model/sidecar.go`.

use std::collections::BTreeSet;

use crate::name::{Labels, Namespace, selects};
use crate::registry::model::{EgressHost, EgressListener, Provider, Registry, Service, Sidecar};

/// The mesh-wide side of visibility.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Visibility {
    /// What an empty exportTo means; empty here means `*`.
    pub default_export_to: BTreeSet<std::sync::Arc<str>>,
    /// Namespaces whose ServiceEntries may be visible beyond their own; `None`: all.
    pub trusted_exporters: Option<BTreeSet<Namespace>>,
}

/// How far a service can be seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// By every namespace.
    Everyone,
    /// By these.
    Only(BTreeSet<Namespace>),
}

impl Audience {
    /// Whether workloads of `namespace` are in it.
    pub fn includes(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl Visibility {
    /// Who may see `service`. `*` beats everything, then `~` hides, then `.`, its own and named namespaces count.
    /// An exporter that is not trusted is seen by its own namespace at most.
    pub fn audience(&self, service: &Service) -> Audience {
        let export_to =
            if service.export_to.is_empty() { &self.default_export_to } else { &service.export_to };
        let own = service.namespace();
        let asked = if export_to.is_empty() || export_to.contains("*") {
            Audience::Everyone
        } else if export_to.contains("~") {
            Audience::Only(BTreeSet::new())
        } else {
            Audience::Only(
                export_to
                    .iter()
                    .map(|to| if &**to == "." { own.clone() } else { Namespace::new(to) })
                    .collect(),
            )
        };
        let trusted = service.provider == Provider::Kubernetes
            || self.trusted_exporters.as_ref().is_none_or(|trusted| trusted.contains(own));
        if trusted {
            return asked;
        }
        Audience::Only(if asked.includes(own) { [own.clone()].into() } else { BTreeSet::new() })
    }
}

/// The Sidecar that governs a workload: 1. one of its namespace whose selector fits, 2. its namespace's without a
/// selector, 3. the root namespace's without a selector. Of several the oldest, then the first by name.
pub fn select_sidecar<'a>(
    registry: &'a Registry,
    namespace: &Namespace,
    labels: &Labels,
    root: &Namespace,
) -> Option<&'a std::sync::Arc<Sidecar>> {
    let oldest = |namespace: &Namespace, fits: &dyn Fn(&Sidecar) -> bool| {
        registry
            .sidecars
            .iter()
            .filter(|sidecar| &sidecar.object.namespace == namespace && fits(sidecar))
            .min_by_key(|sidecar| (sidecar.created.is_none(), sidecar.created, sidecar.object.name.clone()))
    };
    let by_selector =
        |sidecar: &Sidecar| sidecar.selector.as_ref().is_some_and(|selector| selects(selector, labels));
    let default = |sidecar: &Sidecar| sidecar.selector.is_none();
    oldest(namespace, &by_selector).or_else(|| oldest(namespace, &default)).or_else(|| oldest(root, &default))
}

impl Sidecar {
    /// Whether it narrows what its workloads see. Without `egress` everything visible is imported.
    pub fn narrows(&self) -> bool {
        self.egress.as_ref().is_some_and(|listeners| !listeners.iter().any(EgressListener::imports_all))
    }

    /// Whether workloads of `namespace` import `port` of `service`.
    pub fn imports(&self, namespace: &Namespace, service: &Service, port: u16) -> bool {
        let Some(listeners) = &self.egress else { return true };
        listeners.iter().any(|listener| {
            listener.port.is_none_or(|only| only == port) && listener.imports(namespace, service)
        })
    }
}

impl EgressListener {
    fn imports_all(&self) -> bool {
        self.port.is_none()
            && self.hosts.iter().any(|host| &*host.namespace == "*" && host.host.as_str() == "*")
            && !self.hosts.iter().any(EgressHost::excludes)
    }

    fn imports(&self, namespace: &Namespace, service: &Service) -> bool {
        let matched = |excluding: bool| {
            self.hosts.iter().any(|host| {
                host.excludes() == excluding
                    && host.names_namespace(namespace, service.namespace())
                    && service.host().is_subset_of(&host.host)
            })
        };
        matched(false) && !matched(true)
    }
}

impl EgressHost {
    /// `~ns/host` takes out what other lines let in; `~/*` alone imports nothing.
    fn excludes(&self) -> bool {
        self.namespace.len() > 1 && self.namespace.starts_with('~')
    }

    fn names_namespace(&self, own: &Namespace, of_service: &Namespace) -> bool {
        match self.namespace.strip_prefix('~').unwrap_or(&self.namespace) {
            "*" => true,
            "." => own == of_service,
            "" => false,
            name => name == of_service.as_str(),
        }
    }
}

//! Who sees what: exportTo, trusted exporters, and Sidecars.

use std::collections::BTreeSet;

use enforcer_core::name::Namespace;
use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::model::{
    EgressHost, EgressListener, Provider, Registry, Service, ServicePort, Sidecar,
};

/// Whether every namespace sees the service.
pub(super) fn is_public(registry: &Registry, settings: &Settings, service: &Service) -> bool {
    is_trusted(settings, service) && export_to(registry, service).contains("*")
}

/// Whether a namespace sees the service.
pub(super) fn reaches(
    registry: &Registry,
    settings: &Settings,
    service: &Service,
    namespace: &Namespace,
) -> bool {
    let own = &service.key.object.namespace;
    if !is_trusted(settings, service) && own != namespace {
        return false;
    }
    let to = export_to(registry, service);
    if to.contains("*") {
        return true;
    }
    if to.contains("~") {
        return false;
    }
    to.contains(namespace.as_str()) || (to.contains(".") && own == namespace)
}

/// The service's own, else the mesh's default, else everyone.
fn export_to<'a>(registry: &'a Registry, service: &'a Service) -> BTreeSet<&'a str> {
    let own: BTreeSet<&str> = service.export_to.iter().map(|to| &**to).collect();
    if !own.is_empty() {
        return own;
    }
    let default: BTreeSet<&str> = match &registry.mesh {
        Some(mesh) => mesh.default_service_export_to.iter().map(|to| &**to).collect(),
        None => BTreeSet::new(),
    };
    if default.is_empty() { BTreeSet::from(["*"]) } else { default }
}

fn is_trusted(settings: &Settings, service: &Service) -> bool {
    match (&settings.trusted_exporters, service.provider) {
        (None, _) | (_, Provider::Kubernetes) => true,
        (Some(trusted), Provider::External) => trusted.contains(&service.key.object.namespace),
    }
}

/// The Sidecar that governs a workload.
pub(super) fn selected_sidecar<'a>(
    registry: &'a Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
) -> Option<&'a Sidecar> {
    let candidates = |step: u8| {
        let mut found: Vec<&Sidecar> = registry
            .sidecars
            .iter()
            .map(|sidecar| &**sidecar)
            .filter(|sidecar| {
                let home = &sidecar.object.namespace;
                match (step, &sidecar.selector) {
                    (1, Some(selector)) => {
                        home == &workload.namespace
                            && selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
                    }
                    (2, None) => home == &workload.namespace,
                    (3, None) => home == &settings.root_namespace,
                    _ => false,
                }
            })
            .collect();
        found.sort_by_key(|sidecar| (sidecar.created.is_none(), sidecar.created, &sidecar.object.name));
        found.first().copied()
    };
    candidates(1).or_else(|| candidates(2)).or_else(|| candidates(3))
}

/// Whether workloads under this Sidecar may see less than their namespace.
pub(super) fn narrows(sidecar: Option<&Sidecar>) -> bool {
    let Some(listeners) = sidecar.and_then(|sidecar| sidecar.egress.as_ref()) else { return false };
    for listener in listeners {
        let everything =
            listener.hosts.iter().any(|line| &*line.namespace == "*" && line.host.as_str() == "*");
        let exclusion = listener.hosts.iter().any(is_exclusion);
        if everything && !exclusion && listener.port.is_none() {
            return false;
        }
    }
    true
}

/// Whether a workload of `namespace` under this Sidecar imports the service's port.
pub(super) fn imports(
    sidecar: Option<&Sidecar>,
    namespace: &Namespace,
    service: &Service,
    port: &ServicePort,
) -> bool {
    let Some(listeners) = sidecar.and_then(|sidecar| sidecar.egress.as_ref()) else { return true };
    listeners.iter().any(|listener| {
        (listener.port.is_none() || listener.port == Some(port.number))
            && listener_imports(listener, namespace, service)
    })
}

fn listener_imports(listener: &EgressListener, namespace: &Namespace, service: &Service) -> bool {
    let mut imported = false;
    for line in &listener.hosts {
        let names = match line.namespace.trim_start_matches('~') {
            "*" => true,
            "." => *namespace == service.key.object.namespace,
            "" => false,
            name => name == service.key.object.namespace.as_str(),
        };
        if !names || !host_matches(line.host.as_str(), service.key.host.as_str()) {
            continue;
        }
        if is_exclusion(line) {
            return false;
        }
        imported = true;
    }
    imported
}

fn is_exclusion(line: &EgressHost) -> bool {
    line.namespace.starts_with('~') && &*line.namespace != "~"
}

/// `*` and `*.suffix` match by what follows the star, on both sides; anything else must be equal.
fn host_matches(pattern: &str, host: &str) -> bool {
    if pattern.starts_with('*') {
        host.trim_start_matches('*').ends_with(pattern.trim_start_matches('*'))
    } else {
        pattern == host
    }
}

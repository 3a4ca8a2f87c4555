//! All objects of all sources → one registry.
//!
//! Rules: 1. of two objects with one kind, namespace and name the first stays; 2. an object with an error is left out;
//! 3. ServiceEntries fan out to one service per (host, address); 4. endpoints come from the object, from the WorkloadEntries its
//! selector picks, or from EndpointSlices; 5. addresses told by the control plane win over our own allocation; 6. a record of
//! registryz beside its own object only tells the object's addresses, since it has no endpoints; 7. a host that two
//! ServiceEntries of one namespace have is a warning at the later one; 8. objects without a name are those that close because
//! they cannot be read, and are never the same.

mod index;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::name::{Host, Namespace};
use crate::problem::Problem;
use crate::registry::model::{MeshConfig, Provider, Registry, Service, ServiceAddress, ServiceKey, Sidecar};
use crate::registry::object::{Body, Object};
use crate::registry::report::Report;
use crate::registry::service_entry::ServiceEntry;
use crate::vip::{self, Candidate, VipAllocation};
use index::Index;

/// What Istio calls things unless it is told otherwise.
pub mod defaults {
    /// `--cluster-id`
    pub const CLUSTER_ID: &str = "Kubernetes";
    /// `--cluster-domain`
    pub const CLUSTER_DOMAIN: &str = "cluster.local";
    /// `--root-namespace`
    pub const ROOT_NAMESPACE: &str = "istio-system";
}

/// What the conversion needs to know beside the objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildOptions {
    /// Our cluster, whose `clusterIPs` count.
    pub cluster_id: String,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// `istio-system`.
    pub root_namespace: Namespace,
    /// How hosts without an address get one.
    pub vip_allocation: VipAllocation,
}

/// As without flags.
impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            cluster_id: defaults::CLUSTER_ID.to_owned(),
            cluster_domain: defaults::CLUSTER_DOMAIN.to_owned(),
            root_namespace: Namespace::new(defaults::ROOT_NAMESPACE),
            vip_allocation: VipAllocation::default(),
        }
    }
}

/// What sources are called that know the addresses their control plane gave: these are asked, never guessed.
const LIVE: [&str; 3] = ["kube:", "istiod:", "registryz:"];

/// Builds the registry of `objects`, which come in the order of (source, path, position in the file).
pub fn build(objects: &[Arc<Object>], options: &BuildOptions) -> (Registry, Vec<Problem>) {
    let mut problems = Vec::new();
    let objects = first_of_each(objects, &mut problems);
    let index = Index::new(&objects);
    let mut candidates = Vec::new();
    let mut sidecars = Vec::new();
    let mut mesh: Option<Arc<MeshConfig>> = None;
    let mut records = HashMap::new();
    for object in &objects {
        match &object.body {
            Body::ServiceEntry(entry) => {
                warn_of_shared_hosts(object, entry, &index, options.vip_allocation, &mut problems);
                candidates.extend(service_entry(object, &index));
            }
            Body::Service(service) => {
                let slices = index.slices(object);
                let service = service.service(object, slices, &options.cluster_id, &options.cluster_domain);
                candidates.push(Candidate { service, allocate: false });
            }
            Body::Registryz(service) if !index.has_object_of(service) => {
                candidates
                    .push(Candidate { service: record(service, options, &mut records), allocate: false });
            }
            Body::Sidecar(sidecar) => sidecars.push(sidecar.clone()),
            Body::MeshConfig(config) => keep_first_mesh(object, config, &mut mesh, &mut problems),
            Body::Registryz(_) | Body::EndpointSlice(_) | Body::WorkloadEntry(_) => {}
        }
    }
    problems.extend(vip::allocate(options.vip_allocation, &mut candidates));
    (assemble(candidates, sidecars, mesh), problems)
}

fn assemble(
    candidates: Vec<Candidate>,
    mut sidecars: Vec<Arc<Sidecar>>,
    mesh: Option<Arc<MeshConfig>>,
) -> Registry {
    let mut services: Vec<_> = candidates.into_iter().map(|candidate| Arc::new(candidate.service)).collect();
    services.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    sidecars.sort_unstable_by(|a, b| a.object.cmp(&b.object));
    Registry { services, sidecars, mesh }
}

/// Rules 1 and 8. The records of one registryz dump share an object where it has several hosts or addresses.
fn first_of_each<'a>(objects: &'a [Arc<Object>], problems: &mut Vec<Problem>) -> Vec<&'a Object> {
    let mut seen: HashMap<_, &Arc<str>> = HashMap::with_capacity(objects.len());
    let mut kept = Vec::with_capacity(objects.len());
    for object in objects {
        if object.object.name.is_empty() {
            kept.push(&**object);
            continue;
        }
        let is_record = matches!(object.body, Body::Registryz(_));
        match seen.entry((is_record, &object.object)) {
            Entry::Vacant(vacant) => {
                vacant.insert(&object.source);
                kept.push(&**object);
            }
            Entry::Occupied(first) if is_record && **first.get() == object.source => kept.push(&**object),
            Entry::Occupied(first) => {
                let mut report = Report::new(&object.source, Some(object.object.clone()));
                let message = format!("already defined at {}, which stays", first.get());
                report.error("", message, "remove or rename one of them");
                problems.extend(report.into_problems());
            }
        }
    }
    kept
}

fn keep_first_mesh(
    object: &Object,
    config: &Arc<MeshConfig>,
    mesh: &mut Option<Arc<MeshConfig>>,
    problems: &mut Vec<Problem>,
) {
    match mesh {
        None => *mesh = Some(config.clone()),
        Some(first) => {
            let mut report = Report::new(&object.source, Some(object.object.clone()));
            let message = format!("a second MeshConfig; the one at {} stays", first.source);
            report.error("", message, "keep the MeshConfig of the revision that governs this node");
            problems.extend(report.into_problems());
        }
    }
}

/// Rule 7.
fn warn_of_shared_hosts(
    object: &Object,
    entry: &ServiceEntry,
    index: &Index,
    allocation: VipAllocation,
    problems: &mut Vec<Problem>,
) {
    // The hash gives one address to a host, whatever objects have it.
    let apart = match allocation {
        VipAllocation::IstioLegacy => "each is a service of its own",
        VipAllocation::IstioV2 | VipAllocation::Off => "each gets its own addresses",
    };
    let mut report = Report::new(&object.source, Some(object.object.clone()));
    for (line, host) in entry.hosts.iter().enumerate() {
        let first = index.first_with(&object.object.namespace, &Host::new(host));
        if let Some(first) = first.filter(|first| first.object != object.object) {
            let message = format!("{} at {} has {host}, too: {apart}", first.object, first.source);
            report.warning(format!("spec.hosts[{line}]"), message, "put them in one ServiceEntry");
        }
    }
    problems.extend(report.into_problems());
}

/// The services of a ServiceEntry, with what registryz tells about them.
fn service_entry(object: &Object, index: &Index) -> Vec<Candidate> {
    let Body::ServiceEntry(entry) = &object.body else { return Vec::new() };
    let workloads = entry.workload_selector.as_ref();
    let workloads = workloads
        .map(|selector| index.workloads(&object.object.namespace, &selector.labels))
        .unwrap_or_default();
    let allocate =
        entry.may_be_allocated(&object.labels) && !LIVE.iter().any(|live| object.source.starts_with(live));
    let mut services = entry.services(object, &workloads);
    for service in &mut services {
        if service.address == ServiceAddress::Unspecified
            && (service.auto_v4, service.auto_v6) == (None, None)
            && let Some(record) = index.record_of(service)
        {
            (service.auto_v4, service.auto_v6) = (record.auto_v4, record.auto_v6);
        }
    }
    services.into_iter().map(|service| Candidate { service, allocate }).collect()
}

/// A record that stands for itself: its ClusterIP is that of our cluster, and its key counts the records of its host.
fn record(service: &Service, options: &BuildOptions, counts: &mut HashMap<ServiceKey, u32>) -> Service {
    let mut service = service.clone();
    let own = service.cluster_vips.get(&options.cluster_id).and_then(|vips| vips.first());
    if let (Provider::Kubernetes, Some(vip)) = (service.provider, own) {
        service.address = ServiceAddress::Ip(*vip);
    }
    let count = counts.entry(service.key.clone()).or_default();
    service.key.address = *count;
    *count += 1;
    service
}

#[cfg(test)]
mod tests;

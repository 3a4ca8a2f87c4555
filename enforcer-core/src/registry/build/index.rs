//! What objects need of each other, found without walking all of them.

use std::collections::{HashMap, HashSet};

use crate::name::{Host, Labels, Namespace, selects};
use crate::registry::kubernetes::{EndpointSlice, SERVICE_NAME};
use crate::registry::model::{Provider, Service};
use crate::registry::object::{Body, Object};

/// Where to find WorkloadEntries, EndpointSlices, and the records of registryz that have an object of their own.
#[derive(Default)]
pub(super) struct Index<'a> {
    workloads: Vec<(Labels, &'a Object)>,
    workloads_of: HashMap<&'a Namespace, Vec<usize>>,
    workloads_by_label: HashMap<(&'a Namespace, String, String), Vec<usize>>,
    slices: HashMap<(&'a Namespace, &'a str), Vec<&'a EndpointSlice>>,
    entries: HashMap<(&'a Namespace, Host), Vec<&'a Object>>,
    kubernetes: HashSet<(&'a Namespace, &'a str)>,
    records: HashMap<(&'a Namespace, &'a Host), Vec<&'a Service>>,
}

impl<'a> Index<'a> {
    /// Of `objects`, in their order.
    pub(super) fn new(objects: &[&'a Object]) -> Self {
        let mut index = Self::default();
        for object in objects {
            let (namespace, name) = (&object.object.namespace, &*object.object.name);
            match &object.body {
                // As good as not there, as in Istio: a service whose endpoints are all unhealthy has none.
                Body::WorkloadEntry(entry) if entry.unhealthy => {}
                Body::WorkloadEntry(entry) => index.add_workload(object, &entry.labels),
                Body::EndpointSlice(slice) => {
                    if let Some(service) = object.labels.get(SERVICE_NAME) {
                        index.slices.entry((namespace, service)).or_default().push(slice);
                    }
                }
                Body::ServiceEntry(entry) => {
                    for host in &entry.hosts {
                        index.entries.entry((namespace, Host::new(host))).or_default().push(object);
                    }
                }
                Body::Service(_) => {
                    index.kubernetes.insert((namespace, name));
                }
                Body::Registryz(service) => {
                    index.records.entry((namespace, service.host())).or_default().push(service);
                }
                Body::Sidecar(_) | Body::MeshConfig(_) => {}
            }
        }
        index
    }

    /// A WorkloadEntry's labels are its spec's and its metadata's, which win.
    fn add_workload(&mut self, object: &'a Object, spec: &Labels) {
        let mut labels = spec.clone();
        labels.extend(object.labels.clone());
        let (id, namespace) = (self.workloads.len(), &object.object.namespace);
        for (key, value) in &labels {
            self.workloads_by_label.entry((namespace, key.clone(), value.clone())).or_default().push(id);
        }
        self.workloads_of.entry(namespace).or_default().push(id);
        self.workloads.push((labels, object));
    }

    /// The WorkloadEntries of `namespace` that `selector` picks. The label that fewest have is asked first.
    pub(super) fn workloads(&self, namespace: &Namespace, selector: &Labels) -> Vec<&'a Object> {
        let with_label = |(key, value): (&String, &String)| {
            self.workloads_by_label
                .get(&(namespace, key.clone(), value.clone()))
                .map_or(&[][..], Vec::as_slice)
        };
        let fewest = selector.iter().map(with_label).min_by_key(|ids| ids.len());
        let all = || self.workloads_of.get(namespace).map_or(&[][..], Vec::as_slice);
        let found = fewest.unwrap_or_else(all).iter().map(|id| &self.workloads[*id]);
        found.filter(|(labels, _)| selects(selector, labels)).map(|(_, object)| *object).collect()
    }

    /// The EndpointSlices of the Kubernetes Service `object`.
    pub(super) fn slices<'s>(&'s self, object: &'s Object) -> &'s [&'s EndpointSlice] {
        self.slices.get(&(&object.object.namespace, &*object.object.name)).map_or(&[], Vec::as_slice)
    }

    /// Whether the object that `record` came from is known itself.
    pub(super) fn has_object_of(&self, record: &Service) -> bool {
        let (namespace, name) = (record.namespace(), &*record.key.object.name);
        match record.provider {
            Provider::Kubernetes => self.kubernetes.contains(&(namespace, name)),
            Provider::External => {
                self.entries.get(&(namespace, record.host().clone())).is_some_and(|entries| {
                    is_nameless(record) || entries.iter().any(|entry| &*entry.object.name == name)
                })
            }
        }
    }

    /// The first ServiceEntry of `namespace` that has `host`.
    pub(super) fn first_with(&self, namespace: &Namespace, host: &Host) -> Option<&'a Object> {
        self.entries.get(&(namespace, host.clone()))?.first().copied()
    }

    /// The record that tells the addresses of `service`: that of its object, else one that names none.
    pub(super) fn record_of(&self, service: &Service) -> Option<&'a Service> {
        let records = self.records.get(&(service.namespace(), service.host()))?;
        let told = || records.iter().filter(|record| (record.auto_v4, record.auto_v6) != (None, None));
        let of_object = told().find(|record| record.key.object == service.key.object);
        of_object.or_else(|| told().find(|record| is_nameless(record))).copied()
    }
}

/// Before Istio 1.24 a record did not tell its object; the importer puts the host there.
fn is_nameless(record: &Service) -> bool {
    record.key.object.name.eq_ignore_ascii_case(record.host().as_str())
}

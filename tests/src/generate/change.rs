//! What happens to a registry in its life: for tests that compile the difference only.

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_core::registry::model::{
    Endpoint, ExportTo, MeshConfig, ObjectRef, Provider, Registry, Resolution, Service, ServiceAddress,
    ServicePort, Sidecar,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::service::{self, fit_endpoints};
use super::surroundings;

/// One change of a registry. What it is about is picked from those that are there.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object comes, or comes anew.
    Put(Vec<Service>),
    /// An object goes.
    Remove(Index),
    /// One service moves: a `ServiceEntry` to the first, a Kubernetes Service to the second.
    Address(Index, ServiceAddress, IpAddr),
    /// An object has other ports.
    Ports(Index, Vec<ServicePort>),
    /// An object is shown to others.
    ExportTo(Index, ExportTo),
    /// An object's endpoints come, go, or change their readiness.
    Endpoints(Index, Vec<Endpoint>),
    /// A Sidecar comes, or comes anew.
    PutSidecar(Sidecar),
    /// A Sidecar goes.
    RemoveSidecar(Index),
    /// The mesh's configuration changes.
    Mesh(Option<MeshConfig>),
}

/// The registry after one to three changes. What is not changed is the same, down to the VIPs and the `Arc`s.
pub fn mutate(registry: &Registry) -> impl Strategy<Value = Registry> + use<> {
    let registry = registry.clone();
    vec(change(), 1..=3).prop_map(move |changes| {
        let mut registry = registry.clone();
        for change in changes {
            apply(&mut registry, change);
        }
        registry
    })
}

/// One change.
pub fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        4 => service::object().prop_map(Change::Put),
        2 => index().prop_map(Change::Remove),
        2 => (index(), service::address(), service::other_cluster_ip())
            .prop_map(|(index, address, vip)| Change::Address(index, address, vip)),
        2 => (index(), service::ports()).prop_map(|(index, ports)| Change::Ports(index, ports)),
        2 => (index(), service::export_to()).prop_map(|(index, to)| Change::ExportTo(index, to)),
        4 => (index(), service::endpoints()).prop_map(|(index, list)| Change::Endpoints(index, list)),
        2 => surroundings::sidecar().prop_map(Change::PutSidecar),
        1 => index().prop_map(Change::RemoveSidecar),
        1 => proptest::option::of(surroundings::mesh()).prop_map(Change::Mesh),
    ]
}

/// Makes one change; a change of something where nothing is changes nothing.
pub fn apply(registry: &mut Registry, change: Change) {
    match change {
        Change::Put(services) => put_object(registry, services),
        Change::Remove(index) => {
            if let Some(object) = pick(registry, index) {
                registry.services.retain(|service| service.key.object != object);
            }
        }
        Change::Address(index, address, vip) => {
            if !registry.services.is_empty() {
                let service = index.get(&registry.services).clone();
                let moved = move_to((*service).clone(), address, vip);
                replace(registry, moved);
            }
        }
        Change::Ports(index, ports) => edit(registry, index, |service| {
            let only_own = service.provider == Provider::Kubernetes;
            let target =
                |port: ServicePort| if only_own { ServicePort { target: None, ..port } } else { port };
            service.ports = ports.iter().cloned().map(target).collect();
        }),
        Change::ExportTo(index, to) => edit(registry, index, |service| service.export_to.clone_from(&to)),
        Change::Endpoints(index, list) => edit(registry, index, |service| {
            let host = service.key.host.as_str();
            service.endpoints = fit_endpoints(service.provider, service.resolution, host, list.clone());
        }),
        Change::PutSidecar(sidecar) => put_sidecar(registry, sidecar),
        Change::RemoveSidecar(index) => {
            if !registry.sidecars.is_empty() {
                let at = index.index(registry.sidecars.len());
                registry.sidecars.remove(at);
            }
        }
        Change::Mesh(mesh) => registry.mesh = mesh.map(Arc::new),
    }
}

/// Puts all services of one object in the place of those it had.
pub fn put_object(registry: &mut Registry, services: Vec<Service>) {
    let Some(object) = services.first().map(|service| service.key.object.clone()) else { return };
    registry.services.retain(|service| service.key.object != object);
    registry.services.extend(services.into_iter().map(Arc::new));
    registry.services.sort_by(|one, other| one.key.cmp(&other.key));
}

/// Puts a Sidecar in the place of the one of its name.
pub fn put_sidecar(registry: &mut Registry, sidecar: Sidecar) {
    registry.sidecars.retain(|other| other.object != sidecar.object);
    registry.sidecars.push(Arc::new(sidecar));
    registry.sidecars.sort_by(|one, other| one.object.cmp(&other.object));
}

fn pick(registry: &Registry, index: Index) -> Option<ObjectRef> {
    if registry.services.is_empty() {
        return None;
    }
    Some(index.get(&registry.services).key.object.clone())
}

fn edit(registry: &mut Registry, index: Index, change: impl Fn(&mut Service)) {
    let Some(object) = pick(registry, index) else { return };
    for service in registry.services.iter_mut().filter(|service| service.key.object == object) {
        change(Arc::make_mut(service));
    }
}

fn replace(registry: &mut Registry, service: Service) {
    if let Some(old) = registry.services.iter_mut().find(|old| old.key == service.key) {
        *old = Arc::new(service);
    }
}

/// A service without an address stays without.
fn move_to(mut service: Service, address: ServiceAddress, vip: IpAddr) -> Service {
    let has_address = service.address != ServiceAddress::Unspecified;
    match service.provider {
        Provider::External if has_address && service::address_fits(service.resolution, &address) => {
            service.address = address;
        }
        Provider::Kubernetes if has_address && service.resolution == Resolution::Static => {
            service.address = ServiceAddress::Ip(vip);
            if let Some(ours) = service.cluster_vips.values_mut().find(|vips| !vips.is_empty()) {
                *ours = vec![vip];
            }
        }
        Provider::External | Provider::Kubernetes => {}
    }
    service
}

//! What a mesh proxy may reach beyond the workloads that it stands beside, line by line of the table of what the mesh needs.

use std::net::IpAddr;

use enforcer_common::addr::Protocol;
use enforcer_core::policy::Settings;
use enforcer_core::registry::model::{AppProtocol, EndpointAddress, Provider, Resolution, Service};

use super::offer::{Action, For, Offer, cluster_ips, target};
use super::place::Place;

/// What one service offers to mesh proxies only. An `ExternalName` has nothing of its own.
pub(super) fn of_service<'a>(service: &'a Service, settings: &Settings) -> Vec<Offer<'a>> {
    if service.resolution == Resolution::Alias {
        return Vec::new();
    }
    let mut found = Vec::new();
    let endpoints = endpoint_addresses(service);
    for (index, port) in service.ports.iter().enumerate() {
        let transport = if port.protocol == AppProtocol::Udp { Protocol::UDP } else { Protocol::TCP };
        let mut put = |ip: IpAddr, transport, dialled, whom| {
            found.push(Offer {
                service,
                index: Some(index),
                number: port.number,
                place: Place::exact(ip),
                transport,
                dialled,
                action: Action::Allow,
                whom,
            });
        };
        let control_plane = is_control_plane(service, settings);
        for endpoint in service.endpoints.iter() {
            let EndpointAddress::Ip(ip) = endpoint.address else { continue };
            let dialled = target(endpoint, port);
            put(ip, transport, dialled, For::SeeingProxies);
            put(ip, Protocol::TCP, 15008, For::SeeingProxies);
            if control_plane {
                put(ip, transport, dialled, For::AllProxies);
            }
        }
        if control_plane {
            for ip in cluster_ips(service, settings) {
                put(ip, transport, port.number, For::AllProxies);
            }
        }
    }
    let vips = if is_kubernetes(service) { cluster_ips(service, settings) } else { Vec::new() };
    for dialled in gateway_ports(service) {
        for ip in vips.iter().chain(&endpoints) {
            found.push(Offer {
                service,
                index: None,
                number: dialled,
                place: Place::exact(*ip),
                transport: Protocol::TCP,
                dialled,
                action: Action::Allow,
                whom: For::AllProxies,
            });
        }
    }
    found
}

fn is_kubernetes(service: &Service) -> bool {
    service.provider == Provider::Kubernetes
}

fn endpoint_addresses(service: &Service) -> Vec<IpAddr> {
    let ip = |address: &EndpointAddress| if let EndpointAddress::Ip(ip) = address { Some(*ip) } else { None };
    service.endpoints.iter().filter_map(|endpoint| ip(&endpoint.address)).collect()
}

/// Waypoints take the tunnel, gateways of another network that and mutual TLS.
fn gateway_ports(service: &Service) -> Vec<u16> {
    if !is_kubernetes(service) {
        return Vec::new();
    }
    let mut ports = Vec::new();
    if service.labels.contains_key("topology.istio.io/network") {
        ports.extend([15443, 15008]);
    }
    let managed = service.labels.get("gateway.istio.io/managed").map(String::as_str);
    if managed == Some("istio.io-mesh-controller") && !ports.contains(&15008) {
        ports.push(15008);
    }
    ports
}

fn is_control_plane(service: &Service, settings: &Settings) -> bool {
    let object = &service.key.object;
    is_kubernetes(service)
        && object.namespace == settings.root_namespace
        && (&*object.name == "istiod"
            || object.name.starts_with("istiod-")
            || service.labels.get("app").map(String::as_str) == Some("istiod"))
}

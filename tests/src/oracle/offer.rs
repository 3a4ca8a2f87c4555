//! What one service offers, line by line of the table of what counts as registered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer_common::addr::Protocol;
use enforcer_core::policy::{DirectEndpoints, Settings};
use enforcer_core::registry::model::{
    AppProtocol, Endpoint, EndpointAddress, Provider, Resolution, Service, ServiceAddress, ServicePort,
};

use super::place::Place;

/// What happens to a flow that an offer is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// It passes.
    Allow,
    /// It goes to the same address, at this port.
    OtherPort(u16),
    /// It goes to one of these.
    Backends(BTreeSet<(IpAddr, u16)>),
    /// Only a name could tell.
    NeedsName,
}

/// Whom an offer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum For {
    /// Whoever sees the service.
    Seeing,
    /// Mesh proxies that see it.
    SeeingProxies,
    /// Every mesh proxy.
    AllProxies,
}

/// At this place, for this protocol and port, do this.
#[derive(Clone, Debug)]
pub(super) struct Offer<'a> {
    /// Whose offer it is.
    pub(super) service: &'a Service,
    /// Index of the service's port; `None` for one that the mesh knows of itself.
    pub(super) index: Option<usize>,
    /// The number of the service's port.
    pub(super) number: u16,
    /// Where it stands.
    pub(super) place: Place,
    /// TCP or UDP.
    pub(super) transport: Protocol,
    /// The port that is dialled: an endpoint's may differ from the service's.
    pub(super) dialled: u16,
    /// What happens.
    pub(super) action: Action,
    /// Whom it is for.
    pub(super) whom: For,
}

impl Offer<'_> {
    /// Whether a `ServiceEntry` sends the flow elsewhere, which it must not do at a protected address.
    pub(super) fn captures(&self) -> bool {
        self.service.provider == Provider::External
            && matches!(self.action, Action::OtherPort(_) | Action::Backends(_))
    }
}

/// Everything one service offers, by ports, the service's own addresses before its endpoints'.
pub(super) fn of_service<'a>(service: &'a Service, settings: &Settings) -> Vec<Offer<'a>> {
    let mut offers = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        let lines = match service.provider {
            Provider::Kubernetes => kubernetes(service, port, settings),
            Provider::External => external(service, port, settings),
        };
        let transport = if port.protocol == AppProtocol::Udp { Protocol::UDP } else { Protocol::TCP };
        for (place, dialled, action) in lines {
            offers.push(Offer {
                service,
                index: Some(index),
                number: port.number,
                place,
                transport,
                dialled,
                action,
                whom: For::Seeing,
            });
        }
    }
    offers
}

type Line = (Place, u16, Action);

fn kubernetes(service: &Service, port: &ServicePort, settings: &Settings) -> Vec<Line> {
    if service.resolution == Resolution::Alias {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for ip in cluster_ips(service, settings) {
        lines.push((Place::exact(ip), port.number, Action::Allow));
    }
    let headless = service.address == ServiceAddress::Unspecified && service.resolution == Resolution::None;
    // Readiness is for those who look names up or dial the ClusterIP.
    if headless {
        for (ip, target) in ip_endpoints(service, port, false) {
            lines.push((Place::exact(ip), target, Action::Allow));
            lines.push((Place::exact(ip), port.number, Action::Allow));
        }
    } else if settings.direct_endpoints != DirectEndpoints::None {
        for (ip, target) in ip_endpoints(service, port, false) {
            lines.push((Place::exact(ip), target, Action::Allow));
        }
    }
    lines
}

fn external(service: &Service, port: &ServicePort, settings: &Settings) -> Vec<Line> {
    let mut lines = own_addresses(service, port, settings);
    if settings.direct_endpoints == DirectEndpoints::All {
        for (ip, target) in ip_endpoints(service, port, false) {
            lines.push((Place::exact(ip), target, Action::Allow));
        }
    }
    lines
}

fn own_addresses(service: &Service, port: &ServicePort, settings: &Settings) -> Vec<Line> {
    let place = match &service.address {
        ServiceAddress::Unspecified => return without_address(service, port, settings),
        ServiceAddress::Ip(ip) => Place::exact(*ip),
        ServiceAddress::Cidr(net, _) => Place::network(*net),
    };
    let action = match service.resolution {
        Resolution::None => match port.target {
            Some(target) if target != port.number => Action::OtherPort(target),
            _ => Action::Allow,
        },
        Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin => backends(service, port),
        Resolution::Alias | Resolution::DynamicDns => return Vec::new(),
    };
    vec![(place, port.number, action)]
}

fn without_address(service: &Service, port: &ServicePort, settings: &Settings) -> Vec<Line> {
    let at_vips = |action: Action| {
        let vips = [service.auto_v4.map(IpAddr::from), service.auto_v6.map(IpAddr::from)];
        let lines: Vec<Line> =
            vips.into_iter().flatten().map(|ip| (Place::exact(ip), port.number, action.clone())).collect();
        lines
    };
    let anywhere = |action| (Place::Any, port.number, action);
    let mut lines = Vec::new();
    match service.resolution {
        Resolution::Static => lines.extend(at_vips(backends(service, port))),
        Resolution::Dns | Resolution::DnsRoundRobin => {
            lines.extend(at_vips(backends(service, port)));
            lines.push(anywhere(Action::NeedsName));
        }
        Resolution::DynamicDns => {
            lines.extend(at_vips(Action::NeedsName));
            lines.push(anywhere(Action::NeedsName));
        }
        Resolution::None if settings.permit_any_address && !tells_host(port.protocol) => {
            lines.push(anywhere(Action::Allow));
        }
        Resolution::None => lines.push(anywhere(Action::NeedsName)),
        Resolution::Alias => {}
    }
    lines
}

/// The `ClusterIP`s of a Kubernetes Service in our cluster.
pub(super) fn cluster_ips(service: &Service, settings: &Settings) -> Vec<IpAddr> {
    match (service.cluster_vips.get(&settings.cluster_id), &service.address) {
        (Some(vips), _) if !vips.is_empty() => vips.clone(),
        (_, ServiceAddress::Ip(ip)) => vec![*ip],
        _ => Vec::new(),
    }
}

fn backends(service: &Service, port: &ServicePort) -> Action {
    Action::Backends(ip_endpoints(service, port, true).into_iter().collect())
}

fn ip_endpoints(service: &Service, port: &ServicePort, only_ready: bool) -> Vec<(IpAddr, u16)> {
    let mut found = Vec::new();
    for endpoint in service.endpoints.iter() {
        if only_ready && !endpoint.ready {
            continue;
        }
        if let EndpointAddress::Ip(ip) = &endpoint.address {
            found.push((ip.to_canonical(), target(endpoint, port)));
        }
    }
    found
}

pub(super) fn target(endpoint: &Endpoint, port: &ServicePort) -> u16 {
    match (endpoint.ports.get(&port.name), port.target) {
        (Some(own), _) => *own,
        (None, Some(target)) => target,
        (None, None) => port.number,
    }
}

fn tells_host(protocol: AppProtocol) -> bool {
    match protocol {
        AppProtocol::Grpc
        | AppProtocol::GrpcWeb
        | AppProtocol::Http
        | AppProtocol::HttpProxy
        | AppProtocol::Http2
        | AppProtocol::Https
        | AppProtocol::Tls => true,
        AppProtocol::Tcp
        | AppProtocol::Udp
        | AppProtocol::Mongo
        | AppProtocol::Redis
        | AppProtocol::MySql
        | AppProtocol::Hbone
        | AppProtocol::DoubleHbone
        | AppProtocol::Unsupported => false,
    }
}

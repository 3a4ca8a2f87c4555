//! What a service offers: at this place, for this protocol and port, do this. Design §5.2's table.

mod mesh;

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Prefix, Protocol};
use enforcer_common::verdict::{Backend, RuleAction};
use jiff::Timestamp;

use crate::name::{Host, Namespace};
use crate::policy::{DirectEndpoints, Settings};
use crate::registry::model::{
    Endpoint, EndpointAddress, ObjectRef, Provider, Resolution, Service, ServiceAddress, ServiceKey,
    ServicePort,
};
use crate::registry::visibility::{Audience, Visibility};

/// Where an offer applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// At one address.
    Exact(Addr),
    /// At every address of a network.
    Net(Prefix),
    /// Anywhere, for one protocol and port.
    Any(Slot),
}

/// A transport protocol and a port.
pub type Slot = (Protocol, Port);

/// What a rule is: interned, so that the addresses of one service share it. Other backends are another rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleKey {
    /// The object it came from.
    pub object: ObjectRef,
    /// The host.
    pub host: Host,
    /// The service's port.
    pub slot: Slot,
    /// What it does.
    pub action: RuleAction,
    /// Where it translates to, one element per slot.
    pub backends: Arc<[Backend]>,
}

/// Whom among its audience an offer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Every workload.
    Workloads,
    /// Mesh proxies, of the workloads that see the service.
    MeshProxies,
    /// All mesh proxies, whatever their workloads see: it is the mesh itself.
    Mesh,
}

/// One offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Where.
    pub place: Place,
    /// For what.
    pub slot: Slot,
    /// What is done.
    pub rule: Arc<RuleKey>,
    /// Who makes it.
    pub service: Arc<Service>,
    /// Who sees it.
    pub audience: Audience,
    /// Whom of them it is for.
    pub purpose: Purpose,
    /// The number of the service's port, which Sidecars import.
    pub port: u16,
    /// Its position among the service's offers.
    pub position: usize,
}

/// The order of offers in a conflict in which nobody's own namespace counts: the smallest wins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seniority {
    /// What only names a reason loses to what allows.
    needs_name: bool,
    not_kubernetes: bool,
    /// Oldest first, unknown last.
    created: (bool, Option<Timestamp>),
    namespace: Namespace,
    name: Arc<str>,
    host: Host,
    address: u32,
    /// Of one service: port by port, its own address before its endpoints.
    position: usize,
}

impl Offer {
    /// Its seniority.
    pub fn seniority(&self) -> Seniority {
        let ServiceKey { object, host, address } = &self.service.key;
        Seniority {
            needs_name: self.rule.action == RuleAction::NeedsName,
            not_kubernetes: self.service.provider != Provider::Kubernetes,
            created: (self.service.created.is_none(), self.service.created),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            host: host.clone(),
            address: *address,
            position: self.position,
        }
    }

    /// Whether everyone sees it.
    pub fn is_public(&self) -> bool {
        self.audience == Audience::Everyone && self.is_for_workloads()
    }

    /// Whether it is not for mesh proxies only.
    pub fn is_for_workloads(&self) -> bool {
        self.purpose == Purpose::Workloads
    }

    /// Its precedence for workloads of `namespace` (`None`: in the public part); the smallest wins: what allows, what is for every
    /// workload, Kubernetes, then the own namespace, then seniority.
    pub fn precedence(&self, namespace: Option<&Namespace>) -> (bool, bool, bool, bool, Seniority) {
        let not_own = namespace.is_some_and(|namespace| namespace != self.service.namespace());
        let seniority = self.seniority();
        (seniority.needs_name, !self.is_for_workloads(), seniority.not_kubernetes, not_own, seniority)
    }

    /// Whether it is void at addresses that no ServiceEntry may capture.
    pub fn captures(&self) -> bool {
        self.service.provider == Provider::External && self.rule.action == RuleAction::Translate
    }
}

/// Everything `service` offers; what only mesh proxies may have, if there are any.
pub fn offers(
    service: &Arc<Service>,
    settings: &Settings,
    visibility: &Visibility,
    has_mesh_proxies: bool,
) -> Vec<Offer> {
    let mut offers = Vec::new();
    let audience = visibility.audience(service);
    for port in &service.ports {
        let purpose = Purpose::Workloads;
        let mut maker = Maker { service, port, audience: &audience, purpose, offers: &mut offers };
        match service.provider {
            Provider::Kubernetes => kubernetes(&mut maker, settings),
            Provider::External => external(&mut maker, settings),
        }
    }
    if has_mesh_proxies {
        mesh::add(service, settings, &audience, &mut offers);
    }
    offers
}

/// The ClusterIPs of a Kubernetes Service in our cluster.
pub fn cluster_ips(service: &Service, cluster_id: &str) -> Vec<IpAddr> {
    if service.provider != Provider::Kubernetes {
        return Vec::new();
    }
    match (service.cluster_vips.get(cluster_id), &service.address) {
        (Some(vips), _) if !vips.is_empty() => vips.clone(),
        (_, ServiceAddress::Ip(ip)) => vec![*ip],
        _ => Vec::new(),
    }
}

/// The addresses at which no ServiceEntry translates because of `service`: its ClusterIPs and endpoints.
pub fn protected_by(service: &Service, cluster_id: &str) -> Vec<Addr> {
    if service.provider != Provider::Kubernetes {
        return Vec::new();
    }
    let endpoints = service.endpoints.iter().filter_map(endpoint_ip);
    cluster_ips(service, cluster_id).into_iter().chain(endpoints).map(Addr::from).collect()
}

fn endpoint_ip(endpoint: &Endpoint) -> Option<IpAddr> {
    match endpoint.address {
        EndpointAddress::Ip(ip) => Some(ip),
        EndpointAddress::Host(_) | EndpointAddress::Unix(_) => None,
    }
}

/// Makes the offers of one port of one service.
struct Maker<'a> {
    service: &'a Arc<Service>,
    port: &'a ServicePort,
    audience: &'a Audience,
    purpose: Purpose,
    offers: &'a mut Vec<Offer>,
}

impl Maker<'_> {
    fn offer(&mut self, place: Place, port: u16, action: RuleAction, backends: &[Backend]) {
        let slot = (self.port.protocol.transport(), Port::new(port));
        self.offer_slot(place, slot, action, backends);
    }

    fn offer_slot(&mut self, place: Place, slot: Slot, action: RuleAction, backends: &[Backend]) {
        let rule = RuleKey {
            object: self.service.key.object.clone(),
            host: self.service.host().clone(),
            slot: (self.port.protocol.transport(), Port::new(self.port.number)),
            action,
            backends: backends.into(),
        };
        self.offers.push(Offer {
            place,
            slot,
            rule: rule.into(),
            service: Arc::clone(self.service),
            audience: self.audience.clone(),
            purpose: self.purpose,
            port: self.port.number,
            position: self.offers.len(),
        });
    }

    fn allow(&mut self, place: Place, port: u16) {
        self.offer(place, port, RuleAction::Allow, &[]);
    }

    fn allow_slot(&mut self, place: Place, slot: Slot) {
        self.offer_slot(place, slot, RuleAction::Allow, &[]);
    }

    fn needs_name(&mut self, place: Place) {
        self.offer(place, self.port.number, RuleAction::NeedsName, &[]);
    }

    /// This port at any address.
    fn anywhere(&self) -> Place {
        Place::Any((self.port.protocol.transport(), Port::new(self.port.number)))
    }

    /// To the service's endpoints, those of the family that a socket dialling `place` can reach.
    fn translate(&mut self, place: Place) {
        let v4_place = match place {
            Place::Exact(addr) => addr.is_v4(),
            Place::Net(prefix) => prefix.is_v4(),
            Place::Any(_) => false,
        };
        let backends = backends(self.service, self.port, v4_place);
        self.offer(place, self.port.number, RuleAction::Translate, &backends);
    }

    /// The endpoints themselves, at their own ports, ready or not. Readiness (`EndpointConditions` of discovery.k8s.io/v1) tells
    /// who sends *new* requests where, by name or by ClusterIP; kube-proxy and the pod network carry on what a pod has that is
    /// not ready, or terminates, for as long as an EndpointSlice lists it.
    fn endpoints(&mut self) {
        let service = Arc::clone(self.service);
        for endpoint in service.endpoints.iter() {
            if let Some(ip) = endpoint_ip(endpoint) {
                self.allow(Place::Exact(ip.into()), endpoint.port(self.port));
            }
        }
    }

    /// The endpoints of a headless Service, at their own ports and at the Service's. Which of them its name leads to is for the DNS
    /// to say: the ready ones, or all (`publishNotReadyAddresses`).
    fn headless(&mut self) {
        let service = Arc::clone(self.service);
        for endpoint in service.endpoints.iter() {
            if let Some(ip) = endpoint_ip(endpoint) {
                let target = endpoint.port(self.port);
                self.allow(Place::Exact(ip.into()), target);
                if target != self.port.number {
                    self.allow(Place::Exact(ip.into()), self.port.number);
                }
            }
        }
    }
}

fn kubernetes(maker: &mut Maker<'_>, settings: &Settings) {
    let service = Arc::clone(maker.service);
    if service.is_headless() {
        maker.headless();
        return;
    }
    if service.resolution == Resolution::Alias {
        return;
    }
    for ip in cluster_ips(&service, &settings.cluster_id) {
        maker.allow(Place::Exact(ip.into()), maker.port.number);
    }
    if settings.direct_endpoints != DirectEndpoints::None {
        maker.endpoints();
    }
}

fn external(maker: &mut Maker<'_>, settings: &Settings) {
    match own_place(&maker.service.address) {
        Some(place) => with_address(maker, place),
        None => without_address(maker, settings),
    }
    if settings.direct_endpoints == DirectEndpoints::All {
        maker.endpoints();
    }
}

fn own_place(address: &ServiceAddress) -> Option<Place> {
    match address {
        ServiceAddress::Unspecified => None,
        ServiceAddress::Ip(ip) => Some(Place::Exact((*ip).into())),
        ServiceAddress::Cidr(net, _) => Some(Place::Net(Prefix::of_ip(net.addr(), net.prefix_len()))),
    }
}

fn with_address(maker: &mut Maker<'_>, place: Place) {
    if maker.service.resolution != Resolution::None {
        maker.translate(place);
        return;
    }
    match maker.port.target {
        Some(target) if target != maker.port.number => {
            let same_address = Backend { addr: Addr::UNSPECIFIED, port: Port::new(target) };
            maker.offer(place, maker.port.number, RuleAction::Translate, &[same_address]);
        }
        _ => maker.allow(place, maker.port.number),
    }
}

fn without_address(maker: &mut Maker<'_>, settings: &Settings) {
    let service = Arc::clone(maker.service);
    let vips = [service.auto_v4.map(IpAddr::V4), service.auto_v6.map(IpAddr::V6)];
    for vip in vips.into_iter().flatten() {
        match service.resolution {
            Resolution::DynamicDns => maker.needs_name(Place::Exact(vip.into())),
            Resolution::None => {}
            Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin | Resolution::Alias => {
                maker.translate(Place::Exact(vip.into()));
            }
        }
    }
    match service.resolution {
        Resolution::None if settings.permit_any_address && !maker.port.protocol.carries_host() => {
            maker.allow(maker.anywhere(), maker.port.number);
        }
        Resolution::None | Resolution::Dns | Resolution::DnsRoundRobin | Resolution::DynamicDns => {
            maker.needs_name(maker.anywhere());
        }
        Resolution::Static | Resolution::Alias => {}
    }
}

/// The backend slots of a port: ready endpoints with an address, of the place's family if there are any (an IPv6
/// socket also reaches IPv4, an IPv4 socket only IPv4), as many slots each as their weights ask for.
fn backends(service: &Service, port: &ServicePort, v4_place: bool) -> Vec<Backend> {
    let ready: Vec<(Backend, u32)> = service
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ready)
        .filter_map(|endpoint| {
            let addr = endpoint_ip(endpoint)?.into();
            Some((Backend { addr, port: Port::new(endpoint.port(port)) }, endpoint.weight))
        })
        .collect();
    let same_family: Vec<_> =
        ready.iter().copied().filter(|(backend, _)| backend.addr.is_v4() == v4_place).collect();
    spread(if same_family.is_empty() { ready } else { same_family })
}

/// Slots in proportion to the weights: exactly, when they fit after division by their greatest common divisor.
fn spread(mut weighted: Vec<(Backend, u32)>) -> Vec<Backend> {
    use enforcer_common::limits::SLOTS_PER_RULE;
    weighted.sort_unstable();
    weighted.truncate(SLOTS_PER_RULE);
    let divisor = weighted.iter().fold(0, |divisor, (_, weight)| gcd(divisor, (*weight).max(1)));
    let total: u64 = weighted.iter().map(|(_, weight)| (*weight).max(1) as u64).sum();
    let exact = total / (divisor as u64).max(1) <= SLOTS_PER_RULE as u64;
    let slots = |weight: u32| {
        let weight = weight.max(1) as u64;
        let slots = if exact {
            weight / divisor as u64
        } else {
            (weight * (SLOTS_PER_RULE - weighted.len()) as u64 / total).max(1)
        };
        usize::try_from(slots).unwrap_or(SLOTS_PER_RULE)
    };
    weighted.iter().flat_map(|(backend, weight)| std::iter::repeat_n(*backend, slots(*weight))).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

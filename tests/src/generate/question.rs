//! What to ask of a registry: every address that something stands at, its neighbours, and strangers.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::addr::Protocol;
use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::model::{EndpointAddress, Registry, Service, ServiceAddress};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::universe::{PORTS, parse_ip};
use crate::oracle::Question;

/// Addresses that no generated service has for its own.
const STRANGERS: [&str; 14] = [
    "0.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "128.0.0.0",
    "169.254.169.254",
    "198.51.100.77",
    "224.0.0.251",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::ffff:127.0.0.1",
    "2001:db9::1",
    "ff02::fb",
];

/// A port that nobody has.
const STRANGE_PORT: u16 = 4;

/// Ports of the mesh itself.
const TUNNELS: [u16; 2] = [15008, 15443];

/// Where somebody wants to go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// By which protocol.
    pub protocol: Protocol,
    /// To which address; some IPv4 addresses are in their IPv6-mapped form.
    pub ip: IpAddr,
    /// To which port; 0 where the protocol has none.
    pub port: u16,
}

impl Target {
    /// The question of one workload.
    pub fn asked_by<'a>(&self, workload: &'a WorkloadSpec) -> Question<'a> {
        Question { workload, protocol: self.protocol, ip: self.ip, port: self.port }
    }
}

/// All that is worth asking: each address of [`addresses`] at each of the [`ports`], local ones at one only; by ICMP,
/// which asks for the address alone; and some for protocols that nobody can register. In order, each once; some hundreds to a few thousands.
pub fn questions(registry: &Registry, settings: &Settings) -> Vec<Target> {
    let (tcp, udp) = (ports(registry, settings, Protocol::TCP), ports(registry, settings, Protocol::UDP));
    let mut targets = Vec::new();
    for (number, ip) in addresses(registry, settings).into_iter().enumerate() {
        let all = tcp
            .iter()
            .map(|port| (Protocol::TCP, *port))
            .chain(udp.iter().map(|port| (Protocol::UDP, *port)));
        if ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified() {
            targets.extend([Protocol::TCP, Protocol::UDP].map(|protocol| Target {
                protocol,
                ip,
                port: PORTS[0],
            }));
        } else {
            targets.extend(all.map(|(protocol, port)| Target { protocol, ip, port }));
        }
        // An echo of the other family's ICMP is one more that the address alone decides.
        let echo = if number % 5 == 0 { Protocol::ICMPV6 } else { Protocol::ICMP };
        targets.push(Target { protocol: echo, ip, port: 0 });
        if number % 4 == 1 {
            targets.push(Target { protocol: Protocol::new(132), ip, port: PORTS[0] });
        }
    }
    targets
}

/// At most `most` of the [`questions`], for tests that pay for each.
pub fn some_questions(
    registry: &Registry,
    settings: &Settings,
    most: usize,
) -> impl Strategy<Value = Vec<Target>> + use<> {
    let all = questions(registry, settings);
    let most = most.min(all.len());
    subsequence(all, most)
}

/// Every address that something stands at, the first and the last one of every network, their neighbours, and strangers.
pub fn addresses(registry: &Registry, settings: &Settings) -> BTreeSet<IpAddr> {
    let mut found: BTreeSet<IpAddr> = settings.node_addresses.iter().copied().collect();
    for service in &registry.services {
        of_service(service, &mut found);
    }
    for range in &settings.exempt {
        found.extend([range.prefix.addr().ip(), range.prefix.last().ip()]);
    }
    let neighbours: Vec<IpAddr> = found.iter().flat_map(|ip| neighbours(*ip)).collect();
    found.extend(neighbours);
    found.extend(STRANGERS.map(parse_ip));
    // IPv4 as an IPv6 socket sees it.
    let mapped: Vec<IpAddr> = found
        .iter()
        .step_by(7)
        .filter_map(|ip| match ip {
            IpAddr::V4(v4) => Some(v4.to_ipv6_mapped().into()),
            IpAddr::V6(_) => None,
        })
        .collect();
    found.extend(mapped);
    found
}

/// Every port that a service, one of its endpoints or an `--allow` range has for a protocol, and two that may be strange.
pub fn ports(registry: &Registry, settings: &Settings, protocol: Protocol) -> BTreeSet<u16> {
    let mut found = BTreeSet::from([PORTS[0], STRANGE_PORT]);
    found.extend(settings.exempt.iter().filter_map(|range| range.port));
    if protocol == Protocol::TCP {
        found.extend(TUNNELS);
    }
    for service in &registry.services {
        for port in service.ports.iter().filter(|port| port.protocol.transport() == protocol) {
            found.extend([Some(port.number), port.target].into_iter().flatten());
            found.extend(service.endpoints.iter().filter_map(|endpoint| endpoint.ports.get(&port.name)));
        }
    }
    found
}

fn of_service(service: &Service, found: &mut BTreeSet<IpAddr>) {
    match &service.address {
        ServiceAddress::Unspecified => {}
        ServiceAddress::Ip(ip) => _ = found.insert(*ip),
        ServiceAddress::Cidr(net, _) => found.extend(edges(net)),
    }
    found.extend(service.cluster_vips.values().flatten());
    found.extend(service.auto_v4.map(IpAddr::from));
    found.extend(service.auto_v6.map(IpAddr::from));
    for endpoint in service.endpoints.iter() {
        if let EndpointAddress::Ip(ip) = &endpoint.address {
            found.insert(*ip);
        }
    }
}

fn edges(net: &IpNet) -> [IpAddr; 2] {
    [net.network(), net.broadcast()]
}

fn neighbours(ip: IpAddr) -> Vec<IpAddr> {
    match ip {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            let around = [bits.checked_sub(1), bits.checked_add(1)];
            around.into_iter().flatten().map(|bits| Ipv4Addr::from_bits(bits).into()).collect()
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let around = [bits.checked_sub(1), bits.checked_add(1)];
            around.into_iter().flatten().map(|bits| Ipv6Addr::from_bits(bits).into()).collect()
        }
    }
}

//! Names, addresses and ports that generated things are made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_core::name::Namespace;
use enforcer_core::registry::model::AppProtocol;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

/// Where mesh-wide Sidecars are.
pub const ROOT: &str = "istio-system";

/// Every namespace.
pub const NAMESPACES: [&str; 4] = ["east", ROOT, "north", "shop"];

/// Names of `ServiceEntries`.
pub const ENTRIES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Names of Kubernetes Services.
pub const SERVICES: [&str; 3] = ["svc-a", "svc-b", "svc-c"];

/// Hosts of `ServiceEntries`; the wildcards are last.
pub const HOSTS: [&str; 8] = [
    "api.example.com",
    "www.example.com",
    "db.corp",
    "corp",
    "svc-a.shop.svc.cluster.local",
    "*.example.com",
    "*.corp",
    "*.east.svc.cluster.local",
];

/// How many of [`HOSTS`] are no wildcards.
pub const EXACT_HOSTS: usize = 5;

/// Port numbers, of services and endpoints alike.
pub const PORTS: [u16; 5] = [80, 443, 5432, 8080, 9000];

/// Single addresses of `ServiceEntries`.
pub const ADDRESSES: [&str; 10] = [
    "10.1.2.2",
    "10.1.2.3",
    "10.1.2.4",
    "10.1.9.9",
    "10.200.0.1",
    "203.0.113.10",
    "203.0.113.11",
    "2001:db8::1",
    "2001:db8:1::1",
    // As the allocator could have given it, and somebody wrote it down.
    "240.240.0.7",
];

/// Networks of `ServiceEntries`; some with host bits, as users write them.
pub const NETWORKS: [&str; 12] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.77/24",
    "10.1.2.2/31",
    "203.0.113.0/24",
    "203.0.113.8/29",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8::/127",
    "240.240.0.0/16",
    "2001:2::/48",
];

/// Networks around everything, and one around all that looks like IPv4 when addresses are 16 bytes.
pub const WIDE_NETWORKS: [&str; 3] = ["0.0.0.0/0", "::/0", "::/64"];

/// Addresses of endpoints; IPv6 is last.
pub const ENDPOINTS: [&str; 9] = [
    "10.1.2.3",
    "10.1.2.5",
    "10.1.2.6",
    "10.2.0.7",
    "203.0.113.11",
    "203.0.113.50",
    "192.0.2.20",
    "2001:db8::1",
    "2001:db8::5",
];

/// How many of [`ENDPOINTS`] are IPv4.
pub const V4_ENDPOINTS: usize = 7;

/// `ClusterIP`s.
pub const CLUSTER_IPS: [&str; 7] =
    ["10.96.0.1", "10.96.0.2", "10.1.2.3", "10.1.2.4", "203.0.113.10", "2001:db8::1", "2001:db8:1::7"];

/// Addresses of the node.
pub const NODE_ADDRESSES: [&str; 4] = ["192.168.1.10", "10.1.2.5", "203.0.113.12", "2001:db8:1::1"];

/// What an application may speak, as often as it should.
const PROTOCOLS: [AppProtocol; 10] = [
    AppProtocol::Tcp,
    AppProtocol::Tcp,
    AppProtocol::Http,
    AppProtocol::Http2,
    AppProtocol::Grpc,
    AppProtocol::Https,
    AppProtocol::Tls,
    AppProtocol::Udp,
    AppProtocol::Udp,
    AppProtocol::Unsupported,
];

/// One of [`NAMESPACES`].
pub fn namespace() -> impl Strategy<Value = Namespace> {
    select(&NAMESPACES[..]).prop_map(Namespace::new)
}

/// One of [`PORTS`].
pub fn port() -> impl Strategy<Value = u16> {
    select(&PORTS[..])
}

/// One protocol.
pub fn protocol() -> impl Strategy<Value = AppProtocol> {
    select(&PROTOCOLS[..])
}

/// One of a pool of addresses.
pub fn ip(pool: &'static [&'static str]) -> impl Strategy<Value = IpAddr> {
    select(pool).prop_map(parse_ip)
}

/// A time of birth, or none; ties are frequent.
pub fn created() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::weighted(0.8, 0_i64..3)
        .prop_map(|age| age.and_then(|age| Timestamp::from_second(1_700_000_000 + age).ok()))
}

/// The automatic VIPs of a host of a `ServiceEntry`: its own, and the same ones after every change.
pub fn auto_vips(namespace: &str, entry: &str, host: &str) -> (Ipv4Addr, Ipv6Addr) {
    let position = |pool: &[&str], of: &str| pool.iter().position(|one| *one == of).unwrap_or(0);
    let number = (position(&NAMESPACES, namespace) * ENTRIES.len() + position(&ENTRIES, entry)) * HOSTS.len()
        + position(&HOSTS, host)
        + 1;
    let number = u8::try_from(number).expect("the universe is small");
    (Ipv4Addr::new(240, 240, 0, number), Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, number.into()))
}

/// An address of this universe.
pub fn parse_ip(text: &str) -> IpAddr {
    text.parse().expect("addresses of the universe are well-formed")
}

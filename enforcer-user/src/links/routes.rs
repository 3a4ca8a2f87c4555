//! Which addresses the node sends straight to which of its interfaces.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink;

/// The routes to single addresses, with no router between, of the network namespace that the calling thread is in: interface and
/// address. Nobody without `CAP_NET_ADMIN` there can make one.
pub fn host_routes() -> Result<BTreeSet<(u32, IpAddr)>> {
    let mut found = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let answers = netlink::dump(NETLINK_ROUTE, RouteNetlinkMessage::GetRoute(request))
            .context("cannot list routes")?;
        found.extend(answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => host_route(message),
            _ => None,
        }));
    }
    Ok(found)
}

fn host_route(message: &RouteMessage) -> Option<(u32, IpAddr)> {
    let (mut address, mut interface) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => address = Some(IpAddr::from(*v4)),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => address = Some(IpAddr::from(*v6)),
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    let RouteHeader { kind, destination_prefix_length, .. } = message.header;
    let whole = if address?.is_ipv4() { 32 } else { 128 };
    (kind == RouteType::Unicast && destination_prefix_length == whole).then_some((interface?, address?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::of_name;
    use crate::links::stage::{ip, on_node};

    #[test]
    fn only_what_goes_straight_to_one_address_counts() {
        on_node(|| {
            ip("link add here type veth peer name there");
            ip("link set here addrgenmode none up");
            ip("link set there addrgenmode none up");
            ip("address add 192.0.2.1/24 dev here");
            ip("route add 10.0.0.2/32 dev here");
            ip("route add fd00::2/128 dev here");
            ip("route add 10.0.1.0/24 dev here");
            ip("route add 10.0.2.2/32 via 192.0.2.9");
            ip("route add blackhole 10.0.3.2/32");
            let here = of_name(&crate::links::read().unwrap(), "here").unwrap().index;
            let expected = ["10.0.0.2", "fd00::2"].map(|address| (here, address.parse().unwrap()));
            assert_eq!(host_routes().unwrap(), BTreeSet::from(expected));
        });
    }
}

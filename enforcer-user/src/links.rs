//! Network interfaces: the node's own and those of workloads in network namespaces of their own.
//!
//! Asked over rtnetlink(7). Nothing here changes anything.

mod cookie;
mod namespace;
mod owner;
mod pod;
mod processes;
mod routes;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink;

pub use namespace::{Namespace, inside};
pub use pod::{PodInterface, PodNetwork, PodNetworks};
pub use processes::{MOST_NAMESPACES, namespaces_of_cgroup};
pub use routes::host_routes;
pub use watch::{LinkNews, watch};

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Its number, unique in its namespace only.
    pub index: u32,
    /// `eth0`.
    pub name: String,
    /// What made it: `veth`, `bridge`; hardware and the loopback interface have none.
    pub kind: Option<String>,
    /// Whether its frames begin with an Ethernet header.
    pub is_ethernet: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Whether it was switched on; there may be no carrier all the same.
    pub is_up: bool,
    /// `IFLA_LINK`: the other end of a veth, what a macvlan sits on.
    pub peer_index: Option<u32>,
    /// `IFLA_LINK_NETNSID`: where that is, as numbered by this namespace; `None` when it is in the same one.
    pub peer_namespace: Option<i32>,
    /// Its own addresses.
    pub addresses: BTreeSet<IpAddr>,
}

/// The interfaces of the network namespace that the calling thread is in, by their numbers.
pub fn read() -> Result<Vec<Link>> {
    let mut addresses = addresses().context("cannot list the addresses of network interfaces")?;
    let mut request = LinkMessage::default();
    // Statistics are most of what an interface has to tell.
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let answers = netlink::dump(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(request))
        .context("cannot list network interfaces")?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) => Some(link(message)),
        _ => None,
    });
    let with_addresses =
        |link: Link| Link { addresses: addresses.remove(&link.index).unwrap_or_default(), ..link };
    let mut links: Vec<Link> = links.map(with_addresses).collect();
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// The one with this number, of interfaces as [`read`] gives them.
pub fn of_index(links: &[Link], index: u32) -> Option<&Link> {
    links.binary_search_by_key(&index, |link| link.index).ok().map(|found| &links[found])
}

/// The one with this name.
pub fn of_name<'a>(links: &'a [Link], name: &str) -> Option<&'a Link> {
    links.iter().find(|link| link.name == name)
}

fn link(message: LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        is_loopback: flags.contains(LinkFlags::Loopback),
        is_up: flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            // A tunnel that is bound to no interface names number 0.
            LinkAttribute::Link(index) => link.peer_index = Some(index).filter(|index| *index != 0),
            LinkAttribute::LinkNetNsId(id) => link.peer_namespace = Some(id),
            LinkAttribute::LinkInfo(infos) => link.kind = infos.iter().find_map(kind),
            _ => {}
        }
    }
    link
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

/// The addresses of each interface, by its index.
fn addresses() -> io::Result<BTreeMap<u32, BTreeSet<IpAddr>>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for answer in netlink::dump(NETLINK_ROUTE, request)? {
        if let RouteNetlinkMessage::NewAddress(message) = answer {
            found.entry(message.header.index).or_default().extend(own_address(&message));
        }
    }
    Ok(found)
}

/// On a point-to-point interface `IFA_ADDRESS` is the other side's, and `IFA_LOCAL` ours; else they are the same,
/// or there is only the first.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

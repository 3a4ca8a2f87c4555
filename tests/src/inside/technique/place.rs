//! Where this process is: its interface and the addresses on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use nix::ifaddrs::getifaddrs;

use crate::frame::Mac;
use crate::pod::{UPLINK, WIRE};

/// The interfaces that lead out: of a pod, of the node, of the network outside.
const INTERFACES: [&str; 3] = ["eth0", UPLINK, WIRE];

/// The interface's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) interface: &'static str,
    pub(super) index: u32,
    pub(super) mac: Mac,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
    pub(super) link_local: Ipv6Addr,
}

impl Place {
    /// As it is now.
    pub(super) fn here() -> Result<Self> {
        let (mut link, mut ipv4, mut ipv6, mut link_local) = (None, None, None, None);
        let all: Vec<_> = getifaddrs().context("listing addresses")?.collect();
        let interface = INTERFACES.into_iter().find(|name| all.iter().any(|it| it.interface_name == *name));
        let interface = interface.with_context(|| format!("there is none of {INTERFACES:?}"))?;
        for address in all.iter().filter(|it| it.interface_name == interface).filter_map(|it| it.address) {
            if let Some(found) = address.as_link_addr() {
                link = found.addr().map(|mac| (mac, found.ifindex()));
            } else if let Some(found) = address.as_sockaddr_in() {
                ipv4 = Some(found.ip());
            } else if let Some(found) = address.as_sockaddr_in6() {
                let slot = if found.ip().is_unicast_link_local() { &mut link_local } else { &mut ipv6 };
                *slot = Some(found.ip());
            }
        }
        let (mac, index) = link.with_context(|| format!("{interface} has no MAC address"))?;
        Ok(Self {
            interface,
            mac,
            index: index.try_into().context("an index beyond all interfaces")?,
            ipv4: ipv4.context("no IPv4 address")?,
            ipv6: ipv6.context("no IPv6 address")?,
            link_local: link_local.context("no link-local address")?,
        })
    }
}

//! To whom, with which marker, and how.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};

use crate::frame::{self, Mac, ethertype, protocol};
use crate::inside::technique::place::Place;
use crate::marker::Marker;
use crate::pod::{GATEWAY, NODE};

/// The port that crafted packets come from.
const SOURCE_PORT: u16 = 40_000;

/// What a technique is told.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) to: SocketAddr,
    pub(super) marker: Marker,
    pub(super) me: Place,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Target<'a> {
    /// A target of these words.
    pub(super) fn new(marker: Marker, to: &str, options: &[&'a str]) -> Result<Self> {
        let me = Place::here()?;
        let options = options
            .iter()
            .map(|word| word.split_once('=').with_context(|| format!("{word:?} is not KEY=VALUE")));
        let options = options.collect::<Result<_>>()?;
        let mut to = to.parse().with_context(|| format!("{to:?} is no address with a port"))?;
        // What is on a link needs to know which.
        if let SocketAddr::V6(to) = &mut to
            && link_scoped(IpAddr::V6(*to.ip()))
        {
            to.set_scope_id(me.index);
        }
        Ok(Self { to, marker, me, options })
    }

    /// The value of `KEY=VALUE`.
    pub(super) fn option(&self, key: &str) -> Option<&'a str> {
        self.options.get(key).copied()
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.option(key).and_then(|text| text.parse().ok())
    }

    /// `allowed=ADDR:PORT`, which this pod may talk to; or else the target itself.
    pub(super) fn allowed(&self) -> SocketAddr {
        self.parsed("allowed").unwrap_or(self.to)
    }

    /// `via=ADDR`, or else the node's own address of the target's family.
    pub(super) fn via(&self) -> IpAddr {
        let (v4, v6) = NODE;
        self.parsed("via").unwrap_or(if self.to.is_ipv4() { v4.into() } else { v6.into() })
    }

    /// `via=ADDR`, or else the target's own.
    pub(super) fn outer(&self) -> IpAddr {
        self.parsed("via").unwrap_or(self.to.ip())
    }

    /// `hops=N`.
    pub(super) fn hops(&self, otherwise: u8) -> u8 {
        self.parsed("hops").unwrap_or(otherwise)
    }

    /// `padding=N`: so many bytes behind the marker.
    pub(super) fn padding(&self) -> usize {
        self.parsed("padding").unwrap_or(0)
    }

    /// `source=ADDR:PORT`, or else the pod's own address that the target would see.
    pub(super) fn source(&self) -> SocketAddr {
        self.parsed("source").unwrap_or(SocketAddr::new(self.own(self.to.ip()), SOURCE_PORT))
    }

    /// The pod's own address that `to` would see.
    pub(super) fn own(&self, to: IpAddr) -> IpAddr {
        match to {
            IpAddr::V4(_) => self.me.ipv4.into(),
            to if link_scoped(to) => self.me.link_local.into(),
            IpAddr::V6(_) => self.me.ipv6.into(),
        }
    }

    /// The datagram to the target, with the marker.
    pub(super) fn udp(&self) -> Vec<u8> {
        frame::udp(self.source(), self.to, &self.marker.bytes())
    }

    /// A packet to the target that carries this.
    pub(super) fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        frame::ip(self.source().ip(), self.to.ip(), protocol, payload)
    }

    /// The packet of the datagram.
    pub(super) fn udp_packet(&self) -> Vec<u8> {
        self.packet(protocol::UDP, &self.udp())
    }

    /// The frame of a packet.
    pub(super) fn frame(&self, packet: &[u8]) -> Vec<u8> {
        frame::ethernet(self.next_hop(), self.me.mac, ethertype_of(packet), packet)
    }

    /// `mac=MAC`, or else that of the group, or else the gateway's.
    pub(super) fn next_hop(&self) -> Mac {
        let given = self.option("mac").and_then(|text| {
            let bytes: Vec<u8> =
                text.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
            bytes.try_into().ok()
        });
        given.unwrap_or_else(|| match self.to.ip() {
            IpAddr::V4(to) if to.is_broadcast() => frame::BROADCAST,
            IpAddr::V4(to) if to.is_multicast() => {
                let [_, b, c, d] = to.octets();
                [1, 0, 0x5e, b & 0x7f, c, d]
            }
            IpAddr::V6(to) if to.is_multicast() => {
                let [.., a, b, c, d] = to.octets();
                [0x33, 0x33, a, b, c, d]
            }
            _ => GATEWAY,
        })
    }
}

/// The ethertype of a packet, by its version; what has none is IPv4.
pub(super) fn ethertype_of(packet: &[u8]) -> u16 {
    if packet.first().is_some_and(|first| first >> 4 == 6) { ethertype::IPV6 } else { ethertype::IPV4 }
}

fn link_scoped(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(addr) => addr.is_unicast_link_local() || addr.octets()[..2] == [0xff, 2],
    }
}

//! What a technique is about: where its packets go, by which its denial and its frames are known.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use enforcer_tests::capture::destination;
use enforcer_tests::frame::{Tcp, protocol};
use enforcer_tests::marker::Marker;
use enforcer_tests::pod::NODE;

use crate::stage::registered;

/// Addresses of a try.
#[derive(Clone, Default, Debug)]
pub(crate) struct Targets {
    /// Those that a denial may name.
    all: Vec<IpAddr>,
    /// Those of them that nobody else talks to: nothing to them may be seen anywhere.
    nowhere: Vec<IpAddr>,
    /// Where what is sent may go as well: it is a packet to there half of the time.
    flipped_to: Option<SocketAddr>,
}

impl Targets {
    /// Addresses that nobody has talked to.
    pub(crate) fn strangers(v4: SocketAddr, v6: SocketAddr) -> Self {
        let both = vec![v4.ip(), v6.ip()];
        Self { all: both.clone(), nowhere: both, flipped_to: None }
    }

    /// An address that others may be talking to.
    pub(crate) fn known(to: IpAddr) -> Self {
        Self { all: vec![to], ..Self::default() }
    }

    /// The strangers, and what a command names itself: by an address, a placeholder, or the next hop of a route.
    pub(crate) fn of_command(command: &str, v4: SocketAddr, v6: SocketAddr) -> Self {
        let mut targets = Self::strangers(v4, v6);
        let (ok4, ok6) = registered();
        if command.contains("{ok") {
            targets.all.extend([ok4.ip(), ok6.ip()]);
        }
        if command.starts_with("flip-") {
            targets.flipped_to = Some(if command.contains("{ok6}") { ok6 } else { ok4 });
        }
        if ["lsrr", "ssrr", "segment", "routing"].iter().any(|route| command.contains(route)) {
            targets.all.extend([IpAddr::from(NODE.0), IpAddr::from(NODE.1)]);
        }
        for word in command.split(' ').skip(1) {
            let Some(addr) = literal(word) else { continue };
            targets.all.push(addr);
            if is_only_ours(addr) {
                targets.nowhere.push(addr);
            }
        }
        targets
    }

    /// What the packet is as well, when it is flipped.
    pub(crate) fn flipped_to(&self) -> Option<SocketAddr> {
        self.flipped_to
    }

    /// Whether a frame may be nowhere beyond the pod: it has the marker, or is a packet to where nobody else sends.
    pub(crate) fn forbid(&self, frame: &[u8], marker: &Marker) -> bool {
        let to = destination(frame);
        let flipped = self.flipped_to.is_some_and(|to| is_udp_to(frame, to));
        (marker.is_in(frame) && !flipped) || to.is_some_and(|to| self.nowhere.contains(&to))
    }

    /// Whether a denial of a packet to `to` is about them. What cannot be read goes to nobody.
    pub(crate) fn meet(&self, to: Option<IpAddr>) -> bool {
        to.is_none_or(|to| to.is_unspecified() || self.all.iter().any(|it| is_within(*it, to)))
    }

    /// Whether a frame is a packet to one of them.
    pub(crate) fn are_in(&self, frame: &[u8]) -> bool {
        destination(frame).is_some_and(|to| self.all.iter().any(|it| is_within(*it, to)))
    }
}

/// The address of a word that says where to: `ADDR:PORT` or `via=ADDR`.
fn literal(word: &str) -> Option<IpAddr> {
    match word.split_once('=') {
        Some(("via", addr)) => addr.parse().ok(),
        Some(_) => None,
        None => word.parse::<SocketAddr>().ok().map(|to| to.ip()),
    }
}

/// Whether only a technique sends there: none of the registry's, and none that hosts on the link talk to.
fn is_only_ours(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => !addr.octets().starts_with(&[192, 0, 2]),
        IpAddr::V6(addr) => {
            !addr.is_multicast()
                && !addr.is_unicast_link_local()
                && addr.segments()[..3] != [0x2001, 0xdb8, 0]
        }
    }
}

/// Whether a frame is a UDP packet to there, with nothing in front of UDP but an IP header.
pub(crate) fn is_udp_to(frame: &[u8], to: SocketAddr) -> bool {
    let (kind, port) = if to.is_ipv4() { (14 + 9, 14 + 20 + 2) } else { (14 + 6, 14 + 40 + 2) };
    destination(frame) == Some(to.ip())
        && frame.get(kind) == Some(&protocol::UDP)
        && frame.get(port..port + 2) == Some(&to.port().to_be_bytes()[..])
}

/// The same address, or one of IPv6 that has those four bytes in it.
fn is_within(addr: IpAddr, to: IpAddr) -> bool {
    let has = |bytes: [u8; 16], addr: Ipv4Addr| bytes.windows(4).any(|four| four == addr.octets());
    match (addr, to) {
        (IpAddr::V4(addr), IpAddr::V6(to)) => has(to.octets(), addr),
        (addr, to) => addr == to,
    }
}

/// Whether a frame begins a TCP connection.
pub(crate) fn begins(frame: &[u8]) -> bool {
    let Some(to) = destination(frame) else { return false };
    let (kind, flags) = if to.is_ipv4() { (14 + 9, 14 + 20 + 13) } else { (14 + 6, 14 + 40 + 13) };
    let flags = frame.get(flags).copied().unwrap_or_default();
    frame.get(kind) == Some(&protocol::TCP) && flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN
}

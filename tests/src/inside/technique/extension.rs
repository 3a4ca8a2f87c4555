//! IPv6 extension headers before UDP: `v6-hopbyhop`, `v6-dstopts`, `v6-many` (twelve of them), `v6-routing0` (the old one,
//! with nothing left to do), `v6-routing4` (segments, nothing left), `v6-segment` (through the node, or `via=ADDR`: the target is the next
//! segment), `v6-unknown` (a header that nobody knows).

use std::net::{IpAddr, Ipv6Addr};

use crate::frame::{Ipv6, protocol};
use crate::inside::technique::target::Target;

/// An option that pads, as long as the smallest header has room for.
const PADDING: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];
/// An extension header for experiments (RFC 3692).
const EXPERIMENT: u8 = 254;
const ROUTING_0: u8 = 0;
const SEGMENTS: u8 = 4;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (target.source().ip(), target.to.ip()) else { return None };
    let plain = Ipv6::new(from, to, protocol::UDP);
    let header = match name {
        "v6-hopbyhop" => plain.with(protocol::HOP_BY_HOP, &PADDING),
        "v6-dstopts" => plain.with(protocol::DESTINATION, &PADDING),
        "v6-many" => (0..12).fold(plain, |header, _| header.with(protocol::DESTINATION, &PADDING)),
        "v6-routing0" => plain.with(protocol::ROUTING, &routing(ROUTING_0, 0, &[to])),
        "v6-routing4" => plain.with(protocol::ROUTING, &routing(SEGMENTS, 0, &[to])),
        "v6-segment" => {
            let IpAddr::V6(hop) = target.via() else { return None };
            // The list is from the last segment to the first.
            let through = Ipv6 { to: hop, ..plain };
            through.with(protocol::ROUTING, &routing(SEGMENTS, 1, &[to, hop]))
        }
        "v6-unknown" => plain.with(EXPERIMENT, &PADDING),
        _ => return None,
    };
    Some(vec![header.around(&target.udp())])
}

/// The option of a socket that adds one, and its value.
pub(super) fn sticky(name: &str, target: &Target<'_>) -> Option<(i32, Vec<u8>)> {
    let (IpAddr::V6(to), IpAddr::V6(hop)) = (target.to.ip(), target.via()) else { return None };
    let (option, header) = match name {
        "hopopts" => (libc::IPV6_HOPOPTS, PADDING.to_vec()),
        "dstopts" => (libc::IPV6_DSTOPTS, PADDING.to_vec()),
        "segment" => (libc::IPV6_RTHDR, routing(SEGMENTS, 1, &[to, hop])),
        _ => return None,
    };
    Some((option, [&[0], &header[..]].concat()))
}

/// A routing header without its first byte.
fn routing(kind: u8, left: u8, addresses: &[Ipv6Addr]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
    let last = if kind == SEGMENTS { count - 1 } else { 0 };
    let mut header = vec![count * 2, kind, left, last, 0, 0, 0];
    header.extend(addresses.iter().flat_map(Ipv6Addr::octets));
    header
}

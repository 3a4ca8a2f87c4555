//! ICMP of either family with the marker in it: `icmp-echo`, `icmp-reply`, `icmp-error` (unreachable, quoting a packet that never was),
//! `icmp-timestamp`, `icmp-redirect`; and of `ICMPv6` `nd-ns`, `nd-na`, `nd-rs`, `nd-ra`, `nd-redirect`, `mld` (a report) with
//! `hops=N`, which is 255 unless told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{self, Ipv6, protocol};
use crate::inside::technique::target::Target;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let marker = target.marker.bytes();
    match (target.source().ip(), target.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let message = v4(name, from, to, target)?;
            Some(vec![target.packet(protocol::ICMP, &message)])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (kind, code, rest, body) = v6(name, from, to, target, &marker)?;
            let hops = target.hops(if name.starts_with("icmp") { 64 } else { 255 });
            let header = Ipv6 { hops, ..Ipv6::new(from, to, protocol::ICMPV6) };
            Some(vec![header.around(&frame::icmpv6(from, to, kind, code, rest, &body))])
        }
        _ => None,
    }
}

fn v4(name: &str, from: Ipv4Addr, to: Ipv4Addr, target: &Target<'_>) -> Option<Vec<u8>> {
    let marker = target.marker.bytes();
    Some(match name {
        "icmp-echo" => frame::icmp(8, 0, [0, 1, 0, 1], &marker),
        "icmp-reply" => frame::icmp(0, 0, [0, 1, 0, 1], &marker),
        "icmp-error" => frame::icmp(3, 1, [0; 4], &quoted(to.into(), from.into(), target)),
        "icmp-timestamp" => frame::icmp(13, 0, [0, 1, 0, 1], &marker),
        "icmp-redirect" => frame::icmp(5, 1, from.octets(), &quoted(to.into(), from.into(), target)),
        _ => return None,
    })
}

type Message = (u8, u8, [u8; 4], Vec<u8>);

fn v6(name: &str, from: Ipv6Addr, to: Ipv6Addr, target: &Target<'_>, marker: &[u8; 16]) -> Option<Message> {
    // An option of three units of eight bytes that nobody knows.
    let option = [&[253, 3, 0, 0, 0, 0, 0, 0], &marker[..]].concat();
    let about = [&from.octets()[..], &option].concat();
    Some(match name {
        "icmp-echo" => (128, 0, [0, 1, 0, 1], marker.to_vec()),
        "icmp-reply" => (129, 0, [0, 1, 0, 1], marker.to_vec()),
        "icmp-error" => (1, 0, [0; 4], quoted(to.into(), from.into(), target)),
        "nd-rs" => (133, 0, [0; 4], option),
        "nd-ra" => (134, 0, [64, 0, 0, 0], [&[0; 8], &option[..]].concat()),
        "nd-ns" => (135, 0, [0; 4], about),
        "nd-na" => (136, 0, [0x60, 0, 0, 0], about),
        "nd-redirect" => (137, 0, [0; 4], [&from.octets()[..], &to.octets(), &option].concat()),
        "mld" => (143, 0, [0, 0, 0, 1], [&[4, 0, 0, 0], &marker[..]].concat()),
        _ => return None,
    })
}

/// A packet that the other end is made to believe it sent.
fn quoted(from: IpAddr, to: IpAddr, target: &Target<'_>) -> Vec<u8> {
    let from = SocketAddr::new(from, target.to.port());
    let to = SocketAddr::new(to, target.source().port());
    let datagram = frame::udp(from, to, &target.marker.bytes());
    frame::ip(from.ip(), to.ip(), protocol::UDP, &datagram)
}

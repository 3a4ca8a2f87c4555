//! What no stack would send. With the marker in their payload: `ihl-small`, `ihl-beyond`, `length-beyond`, `length-small`, `version`,
//! `checksum`, `mismatch` (the ethertype of the other family). Too short for it, so that the source MAC address is the marker's:
//! `short-header`, `short-udp`, `short-tcp`, `runt` (an Ethernet header and nothing else).

use std::net::IpAddr;

use crate::frame::{self, Ipv4, Ipv6, Tcp, ethertype, protocol};
use crate::inside::technique::target::{Target, ethertype_of};

/// Packets that are wrong within.
pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let datagram = target.udp();
    let packet = match (target.source().ip(), target.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let right = Ipv4::new(from, to, protocol::UDP);
            let wrong = match name {
                "ihl-small" => Ipv4 { header: Some(4), ..right },
                "ihl-beyond" => Ipv4 { header: Some(15), ..right },
                "length-beyond" => Ipv4 { total: Some(1500), ..right },
                "length-small" => Ipv4 { total: Some(12), ..right },
                "checksum" => Ipv4 { checksum: Some(0x1234), ..right },
                _ => return None,
            };
            wrong.around(&datagram)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let right = Ipv6::new(from, to, protocol::UDP);
            let wrong = match name {
                "length-beyond" => Ipv6 { length: Some(1400), ..right },
                "length-small" => Ipv6 { length: Some(4), ..right },
                _ => return None,
            };
            wrong.around(&datagram)
        }
        _ => return None,
    };
    Some(vec![packet])
}

/// Frames that are wrong as such.
pub(super) fn frames(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let mut packet = target.udp_packet();
    let header = if target.to.is_ipv4() { 20 } else { 40 };
    let kind = ethertype_of(&packet);
    let other = if kind == ethertype::IPV4 { ethertype::IPV6 } else { ethertype::IPV4 };
    let (mac, me) = (target.marker.mac(), target.me.mac);
    let (from, kind, payload) = match name {
        "version" => {
            packet[0] = 5 << 4 | packet[0] & 15;
            (me, kind, packet)
        }
        "mismatch" => (me, other, packet),
        "short-header" => (mac, kind, packet[..header / 2].to_vec()),
        "short-udp" => (mac, kind, target.packet(protocol::UDP, &target.udp()[..4])),
        "short-tcp" => {
            let segment = Tcp::new(target.source(), target.to, Tcp::SYN).around(&[]);
            (mac, kind, target.packet(protocol::TCP, &segment[..10]))
        }
        "runt" => (mac, kind, Vec::new()),
        _ => return None,
    };
    Some(vec![frame::ethernet(target.next_hop(), from, kind, &payload)])
}

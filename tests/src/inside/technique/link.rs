//! Frames that are not IP, or not at once: `nonip` (an ethertype for experiments), `llc`, `arp` (with bytes behind it, `padding=N`
//! more of them), `vlan`, `qinq`, `mpls` and `pppoe` around the packet to the target.

use std::net::{IpAddr, Ipv4Addr};

use crate::frame::{self, BROADCAST, ethertype, length};
use crate::inside::technique::target::{Target, ethertype_of};

const VLAN: u16 = 42;

pub(super) fn frames(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let marker = target.marker.bytes();
    let packet = target.udp_packet();
    let inner = || frame::vlan(VLAN, ethertype_of(&packet), &packet);
    let (kind, payload) = match name {
        "nonip" => (ethertype::EXPERIMENT, marker.to_vec()),
        // Both access points for SNAP, an unnumbered frame.
        "llc" => (length(3 + marker.len()), [&[0xaa, 0xaa, 3], &marker[..]].concat()),
        "arp" => {
            let asked = match target.to.ip() {
                IpAddr::V4(addr) => addr,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            let IpAddr::V4(sender) = target.source().ip() else { return None };
            let behind = [&marker[..], &vec![0; target.padding()]].concat();
            (ethertype::ARP, frame::arp(target.me.mac, sender, asked, &behind))
        }
        "vlan" => (ethertype::VLAN, inner()),
        "qinq" => (ethertype::QINQ, frame::vlan(VLAN, ethertype::VLAN, &inner())),
        // A label that is the last, and so many hops.
        "mpls" => (ethertype::MPLS, [&[0, 0, 0x11, 64], &packet[..]].concat()),
        "pppoe" => {
            let head = [0x11, 0, 0, 1];
            let protocol: [u8; 2] = if target.to.is_ipv4() { [0, 0x21] } else { [0, 0x57] };
            (
                ethertype::PPPOE,
                [&head[..], &length(2 + packet.len()).to_be_bytes(), &protocol, &packet].concat(),
            )
        }
        _ => return None,
    };
    let to = if name == "arp" { BROADCAST } else { target.next_hop() };
    Some(vec![frame::ethernet(to, target.me.mac, kind, &payload)])
}

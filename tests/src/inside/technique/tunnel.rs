//! Packets to the target within others, to the target or `via=ADDR`: `ipip` and `sit` (IPv4 and IPv6 within IPv4, or IPv6 if that is
//! what the address is), `gre`, `vxlan`, `geneve`.

use std::net::{IpAddr, SocketAddr};

use crate::frame::{self, BROADCAST, protocol};
use crate::inside::technique::target::{Target, ethertype_of};

/// Of VXLAN (RFC 7348) and Geneve (RFC 8926).
const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;
/// What Geneve and GRE call an Ethernet frame.
const ETHERNET: u16 = 0x6558;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let inner = target.udp_packet();
    let to = target.outer();
    let from = target.own(to);
    let frame = || frame::ethernet(BROADCAST, target.me.mac, ethertype_of(&inner), &inner);
    let over_udp = |port: u16, head: [u8; 8]| {
        let (from, to) = (SocketAddr::new(from, target.source().port()), SocketAddr::new(to, port));
        (protocol::UDP, frame::udp(from, to, &[&head[..], &frame()].concat()))
    };
    let [kind_high, kind_low] = ETHERNET.to_be_bytes();
    let (protocol, payload) = match name {
        "ipip" if inner_is_v4(target) => (protocol::IPV4, inner.clone()),
        "sit" if !inner_is_v4(target) => (protocol::IPV6, inner.clone()),
        "gre" => {
            let head = [&[0, 0][..], &ethertype_of(&inner).to_be_bytes()].concat();
            (protocol::GRE, [&head[..], &inner].concat())
        }
        "vxlan" => over_udp(VXLAN, [8, 0, 0, 0, 0, 0, 1, 0]),
        "geneve" => over_udp(GENEVE, [0, 0, kind_high, kind_low, 0, 0, 1, 0]),
        _ => return None,
    };
    Some(vec![frame::ip(from, to, protocol, &payload)])
}

fn inner_is_v4(target: &Target<'_>) -> bool {
    matches!(target.to.ip(), IpAddr::V4(_))
}

//! Plain packets, and IPv6 addresses with the target's IPv4 address in them: `udp-packet`, `mapped-packet` (`::ffff:a.b.c.d` on
//! the wire), `compatible` (`::a.b.c.d`), `nat64` (RFC 6052), `6to4` (RFC 3056), `isatap` (RFC 5214).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{self, protocol};
use crate::inside::technique::target::Target;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    if name == "udp-packet" {
        return Some(vec![target.udp_packet()]);
    }
    let IpAddr::V4(addr) = target.to.ip() else { return None };
    let to = SocketAddr::new(embedding(name, addr)?.into(), target.to.port());
    let from = SocketAddr::new(target.me.ipv6.into(), target.source().port());
    let datagram = frame::udp(from, to, &target.marker.bytes());
    Some(vec![frame::ip(from.ip(), to.ip(), protocol::UDP, &datagram)])
}

fn embedding(name: &str, addr: Ipv4Addr) -> Option<Ipv6Addr> {
    let bits = u128::from(addr.to_bits());
    Some(match name {
        "mapped-packet" => addr.to_ipv6_mapped(),
        "compatible" => Ipv6Addr::from_bits(bits),
        "nat64" => Ipv6Addr::from_bits(0x64_ff9b << 96 | bits),
        "6to4" => Ipv6Addr::from_bits(0x2002 << 112 | bits << 80 | 1),
        "isatap" => Ipv6Addr::from_bits(0x2001_0db8 << 96 | 0x5efe << 32 | bits),
        _ => return None,
    })
}

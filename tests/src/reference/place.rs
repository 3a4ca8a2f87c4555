//! Where a packet comes from, and where it may never go (§5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::transport::Transport;
use super::{Model, Packet, Part, Protocol, Spoken, deny, registry};

pub(super) fn source(model: &Model, packet: &Packet, transport: &Transport) -> Spoken<()> {
    if model.own.contains(&packet.source) || beside(packet) {
        return Ok(());
    }
    let unknown_yet = match transport {
        Transport::Icmp(message) => {
            packet.source == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && packet.protocol == 58
                && [135, 131, 132, 143].contains(&message.kind)
        }
        Transport::Udp { source_port, destination_port } => {
            packet.source == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
                && packet.destination == IpAddr::V4(Ipv4Addr::BROADCAST)
                && packet.part == Part::Whole
                && *source_port == 68
                && *destination_port == 67
                && registry::exempt(model, packet.destination, Protocol::Udp, 67)
        }
        Transport::Tcp(_) => false,
    };
    if unknown_yet { Ok(()) } else { Err(deny("spoofed_source")) }
}

/// In doubt: the rule of the source is for later fragments, too, whose beginning may have had another.
pub(super) fn later_fragment(model: &Model, packet: &Packet) -> Spoken<()> {
    if model.own.contains(&packet.source) || beside(packet) { Ok(()) } else { Err(deny("spoofed_source")) }
}

/// From a link-local address to the same link.
fn beside(packet: &Packet) -> bool {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (packet.source, packet.destination) else { return false };
    link_local(from) && (link_local(to) || link_multicast(to))
}

pub(super) fn destination(destination: IpAddr) -> Spoken<()> {
    let martian = match destination {
        IpAddr::V4(to) => to.octets()[0] == 127 || to.octets()[0] == 0,
        // `::` and `::1` are in the second.
        IpAddr::V6(to) => to.segments()[..6] == [0, 0, 0, 0, 0, 0xffff] || to.segments()[..6] == [0; 6],
    };
    if martian { Err(deny("martian")) } else { Ok(()) }
}

/// `fe80::/10`.
pub(super) fn link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// `ff02::/16`.
pub(super) fn link_multicast(address: Ipv6Addr) -> bool {
    address.segments()[0] == 0xff02
}

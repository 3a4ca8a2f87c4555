//! Frames by hand: each function makes one layer, as bytes. Nothing here is checked, and checksums are zero: who judges
//! a packet that leaves does not look at them.

use std::net::{IpAddr, Ipv4Addr};

/// Ethertypes.
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const ARP: u16 = 0x0806;

/// TCP flags.
pub(crate) const FIN: u8 = 0x01;
pub(crate) const RST: u8 = 0x04;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// A frame with these VLAN tags (their ethertypes, from outside) and this inside.
pub(crate) fn tagged(tags: &[u16], ethertype: u16, inside: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(inside);
    frame
}

/// A frame around an IP packet of either version.
pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    tagged(&[], if packet[0] >> 4 == 6 { IPV6 } else { IPV4 }, packet)
}

/// An IP packet without options or extension headers.
pub(crate) fn packet(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, &[], payload),
        (from, to) => ipv6(from, to, protocol, payload),
    }
}

/// An IPv4 packet; `options` are filled up with end-of-list.
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = options.len().div_ceil(4);
    let header = 20 + words * 4;
    let mut packet = vec![0x40 | low_byte(header / 4), 0];
    packet.extend(low_half(header + payload.len()).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    packet.resize(header, 0);
    packet.extend(payload);
    packet
}

/// An IPv6 packet; IPv4 addresses in their mapped form.
pub(crate) fn ipv6(from: IpAddr, to: IpAddr, next: u8, payload: &[u8]) -> Vec<u8> {
    let octets = |address| match address {
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address).octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(low_half(payload.len()).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(octets(from));
    packet.extend(octets(to));
    packet.extend(payload);
    packet
}

/// An IPv6 extension header of `8 * (units + 1)` bytes.
pub(crate) fn extension(next: u8, units: u8) -> Vec<u8> {
    let mut header = vec![next, units];
    header.resize(8 * (usize::from(units) + 1), 0);
    header
}

/// A routing header of eight bytes.
pub(crate) fn routing(next: u8, kind: u8, segments_left: u8) -> Vec<u8> {
    vec![next, 0, kind, segments_left, 0, 0, 0, 0]
}

/// A fragment header; the offset in units of eight bytes.
pub(crate) fn fragment(next: u8, identification: u32, offset: u16, more: bool) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((offset << 3 | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    header
}

/// Makes an IPv4 packet a fragment; the offset in units of eight bytes.
pub(crate) fn ipv4_fragment(packet: &mut [u8], identification: u16, offset: u16, more: bool) {
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    packet[6..8].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
}

/// A TCP header without options, and some payload.
pub(crate) fn tcp(from: u16, to: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = ports(from, to);
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// A UDP datagram.
pub(crate) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = ports(from, to);
    datagram.extend(low_half(8 + payload.len()).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// An ICMP or `ICMPv6` message with four bytes of zeros behind the checksum.
pub(crate) fn icmp(kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(body);
    message
}

/// An ARP message for Ethernet over IPv4.
pub(crate) fn arp(operation: u8, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 2];
    message.extend(sender.octets());
    message.extend([0; 6]);
    message.extend(target.octets());
    message
}

fn ports(from: u16, to: u16) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

fn low_half(number: usize) -> u16 {
    let bytes = number.to_le_bytes();
    u16::from_le_bytes([bytes[0], bytes[1]])
}

//! Frames, byte by byte: everything right by default, and everything to be had wrong.

mod ip;
mod transport;

pub use ip::{Ipv4, Ipv6, ip, protocol_of};
pub use transport::{Tcp, icmp, icmpv6, udp};

/// A MAC address.
pub type Mac = [u8; 6];

/// Everybody on the link.
pub const BROADCAST: Mac = [0xff; 6];

/// What an Ethernet frame carries.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// A VLAN tag (802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS.
    pub const MPLS: u16 = 0x8847;
    /// A PPP session over Ethernet.
    pub const PPPOE: u16 = 0x8864;
    /// The outer one of two VLAN tags (802.1ad).
    pub const QINQ: u16 = 0x88a8;
    /// For local experiments.
    pub const EXPERIMENT: u16 = 0x88b5;
    /// For other local experiments: the frames by which a capture knows how far it has come.
    pub const SENTINEL: u16 = 0x88b6;
}

/// What an IP packet carries.
pub mod protocol {
    /// IPv6 options for every hop.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// An IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// An IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = 58;
    /// IPv6 options for the destination.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDPLITE: u8 = 136;
    /// For experiments.
    pub const EXPERIMENT: u8 = 253;
}

/// An Ethernet frame. What `kind` says is an ethertype, or the length of an LLC frame.
pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// What is behind a VLAN's ethertype: its number, the ethertype of what it carries, and that.
pub fn vlan(number: u16, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &kind.to_be_bytes(), payload].concat()
}

/// An ARP request, and bytes behind it that nobody asked for.
pub fn arp(from: Mac, sender: std::net::Ipv4Addr, target: std::net::Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    [&head[..], &from, &sender.octets(), &[0; 6], &target.octets(), payload].concat()
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// A length as the two bytes that most headers have for it; what is longer has the greatest.
pub(crate) fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0x01]), !0x0100);
    }

    #[test]
    fn a_right_packet_adds_up_to_zero() {
        let [a, b] = ["192.0.2.1:1", "198.51.100.2:2"].map(|it| it.parse().unwrap());
        let datagram = udp(a, b, b"odd");
        let packet = ip(a.ip(), b.ip(), protocol::UDP, &datagram);
        assert_eq!(checksum(&packet[..20]), 0);
        let pseudo = [&packet[12..20], &[0, 17], &length(datagram.len()).to_be_bytes(), &datagram].concat();
        assert_eq!(checksum(&pseudo), 0);
    }
}

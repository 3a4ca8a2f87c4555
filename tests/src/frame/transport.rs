//! What IP packets carry: UDP, TCP, ICMP.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{checksum, length, protocol};

/// A UDP datagram.
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend(length(8 + payload.len()).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // Zero says that there is none.
    let sum = match transport_checksum(from.ip(), to.ip(), protocol::UDP, &datagram) {
        0 => u16::MAX,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// A TCP header without options.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// The source.
    pub from: SocketAddr,
    /// The destination.
    pub to: SocketAddr,
    /// Its flags.
    pub flags: u8,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the byte that is expected.
    pub acknowledgment: u32,
}

impl Tcp {
    /// The sender has sent all.
    pub const FIN: u8 = 1;
    /// It begins.
    pub const SYN: u8 = 2;
    /// It is over.
    pub const RST: u8 = 4;
    /// Pass it on at once.
    pub const PSH: u8 = 8;
    /// The acknowledgment counts.
    pub const ACK: u8 = 16;

    /// A header with these flags.
    pub fn new(from: SocketAddr, to: SocketAddr, flags: u8) -> Self {
        let acknowledgment = if flags & Self::ACK == 0 { 0 } else { 0x2222_2222 };
        Self { from, to, flags, sequence: 0x1111_1111, acknowledgment }
    }

    /// The segment around this.
    pub fn around(&self, payload: &[u8]) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.from.port().to_be_bytes());
        segment.extend(self.to.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgment.to_be_bytes());
        segment.extend([5 << 4, self.flags]);
        segment.extend(u16::MAX.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(payload);
        let sum = transport_checksum(self.from.ip(), self.to.ip(), protocol::TCP, &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }
}

/// An ICMP message: type, code, the four bytes behind the checksum, and the rest.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], body].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An `ICMPv6` message.
pub fn icmpv6(from: Ipv6Addr, to: Ipv6Addr, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], body].concat();
    let sum = transport_checksum(from.into(), to.into(), protocol::ICMPV6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn transport_checksum(from: IpAddr, to: IpAddr, protocol: u8, bytes: &[u8]) -> u16 {
    let octets = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    };
    let head = [0, protocol];
    let pseudo = [&octets(from)[..], &octets(to), &head, &length(bytes.len()).to_be_bytes(), bytes].concat();
    checksum(&pseudo)
}

//! IPv4 with its options and IPv6 with its extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{checksum, length, protocol};

/// An IPv4 header. What is `None` is computed.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// The source.
    pub from: Ipv4Addr,
    /// The destination.
    pub to: Ipv4Addr,
    /// What it carries.
    pub protocol: u8,
    /// The number of the datagram, the same in all of its fragments.
    pub id: u16,
    /// Whether more fragments follow.
    pub more: bool,
    /// Where the fragment belongs, in units of eight bytes.
    pub offset: u16,
    /// How many hops it may take.
    pub hops: u8,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// The version, which is 4.
    pub version: u8,
    /// The length of the header, in units of four bytes.
    pub header: Option<u8>,
    /// The length of the packet.
    pub total: Option<u16>,
    /// The checksum.
    pub checksum: Option<u16>,
}

impl Ipv4 {
    /// A header with everything right.
    pub fn new(from: Ipv4Addr, to: Ipv4Addr, protocol: u8) -> Self {
        Self {
            from,
            to,
            protocol,
            id: 0x4711,
            more: false,
            offset: 0,
            hops: 64,
            options: Vec::new(),
            version: 4,
            header: None,
            total: None,
            checksum: None,
        }
    }

    /// The packet around this.
    pub fn around(&self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len().div_ceil(4);
        let header = self.header.unwrap_or(u8::try_from(words).unwrap_or(15));
        let total = self.total.unwrap_or(length(words * 4 + payload.len()));
        let fragment = u16::from(self.more) << 13 | self.offset;
        let mut head = vec![self.version << 4 | header, 0];
        head.extend(total.to_be_bytes());
        head.extend(self.id.to_be_bytes());
        head.extend(fragment.to_be_bytes());
        head.extend([self.hops, self.protocol, 0, 0]);
        head.extend(self.from.octets());
        head.extend(self.to.octets());
        head.extend(&self.options);
        head.resize(words * 4, 0);
        let sum = self.checksum.unwrap_or(checksum(&head));
        head[10..12].copy_from_slice(&sum.to_be_bytes());
        [head, payload.to_vec()].concat()
    }
}

/// An IPv6 header. What is `None` is computed.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// The source.
    pub from: Ipv6Addr,
    /// The destination.
    pub to: Ipv6Addr,
    /// What it carries, behind all extension headers.
    pub protocol: u8,
    /// How many hops it may take.
    pub hops: u8,
    /// Extension headers: what each is, and its bytes without the first, which says what follows.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// The version, which is 6.
    pub version: u8,
    /// The length of what follows the header.
    pub length: Option<u16>,
}

impl Ipv6 {
    /// A header with everything right.
    pub fn new(from: Ipv6Addr, to: Ipv6Addr, protocol: u8) -> Self {
        Self { from, to, protocol, hops: 64, extensions: Vec::new(), version: 6, length: None }
    }

    /// The same, with one more extension header.
    pub fn with(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.extensions.push((kind, bytes.to_vec()));
        self
    }

    /// The packet around this.
    pub fn around(&self, payload: &[u8]) -> Vec<u8> {
        let kinds: Vec<u8> = self.extensions.iter().map(|(kind, _)| *kind).chain([self.protocol]).collect();
        let mut body = Vec::new();
        for ((_, bytes), next) in self.extensions.iter().zip(&kinds[1..]) {
            body.push(*next);
            body.extend(bytes);
        }
        body.extend(payload);
        let mut packet = vec![self.version << 4, 0, 0, 0];
        packet.extend(self.length.unwrap_or(length(body.len())).to_be_bytes());
        packet.extend([kinds[0], self.hops]);
        packet.extend(self.from.octets());
        packet.extend(self.to.octets());
        packet.extend(body);
        packet
    }
}

/// A packet of the family of its destination. A source of the other family is nobody.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ipv4::new(from, to, protocol).around(payload),
        (IpAddr::V6(from), IpAddr::V6(to)) => Ipv6::new(from, to, protocol).around(payload),
        (IpAddr::V6(_), IpAddr::V4(to)) => Ipv4::new(Ipv4Addr::UNSPECIFIED, to, protocol).around(payload),
        (IpAddr::V4(_), IpAddr::V6(to)) => Ipv6::new(Ipv6Addr::UNSPECIFIED, to, protocol).around(payload),
    }
}

/// What a packet in another one is.
pub fn protocol_of(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { protocol::IPV4 } else { protocol::IPV6 }
}

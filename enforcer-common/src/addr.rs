//! Addresses, prefixes, ports and protocols. The only code that knows about byte order.

mod port;
mod prefix;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use port::{Port, Protocol};
pub use prefix::Prefix;

/// An IPv4 or IPv6 address as the maps hold it: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Addr {
    /// Four words as `bpf_sock_addr.user_ip6` has them: network order in memory.
    words: [u32; 4],
}

/// `00 00 ff ff` in memory: the third word of an IPv4-mapped address.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// `::`, which the backends of a rule use for "the address that was asked for".
    pub const UNSPECIFIED: Self = Self { words: [0; 4] };

    /// From `user_ip4`: one word, network order in memory.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0, MAPPED, word] }
    }

    /// From `user_ip6`: four words, network order in memory.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// The IPv4 address that begins at `at` of a header.
    #[inline(always)]
    pub const fn v4_at(header: &[u8], at: usize) -> Self {
        Self::from_v4_word(word_at(header, at))
    }

    /// The IPv6 address that begins at `at` of a header.
    #[inline(always)]
    pub const fn v6_at(header: &[u8], at: usize) -> Self {
        Self::from_words([
            word_at(header, at),
            word_at(header, at + 4),
            word_at(header, at + 8),
            word_at(header, at + 12),
        ])
    }

    /// The four words, network order in memory.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.words
    }

    /// The IPv4 address as one word, network order in memory; meaningful only when [`Addr::is_v4`].
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.words[3]
    }

    /// Whether this is an IPv4 address (in its mapped form).
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED
    }

    /// `::` or `0.0.0.0`.
    #[inline(always)]
    pub const fn is_unspecified(&self) -> bool {
        self.words[0] == 0
            && self.words[1] == 0
            && (self.words[2] == 0 || self.words[2] == MAPPED)
            && self.words[3] == 0
    }

    /// 127.0.0.0/8, `::1`, and the unspecified addresses, which `connect` turns into loopback
    /// (`ip_route_output_key_hash_rcu`, `tcp_v6_connect`).
    #[inline(always)]
    pub const fn is_local(&self) -> bool {
        if self.is_unspecified() {
            return true;
        }
        if self.is_v4() {
            return u32::from_be(self.words[3]) >> 24 == 127;
        }
        self.is_loopback()
    }

    /// 255.255.255.255
    pub const BROADCAST: Self = Self { words: [0, 0, MAPPED, 0xffff_ffff] };

    /// `::1`
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == 0 && u32::from_be(self.words[3]) == 1
    }

    /// Where no packet may go that leaves a host: 0.0.0.0/8, 127.0.0.0/8, `::/96` with IPv4 addresses in it (RFC 6890, RFC 4291 §2.5.5.1).
    #[inline(always)]
    pub const fn is_martian(&self) -> bool {
        if self.is_v4() {
            let first = u32::from_be(self.words[3]) >> 24;
            return first == 0 || first == 127;
        }
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == 0
    }

    /// `fe80::/10`
    #[inline(always)]
    pub const fn is_link_local(&self) -> bool {
        u32::from_be(self.words[0]) >> 22 == 0xfe80_0000 >> 22
    }

    /// `ff02::/16`
    #[inline(always)]
    pub const fn is_link_multicast(&self) -> bool {
        u32::from_be(self.words[0]) >> 16 == 0xff02
    }

    /// All nodes, all routers, or a solicited-node address: where neighbour discovery goes (RFC 4861 §2.3).
    #[inline(always)]
    pub const fn is_neighbour_multicast(&self) -> bool {
        if u32::from_be(self.words[0]) != 0xff02_0000 || self.words[1] != 0 {
            return false;
        }
        let (third, last) = (u32::from_be(self.words[2]), u32::from_be(self.words[3]));
        third == 1 && last >> 24 == 0xff || third == 0 && (last == 1 || last == 2)
    }

    /// Multicast or 255.255.255.255.
    #[inline(always)]
    pub const fn is_for_many(&self) -> bool {
        if self.is_v4() {
            return u32::from_be(self.words[3]) >> 28 == 0xe || self.words[3] == 0xffff_ffff;
        }
        u32::from_be(self.words[0]) >> 24 == 0xff
    }

    /// This address with all but its first `length` bits (0..=128) cleared. Loop-free arithmetic: the verifier sees four words.
    #[inline(always)]
    pub const fn masked(&self, length: u32) -> Self {
        Self {
            words: [
                self.words[0] & mask_word(length, 0),
                self.words[1] & mask_word(length, 32),
                self.words[2] & mask_word(length, 64),
                self.words[3] & mask_word(length, 96),
            ],
        }
    }

    /// The 16 bytes in network order.
    pub const fn octets(&self) -> [u8; 16] {
        let [a, b, c, d] = [
            self.words[0].to_ne_bytes(),
            self.words[1].to_ne_bytes(),
            self.words[2].to_ne_bytes(),
            self.words[3].to_ne_bytes(),
        ];
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// The address in the form a person writes: IPv4 as IPv4.
    pub fn ip(&self) -> IpAddr {
        let v6 = Ipv6Addr::from(self.octets());
        v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
    }
}

/// The four bytes from `at` on as they are in memory.
#[inline(always)]
pub(crate) const fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The part of a `length`-bit mask that falls into the word starting at bit `start`.
#[inline(always)]
const fn mask_word(length: u32, start: u32) -> u32 {
    if length <= start {
        0
    } else if length >= start + 32 {
        u32::MAX
    } else {
        (u32::MAX << (32 - (length - start))).to_be()
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Self {
        let o = ip.octets();
        Self {
            words: [
                u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
                u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
                u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
                u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
            ],
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        Self::from_v4_word(u32::from_ne_bytes(ip.octets()))
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => ip.into(),
        }
    }
}

impl Ord for Addr {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (ip, length) = text.split_once('/').unwrap();
        Prefix::of_ip(ip.parse().unwrap(), length.parse().unwrap())
    }

    #[test]
    fn a_prefix_holds_its_own_family_only() {
        for (net, ip, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "192.0.2.1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("198.51.100.0/31", "198.51.100.1", true),
            ("198.51.100.0/31", "198.51.100.2", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(prefix(net).contains(&ip.into()), expected, "{net} {ip}");
        }
    }

    #[test]
    fn prefixes_are_masked_printed_and_sorted_as_a_person_expects() {
        assert_eq!(prefix("192.192.192.192/24").to_string(), "192.192.192.0/24");
        assert_eq!(prefix("2001:db8::ff/32").to_string(), "2001:db8::/32");
        assert_eq!(prefix("10.0.0.0/8").last().to_string(), "10.255.255.255");
        assert!(prefix("10.0.0.0/8") < prefix("10.0.0.0/16"));
        assert!(prefix("10.0.0.0/8").covers(&prefix("10.9.0.0/16")));
        assert!(!prefix("10.9.0.0/16").covers(&prefix("10.0.0.0/8")));
    }

    #[test]
    fn bytes_stay_in_network_order() {
        let addr = Addr::from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(addr.octets()[10..], [0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(addr.v4_word().to_ne_bytes(), [192, 0, 2, 1]);
        assert_eq!(Addr::v4_at(&[9, 9, 192, 0, 2, 1, 9], 2), addr);
        let v6: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let header = [[7; 8].as_slice(), &v6.octets(), &[9]].concat();
        assert_eq!(Addr::v6_at(&header, 8), Addr::from(v6));
        assert_eq!(Port::new(443).raw().to_ne_bytes(), [1, 187]);
        assert_eq!(Port::from_ctx(Port::new(443).to_ctx()).get(), 443);
    }
}

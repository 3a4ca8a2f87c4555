//! Networks.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use crate::addr::{Addr, mask_word};

/// A masked network: no bit beyond its length is set. IPv4 lengths are stored in the mapped form, 96 higher.
///
/// Ordered by address, then length: everything below a prefix stands right after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: Addr,
    length: u32,
}

impl Prefix {
    /// The network of `length` bits (of 128; an IPv4 length plus 96) that holds `addr`.
    pub const fn new(addr: Addr, length: u32) -> Self {
        Self { addr: addr.masked(length), length }
    }

    /// From an address and the length a person writes for its family.
    pub fn of_ip(ip: IpAddr, length: u8) -> Self {
        let length = if ip.is_ipv4() { 96 + length as u32 } else { length as u32 };
        Self::new(ip.into(), length)
    }

    /// The first address.
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// Bits of 128.
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// The last address.
    pub fn last(&self) -> Addr {
        let words = self.addr.words();
        let inverse = |start| !mask_word(self.length, start);
        Addr::from_words([
            words[0] | inverse(0),
            words[1] | inverse(32),
            words[2] | inverse(64),
            words[3] | inverse(96),
        ])
    }

    /// The network of this one address.
    pub const fn host(addr: Addr) -> Self {
        Self { addr, length: 128 }
    }

    /// Whether it is an IPv4 network. `::/0` is not, though it covers the mapped form of every IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.length >= 96 && self.addr.is_v4()
    }

    /// Whether `addr` lies in this network: of the same family.
    pub fn contains(&self, addr: &Addr) -> bool {
        self.is_v4() == addr.is_v4() && addr.masked(self.length) == self.addr
    }

    /// Whether `other` lies in this network (every network covers itself).
    pub fn covers(&self, other: &Self) -> bool {
        self.is_v4() == other.is_v4()
            && self.length <= other.length
            && other.addr.masked(self.length) == self.addr
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v4() {
            write!(f, "{}/{}", self.addr, self.length - 96)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from(self.addr.octets()), self.length)
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

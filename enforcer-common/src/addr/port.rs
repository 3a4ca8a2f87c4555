//! Ports and protocols.

use core::fmt;

/// A port, network order in memory.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port(u16);

impl Port {
    /// No port: the rules of an `--allow` range without a port use it.
    pub const ANY: Self = Self(0);

    /// From a number in host order.
    #[inline(always)]
    pub const fn new(port: u16) -> Self {
        Self(port.to_be())
    }

    /// From `user_port`: network order in the low 16 bits.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the upper half of user_port is always zero
    pub const fn from_ctx(user_port: u32) -> Self {
        Self(user_port as u16)
    }

    /// As `user_port` wants it.
    #[inline(always)]
    pub const fn to_ctx(self) -> u32 {
        self.0 as u32
    }

    /// The two bytes, network order in memory.
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The number in host order.
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }
}

impl Ord for Port {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.get().cmp(&other.get())
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The protocol number that a program asks `socket` for; on the wire and in the hooks of its subflows it is TCP.
const IPPROTO_MPTCP: u32 = 262;

/// An IP protocol number.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

impl Protocol {
    /// Stands for TCP and UDP alike in the rules of an `--allow` range without a protocol.
    pub const ANY: Self = Self(0);
    /// IPPROTO_TCP; MPTCP subflows meet the hooks as TCP.
    pub const TCP: Self = Self(6);
    /// IPPROTO_UDP.
    pub const UDP: Self = Self(17);
    /// `IPPROTO_ICMP`.
    pub const ICMP: Self = Self(1);
    /// `IPPROTO_ICMPV6`.
    pub const ICMPV6: Self = Self(58);
    /// `IPPROTO_UDPLITE`.
    pub const UDPLITE: Self = Self(136);

    /// From an IP protocol number; the kernel's hooks give one as a word.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // what does not fit is IPPROTO_MPTCP, or unknown to all of us
    pub const fn from_ctx(protocol: u32) -> Self {
        match protocol {
            IPPROTO_MPTCP => Self::TCP,
            0..=255 => Self(protocol as u8),
            _ => Self(255),
        }
    }

    /// From an IP protocol number.
    pub const fn new(protocol: u8) -> Self {
        Self(protocol)
    }

    /// The IP protocol number.
    #[inline(always)]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether packets of it can be allowed at all: TCP, UDP, and the ICMP that serves them. Everything else is denied
    /// always, to loopback too, since no registry can name it and no rule could ever allow it.
    #[inline(always)]
    pub const fn is_supported(self) -> bool {
        self.is_registrable() || self.0 == Self::ICMP.0 || self.0 == Self::ICMPV6.0
    }

    /// Whether a registry can name it at all: Istio knows TCP and UDP ports only.
    #[inline(always)]
    pub const fn is_registrable(self) -> bool {
        self.0 == Self::TCP.0 || self.0 == Self::UDP.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.pad("tcp"),
            Self::UDP => f.pad("udp"),
            Self::ANY => f.pad("any"),
            Self::ICMP => f.pad("icmp"),
            Self::ICMPV6 => f.pad("icmpv6"),
            Self::UDPLITE => f.pad("udplite"),
            Self(33) => f.pad("dccp"),
            Self(132) => f.pad("sctp"),
            Self(other) => write!(f, "{other}"),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

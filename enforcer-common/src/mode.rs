//! The switches: enforcement and outbound policy.

use core::fmt;

/// What is done with a denial.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Enforcement {
    /// Nothing is looked at.
    Off = 1,
    /// Decided and recorded, never blocked.
    Audit = 2,
    /// Denied is denied.
    Enforce = 3,
}

impl Enforcement {
    /// From a map's bits; anything unknown is the strictest.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Off,
            2 => Self::Audit,
            _ => Self::Enforce,
        }
    }

    /// Its bits in a map.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self as u32
    }

    /// The word a person types.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens to a destination that no rule names. Istio's `outboundTrafficPolicy.mode`.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutboundPolicy {
    /// Denied.
    RegistryOnly = 0,
    /// Allowed.
    AllowAny = 1,
    /// Nobody has told yet: denied, with a reason of its own.
    Unknown = 2,
}

impl OutboundPolicy {
    /// From a map's bits; anything unknown denies.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        match bits {
            0 => Self::RegistryOnly,
            1 => Self::AllowAny,
            _ => Self::Unknown,
        }
    }

    /// Its bits in a map.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self as u32
    }

    /// The word Istio uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RegistryOnly => "REGISTRY_ONLY",
            Self::AllowAny => "ALLOW_ANY",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for OutboundPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

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

/// The node's switch as one word, so that turning it is one map write: the enforcement in the lower byte, what comes
/// after it in the next, and in the upper six bytes the second since boot (`CLOCK_MONOTONIC`) at which that comes, 0 for never.
/// The programs look at the clock themselves: a limited time ends whether an agent lives or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    /// In force.
    pub now: Enforcement,
    /// In force later, from this second on.
    pub later: Option<(Enforcement, u64)>,
}

impl Switch {
    /// For good.
    pub const fn to(enforcement: Enforcement) -> Self {
        Self { now: enforcement, later: None }
    }

    /// From the word in `CONFIG`; zero, before any agent has written it, is `Off`.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // masked
    pub const fn from_word(word: u64) -> Self {
        if word == 0 {
            return Self::to(Enforcement::Off);
        }
        let until = word >> 16;
        let later =
            if until == 0 { None } else { Some((Enforcement::from_bits((word >> 8) as u32 & 0xff), until)) };
        Self { now: Enforcement::from_bits(word as u32 & 0xff), later }
    }

    /// The word in `CONFIG`.
    pub const fn word(self) -> u64 {
        let now = self.now.bits() as u64;
        match self.later {
            None => now,
            Some((later, until)) => now | (later.bits() as u64) << 8 | until << 16,
        }
    }

    /// What is in force at this second since boot.
    pub const fn at(self, second: u64) -> Enforcement {
        match self.later {
            Some((later, until)) if second >= until => later,
            _ => self.now,
        }
    }

    /// What is left of it at this second since boot: a limit that has passed is none.
    pub const fn settled(self, second: u64) -> Self {
        match self.later {
            Some((later, until)) if second >= until => Self::to(later),
            _ => self,
        }
    }

    /// This switch turned at `second`: for good, or until a later second. Then comes what would have come without the limited
    /// turn, or turns: the second of two does not make the first one last.
    pub const fn turned(self, to: Enforcement, second: u64, until: Option<u64>) -> Self {
        let Some(until) = until else { return Self::to(to) };
        let settled = self.settled(second);
        let back = match settled.later {
            Some((later, _)) => later,
            None => settled.now,
        };
        Self { now: to, later: Some((back, until)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_one_word_and_ends_by_the_clock() {
        let limited = Switch { now: Enforcement::Off, later: Some((Enforcement::Enforce, 1_000)) };
        for switch in [Switch::to(Enforcement::Off), Switch::to(Enforcement::Enforce), limited] {
            assert_eq!(Switch::from_word(switch.word()), switch);
        }
        assert_eq!((limited.at(999), limited.at(1_000)), (Enforcement::Off, Enforcement::Enforce));
        assert_eq!(Switch::from_word(0).at(0), Enforcement::Off);
        assert_eq!(limited.settled(999), limited);
        assert_eq!(limited.settled(1_000), Switch::to(Enforcement::Enforce));
    }

    #[test]
    fn a_limited_switch_turns_back_to_what_was_there_before_the_first_of_them() {
        use Enforcement::{Audit, Enforce, Off};
        let node = Switch::to(Enforce);
        let first = node.turned(Off, 100, Some(200));
        assert_eq!(first, Switch { now: Off, later: Some((Enforce, 200)) });
        // Turned again before the first has ended: enforce comes after it, not off.
        assert_eq!(first.turned(Audit, 150, Some(900)), Switch { now: Audit, later: Some((Enforce, 900)) });
        // After it has ended there is no trace of it.
        assert_eq!(first.turned(Audit, 200, Some(900)), Switch { now: Audit, later: Some((Enforce, 900)) });
        assert_eq!(first.turned(Audit, 150, None), Switch::to(Audit));
    }
}

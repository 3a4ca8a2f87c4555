//! What the maps know of a workload.

use crate::id::ViewId;
use crate::mode::{Enforcement, OutboundPolicy};

/// Who asks: what the maps know of a workload, packed as in the payload of its word: the view in the lower 24 bits, then
/// policy (2), enforcement (2, 0 is the node's), inherits (1). Taken apart only where it is asked for: decoded at the
/// beginning, the verifier would walk the whole verdict once for each policy.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Workload(u32);

impl Workload {
    /// Stands for every process without identity: it sees nothing.
    pub const UNKNOWN: Self = Self::new(ViewId::EXEMPT, false, OutboundPolicy::Unknown, None);

    /// Of its own view; whether the public part is looked at after it; what happens to destinations that nobody names; and its
    /// own switch, where it differs from the node's.
    pub const fn new(
        view: ViewId,
        inherits_public: bool,
        policy: OutboundPolicy,
        enforcement: Option<Enforcement>,
    ) -> Self {
        let enforcement = match enforcement {
            None => 0,
            Some(enforcement) => enforcement.bits(),
        };
        Self(
            (view.get() & ViewId::MAX)
                | policy.bits() << 24
                | enforcement << 26
                | (inherits_public as u32) << 28,
        )
    }

    /// From a word's payload.
    #[inline(always)]
    pub const fn from_payload(payload: u32) -> Self {
        Self(payload)
    }

    /// The payload of its word.
    #[inline(always)]
    pub const fn payload(self) -> u32 {
        self.0
    }

    /// Its own view.
    #[inline(always)]
    pub const fn view(self) -> ViewId {
        ViewId::new(self.0 & ViewId::MAX)
    }

    /// Whether the public part is looked at after its own view.
    #[inline(always)]
    pub const fn inherits_public(self) -> bool {
        (self.0 >> 28) & 1 == 1
    }

    /// What happens to destinations that nobody names.
    #[inline(always)]
    pub const fn policy(self) -> OutboundPolicy {
        OutboundPolicy::from_bits((self.0 >> 24) & 3)
    }

    /// Its own switch, where it differs from the node's.
    #[inline(always)]
    pub const fn enforcement(self) -> Option<Enforcement> {
        match (self.0 >> 26) & 3 {
            0 => None,
            bits => Some(Enforcement::from_bits(bits)),
        }
    }
}

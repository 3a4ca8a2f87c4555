//! What the maps know of a workload.

use crate::id::ViewId;
use crate::mode::{Enforcement, OutboundPolicy};

/// What else decides beside the workload: a mesh proxy, or nobody.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Nobody: what it asks for is translated for it.
    Alone = 0,
    /// A mesh proxy stands beside it and has to see the service: it is told yes or no, and nothing is changed.
    Meshed = 1,
    /// It is the mesh proxy of a workload.
    MeshProxy = 2,
    /// No workload at all: the directory above the workloads, `--cgroup`. What is below it and nowhere else has no identity.
    Root = 3,
}

impl Role {
    /// From a word's bits.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        match bits {
            0 => Self::Alone,
            1 => Self::Meshed,
            2 => Self::MeshProxy,
            _ => Self::Root,
        }
    }
}

/// Who asks: what the maps know of a workload, packed as in the payload of its word: the view in the lower 24 bits, then
/// policy (2), enforcement (2, 0 is the node's), inherits (1), role (2), whether its interfaces have programs (1). Taken apart only where it is asked for: decoded at the
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

    /// The same in this role.
    pub const fn with_role(self, role: Role) -> Self {
        Self(self.0 & !(3 << 29) | (role as u32) << 29)
    }

    /// The same, whose packets are judged on the host's side of its interfaces, or not there.
    pub const fn with_coverage(self, covered: bool) -> Self {
        Self(self.0 & !(1 << 31) | (covered as u32) << 31)
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

    /// Who else decides.
    #[inline(always)]
    pub const fn role(self) -> Role {
        Role::from_bits((self.0 >> 29) & 3)
    }

    /// Whether nothing is translated for it.
    #[inline(always)]
    pub const fn is_meshed(self) -> bool {
        (self.0 >> 29) & 3 != Role::Alone as u32
    }

    /// Whether it is only the directory above workloads.
    #[inline(always)]
    pub const fn is_root(self) -> bool {
        (self.0 >> 29) & 3 == Role::Root as u32
    }

    /// Whether its packets are judged on the host's side of its interfaces.
    #[inline(always)]
    pub const fn is_covered(self) -> bool {
        self.0 >> 31 == 1
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

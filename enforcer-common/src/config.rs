//! The `CONFIG` array: one 64-bit word per setting, so that each switch is one map write.

/// Which word holds which setting.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigKey {
    /// The node's [`crate::mode::Switch`]; zero, before the agent has written it, is `Off`.
    Enforcement = 0,
    /// 1: a process without identity is allowed; else denied.
    UnknownWorkloadAllowed = 1,
    /// Up to eight cgroup depths at which workloads are, one per byte, deepest first, 0 ends the list.
    WorkloadLevels = 2,
    /// 1: `--allow` ranges exist.
    HasExempt = 3,
    /// Events per second and workload; what is over is only counted.
    EventRate = 4,
    /// 1: allowed connections make events, too.
    EventsForAllowed = 5,
    /// The value of `--enforcement` that the last agent had, as [`crate::mode::Enforcement`]'s bits; 0: none yet. Programs
    /// do not read it: an agent that finds another value than its own takes its own as the switch.
    EnforcementFlag = 6,
    /// Seconds for which an established flow may go on to an endpoint that its service does not have any more.
    EndpointGrace = 7,
}

impl ConfigKey {
    /// Words in the array.
    pub const COUNT: u32 = 8;

    /// The index in the array.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

/// How many depths [`ConfigKey::WorkloadLevels`] can hold.
pub const MAX_LEVELS: usize = 8;

/// The depths as one word. `levels` must be deepest first; more than [`MAX_LEVELS`] do not fit.
pub fn pack_levels(levels: &[u8]) -> Option<u64> {
    if levels.len() > MAX_LEVELS {
        return None;
    }
    let mut bytes = [0; MAX_LEVELS];
    bytes[..levels.len()].copy_from_slice(levels);
    Some(u64::from_le_bytes(bytes))
}

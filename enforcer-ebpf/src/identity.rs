//! Whose process this is: the workload whose cgroup is the task's own or one above it.

use enforcer_common::config::MAX_LEVELS;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Lookup, Workload};

use crate::{ctx, maps};

/// Who asks.
#[derive(Clone, Copy)]
pub struct Identity {
    /// The workload's cgroup; 0 for a process without an identity.
    pub cgroup: CgroupId,
    payload: u32,
}

impl Identity {
    /// Every process without an identity.
    pub const UNKNOWN: Self = Self { cgroup: CgroupId::new(0), payload: 0 };

    /// What the maps know of it.
    #[inline(always)]
    pub const fn workload(self) -> Workload {
        Workload::from_payload(self.payload)
    }

    /// What is in force for it: its own switch, or the node's. Looked at after the verdict, and out of LLVM's sight until
    /// then: the verifier would walk the verdict once for each value.
    #[inline(always)]
    pub fn enforcement(self) -> Enforcement {
        match Workload::from_payload(ctx::hidden(self.payload)).enforcement() {
            Some(enforcement) => enforcement,
            None => maps::enforcement(),
        }
    }
}

/// The workload at the deepest level that has one. The agent lists the levels at which workloads are: one, as a rule.
#[inline(always)]
pub fn workload() -> Lookup<Identity> {
    let levels = maps::workload_levels();
    for index in 0..MAX_LEVELS {
        let level = (levels >> (8 * index)) & 0xff;
        if level == 0 {
            break;
        }
        let cgroup = ctx::ancestor_cgroup(level);
        if let Some(payload) = maps::workload(cgroup)? {
            return Ok(Some(Identity { cgroup, payload }));
        }
    }
    Ok(None)
}

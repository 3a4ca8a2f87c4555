//! Whose process this is: the workload whose cgroup is the task's own or one above it.

use enforcer_common::config::MAX_LEVELS;
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::{Lookup, Workload};

use crate::{ctx, maps};

/// Stands for every process without an identity.
pub const UNKNOWN: CgroupId = CgroupId::new(0);

/// The workload at the deepest level that has one. The agent lists the levels at which workloads are: one, as a rule.
#[inline(always)]
pub fn workload() -> Lookup<(CgroupId, Workload)> {
    let levels = maps::workload_levels();
    for index in 0..MAX_LEVELS {
        let level = (levels >> (8 * index)) & 0xff;
        if level == 0 {
            break;
        }
        let cgroup = ctx::ancestor_cgroup(level);
        if let Some(workload) = maps::workload(cgroup)? {
            return Ok(Some((cgroup, workload)));
        }
    }
    Ok(None)
}

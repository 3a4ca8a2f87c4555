//! What the programs count, read through handles of its own so that nobody waits for the controller.

use std::collections::BTreeMap;

use anyhow::Result;
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use enforcer_common::config::ConfigKey;
use enforcer_common::event::EventBudget;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Switch;
use enforcer_common::names::map;
use enforcer_common::reason::Reason;

use crate::dataplane::maps::open;
use crate::dataplane::pin::Pins;
use crate::status::DecisionCount;

/// The counters.
pub struct Counters {
    reasons: PerCpuArray<MapData, u64>,
    budgets: HashMap<MapData, CgroupId, EventBudget>,
    config: Array<MapData, u64>,
}

impl Counters {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            reasons: open(pins, map::REASON_HITS)?,
            budgets: open(pins, map::EVENT_BUDGET)?,
            config: open(pins, map::CONFIG)?,
        })
    }

    /// Decisions for one reason: those that were enforced, or those that were only recorded.
    pub fn of(&self, reason: Reason, enforced: bool) -> u64 {
        let values = self.reasons.get(&(2 * u32::from(reason.code()) + u32::from(enforced)), 0);
        values.map_or(0, |values| values.iter().sum())
    }

    /// Decisions by reason; reasons never met are left out.
    pub fn decisions(&self) -> Vec<DecisionCount> {
        let counts = Reason::ALL.iter().map(|reason| DecisionCount {
            reason: reason.as_str().to_owned(),
            enforced: self.of(*reason, true),
            audited: self.of(*reason, false),
        });
        counts.filter(|count| count.enforced + count.audited > 0).collect()
    }

    /// Events that were not sent, by workload; 0 stands for those without identity.
    pub fn suppressed(&self) -> BTreeMap<CgroupId, u64> {
        let budgets = self.budgets.iter().flatten();
        budgets.map(|(cgroup, budget)| (cgroup, budget.suppressed)).collect()
    }

    /// The node's switch, as the kernel has it.
    pub fn switch(&self) -> Switch {
        Switch::from_word(self.config.get(&ConfigKey::Enforcement.index(), 0).unwrap_or(0))
    }
}

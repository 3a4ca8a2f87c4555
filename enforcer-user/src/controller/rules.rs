//! What the rules in the maps are called.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use enforcer_common::id::RuleId;
use enforcer_core::policy::image::MapOp;
use enforcer_core::policy::offer::RuleKey;

/// The rule behind every number that is in the maps. One for all that is ever published: a number never gets another meaning
/// while anything may hold it, so readers of an older [`Applied`](super::Applied) find the right rule, too; and an update costs
/// the rules that it adds and removes, where a copy for each would cost all there are.
#[derive(Debug, Default)]
pub struct RuleNames {
    rules: RwLock<BTreeMap<RuleId, Arc<RuleKey>>>,
}

impl RuleNames {
    /// The rule with this number; `None` for one of an earlier agent's.
    pub fn get(&self, id: RuleId) -> Option<Arc<RuleKey>> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Follows operations that are about to be done: the name is there before the kernel can count or tell of the rule.
    pub(super) fn follow<'a>(&self, ops: &[MapOp], rule: impl Fn(RuleId) -> Option<&'a Arc<RuleKey>>) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            match op {
                MapOp::AddRule(id, _) => rules.extend(rule(*id).map(|rule| (*id, Arc::clone(rule)))),
                // Nothing has pointed to it for a while: its last events are read.
                MapOp::RemoveRule(id) => drop(rules.remove(id)),
                _ => {}
            }
        }
    }
}

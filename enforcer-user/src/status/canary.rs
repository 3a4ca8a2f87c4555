//! What became of the canaries, as the status tells it.

use serde::{Deserialize, Serialize};

use crate::status::DecisionCount;

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CanaryStatus {
    /// How often they were sent since the agent started; 0 while enforcement is off.
    pub rounds: u64,
    /// How often one was not noticed.
    pub failures: u64,
    /// The last ones, by the cgroup that has programs.
    pub places: Vec<CanaryPlace>,
    /// The decisions that are theirs, since the agent started.
    pub decisions: Vec<DecisionCount>,
}

/// The last one of a cgroup that has programs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CanaryPlace {
    /// The cgroup.
    pub cgroup: String,
    /// `passed`, `failed` or `skipped`.
    pub result: String,
    /// Why, but for `passed`.
    pub why: Option<String>,
}

impl CanaryStatus {
    /// What is wrong, as reasons not to be ready.
    pub fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        let failed = self.places.iter().filter(|place| place.result == "failed");
        failed.filter_map(|place| place.why.clone())
    }

    /// Counts a decision over a canary.
    pub fn count(&mut self, reason: &str, enforced: bool) {
        let at = self.decisions.iter().position(|count| count.reason == reason).unwrap_or_else(|| {
            self.decisions.push(DecisionCount { reason: reason.to_owned(), ..DecisionCount::default() });
            self.decisions.len() - 1
        });
        let count = &mut self.decisions[at];
        *(if enforced { &mut count.enforced } else { &mut count.audited }) += 1;
    }
}

//! The agent's metrics. Nothing is counted here: `table` says for each instrument how it is read off a [`Scrape`], which is
//! put together when somebody asks.

mod instrument;
mod process;
mod read;
mod reference;
mod table;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::controller::Applied;
use crate::status::DecisionCount;

pub use process::Process;
pub use reference::reference;
pub use text::Format;

/// What this binary is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Build {
    /// The version.
    pub version: &'static str,
    /// The commit.
    pub commit: &'static str,
    /// Of the pinned maps.
    pub abi: u32,
    /// Hash of the kernel programs.
    pub kernel_object: String,
}

/// Everything that is shown, at one moment.
#[derive(Debug, Default)]
pub struct Scrape {
    /// What this binary is.
    pub build: Build,
    /// What the controller published.
    pub applied: Arc<Applied>,
    /// The node's switch, as the kernel has it.
    pub enforcement: String,
    /// What the programs counted; reasons never met may be left out.
    pub decisions: Vec<DecisionCount>,
    /// Events that reached the agent.
    pub events_received: u64,
    /// Records in the ring that were no events.
    pub events_lost: u64,
    /// Connections that were closed because a packet of theirs was denied.
    pub closed_for_packets: u64,
    /// Events that the programs did not send.
    pub events_suppressed: u64,
    /// Denials that are kept.
    pub flows: usize,
    /// How many there may be.
    pub flows_limit: usize,
    /// The agent as the kernel sees it.
    pub process: Process,
}

impl Scrape {
    /// As text.
    pub fn text(self, format: Format) -> String {
        format.write(self)
    }
}

/// Adds up counters that come and go. A workload's counter goes with its cgroup; a sum that fell would look like a restart.
#[derive(Debug)]
pub struct NeverFalling<K> {
    last: BTreeMap<K, u64>,
    gone: u64,
}

impl<K> Default for NeverFalling<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new(), gone: 0 }
    }
}

impl<K: Ord> NeverFalling<K> {
    /// The sum of `now` and of all that went since the first call.
    pub fn sum(&mut self, now: BTreeMap<K, u64>) -> u64 {
        let gone = |(key, last): (&K, &u64)| match now.get(key) {
            Some(now) if now >= last => 0,
            _ => *last,
        };
        self.gone += self.last.iter().map(gone).sum::<u64>();
        self.last = now;
        self.gone + self.last.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests;

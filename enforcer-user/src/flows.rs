//! What the kernel told of flows: kept for a while, told to whoever observes, and denials added up.
//!
//! An event becomes a [`Flow`] with names when it is recorded, because rules and workloads may be gone when somebody asks.

mod denied;
mod named;
mod subscription;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enforcer_common::event::FlowEvent;
use enforcer_common::key::CgroupId;
use enforcer_core::flow::filter::Filter;
use enforcer_core::flow::{DeniedList, Flow, FlowLine, FlowWorkload, Lost};
use tokio::sync::watch;

use crate::status::Denial;
use denied::Tally;
use named::Clocks;
use subscription::{Observer, Subscriber};

pub use named::Names;
pub use subscription::Subscription;

/// Flows that are kept, of denials as many as of the rest; older ones go. Allowed connections are many while somebody
/// observes them, and must not drive out the denials.
pub const KEPT: usize = 10_000;

/// Flows that are kept in all.
pub const ROOM: usize = 2 * KEPT;

/// Denials in the status.
const IN_STATUS: usize = 1_000;

/// The last flows.
#[derive(Debug)]
pub struct FlowStore {
    state: Mutex<State>,
    /// How many follow.
    observers: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// That of the next flow.
    sequence: u64,
    denials: VecDeque<Kept>,
    others: VecDeque<Kept>,
    tally: Tally,
    subscribers: Vec<Subscriber>,
    /// Suppressed events that the subscribers know of.
    suppressed: BTreeMap<CgroupId, u64>,
}

#[derive(Debug)]
struct Kept {
    sequence: u64,
    /// When, by a clock that nobody sets.
    time_ns: u64,
    flow: Arc<Flow>,
}

impl Default for FlowStore {
    fn default() -> Self {
        Self { state: Mutex::default(), observers: watch::Sender::new(0) }
    }
}

impl FlowStore {
    /// Keeps `event` under the names that `names` knows now.
    pub fn record(&self, event: &FlowEvent, names: &impl Names) {
        self.keep(event.time_ns(), named::flow(event, names, Clocks::now()));
    }

    /// How many flows are kept now.
    pub fn kept(&self) -> usize {
        let state = self.state();
        state.denials.len() + state.others.len()
    }

    fn keep(&self, time_ns: u64, flow: Flow) {
        let mut state = self.state();
        let flow = Arc::new(flow);
        for subscriber in state.subscribers.iter_mut().filter(|subscriber| subscriber.wants(&flow)) {
            subscriber.tell(FlowLine::Flow(Arc::clone(&flow)), flow.time);
        }
        if flow.is_denial() {
            state.tally.add(&flow);
        }
        let sequence = state.sequence;
        state.sequence += 1;
        let kept = if flow.is_denial() { &mut state.denials } else { &mut state.others };
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { sequence, time_ns, flow });
    }

    /// The last `last` flows that fit, the oldest first, and with `follow` whatever fits from now on: no flow is left out or
    /// twice between the two.
    pub fn observe(&self, filter: Filter, last: usize, follow: bool) -> Subscription {
        let mut state = self.state();
        let stored = state.stored(&filter, last);
        if !follow {
            return Subscription::of_stored(stored);
        }
        let observer = Observer::new(&self.observers);
        let (subscriber, subscription) = subscription::following(filter, stored, observer);
        state.subscribers.retain(Subscriber::is_there);
        state.subscribers.push(subscriber);
        subscription
    }

    /// What was denied, or would have been, since the agent started.
    pub fn denied(&self) -> DeniedList {
        self.state().tally.list()
    }

    /// The last denials, the newest first.
    pub fn denials(&self) -> Vec<Denial> {
        let now = Clocks::now().monotonic_ns;
        self.state().denials.iter().rev().take(IN_STATUS).map(|kept| denial(kept, now)).collect()
    }

    /// Waits until somebody follows.
    pub async fn observed(&self) {
        // The sender is ours, so it is there.
        let _ = self.observers.subscribe().wait_for(|observers| *observers > 0).await;
    }

    /// Whether somebody follows.
    pub fn is_observed(&self) -> bool {
        *self.observers.borrow() > 0
    }

    /// What was suppressed so far, by workload: only what comes on top is told.
    pub fn knows_suppressed(&self, totals: BTreeMap<CgroupId, u64>) {
        self.state().suppressed = totals;
    }

    /// Tells the observers what was suppressed since the last time, and those that read slowly what they have missed.
    pub fn tell_suppressed(&self, totals: BTreeMap<CgroupId, u64>, names: &impl Names) {
        let now = Clocks::now().wall;
        let mut state = self.state();
        state.subscribers.retain(Subscriber::is_there);
        for (&cgroup, &total) in &totals {
            // A counter that fell is a new one: the workload went and came again.
            let before =
                state.suppressed.get(&cgroup).copied().filter(|before| *before <= total).unwrap_or(0);
            if total == before {
                continue;
            }
            let workload = names.workload(cgroup);
            let lost = Lost {
                time: now,
                events: total - before,
                workload: workload.map(FlowWorkload::full_name),
                why: Lost::SUPPRESSED.to_owned(),
            };
            for subscriber in &mut state.subscribers {
                if subscriber.wants_of(workload) {
                    subscriber.tell(FlowLine::Lost { lost: lost.clone() }, now);
                }
            }
        }
        for subscriber in &mut state.subscribers {
            subscriber.tell_lost(now);
        }
        state.suppressed = totals;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The last `last` flows that fit, the oldest first.
    fn stored(&self, filter: &Filter, last: usize) -> Vec<Arc<Flow>> {
        let (mut denials, mut others) =
            (self.denials.iter().rev().peekable(), self.others.iter().rev().peekable());
        let newest_first = std::iter::from_fn(|| match (denials.peek(), others.peek()) {
            (Some(denial), Some(other)) if denial.sequence < other.sequence => others.next(),
            (Some(_), _) => denials.next(),
            (None, _) => others.next(),
        });
        let fitting = newest_first.filter(|kept| filter.matches(&kept.flow)).take(last);
        let mut stored: Vec<_> = fitting.map(|kept| Arc::clone(&kept.flow)).collect();
        stored.reverse();
        stored
    }
}

fn denial(kept: &Kept, now: u64) -> Denial {
    let flow = &kept.flow;
    let destination = std::net::SocketAddr::new(flow.destination.ip, flow.destination.port);
    let workload = flow.workload.as_ref().map(FlowWorkload::full_name);
    Denial {
        age_seconds: now.saturating_sub(kept.time_ns) / 1_000_000_000,
        workload: workload.unwrap_or_else(|| format!("cgroup {}", flow.cgroup)),
        pid: flow.process.id,
        command: flow.process.name.clone(),
        destination: format!("{destination}/{}", flow.protocol),
        reason: flow.reason.clone(),
        blocked: flow.is_blocked(),
        hook: flow.hook.clone(),
    }
}

#[cfg(test)]
mod tests;

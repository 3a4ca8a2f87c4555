//! What the kernel told of flows: the last denials, for a person.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use enforcer_common::event::FlowEvent;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Action;
use nix::time::{ClockId, clock_gettime};

use crate::status::Denial;

/// Denials that are kept; older ones go.
pub const KEPT: usize = 1_000;

/// The last denials.
#[derive(Debug, Default)]
pub struct FlowStore {
    denials: Mutex<VecDeque<FlowEvent>>,
}

impl FlowStore {
    /// Keeps `event`, if it is a denial.
    pub fn record(&self, event: FlowEvent) {
        if event.action() != Some(Action::Deny) {
            return;
        }
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.len() == KEPT {
            denials.pop_back();
        }
        denials.push_front(event);
    }

    /// How many denials are kept now.
    pub fn kept(&self) -> usize {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The last denials, the newest first. `name` gives the name of a workload by its cgroup.
    pub fn denials(&self, name: impl Fn(enforcer_common::key::CgroupId) -> Option<String>) -> Vec<Denial> {
        let now = now_ns();
        let denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        denials
            .iter()
            .map(|event| {
                let cgroup = event.cgroup();
                denial(event, now, name(cgroup).unwrap_or_else(|| format!("cgroup {}", cgroup.get())))
            })
            .collect()
    }
}

fn denial(event: &FlowEvent, now: u64, workload: String) -> Denial {
    let (addr, port) = event.destination();
    let destination = std::net::SocketAddr::new(addr.ip(), port.get());
    Denial {
        age_seconds: now.saturating_sub(event.time_ns()) / 1_000_000_000,
        workload,
        pid: event.pid(),
        command: String::from_utf8_lossy(event.command()).into_owned(),
        destination: format!("{destination}/{}", event.protocol()),
        reason: event.reason().map_or("unknown", |reason| reason.as_str()).to_owned(),
        blocked: event.enforcement() == Enforcement::Enforce,
        hook: event.hook().map_or("unknown", |hook| hook.as_str()).to_owned(),
    }
}

/// The clock of the events.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

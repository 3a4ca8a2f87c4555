//! Events for the agent. A flood costs the workload that makes it its own events, and nobody a verdict.

use enforcer_common::event::{Asked, Asker, FlowEvent};
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Action, Verdict};

use crate::{ctx, maps};

/// Denials always; the rest only while somebody looks.
#[inline(always)]
pub fn wanted(verdict: &Verdict) -> bool {
    match verdict.action {
        Action::Deny => true,
        Action::Allow | Action::Translate => maps::events_for_allowed(),
    }
}

/// Sends the event, or counts it as suppressed.
#[inline(always)]
pub fn event(
    who: impl Fn(u64) -> Asker,
    cgroup: CgroupId,
    asked: Asked,
    verdict: &Verdict,
    enforcement: Enforcement,
) {
    let time_ns = ctx::now_ns();
    if !maps::spend_event(cgroup, time_ns, verdict.action == Action::Deny) {
        return;
    }
    maps::send_event(cgroup, FlowEvent::new(who(time_ns), asked, verdict, enforcement));
}

/// The running task as the one that asks.
#[inline(always)]
pub fn task(time_ns: u64, cgroup: CgroupId, cookie: u64) -> Asker {
    Asker {
        time_ns,
        cgroup: if cgroup.get() == 0 { ctx::own_cgroup() } else { cgroup },
        cookie,
        pid: ctx::pid(),
        command: ctx::command(),
    }
}

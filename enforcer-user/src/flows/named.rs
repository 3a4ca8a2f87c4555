//! An event with names: the numbers that a program knows become what a person calls them.

use std::net::SocketAddr;
use std::time::Duration;

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::event::FlowEvent;
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_core::flow::{Flow, FlowDestination, FlowProcess, FlowRule, FlowWorkload};
use enforcer_core::name::Host;
use enforcer_core::registry::model::ObjectRef;
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// Who knows the names of what is in force at this moment.
pub trait Names {
    /// The workload of a cgroup.
    fn workload(&self, cgroup: CgroupId) -> Option<&FlowWorkload>;

    /// The object and the host of a rule.
    fn rule(&self, rule: RuleId) -> Option<(ObjectRef, Host)>;

    /// A host that stands behind an address.
    fn host(&self, to: SocketAddr, protocol: Protocol) -> Option<&Host>;
}

/// One instant by both clocks: events carry that of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    pub(super) monotonic_ns: u64,
    pub(super) wall: Timestamp,
}

impl Clocks {
    pub(super) fn now() -> Self {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        let monotonic_ns = u64::try_from(monotonic.as_nanos()).unwrap_or(u64::MAX);
        Self { monotonic_ns, wall: Timestamp::now() }
    }

    fn wall_of(self, event_ns: u64) -> Timestamp {
        let ago = Duration::from_nanos(self.monotonic_ns.saturating_sub(event_ns));
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

/// `event` as people know it.
pub(super) fn flow(event: &FlowEvent, names: &impl Names, clocks: Clocks) -> Flow {
    let to = socket(event.destination());
    let rule = names.rule(event.rule());
    // A wildcard is no host; the host of an `--allow` range is empty.
    let of_rule = rule.as_ref().map(|(_, host)| host.clone());
    let of_rule = of_rule.filter(|host| !host.is_wildcard() && !host.as_str().is_empty());
    let host = of_rule.or_else(|| names.host(to, event.protocol()).cloned());
    Flow {
        time: clocks.wall_of(event.time_ns()),
        hook: event.hook().map_or(UNKNOWN, |hook| hook.as_str()).to_owned(),
        verdict: event.action().map_or(UNKNOWN, |action| action.as_str()).to_owned(),
        reason: event.reason().map_or(UNKNOWN, |reason| reason.as_str()).to_owned(),
        enforcement: event.enforcement().to_string(),
        workload: names.workload(event.cgroup()).cloned(),
        cgroup: event.cgroup().get(),
        process: FlowProcess { id: event.pid(), name: String::from_utf8_lossy(event.command()).into_owned() },
        protocol: event.protocol().to_string(),
        source: event.source().map(socket),
        destination: FlowDestination {
            host: host.map(|host| host.to_string()),
            ip: to.ip(),
            port: to.port(),
        },
        translated: event.translated().map(socket),
        rule: rule.map(|(object, _)| FlowRule { id: event.rule().get(), object }),
    }
}

/// A code that this build does not know.
const UNKNOWN: &str = "unknown";

fn socket((addr, port): (Addr, Port)) -> SocketAddr {
    SocketAddr::new(addr.ip(), port.get())
}

//! Read, decide, act: what every hook that decides does.

use enforcer_common::addr::{Addr, Port};
use enforcer_common::event::{Asked, Hook};
use enforcer_common::flow::FlowKey;
use enforcer_common::id::{RuleId, ViewId};
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::key::{CgroupId, NetnsCookie};
use enforcer_common::mode::Enforcement;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{
    Action, Backend, Query, TableFault, Verdict, Workload, decide, decide_unknown,
};

use crate::ctx::{Family, Sock, SockAddr};
use crate::identity::{self, Identity};
use crate::maps::{flows, places, sockets};
use crate::outcome::{PASS, act, act_new, pass};
use crate::tables::KernelTables;
use crate::{ctx, emit, maps, socket};

/// Decides over the destination of `sock` and returns what the kernel wants to hear.
#[inline(always)]
pub fn judge<F: Family>(sock: &SockAddr<F>, hook: Hook) -> i32 {
    if maps::is_off() {
        return pass(sock, hook);
    }
    let meant = socket::meant(sock, hook);
    let (source, source_port) = sock.source();
    let Backend { addr: destination, port } = meant.asked;
    let asked = Asked { hook, protocol: sock.protocol(), destination, port, source, source_port };
    let query = query(asked);
    let (who, verdict) = ruling(&query, || sock.namespace());
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return pass(sock, hook);
    }
    let verdict = inbound(who, asked, verdict);
    let verdict = socket::settle(sock, &query, &meant, verdict);
    let verdict = socket::remember(sock, hook, &meant, verdict);
    announce(sock, asked, &verdict, enforcement);
    record(|| sock.cookie(), who.cgroup, asked, &verdict, enforcement);
    act(sock, hook, &verdict, enforcement)
}

/// Decides over the protocol of a new socket; where it goes is asked later.
#[inline(always)]
pub fn judge_new(sock: &Sock) -> i32 {
    let protocol = sock.protocol();
    if protocol.is_supported() || sock.is_raw() || maps::is_off() {
        return PASS;
    }
    let (addr, port) = (Addr::UNSPECIFIED, Port::ANY);
    let hook = Hook::SockCreate;
    let asked = Asked { hook, protocol, destination: addr, port, source: addr, source_port: port };
    let (who, verdict) = ruling(&query(asked), || sock.namespace());
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return PASS;
    }
    record(|| sock.cookie(), who.cgroup, asked, &verdict, enforcement);
    act_new(&verdict, enforcement)
}

/// Whose process this is, and the verdict.
#[inline(always)]
fn ruling(query: &Query, namespace: impl Fn() -> NetnsCookie) -> (Identity, Verdict) {
    match identity::workload(namespace) {
        Ok(Some(who)) => (who, decide(&KernelTables, &Query { workload: who.workload(), ..*query })),
        Ok(None) => (Identity::UNKNOWN, unknown(query)),
        Err(TableFault) => (Identity::UNKNOWN, Verdict::deny(Reason::TableFault, RuleId::NONE)),
    }
}

/// The verdict over a packet of `who`, whose socket calls nobody may have seen.
#[inline(never)] // a stack of its own
pub fn ask(who: Identity, query: &Query) -> Verdict {
    if who.is_unknown() { unknown(query) } else { decide(&KernelTables, query) }
}

#[inline(always)]
fn unknown(query: &Query) -> Verdict {
    decide_unknown(&KernelTables, query, maps::unknown_workload_allowed())
}

/// What came in by UDP may be answered, and a workload may talk to itself.
#[inline(always)]
fn inbound(who: Identity, asked: Asked, verdict: Verdict) -> Verdict {
    if verdict.action != Action::Deny || who.is_unknown() || verdict.reason == Reason::Protocol {
        return verdict;
    }
    if places::is_own(who.cgroup, asked.destination) == Ok(true) {
        return Verdict::allow(Reason::Loopback, RuleId::NONE);
    }
    if !asked.protocol.is_udp() || asked.source_port == Port::ANY {
        return verdict;
    }
    let key = FlowKey::transport(asked.protocol, asked.destination, asked.port, asked.source_port);
    match flows::get(who.cgroup, &key) {
        Some(flow) if flow.answers_datagram(ctx::now_second()) => {
            Verdict::allow(Reason::Inbound, RuleId::NONE)
        }
        _ => verdict,
    }
}

/// While watching, the packets of a denied flow follow, and its denial is told only once.
#[inline(always)]
fn announce<F: Family>(sock: &SockAddr<F>, asked: Asked, verdict: &Verdict, enforcement: Enforcement) {
    if verdict.action != Action::Deny || enforcement != Enforcement::Audit {
        return;
    }
    if let Some(socket) = sock.as_packets_have_it() {
        let tuple = Tuple::announced(asked.protocol, asked.destination, asked.port);
        sockets::set_judged(&socket, Judged::new(&tuple, ViewId::EXEMPT, 0, Decided::Audited));
    }
}

/// The question, before it is known who asks.
#[inline(always)]
fn query(asked: Asked) -> Query {
    let query = Query::new(Workload::UNKNOWN, asked.protocol, asked.destination, asked.port);
    let same_family = query.same_family || matches!(asked.hook, Hook::Sendmsg6);
    Query { random: ctx::random(), same_family, ..query }
}

#[inline(always)]
fn record(
    cookie: impl Fn() -> u64,
    cgroup: CgroupId,
    asked: Asked,
    verdict: &Verdict,
    enforcement: Enforcement,
) {
    maps::count(verdict, enforcement);
    if emit::wanted(verdict) {
        emit::event(|time_ns| emit::task(time_ns, cgroup, cookie()), cgroup, asked, verdict, enforcement);
    }
}

//! Read, decide, act: what every hook that decides does.

use enforcer_common::addr::{Addr, Port};
use enforcer_common::event::{Asked, Hook};
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Backend, Query, TableFault, Verdict, Workload, decide, decide_unknown};

use crate::ctx::{Family, Sock, SockAddr};
use crate::identity::{self, Identity};
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
    let (who, verdict) = ruling(&query);
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return pass(sock, hook);
    }
    let verdict = socket::settle(sock, &query, &meant, verdict);
    let verdict = socket::remember(sock, hook, &meant, verdict);
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
    let (who, verdict) = ruling(&query(asked));
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return PASS;
    }
    record(|| sock.cookie(), who.cgroup, asked, &verdict, enforcement);
    act_new(&verdict, enforcement)
}

/// Whose process this is, and the verdict.
#[inline(always)]
fn ruling(query: &Query) -> (Identity, Verdict) {
    match identity::workload() {
        Ok(Some(who)) => (who, decide(&KernelTables, &Query { workload: who.workload(), ..*query })),
        Ok(None) => {
            (Identity::UNKNOWN, decide_unknown(&KernelTables, query, maps::unknown_workload_allowed()))
        }
        Err(TableFault) => (Identity::UNKNOWN, Verdict::deny(Reason::TableFault, RuleId::NONE)),
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
        emit::event(cookie, cgroup, asked, verdict, enforcement);
    }
}

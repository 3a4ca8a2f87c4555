//! Read, decide, act: what every socket-address hook does.

use enforcer_common::event::{Asked, Hook};
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Query, TableFault, Verdict, Workload, decide, decide_unknown};

use crate::ctx::{Family, SockAddr};
use crate::identity;
use crate::maps;
use crate::outcome::{PASS, act};
use crate::tables::KernelTables;
use crate::{ctx, emit};

/// Decides over the destination of `sock` and returns what the kernel wants to hear.
#[inline(always)]
pub fn judge<F: Family>(sock: &SockAddr<F>, hook: Hook) -> i32 {
    let node = maps::enforcement();
    if node == Enforcement::Off {
        return PASS;
    }
    let (source, source_port) = sock.source();
    let (destination, port) = (sock.destination(), sock.port());
    let asked = Asked { hook, protocol: sock.protocol(), destination, port, source, source_port };
    let (cgroup, enforcement, verdict) = match identity::workload() {
        Ok(Some((cgroup, workload))) => {
            (cgroup, workload.enforcement.unwrap_or(node), decide(&KernelTables, &query(workload, asked)))
        }
        Ok(None) => (
            identity::UNKNOWN,
            node,
            decide_unknown(&KernelTables, &query(Workload::UNKNOWN, asked), maps::unknown_workload_allowed()),
        ),
        Err(TableFault) => (identity::UNKNOWN, node, Verdict::deny(Reason::TableFault, RuleId::NONE)),
    };
    if enforcement == Enforcement::Off {
        return PASS;
    }
    record(sock, cgroup, asked, &verdict, enforcement);
    act(sock, &verdict, enforcement)
}

#[inline(always)]
fn query(workload: Workload, asked: Asked) -> Query {
    let query = Query::new(workload, asked.protocol, asked.destination, asked.port);
    let same_family = query.same_family || matches!(asked.hook, Hook::Sendmsg6);
    Query { random: ctx::random(), same_family, ..query }
}

#[inline(always)]
fn record<F: Family>(
    sock: &SockAddr<F>,
    cgroup: CgroupId,
    asked: Asked,
    verdict: &Verdict,
    enforcement: Enforcement,
) {
    maps::count(verdict, enforcement);
    if emit::wanted(verdict) {
        emit::event(sock, cgroup, asked, verdict, enforcement);
    }
}

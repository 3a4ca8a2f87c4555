//! What only packets ask: whether an address is there at all, and whether an endpoint is the right one.

use crate::addr::Port;
use crate::id::{RuleId, ViewId};
use crate::reason::Reason;
use crate::verdict::{Query, TableFault, Tables, Verdict, default, pick};

/// Whether an echo request may be sent: to an address that is registered, whatever its ports.
#[inline(always)]
pub(super) fn echo<T: Tables>(tables: &T, query: &Query) -> Verdict {
    match is_registered(tables, query) {
        Err(TableFault) => Verdict::deny(Reason::TableFault, RuleId::NONE),
        Ok(true) => Verdict::allow(Reason::Registered, RuleId::NONE),
        Ok(false) => default(query, Reason::NotRegistered, RuleId::NONE),
    }
}

#[inline(always)]
fn is_registered<T: Tables>(tables: &T, query: &Query) -> Result<bool, TableFault> {
    let (view, public) = (query.workload.view(), query.workload.inherits_public());
    Ok(tables.exact(view, &query.addr)?.is_some()
        || public && tables.exact(ViewId::PUBLIC, &query.addr)?.is_some()
        || tables.longest_prefix(view, &query.addr)?.is_some()
        || public && tables.longest_prefix(ViewId::PUBLIC, &query.addr)?.is_some())
}

/// A packet is on its way to the endpoint that was chosen for it.
#[inline(always)]
pub(super) fn confirm<T: Tables>(tables: &T, query: &Query, rule: RuleId) -> Verdict {
    if query.endpoint.port == Port::ANY {
        return Verdict::deny(Reason::NotTranslated, rule);
    }
    match has(tables, query, rule) {
        Err(TableFault) => Verdict::deny(Reason::TableFault, rule),
        Ok(true) => Verdict::allow(Reason::Registered, rule),
        // For how long, the hook knows.
        Ok(false) => Verdict::allow(Reason::Grace, rule),
    }
}

/// Whether the endpoint is one of the rule's backends: the only one, or a member.
#[inline(always)]
fn has<T: Tables>(tables: &T, query: &Query, rule: RuleId) -> Result<bool, TableFault> {
    match tables.slots(rule)? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(pick(tables, query, rule, 1)? == query.endpoint),
        Some(_) => tables.has_backend(rule, &query.endpoint),
    }
}

//! The verdict: what a workload may reach, decided once for the kernel, `explain`, `simulate` and the tests.
//!
//! Generic over [`Tables`], which the kernel implements with maps and the agent with ordered maps. No loops: the
//! levels are written out, and the first *rule* that hits is the answer. A level whose address matches but whose class
//! has no rule for the port falls through to the next.

mod packet;
mod workload;

use crate::addr::{Addr, Port, Protocol};
use crate::id::{ClassId, RuleId, ViewId};
use crate::mode::OutboundPolicy;
use crate::reason::Reason;

use packet::{confirm, echo};
pub use workload::{Role, Workload};

/// A map element changed twice under one reader; the answer is deny.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableFault;

/// One look-up: nothing, something, or no trustworthy answer.
pub type Lookup<T> = Result<Option<T>, TableFault>;

/// Where the compiled registry is read from.
pub trait Tables {
    /// Whether any `--allow` range exists; when not, its two look-ups are spared.
    fn has_exempt(&self) -> bool;
    /// The class of exactly this address in this view.
    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId>;
    /// The class of the longest prefix around this address in this view.
    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId>;
    /// The rule of a class for a port.
    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule>;
    /// The rule of a view for a port at any address.
    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule>;
    /// How many backend slots a rule that translates has.
    fn slots(&self, rule: RuleId) -> Lookup<u32>;
    /// The backend in a slot, 1 to the number of slots.
    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend>;
    /// Whether a rule with several backends has this one.
    fn has_backend(&self, rule: RuleId, backend: &Backend) -> Result<bool, TableFault>;
}

/// What a rule does with a flow that it names.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RuleAction {
    /// Let it pass as it is.
    Allow = 1,
    /// Send it to one of the rule's backends.
    Translate = 2,
    /// Allows nothing by itself: a service has this port, but only a host name could tell whether the address is
    /// its own. Gives the denial its reason.
    NeedsName = 3,
}

/// A rule as the maps hold it: the action in the upper 3 bits, the id in the lower 29.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rule {
    /// What it does.
    pub action: RuleAction,
    /// The registry line it came from.
    pub id: RuleId,
}

impl Rule {
    /// From a word's payload; `None` for an action of another ABI.
    #[inline(always)]
    pub const fn from_payload(payload: u32) -> Option<Self> {
        let action = match payload >> 29 {
            1 => RuleAction::Allow,
            2 => RuleAction::Translate,
            3 => RuleAction::NeedsName,
            _ => return None,
        };
        Some(Self { action, id: RuleId::new(payload & RuleId::MAX) })
    }

    /// The payload of its word.
    #[inline(always)]
    pub const fn payload(self) -> u32 {
        (self.action as u32) << 29 | (self.id.get() & RuleId::MAX)
    }
}

/// Where a translated flow goes. The backends of a rule never change: other backends are another rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Backend {
    /// [`Addr::UNSPECIFIED`]: the address that was asked for.
    pub addr: Addr,
    /// The port there.
    pub port: Port,
}

impl Backend {
    /// No backend.
    pub const NONE: Self = Self { addr: Addr::UNSPECIFIED, port: Port::ANY };
}

/// One question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Who asks.
    pub workload: Workload,
    /// By which protocol.
    pub protocol: Protocol,
    /// Where to.
    pub addr: Addr,
    /// At which port.
    pub port: Port,
    /// Picks the backend: any number will do.
    pub random: u32,
    /// The backend must be of the destination's address family. An IPv4 socket can do no other; an IPv6 socket can
    /// be connected to an IPv4 backend, but the kernel refuses (ENOTSUPP) to send a datagram there instead.
    pub same_family: bool,
    /// A packet that exists already, which nothing can translate any more: `endpoint` is where it goes.
    pub is_packet: bool,
    /// Where the packet goes whose socket has asked for `addr`; [`Backend::NONE`] when it goes to `addr` itself.
    pub endpoint: Backend,
}

impl Query {
    /// A question without a socket behind it, as `connect` of a new one would ask.
    pub const fn new(workload: Workload, protocol: Protocol, addr: Addr, port: Port) -> Self {
        Self {
            workload,
            protocol,
            addr,
            port,
            random: 0,
            same_family: addr.is_v4(),
            is_packet: false,
            endpoint: Backend::NONE,
        }
    }

    /// Whether it is a packet on its way to another address or port than its socket has asked for.
    #[inline(always)]
    fn is_translated(&self) -> bool {
        let asked = Backend { addr: self.addr, port: self.port };
        self.is_packet && self.endpoint.port != Port::ANY && self.endpoint != asked
    }
}

/// What is done.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Passes as it is.
    Allow = 1,
    /// Does not pass.
    Deny = 2,
    /// Passes to the verdict's backend.
    Translate = 3,
}

impl Action {
    /// From a code in an event.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Allow),
            2 => Some(Self::Deny),
            3 => Some(Self::Translate),
            _ => None,
        }
    }

    /// The stable name in JSON and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Translate => "translate",
        }
    }
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The rule that hit, [`RuleId::NONE`] when none did.
    pub rule: RuleId,
    /// Where to, when translated.
    pub backend: Backend,
}

impl Verdict {
    /// An allowance, for the few that a hook finds out itself.
    #[inline(always)]
    pub const fn allow(reason: Reason, rule: RuleId) -> Self {
        Self { action: Action::Allow, reason, rule, backend: Backend::NONE }
    }

    /// A denial, for the few that a hook finds out itself.
    #[inline(always)]
    pub const fn deny(reason: Reason, rule: RuleId) -> Self {
        Self { action: Action::Deny, reason, rule, backend: Backend::NONE }
    }
}

/// Decides over a process that has no identity: loopback and `--allow` are for everyone.
#[inline(always)]
pub fn decide_unknown<T: Tables>(tables: &T, query: &Query, allowed: bool) -> Verdict {
    if !query.protocol.is_supported() {
        return Verdict::deny(Reason::Protocol, RuleId::NONE);
    }
    if query.addr.is_local() {
        return Verdict::allow(Reason::Loopback, RuleId::NONE);
    }
    match exempt(tables, query) {
        Err(TableFault) => Verdict::deny(Reason::TableFault, RuleId::NONE),
        Ok(Some(rule)) => Verdict::allow(Reason::Exempt, rule.id),
        Ok(None) if allowed => Verdict::allow(Reason::UnknownWorkloadAllowed, RuleId::NONE),
        Ok(None) => Verdict::deny(Reason::UnknownWorkload, RuleId::NONE),
    }
}

/// Decides. The order is the contract: protocols that nothing can allow, exempt destinations, the exact address (own view, public), the longest prefix
/// (own view, public), the port at any address (own view, public), the policy's default.
#[inline(always)]
pub fn decide<T: Tables>(tables: &T, query: &Query) -> Verdict {
    if !query.protocol.is_supported() {
        return Verdict::deny(Reason::Protocol, RuleId::NONE);
    }
    if query.addr.is_local() {
        return Verdict::allow(Reason::Loopback, RuleId::NONE);
    }
    match exempt(tables, query) {
        Err(TableFault) => return Verdict::deny(Reason::TableFault, RuleId::NONE),
        Ok(Some(rule)) => return untranslated(query, Reason::Exempt, rule.id),
        Ok(None) => {}
    }
    if !query.protocol.is_registrable() {
        // Of the supported protocols this leaves ICMP, and of ICMP the hooks let nothing come here but an echo.
        return echo(tables, query);
    }
    match first_rule(tables, query) {
        Err(TableFault) => Verdict::deny(Reason::TableFault, RuleId::NONE),
        Ok(Some(Rule { action: RuleAction::Allow, id })) => untranslated(query, Reason::Registered, id),
        Ok(Some(Rule { action: RuleAction::Translate, id })) => translate(tables, query, id),
        Ok(Some(Rule { action: RuleAction::NeedsName, id })) => default(query, Reason::NeedsName, id),
        Ok(None) => default(query, Reason::NotRegistered, RuleId::NONE),
    }
}

/// A rule of an `--allow` range names a port of a protocol, a port of both, or everything.
#[inline(always)]
fn exempt<T: Tables>(tables: &T, query: &Query) -> Lookup<Rule> {
    if !tables.has_exempt() {
        return Ok(None);
    }
    if let Some(rule) = exempt_class(tables, tables.exact(ViewId::EXEMPT, &query.addr)?, query)? {
        return Ok(Some(rule));
    }
    exempt_class(tables, tables.longest_prefix(ViewId::EXEMPT, &query.addr)?, query)
}

#[inline(always)]
fn exempt_class<T: Tables>(tables: &T, class: Option<ClassId>, query: &Query) -> Lookup<Rule> {
    let Some(class) = class else { return Ok(None) };
    if let Some(rule) = tables.class_rule(class, query.protocol, query.port)? {
        return Ok(Some(rule));
    }
    tables.class_rule(class, Protocol::ANY, Port::ANY)
}

/// The six levels. A rule that only needs a name is kept for the case that nothing below allows.
#[inline(always)]
fn first_rule<T: Tables>(tables: &T, query: &Query) -> Lookup<Rule> {
    let mut kept = None;
    let (view, public) = (query.workload.view(), query.workload.inherits_public());
    let found = in_class(tables, tables.exact(view, &query.addr)?, query)?;
    if let Some(rule) = conclusive(found, &mut kept) {
        return Ok(Some(rule));
    }
    if public {
        let found = in_class(tables, tables.exact(ViewId::PUBLIC, &query.addr)?, query)?;
        if let Some(rule) = conclusive(found, &mut kept) {
            return Ok(Some(rule));
        }
    }
    let found = in_class(tables, tables.longest_prefix(view, &query.addr)?, query)?;
    if let Some(rule) = conclusive(found, &mut kept) {
        return Ok(Some(rule));
    }
    if public {
        let found = in_class(tables, tables.longest_prefix(ViewId::PUBLIC, &query.addr)?, query)?;
        if let Some(rule) = conclusive(found, &mut kept) {
            return Ok(Some(rule));
        }
    }
    let found = tables.any_rule(view, query.protocol, query.port)?;
    if let Some(rule) = conclusive(found, &mut kept) {
        return Ok(Some(rule));
    }
    if public {
        let found = tables.any_rule(ViewId::PUBLIC, query.protocol, query.port)?;
        if let Some(rule) = conclusive(found, &mut kept) {
            return Ok(Some(rule));
        }
    }
    Ok(kept)
}

#[inline(always)]
fn in_class<T: Tables>(tables: &T, class: Option<ClassId>, query: &Query) -> Lookup<Rule> {
    match class {
        Some(class) => tables.class_rule(class, query.protocol, query.port),
        None => Ok(None),
    }
}

/// The rule, unless it only needs a name: the first such rule is kept aside.
#[inline(always)]
fn conclusive(found: Option<Rule>, kept: &mut Option<Rule>) -> Option<Rule> {
    match found {
        Some(Rule { action: RuleAction::NeedsName, .. }) => {
            if kept.is_none() {
                *kept = found;
            }
            None
        }
        other => other,
    }
}

/// Nobody allows it: the policy's default.
#[inline(always)]
const fn default(query: &Query, reason: Reason, rule: RuleId) -> Verdict {
    match query.workload.policy() {
        OutboundPolicy::AllowAny => Verdict::allow(Reason::AllowAny, RuleId::NONE),
        OutboundPolicy::RegistryOnly => Verdict::deny(reason, rule),
        OutboundPolicy::Unknown => Verdict::deny(Reason::PolicyUnknown, RuleId::NONE),
    }
}

/// Allowed by what translates nothing. A packet of a socket that was translated before is on its way to an endpoint all the same.
#[inline(always)]
fn untranslated(query: &Query, reason: Reason, rule: RuleId) -> Verdict {
    Verdict::allow(if query.is_translated() { Reason::Grace } else { reason }, rule)
}

#[inline(always)]
fn translate<T: Tables>(tables: &T, query: &Query, rule: RuleId) -> Verdict {
    if query.workload.is_meshed() && !query.is_translated() {
        return Verdict::allow(Reason::Registered, rule);
    }
    if query.is_packet {
        return confirm(tables, query, rule);
    }
    let slots = match tables.slots(rule) {
        Err(TableFault) => return Verdict::deny(Reason::TableFault, rule),
        Ok(None | Some(0)) => return Verdict::deny(Reason::NoBackend, rule),
        Ok(Some(slots)) => slots,
    };
    let Ok(backend) = pick(tables, query, rule, slots) else {
        return Verdict::deny(Reason::TableFault, rule);
    };
    if query.same_family && query.addr.is_v4() != backend.addr.is_v4() {
        return Verdict::deny(Reason::WrongFamily, rule);
    }
    Verdict { action: Action::Translate, reason: Reason::Registered, rule, backend }
}

/// One of the rule's backends, each slot as likely as the next.
#[inline(always)]
fn pick<T: Tables>(tables: &T, query: &Query, rule: RuleId, slots: u32) -> Result<Backend, TableFault> {
    let Some(backend) = tables.backend(rule, 1 + query.random % slots)? else { return Err(TableFault) };
    let addr = if backend.addr.is_unspecified() { query.addr } else { backend.addr };
    Ok(Backend { addr, port: backend.port })
}

/// The same verdict, to the backend of the socket's earlier datagrams for as long as the service has it: a UDP flow
/// is a socket and a destination, and the endpoint may know it.
#[inline(always)]
pub fn stay<T: Tables>(tables: &T, query: &Query, verdict: Verdict, previous: Backend) -> Verdict {
    if query.same_family && query.addr.is_v4() != previous.addr.is_v4() {
        return verdict;
    }
    match tables.has_backend(verdict.rule, &previous) {
        Ok(true) => Verdict { backend: previous, ..verdict },
        Ok(false) => verdict,
        Err(TableFault) => Verdict::deny(Reason::TableFault, verdict.rule),
    }
}

#[cfg(test)]
mod tests;

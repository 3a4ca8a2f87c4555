//! Read, decide, act: what every hook that decides does.

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::event::{Asked, Hook};
use enforcer_common::flow::{FlowKey, Heard};
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
    let mut who = Identity::UNKNOWN;
    let verdict = rule(sock, &asked, &mut who).verdict();
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return pass(sock, hook);
    }
    let verdict = socket::keep(sock, &asked, &meant, &Whole::of(&verdict)).verdict();
    if verdict.action == Action::Deny && enforcement == Enforcement::Audit {
        announce(sock, &asked);
    }
    record(|| sock.cookie(), who.cgroup, &asked, &verdict, enforcement);
    act(sock, hook, &verdict, enforcement)
}

/// Whose socket it is, and the verdict.
#[inline(always)]
fn rule<F: Family>(sock: &SockAddr<F>, asked: &Asked, who: &mut Identity) -> Whole {
    let verdict = ruling(asked, || sock.namespace(), who);
    if verdict.action != Action::Deny || who.is_unknown() || verdict.reason == Reason::Protocol {
        return verdict;
    }
    match allowed_by_flow(who.cgroup, asked) {
        reason if reason.allows() => Whole::of(&Verdict::allow(reason, RuleId::NONE)),
        _ => verdict,
    }
}

/// A verdict without padding: what a function that is not inlined returns by memory, and LLVM copies with whatever is between its
/// fields, which the verifier does not let it read ("R2 !`read_ok`").
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Whole {
    rule: RuleId,
    addr: Addr,
    port: u32,
    action: Action,
    reason: Reason,
    pad: u16,
}

impl Whole {
    /// All of it.
    #[inline(always)]
    pub const fn of(verdict: &Verdict) -> Self {
        Self {
            rule: verdict.rule,
            addr: verdict.backend.addr,
            port: verdict.backend.port.to_ctx(),
            action: verdict.action,
            reason: verdict.reason,
            pad: 0,
        }
    }

    /// As it was.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        let backend = Backend { addr: self.addr, port: Port::from_ctx(self.port) };
        Verdict { action: self.action, reason: self.reason, rule: self.rule, backend }
    }
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
    let mut who = Identity::UNKNOWN;
    let verdict = ruling(&asked, || sock.namespace(), &mut who).verdict();
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return PASS;
    }
    record(|| sock.cookie(), who.cgroup, &asked, &verdict, enforcement);
    act_new(&verdict, enforcement)
}

/// Whose process this is, and the verdict.
#[inline(always)]
fn ruling(asked: &Asked, namespace: impl Fn() -> NetnsCookie, who: &mut Identity) -> Whole {
    match identity::workload(namespace) {
        Ok(Some(found)) => {
            *who = found;
            decided(asked, found.workload())
        }
        Ok(None) => undecided(asked),
        Err(TableFault) => Whole::of(&Verdict::deny(Reason::TableFault, RuleId::NONE)),
    }
}

#[inline(never)] // a stack of its own
fn decided(asked: &Asked, workload: Workload) -> Whole {
    Whole::of(&decide(&KernelTables, &Query { workload, ..query(asked) }))
}

#[inline(never)] // a stack of its own
fn undecided(asked: &Asked) -> Whole {
    Whole::of(&unknown(&query(asked)))
}

/// What is known of a packet when the registry is asked. Without padding: it is copied word by word ([`ctx::forget`]).
#[repr(C)]
pub struct Facts {
    /// Whose it is.
    pub who: Identity,
    /// When the view was narrowed last, read before anything else is.
    pub generation: u64,
    /// When the endpoint was missed first, 0 for never.
    pub lapse: u32,
    /// Now.
    pub second: u32,
    /// Where to: what the packet's socket has asked for, if that was translated.
    pub addr: Addr,
    /// The endpoint that the packet goes to instead.
    pub endpoint: Addr,
    /// What the socket remembers of this flow; in the end, what it is to remember.
    pub decided: Decided,
    /// At which port.
    pub port: Port,
    /// The endpoint's; [`Port::ANY`] when it was not translated.
    pub endpoint_port: Port,
    /// By which protocol.
    pub protocol: Protocol,
    /// It is about what an ICMP error quotes, the other way round.
    pub is_quoted: bool,
    /// The kernel has made the packet for a socket.
    pub has_socket: bool,
    /// What that remembers is still so.
    pub is_current: bool,
    /// The second at which what the socket is to remember ends, 0 for never.
    pub end: u32,
}

const _: () = assert!(size_of::<Facts>() == 80);

impl Facts {
    /// Nothing yet.
    pub const NONE: Self = Self {
        who: Identity::UNKNOWN,
        generation: 0,
        lapse: 0,
        second: 0,
        addr: Addr::UNSPECIFIED,
        endpoint: Addr::UNSPECIFIED,
        decided: Decided::Nothing,
        port: Port::ANY,
        endpoint_port: Port::ANY,
        protocol: Protocol::ANY,
        is_quoted: false,
        has_socket: false,
        is_current: false,
        end: 0,
    };

    /// Whether the packet goes to an endpoint, and its socket has asked for something else.
    #[inline(always)]
    pub fn is_translated(&self) -> bool {
        self.endpoint_port != Port::ANY
    }
}

/// What is done with a packet: a verdict that goes nowhere else.
#[derive(Clone, Copy)]
pub struct Ruling {
    /// The rule that hit.
    pub rule: RuleId,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Somebody has been told already that this flow has it.
    pub is_told: bool,
    /// Nothing is decided yet: the registry has to be asked. (An enum around this would be refused by the kernel: rustc puts the
    /// second member of its union behind the first, "Invalid member `bits_offset`".)
    pub is_open: bool,
}

impl Ruling {
    /// The registry has to be asked.
    pub const ASK: Self = Self { is_open: true, ..Self::deny(Reason::TableFault) };

    /// Denied, and nobody knows yet.
    pub const fn deny(reason: Reason) -> Self {
        Self { rule: RuleId::NONE, action: Action::Deny, reason, is_told: false, is_open: false }
    }

    /// Allowed, and nobody needs to know.
    pub const fn allow(reason: Reason) -> Self {
        Self { rule: RuleId::NONE, action: Action::Allow, reason, is_told: true, is_open: false }
    }
}

/// The registry's verdict over a packet, whose socket calls nobody may have seen.
#[inline(never)] // a stack of its own
pub fn ask(facts: &Facts) -> Ruling {
    let query = Query::new(facts.who.workload(), facts.protocol, facts.addr, facts.port);
    let endpoint = Backend { addr: facts.endpoint, port: facts.endpoint_port };
    let query = Query { is_packet: true, endpoint, ..query };
    let verdict = if facts.who.is_unknown() { unknown(&query) } else { decide(&KernelTables, &query) };
    Ruling {
        rule: verdict.rule,
        action: verdict.action,
        reason: verdict.reason,
        is_told: false,
        is_open: false,
    }
}

#[inline(always)]
fn unknown(query: &Query) -> Verdict {
    decide_unknown(&KernelTables, query, maps::unknown_workload_allowed())
}

/// What came in by UDP may be answered, and a workload may talk to itself: why it is allowed whatever the registry says, or any
/// reason that does not allow.
#[inline(never)] // a stack of its own
fn allowed_by_flow(workload: CgroupId, asked: &Asked) -> Reason {
    if places::is_own(workload, asked.destination) == Ok(true) {
        return Reason::Loopback;
    }
    if !asked.protocol.is_udp() || asked.source_port == Port::ANY {
        return Reason::NoFlow;
    }
    let mut key = FlowKey::transport(asked.protocol, asked.destination, asked.port, asked.source_port);
    match flows::get_heard(workload, &mut key, Heard::Socket) {
        Some(flow) if flow.answers_datagram(ctx::now_second()) => Reason::Inbound,
        _ => Reason::NoFlow,
    }
}

/// While watching, the packets of a denied flow follow, and its denial is told only once.
#[inline(never)] // a stack of its own
fn announce<F: Family>(sock: &SockAddr<F>, asked: &Asked) {
    if let Some(socket) = sock.as_packets_have_it() {
        let tuple = Tuple::announced(asked.protocol, asked.destination, asked.port);
        sockets::set_judged(&socket, Judged::new(&tuple, ViewId::EXEMPT, 0, Decided::Audited));
    }
}

/// The question, before it is known who asks.
#[inline(always)]
pub fn query(asked: &Asked) -> Query {
    let query = Query::new(Workload::UNKNOWN, asked.protocol, asked.destination, asked.port);
    let same_family = query.same_family || matches!(asked.hook, Hook::Sendmsg6);
    Query { random: ctx::random(), same_family, ..query }
}

#[inline(always)]
fn record(
    cookie: impl Fn() -> u64,
    cgroup: CgroupId,
    asked: &Asked,
    verdict: &Verdict,
    enforcement: Enforcement,
) {
    maps::count(verdict, enforcement);
    if emit::wanted(verdict) {
        tell(cookie(), cgroup, asked, verdict, enforcement);
    }
}

#[inline(never)] // a stack of its own
fn tell(cookie: u64, cgroup: CgroupId, asked: &Asked, verdict: &Verdict, enforcement: Enforcement) {
    emit::event(|time_ns| emit::task(time_ns, cgroup, cookie), cgroup, *asked, verdict, enforcement);
}

//! Packets that a workload sends, the slow way: read, decide, act. The rules are those of `docs/packets.md`.

mod icmp;
mod transport;

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::event::{Asked, Asker, Hook};
use enforcer_common::flow::{FRAGMENT_SECONDS, Flow, FlowKey};
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::packet::{Arp, Packet, Part};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, TableFault, Verdict};

use crate::ctx::skb::Skb;
use crate::identity::{Identity, Sender};
use crate::maps::{flows, places};
use crate::read::{self, Read};
use crate::{ctx, emit, identity, maps};

/// What becomes of a packet.
pub enum Sent {
    /// It goes on.
    Passes,
    /// It does not.
    Denied {
        /// Whose it is; 0 for a workload that is unknown.
        workload: CgroupId,
        /// Why.
        reason: Reason,
    },
}

/// Decides over a packet; `packet` is then what could be read of it.
#[inline(always)]
pub fn judge(skb: Skb, hook: Hook, packet: &mut Packet) -> Sent {
    if maps::is_off() {
        return Sent::Passes;
    }
    let sender = identity::sender(skb, hook);
    let (who, told) = match sender {
        Sender::Elsewhere => return Sent::Passes,
        Sender::Known(who) => (who, rule(&Met { skb, hook, who }, packet)),
        Sender::Unknown => {
            let who = Identity::UNKNOWN;
            (who, rule(&Met { skb, hook, who }, packet))
        }
        Sender::Fault => (Identity::UNKNOWN, Ruling::of(Verdict::deny(Reason::TableFault, RuleId::NONE))),
    };
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return Sent::Passes;
    }
    let Ruling { verdict, is_told } = told;
    if !is_told || enforcement == Enforcement::Enforce && verdict.action == Action::Deny {
        record(skb, hook, who.cgroup, packet, &verdict, enforcement);
    }
    match (verdict.action, enforcement) {
        (Action::Deny, Enforcement::Enforce) => Sent::Denied { workload: who.cgroup, reason: verdict.reason },
        _ => Sent::Passes,
    }
}

/// A packet that was met somewhere, and whose it is.
pub struct Met {
    /// The packet.
    pub skb: Skb,
    /// Where.
    pub hook: Hook,
    /// Whose.
    pub who: Identity,
}

/// A verdict, and whether somebody has been told already that this flow has it.
pub struct Ruling {
    verdict: Verdict,
    is_told: bool,
}

impl Ruling {
    /// Nobody has been told.
    #[inline(always)]
    pub const fn of(verdict: Verdict) -> Self {
        Self { verdict, is_told: false }
    }

    /// Everybody has.
    #[inline(always)]
    pub const fn told(verdict: Verdict) -> Self {
        Self { verdict, is_told: true }
    }

    #[inline(always)]
    const fn deny(reason: Reason) -> Self {
        Self::of(Verdict::deny(reason, RuleId::NONE))
    }

    /// What is not worth an event or a count, being no flow.
    #[inline(always)]
    const fn allow(reason: Reason) -> Self {
        Self::told(Verdict::allow(reason, RuleId::NONE))
    }
}

/// Reads the packet and decides.
#[inline(always)]
fn rule(met: &Met, packet: &mut Packet) -> Ruling {
    match read::packet(met.skb, met.hook, packet) {
        Read::Ip => rule_read(met, packet),
        Read::Arp => arp(met, packet.network),
        Read::Fault(reason) => Ruling::deny(reason),
    }
}

/// Only of oneself.
#[inline(always)]
fn arp(met: &Met, at: u32) -> Ruling {
    let who = met.who;
    match Arp::parse(&met.skb, at) {
        Err(reason) => Ruling::deny(reason),
        Ok(Arp { sender }) if sender.is_unspecified() || who.is_unknown() => {
            Ruling::allow(Reason::LinkControl)
        }
        Ok(Arp { sender }) => match places::is_own(who.cgroup, sender) {
            Ok(true) => Ruling::allow(Reason::LinkControl),
            Ok(false) => Ruling::deny(Reason::SpoofedSource),
            Err(TableFault) => Ruling::deny(Reason::TableFault),
        },
    }
}

/// From where, to where, and what.
#[inline(always)]
fn rule_read(met: &Met, packet: &Packet) -> Ruling {
    let who = met.who;
    if packet.is_v6 && packet.destination.is_embedded_v4() {
        return Ruling::deny(Reason::Martian);
    }
    if matches!(met.hook, Hook::Interface) {
        if packet.destination.is_martian() {
            return Ruling::deny(Reason::Martian);
        }
        if let Err(reason) = source(who, packet) {
            return Ruling::deny(reason);
        }
    }
    if packet.part == Part::Later {
        return later_fragment(who, packet);
    }
    let ruling = match packet.protocol {
        Protocol::TCP | Protocol::UDP => transport::rule(met, packet),
        _ => icmp::rule(met, packet),
    };
    if packet.part == Part::First {
        remember_fragments(who, packet, &ruling.verdict);
    }
    ruling
}

/// Whether the workload may send from there.
#[inline(always)]
fn source(who: Identity, packet: &Packet) -> Result<(), Reason> {
    if who.is_unknown() || is_of_the_link(packet) {
        return Ok(());
    }
    match places::is_own(who.cgroup, packet.source) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Reason::SpoofedSource),
        Err(TableFault) => Err(Reason::TableFault),
    }
}

/// What hosts send before they have an address, and what never leaves the link. The verdict follows.
#[inline(always)]
fn is_of_the_link(packet: &Packet) -> bool {
    if !packet.is_v6 {
        let asks_for_address = packet.source_port == Port::new(68) && packet.port == Port::new(67);
        return packet.source.is_unspecified()
            && packet.protocol == Protocol::UDP
            && packet.part == Part::Whole
            && asks_for_address
            && packet.destination == Addr::BROADCAST;
    }
    if packet.source.is_unspecified() {
        return packet.protocol == Protocol::ICMPV6 && matches!(packet.flags, 131 | 132 | 135 | 143);
    }
    packet.source.is_link_local()
        && (packet.destination.is_link_local() || packet.destination.is_link_multicast())
}

/// A later fragment goes where its first one went.
#[inline(always)]
fn later_fragment(who: Identity, packet: &Packet) -> Ruling {
    let key = FlowKey::fragment(packet.protocol, packet.destination, packet.identification);
    match flows::get(who.cgroup, &key) {
        Some(first) if first.is_within(FRAGMENT_SECONDS, ctx::now_second()) => {
            Ruling::allow(Reason::FragmentOfAllowed)
        }
        _ => Ruling::deny(Reason::Fragment),
    }
}

/// What was decided over the first fragment is decided over the later ones.
#[inline(always)]
fn remember_fragments(who: Identity, packet: &Packet, verdict: &Verdict) {
    let key = FlowKey::fragment(packet.protocol, packet.destination, packet.identification);
    match verdict.action {
        Action::Deny => flows::remove(who.cgroup, &key),
        Action::Allow | Action::Translate => {
            flows::set(who.cgroup, &key, Flow::begun_here(ctx::now_second()));
        }
    }
}

/// Counts and tells.
#[inline(always)]
fn record(
    skb: Skb,
    hook: Hook,
    workload: CgroupId,
    packet: &Packet,
    verdict: &Verdict,
    enforcement: Enforcement,
) {
    maps::count(verdict, enforcement);
    if emit::wanted(verdict) {
        tell(skb, workload, &asked(hook, packet), verdict, enforcement);
    }
}

#[inline(never)] // a stack of its own
fn tell(skb: Skb, workload: CgroupId, asked: &Asked, verdict: &Verdict, enforcement: Enforcement) {
    let who = |time_ns| Asker {
        time_ns,
        cgroup: if workload.get() == 0 { skb.cgroup() } else { workload },
        cookie: skb.cookie(),
        // Whoever runs on this CPU just now need not have sent it.
        pid: 0,
        command: [0; 16],
    };
    emit::event(who, workload, *asked, verdict, enforcement);
}

#[inline(always)]
const fn asked(hook: Hook, packet: &Packet) -> Asked {
    Asked {
        hook,
        protocol: packet.protocol,
        destination: packet.destination,
        port: packet.port,
        source: packet.source,
        source_port: packet.source_port,
    }
}

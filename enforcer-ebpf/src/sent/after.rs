//! What follows from the registry's answer: for how long it is remembered, and what it says of fragments.

use enforcer_common::addr::Protocol;
use enforcer_common::flow::{Flow, FlowKey};
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::mode::Enforcement;
use enforcer_common::packet::{Packet, Part};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::Action;

use crate::judge::{Facts, Ruling};
use crate::maps;
use crate::maps::{flows, sockets};
use crate::sent::Met;
use crate::sent::before::tuple;

/// Settles what the registry has said; `facts` then have what the packet's socket is to remember ([`remember`]).
#[inline(never)] // a stack of its own
pub fn settle(met: &Met, packet: &Packet, facts: &mut Facts, ruling: Ruling) -> Ruling {
    let mut ruling = grace(facts, ruling);
    if facts.is_quoted {
        // An error about a packet that may come in is as good as an answer to it.
        facts.decided = Decided::Nothing;
        return match ruling.action {
            Action::Deny => Ruling::deny(Reason::NoFlow),
            Action::Allow | Action::Translate => Ruling::allow(Reason::Related),
        };
    }
    let is_answer = packet.protocol == Protocol::TCP && packet.tcp_flags().is_syn_ack();
    if is_answer && ruling.reason == Reason::NotRegistered {
        ruling.reason = Reason::NoFlow;
    }
    if packet.part == Part::First && ruling.action != Action::Deny {
        flows::set(met.who.cgroup, &fragments(packet), Flow::begun_here(facts.second));
    }
    if packet.protocol == Protocol::TCP || packet.protocol == Protocol::UDP {
        ruling.is_told = settle_flow(met, packet, facts, ruling.action);
    }
    ruling
}

/// An endpoint that the service does not have any more, for a while.
#[inline(always)]
fn grace(facts: &mut Facts, ruling: Ruling) -> Ruling {
    if ruling.reason != Reason::Grace {
        facts.lapse = 0;
        return ruling;
    }
    if facts.lapse == 0 {
        facts.lapse = facts.second;
    }
    if facts.second - facts.lapse < maps::endpoint_grace() {
        return ruling;
    }
    Ruling { action: Action::Deny, reason: Reason::NoBackend, ..ruling }
}

/// What was decided over the first fragment is decided over the later ones, until another first one is denied.
#[inline(never)] // a stack of its own
pub fn forget_fragments(met: &Met, packet: &Packet) {
    flows::remove(met.who.cgroup, &fragments(packet));
}

#[inline(always)]
const fn fragments(packet: &Packet) -> FlowKey {
    FlowKey::fragment(packet.protocol, packet.destination, packet.identification)
}

/// What was decided over a flow; whether somebody has been told before: by the programs of socket calls, or over an earlier packet.
#[inline(always)]
fn settle_flow(met: &Met, packet: &Packet, facts: &mut Facts, action: Action) -> bool {
    let decided = match action {
        Action::Allow | Action::Translate => Decided::Allowed,
        Action::Deny if met.who.enforcement() == Enforcement::Audit => Decided::Audited,
        Action::Deny => Decided::Nothing,
    };
    if decided != Decided::Nothing {
        remember_flow(met, packet, facts);
    }
    let is_whole = facts.generation != 0 && packet.part == Part::Whole;
    let is_told = facts.has_socket
        && (decided == Decided::Allowed
            || facts.decided == Decided::Audited && facts.is_current
            || is_announced(met, packet));
    facts.end = if facts.lapse == 0 { 0 } else { facts.lapse + maps::endpoint_grace() };
    facts.decided = if is_whole && facts.has_socket { decided } else { Decided::Nothing };
    is_told
}

/// What is sent as a datagram may be answered without being begun by that answer; and what ends has last words.
#[inline(never)] // a stack of its own
fn remember_flow(met: &Met, packet: &Packet, facts: &Facts) {
    let key = FlowKey::transport(packet.protocol, packet.destination, packet.port, packet.source_port);
    if packet.protocol == Protocol::UDP {
        flows::set(met.who.cgroup, &key, Flow::begun_here(facts.second));
    } else if facts.is_translated() && packet.tcp_flags().is_fin() {
        flows::set(met.who.cgroup, &key, Flow::closing_here(facts.second));
    }
}

/// Whether the programs of socket calls have told this while they were only watching.
#[inline(never)] // a stack of its own
fn is_announced(met: &Met, packet: &Packet) -> bool {
    let Some(socket) = met.skb.socket() else { return false };
    let announced = Tuple::announced(packet.protocol, packet.destination, packet.port);
    sockets::judged(&socket, &announced).is_some()
}

/// Lets the packet's socket remember what was decided.
#[inline(never)] // a stack of its own
pub fn remember(met: &Met, packet: &Packet, facts: &Facts) {
    let Some(socket) = met.skb.socket() else { return };
    let tuple = tuple(met.skb, met.hook, packet);
    let judged = Judged::new(&tuple, met.who.workload().view(), facts.generation, facts.decided);
    sockets::set_judged(&socket, judged.lapsed(facts.lapse).until(facts.end));
}

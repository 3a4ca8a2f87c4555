//! What follows from the registry's answer: for how long it is remembered, and what it says of fragments.

use enforcer_common::addr::Protocol;
use enforcer_common::flow::{Flow, FlowKey, UDP_SECONDS};
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::mode::Enforcement;
use enforcer_common::packet::{Packet, Part};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Backend};

use crate::arrived::heard_at;
use crate::ctx;
use crate::judge::{Facts, Ruling};
use crate::maps;
use crate::maps::{flows, sockets};
use crate::sent::Met;
use crate::sent::before::tuple;

/// Settles what the registry has said; `facts` then have what the packet's socket is to remember ([`remember`]).
#[inline(never)] // a stack of its own
pub fn settle(met: &Met, packet: &Packet, facts: &mut Facts, ruling: Ruling) -> Ruling {
    let mut ruling = grace(met, facts, ruling);
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
    if packet.protocol == Protocol::TCP || packet.protocol == Protocol::UDP {
        ruling.is_told = settle_flow(met, packet, facts, ruling.action);
    }
    ruling
}

/// An endpoint that the service does not have any more, for a while. Since when, its translation remembers: whatever else the socket
/// sends meanwhile, the time does not begin anew.
#[inline(always)]
fn grace(met: &Met, facts: &mut Facts, ruling: Ruling) -> Ruling {
    let missed = if ruling.reason != Reason::Grace {
        0
    } else if facts.lapse == 0 {
        facts.second
    } else {
        facts.lapse
    };
    if facts.lapse != missed {
        remember_missed(met, facts, missed);
        facts.lapse = missed;
    }
    if missed == 0 || facts.second.saturating_sub(missed) < maps::endpoint_grace() {
        return ruling;
    }
    Ruling { action: Action::Deny, reason: Reason::NoBackend, ..ruling }
}

#[inline(never)] // a stack of its own
fn remember_missed(met: &Met, facts: &Facts, second: u32) {
    if let Some(socket) = met.skb.socket() {
        let endpoint = Backend { addr: facts.endpoint, port: facts.endpoint_port };
        sockets::set_missed(&socket, &endpoint, second);
    }
}

/// What was decided over the first fragment is decided over the later ones, until another first one is denied.
#[inline(never)] // a stack of its own
pub fn decide_fragments(met: &Met, packet: &Packet, action: Action) {
    match action {
        Action::Deny => flows::remove(met.who.cgroup, &fragments(packet)),
        Action::Allow | Action::Translate => {
            flows::set(met.who.cgroup, &fragments(packet), Flow::begun_here(ctx::now_second()));
        }
    }
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
    // What is nobody's may be somebody's soon.
    let is_whole = facts.generation != 0 && packet.part == Part::Whole && !met.who.is_unknown();
    let is_told = facts.has_socket
        && (decided == Decided::Allowed
            || facts.decided == Decided::Audited && facts.is_current
            || is_announced(met, packet));
    facts.end = end(packet.protocol, facts);
    facts.decided = if is_whole && facts.has_socket { decided } else { Decided::Nothing };
    is_told
}

/// Until when the socket may remember it. A datagram's flow is written into the table again from time to time, or the answer to it would
/// be taken for something that the other side has begun.
#[inline(always)]
fn end(protocol: Protocol, facts: &Facts) -> u32 {
    let grace = if facts.lapse == 0 { u32::MAX } else { facts.lapse.saturating_add(maps::endpoint_grace()) };
    let again = if protocol == Protocol::UDP { facts.second + UDP_SECONDS / 3 } else { u32::MAX };
    let end = if grace < again { grace } else { again };
    if end == u32::MAX { 0 } else { end }
}

/// What is sent as a datagram may be answered without being begun by that answer; and what ends has last words.
#[inline(never)] // a stack of its own
fn remember_flow(met: &Met, packet: &Packet, facts: &Facts) {
    let key = FlowKey::transport(packet.protocol, packet.destination, packet.port, packet.source_port);
    let key = key.heard(heard_at(met.hook));
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
    sockets::set_judged(&socket, judged.until(facts.end));
}

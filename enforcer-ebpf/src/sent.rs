//! Packets that a workload sends, the slow way: read, decide, act. The rules are those of `docs/packets.md`.
//!
//! Each step has a stack of its own: a program and what it calls have 512 bytes together.

mod after;
mod before;
mod icmp;

use enforcer_common::addr::Protocol;
use enforcer_common::event::{Asked, Asker, Hook};
use enforcer_common::judged::Decided;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::packet::{Packet, Part};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Backend, Verdict};

use crate::ctx::skb::Skb;
use crate::identity::{self, Identity, Sender};
use crate::judge::{self, Facts, Ruling};
use crate::read::{self, Read};
use crate::{checksum, ctx, emit, maps};

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

/// A packet that was met somewhere, and whose it is.
pub struct Met {
    /// The packet.
    pub skb: Skb,
    /// Where.
    pub hook: Hook,
    /// Whose.
    pub who: Identity,
}

/// Decides over a packet; `packet` is then what could be read of it.
#[inline(always)]
pub fn judge(skb: Skb, hook: Hook, packet: &mut Packet) -> Sent {
    if maps::is_off() {
        return Sent::Passes;
    }
    let (who, trusted) = match identity::sender(skb, hook) {
        Sender::Elsewhere | Sender::Covered(_) => return Sent::Passes,
        Sender::Known(who) => (who, true),
        Sender::Unknown => (Identity::UNKNOWN, true),
        Sender::Fault => (Identity::UNKNOWN, false),
    };
    let met = Met { skb, hook, who };
    let ruling = if trusted { rule(&met, hook, packet) } else { Ruling::deny(Reason::TableFault) };
    if packet.part == Part::First {
        after::decide_fragments(&met, packet, ruling.action);
    }
    let enforcement = who.enforcement();
    if enforcement == Enforcement::Off {
        return Sent::Passes;
    }
    let is_denied = ruling.action == Action::Deny && enforcement == Enforcement::Enforce;
    if is_denied || !ruling.is_told {
        record(&met, packet, ruling, enforcement);
    }
    if is_denied { Sent::Denied { workload: who.cgroup, reason: ruling.reason } } else { Sent::Passes }
}

/// Decides: by the packet alone, or by the registry. A number that is known to the compiler, the hook keeps from each program what it
/// may not call.
#[inline(always)]
fn rule(met: &Met, hook: Hook, packet: &mut Packet) -> Ruling {
    let mut facts = Facts::NONE;
    let ruling = match read::packet(met.skb, hook, packet) {
        Read::Ip => before::look(met, packet, &mut facts),
        Read::Arp if matches!(hook, Hook::Packet) => Ruling::deny(Reason::NotIp),
        Read::Arp => before::arp(met, packet.network),
        Read::Fault(reason) => Ruling::deny(reason),
    };
    if (ruling.is_open || ruling.action == Action::Allow) && !checksum::is_in_its_place(met, packet) {
        return Ruling::deny(Reason::Malformed);
    }
    if !ruling.is_open {
        return ruling;
    }
    let ruling = match packet.protocol {
        Protocol::TCP | Protocol::UDP => before::flow(met, packet, &mut facts),
        _ => icmp::look(met, packet, &mut facts),
    };
    ctx::forget(packet);
    ctx::forget(&mut facts);
    let ruling = if ruling.is_open {
        let ruling = judge::ask(&facts);
        after::settle(met, packet, &mut facts, ruling)
    } else {
        ruling
    };
    if facts.decided != Decided::Nothing {
        after::remember(met, packet, &facts);
    }
    ruling
}

/// Counts and tells.
#[inline(never)] // a stack of its own
fn record(met: &Met, packet: &Packet, ruling: Ruling, enforcement: Enforcement) {
    let Ruling { action, reason, rule, .. } = ruling;
    let verdict = Verdict { action, reason, rule, backend: Backend::NONE };
    maps::count(&verdict, enforcement);
    if !emit::wanted(&verdict) {
        return;
    }
    let asked = Asked {
        hook: met.hook,
        protocol: packet.protocol,
        destination: packet.destination,
        port: packet.port,
        source: packet.source,
        source_port: packet.source_port,
    };
    let workload = met.who.cgroup;
    let who = |time_ns| Asker {
        time_ns,
        cgroup: if workload.get() == 0 { met.skb.cgroup() } else { workload },
        cookie: met.skb.cookie(),
        // Whoever runs on this CPU just now need not have sent it.
        pid: 0,
        command: [0; 16],
    };
    emit::event(who, workload, asked, &verdict, enforcement);
}

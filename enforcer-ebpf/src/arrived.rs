//! Packets that come to a workload: nothing is dropped, and what may be answered is remembered.

use enforcer_common::addr::Protocol;
use enforcer_common::event::Hook;
use enforcer_common::flow::{Arrival, Flow, FlowKey};
use enforcer_common::packet::{Icmp, Packet, Part, icmp};
use enforcer_common::verdict::Action;

use crate::ctx::skb::Skb;
use crate::identity::{self, Identity, Sender};
use crate::judge::Facts;
use crate::maps::flows;
use crate::read::{self, Read};
use crate::{ctx, judge, maps};

/// Remembers what the packet says of its flow.
#[inline(always)]
pub fn record(skb: Skb, hook: Hook) {
    let mut packet = Packet::EMPTY;
    if !matches!(read::packet(skb, hook, &mut packet), Read::Ip) {
        return;
    }
    if packet.part == Part::Later {
        return;
    }
    if packet.protocol == Protocol::TCP && packet.tcp_flags().is_plain() {
        // Nothing changes for a connection.
        return;
    }
    if maps::is_off() {
        return;
    }
    let who = match identity::sender(skb, hook) {
        Sender::Known(who) => who,
        Sender::Unknown => Identity::UNKNOWN,
        Sender::Elsewhere | Sender::Fault => return,
    };
    match packet.protocol {
        Protocol::TCP => segment(who, &packet),
        Protocol::UDP => datagram(who, &packet),
        _ => message(who, &packet),
    }
}

/// The flow as the workload has it.
#[inline(always)]
const fn key(packet: &Packet) -> FlowKey {
    FlowKey::transport(packet.protocol, packet.source, packet.source_port, packet.port)
}

#[inline(always)]
fn segment(who: Identity, packet: &Packet) {
    let (key, second) = (key(packet), ctx::now_second());
    let known = flows::get(who.cgroup, &key);
    if let Arrival::Set(flow) = Flow::segment_arrived(known, packet.tcp_flags(), second) {
        flows::set(who.cgroup, &key, flow);
    }
}

#[inline(always)]
fn datagram(who: Identity, packet: &Packet) {
    let (key, second) = (key(packet), ctx::now_second());
    let known = flows::get(who.cgroup, &key);
    // A flow that was pushed out of the table must not come back as one that the other side has begun.
    let expected = known.is_none() && {
        let (addr, port) = (packet.source, packet.source_port);
        let facts = Facts { who, protocol: Protocol::UDP, addr, port, ..Facts::NONE };
        judge::ask(&facts).action != Action::Deny
    };
    if let Arrival::Set(flow) = Flow::datagram_arrived(known, expected, second) {
        flows::set(who.cgroup, &key, flow);
    }
}

/// Echo requests may be answered; and who sends neighbour discovery is a neighbour.
#[inline(always)]
fn message(who: Identity, packet: &Packet) {
    let key = match icmp(packet) {
        Icmp::Echo => FlowKey::echo(packet.source, packet.source_port),
        Icmp::Neighbour => FlowKey::neighbour(packet.source),
        _ => return,
    };
    flows::set(who.cgroup, &key, Flow::begun_by_remote(ctx::now_second()));
}

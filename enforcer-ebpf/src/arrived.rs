//! Packets that come to a workload: nothing is dropped, and what may be answered is remembered.

use enforcer_common::addr::Protocol;
use enforcer_common::event::Hook;
use enforcer_common::flow::{Arrival, Flow, FlowKey, Heard};
use enforcer_common::packet::{Icmp, Packet, Part, icmp};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::Action;

use crate::ctx::skb::Skb;
use crate::identity::{self, Identity, Sender};
use crate::judge::Facts;
use crate::maps::{flows, places};
use crate::read::{self, Read};
use crate::{ctx, judge, maps};

/// Remembers what the packet says of its flow.
#[inline(always)]
pub fn record(skb: Skb, hook: Hook) {
    let mut packet = Packet::EMPTY;
    if !matches!(read::packet(skb, hook, &mut packet), Read::Ip) {
        return;
    }
    // As in `sent`: from an address of IPv6 that would be taken for one of IPv4 nobody has come.
    if packet.part == Part::Later || packet.is_v6 && packet.source.is_v4() {
        return;
    }
    if packet.protocol == Protocol::TCP && packet.tcp_flags().is_plain() {
        // Nothing changes for a connection.
        return;
    }
    // Connections that begin while it is off go on when it is switched on; for what has no beginning, that would let answers in.
    if packet.protocol != Protocol::TCP && maps::is_off() {
        return;
    }
    let who = match identity::sender(skb, hook) {
        Sender::Known(who) => who,
        Sender::Unknown => Identity::UNKNOWN,
        Sender::Covered(who) => return unseen(skb, who, &packet),
        Sender::Elsewhere | Sender::Fault => return,
    };
    let heard = heard_at(hook);
    if matches!(heard, Heard::Socket) && !is_from_elsewhere(skb, who, &packet) {
        return;
    }
    match packet.protocol {
        Protocol::TCP => segment(who, &packet, heard),
        Protocol::UDP => datagram(who, &packet, heard),
        _ => message(who, &packet, heard),
    }
}

/// Whether it comes from whom it says, as far as a socket can tell. In the node's own network namespace workloads make no interfaces. In
/// their own they can, and only those count that the agent knows to lead outside.
#[inline(always)]
fn is_from_elsewhere(skb: Skb, who: Identity, packet: &Packet) -> bool {
    let network = skb.network_inode();
    if network == ctx::node_network() {
        return !is_self_told(skb, packet) || packet.source.is_local() || places::is_of_node(packet.source);
    }
    if ctx::ignores_interfaces() {
        return !is_self_told(skb, packet);
    }
    matches!(places::of_exit(network, skb.interface()), Ok(Some(place)) if place.cgroup == who.cgroup)
}

/// Whether anybody here can have said where it comes from: IPv6 sockets send from any address (`IPV6_FREEBIND`), and it has come to
/// another one by loopback, or to a group that its sender is in as well.
#[inline(always)]
pub fn is_self_told(skb: Skb, packet: &Packet) -> bool {
    packet.is_v6 && packet.source != packet.destination && (skb.is_by_loopback() || skb.is_looped_back())
}

/// Where a program hears of flows.
#[inline(always)]
pub const fn heard_at(hook: Hook) -> Heard {
    if matches!(hook, Hook::Interface) { Heard::Interface } else { Heard::Socket }
}

/// The flow as the workload has it.
#[inline(always)]
const fn key(packet: &Packet) -> FlowKey {
    FlowKey::transport(packet.protocol, packet.source, packet.source_port, packet.port)
}

#[inline(always)]
fn segment(who: Identity, packet: &Packet, heard: Heard) {
    let (key, second) = (key(packet).heard(heard), ctx::now_second());
    let known = flows::get(who.cgroup, &key);
    if let Arrival::Set(flow) = Flow::segment_arrived(known, packet.tcp_flags(), second) {
        flows::set(who.cgroup, &key, flow);
    }
    if who.workload().is_meshed() && packet.tcp_flags().begins() {
        let key = FlowKey::begun(packet.source, packet.source_port);
        flows::set(who.cgroup, &key, Flow::begun_by_remote(second));
    }
}

/// A connection that reaches a socket of the workload, and nobody has seen it on the host's side of the interface (`bpf_redirect_peer`).
/// That is told, and nothing is recorded that may be answered: a workload can inject packets into its own interface.
#[inline(always)]
fn unseen(skb: Skb, who: Identity, packet: &Packet) {
    let interface = skb.interface();
    if packet.protocol != Protocol::TCP || !packet.tcp_flags().begins() || skb.is_by_loopback() {
        return;
    }
    let workload = who.cgroup;
    let begun = FlowKey::begun(packet.source, packet.source_port);
    let is_seen = flows::get(workload, &key(packet)).is_some()
        || who.workload().is_meshed() && flows::get(workload, &begun).is_some();
    let is_own = |addr| places::is_own(workload, addr);
    if !is_seen && is_own(packet.source) == Ok(false) && is_own(packet.destination) == Ok(true) {
        flows::set(workload, &FlowKey::unseen(interface), Flow::begun_here(ctx::now_second()));
    }
}

#[inline(always)]
fn datagram(who: Identity, packet: &Packet, heard: Heard) {
    let (key, second) = (key(packet).heard(heard), ctx::now_second());
    let known = flows::get(who.cgroup, &key);
    // A flow that was pushed out of the table, or was silent for long, must not come back as one that the other side has begun.
    let goes_on = known.is_some_and(|flow| flow.goes_on(second));
    let expected = !goes_on && {
        let (addr, port) = (packet.source, packet.source_port);
        let facts = Facts { who, protocol: Protocol::UDP, addr, port, ..Facts::NONE };
        let ruling = judge::ask(&facts);
        // Where everything is allowed, nothing is expected.
        ruling.action != Action::Deny && ruling.reason != Reason::AllowAny
    };
    if let Arrival::Set(flow) = Flow::datagram_arrived(known, expected, second) {
        flows::set(who.cgroup, &key, flow);
    }
}

/// Echo requests may be answered; and who sends neighbour discovery is a neighbour.
#[inline(always)]
fn message(who: Identity, packet: &Packet, heard: Heard) {
    let key = match icmp(packet) {
        Icmp::Echo => FlowKey::echo(packet.source, packet.source_port),
        Icmp::Neighbour => FlowKey::neighbour(packet.source),
        _ => return,
    };
    flows::set(who.cgroup, &key.heard(heard), Flow::begun_by_remote(ctx::now_second()));
}

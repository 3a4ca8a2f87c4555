//! What is decided by the packet itself, its socket and its flow, before the registry is asked.

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::event::Hook;
use enforcer_common::flow::{FRAGMENT_SECONDS, Flow, FlowKey};
use enforcer_common::judged::{Decided, Tuple};
use enforcer_common::packet::{Arp, Packet, Part};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Backend, Role, TableFault};

use crate::arrived::{heard_at, is_self_told};
use crate::ctx;
use crate::ctx::skb::{PacketSocket, Pulled, Skb};
use crate::established::is_current;
use crate::identity::Identity;
use crate::judge::{Facts, Ruling};
use crate::maps::{flows, places, sockets};
use crate::sent::Met;

/// A datagram that came in may be answered for this long without another look.
const REMEMBERED_SECONDS: u32 = 30;

/// Looks at what the packet is.
#[inline(never)] // a stack of its own
pub fn look(met: &Met, packet: &Packet, facts: &mut Facts) -> Ruling {
    if let Err(reason) = ends(met, packet) {
        return Ruling::deny(reason);
    }
    if matches!(met.hook, Hook::Packet) {
        let ruling = stays_here(met, packet);
        if !ruling.is_open {
            return ruling;
        }
    }
    if packet.part == Part::Later {
        return later_fragment(met.who, packet);
    }
    facts.who = met.who;
    facts.second = ctx::now_second();
    facts.generation = places::generation(met.who.workload().view());
    facts.protocol = packet.protocol;
    facts.addr = packet.destination;
    facts.port = packet.port;
    Ruling::ASK
}

/// To the workload itself, or to others in the node's network by loopback. An IPv6 socket may be bound to any address (`IPV6_FREEBIND`),
/// and who answers here would answer to there: the kernel itself, quoting what it was sent. Mesh proxies hand on what came to them as
/// from whom it came.
#[inline(never)] // a stack of its own
fn stays_here(met: &Met, packet: &Packet) -> Ruling {
    let (who, from) = (met.who, packet.source);
    let is_own = |addr| !who.is_unknown() && places::is_own(who.cgroup, addr) == Ok(true);
    let is_here = || from.is_local() || is_own(from) || places::is_of_node(from);
    let is_proxy = who.workload().role() == Role::MeshProxy;
    if is_self_told(met.skb, packet) && met.skb.is_in_nodes_network() && !is_proxy && !is_here() {
        return Ruling::deny(Reason::SpoofedSource);
    }
    if is_own(packet.destination) { Ruling::allow(Reason::Loopback) } else { Ruling::ASK }
}

/// Only of oneself.
#[inline(never)] // a stack of its own
pub fn arp(met: &Met, at: u32) -> Ruling {
    let who = met.who;
    match Arp::parse(&Pulled(met.skb), at) {
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

/// From where and to where it may be at all.
#[inline(always)]
fn ends(met: &Met, packet: &Packet) -> Result<(), Reason> {
    let (from, to) = (packet.source, packet.destination);
    // In an IPv6 packet it would be taken for an IPv4 address.
    if packet.is_v6 && to.is_v4() {
        return Err(Reason::Martian);
    }
    if !matches!(met.hook, Hook::Interface) {
        return Ok(());
    }
    if to.is_martian() {
        return Err(Reason::Martian);
    }
    if met.who.is_unknown() || is_of_the_link(packet) {
        return Ok(());
    }
    if packet.is_v6 && from.is_v4() {
        return Err(Reason::SpoofedSource);
    }
    match places::is_own(met.who.cgroup, from) {
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

/// TCP and UDP: what came in may be answered; everything else is asked of the registry.
#[inline(never)] // a stack of its own
pub fn flow(met: &Met, packet: &Packet, facts: &mut Facts) -> Ruling {
    let tuple = tuple(met.skb, met.hook, packet);
    let socket = met.skb.socket();
    if let Some(socket) = &socket
        && socket.speaks(packet.protocol)
    {
        recall(socket, &tuple, packet, facts);
    }
    if began_here(facts) {
        return Ruling::ASK;
    }
    let Some(seconds) = answers(met, packet, facts) else { return Ruling::ASK };
    let is_kept = packet.protocol == Protocol::UDP || packet.tcp_flags().is_plain();
    facts.decided = if facts.has_socket && is_kept { Decided::Inbound } else { Decided::Nothing };
    facts.end = if seconds == 0 { 0 } else { facts.second + seconds };
    Ruling::allow(Reason::Inbound)
}

/// What a packet is remembered by.
#[inline(always)]
pub fn tuple(skb: Skb, hook: Hook, packet: &Packet) -> Tuple {
    Tuple {
        local: packet.source,
        remote: packet.destination,
        local_port: packet.source_port,
        remote_port: packet.port,
        protocol: packet.protocol,
        interface: if matches!(hook, Hook::Interface) { skb.interface() } else { 0 },
    }
}

/// What the socket remembers of this flow.
#[inline(always)]
fn recall(socket: &PacketSocket, tuple: &Tuple, packet: &Packet, facts: &mut Facts) {
    facts.has_socket = true;
    if let Some(judged) = sockets::judged(socket, tuple) {
        facts.decided = judged.decided();
        facts.is_current = is_current(&judged);
    }
    let (asked, missed) =
        sockets::asked_for(socket, &Backend { addr: packet.destination, port: packet.port });
    if asked.port != Port::ANY {
        facts.endpoint = packet.destination;
        facts.endpoint_port = packet.port;
        facts.lapse = missed;
        facts.addr = asked.addr;
        facts.port = asked.port;
    }
}

/// The workload has begun this flow: it answers nothing, whatever comes back.
#[inline(always)]
fn began_here(facts: &Facts) -> bool {
    facts.is_translated() || matches!(facts.decided, Decided::Allowed | Decided::Audited)
}

/// Whether it answers what came in, and for how many seconds it goes on doing so; 0: as long as its socket lives.
#[inline(always)]
fn answers(met: &Met, packet: &Packet, facts: &Facts) -> Option<u32> {
    let (workload, second, heard) = (met.who.cgroup, facts.second, heard_at(met.hook));
    let mut key = FlowKey::transport(packet.protocol, packet.destination, packet.port, packet.source_port);
    let known = flows::get_heard(workload, &mut key, heard);
    if packet.protocol == Protocol::UDP {
        let flow = known?;
        let left = flow.seconds_left(second);
        let seconds = if left < REMEMBERED_SECONDS { left } else { REMEMBERED_SECONDS };
        return (flow.answers_datagram(second) && seconds > 0).then_some(seconds);
    }
    // What its socket remembers may have been pushed out of the table.
    let is_remembered = facts.decided == Decided::Inbound && !packet.tcp_flags().is_no_answer();
    let before = match known {
        Some(flow) => flow,
        None if is_remembered => Flow::begun_by_remote(second),
        None => return None,
    };
    // What follows a first fragment is payload that nobody looks at any more.
    let payload = if packet.part == Part::Whole { packet.payload } else { u32::MAX };
    match before.answered_by(packet.tcp_flags(), payload, second) {
        Some(now) if now != before => flows::set(workload, &key, now),
        Some(_) => {}
        None if is_remembered => {}
        None => return None,
    }
    Some(0)
}

//! ICMP: echoes are asked of the registry, the rest must belong to something.

use enforcer_common::addr::Port;
use enforcer_common::event::Hook;
use enforcer_common::flow::{ECHO_SECONDS, FlowKey, NEIGHBOUR_SECONDS};
use enforcer_common::packet::{Icmp, Packet, Quoted, icmp, quoted};
use enforcer_common::reason::Reason;
use enforcer_common::verdict::TableFault;

use crate::arrived::heard_at;
use crate::judge::{Facts, Ruling};
use crate::maps::{flows, places};
use crate::sent::Met;

/// What an ICMP message belongs to.
#[inline(never)] // a stack of its own
pub fn look(met: &Met, packet: &Packet, facts: &mut Facts) -> Ruling {
    match icmp(packet) {
        Icmp::Echo => {
            facts.port = Port::ANY;
            Ruling::ASK
        }
        Icmp::EchoReply => {
            let mut key = FlowKey::echo(packet.destination, packet.source_port);
            heard_of(met, &mut key, facts.second, ECHO_SECONDS, Reason::Inbound)
        }
        Icmp::Error => error(met, packet, facts),
        Icmp::Neighbour => neighbour(met, packet, facts.second),
        Icmp::Listener if is_listener_on_link(packet) => Ruling::allow(Reason::LinkControl),
        Icmp::Listener | Icmp::Other => Ruling::deny(Reason::IcmpType),
    }
}

#[inline(always)]
fn is_listener_on_link(packet: &Packet) -> bool {
    packet.destination.is_link_multicast()
        && (packet.source.is_link_local() || packet.source.is_unspecified())
}

#[inline(always)]
fn heard_of(met: &Met, key: &mut FlowKey, second: u32, seconds: u32, reason: Reason) -> Ruling {
    match flows::get_heard(met.who.cgroup, key, heard_at(met.hook)) {
        Some(flow) if flow.is_within(seconds, second) => Ruling::allow(reason),
        _ => Ruling::deny(Reason::NoFlow),
    }
}

/// To the link, or to somebody who has proved to be on it.
#[inline(always)]
fn neighbour(met: &Met, packet: &Packet, second: u32) -> Ruling {
    let to = packet.destination;
    if to.is_link_local() || to.is_neighbour_multicast() {
        return Ruling::allow(Reason::LinkControl);
    }
    heard_of(met, &mut FlowKey::neighbour(to), second, NEIGHBOUR_SECONDS, Reason::LinkControl)
}

/// An error about a packet that the workload has received, which the error quotes.
#[inline(always)]
fn error(met: &Met, packet: &Packet, facts: &mut Facts) -> Ruling {
    let mut quote = Quoted::EMPTY;
    if !quoted(&met.skb, packet, &mut quote) || quote.source != packet.destination {
        return Ruling::deny(Reason::NoFlow);
    }
    if matches!(met.hook, Hook::Interface) && !met.who.is_unknown() {
        match places::is_own(met.who.cgroup, quote.destination) {
            Ok(true) => {}
            Ok(false) => return Ruling::deny(Reason::NoFlow),
            Err(TableFault) => return Ruling::deny(Reason::TableFault),
        }
    }
    let is_echo = quote.protocol == packet.protocol;
    let mut key = if is_echo {
        FlowKey::echo(quote.source, quote.source_port)
    } else {
        FlowKey::transport(quote.protocol, quote.source, quote.source_port, quote.port)
    };
    if let Some(flow) = flows::get_heard(met.who.cgroup, &mut key, heard_at(met.hook))
        && flow.may_be_quoted(quote.protocol, facts.second)
    {
        return Ruling::allow(Reason::Related);
    }
    facts.is_quoted = true;
    facts.protocol = quote.protocol;
    facts.port = if is_echo { Port::ANY } else { quote.source_port };
    Ruling::ASK
}

//! Reading a packet, whichever way it goes.

use enforcer_common::event::Hook;
use enforcer_common::packet::{Network, Packet, network, parse};
use enforcer_common::reason::Reason;

use crate::ctx::skb::Skb;

/// What a packet is.
pub enum Read {
    /// IPv4 or IPv6, and read.
    Ip,
    /// ARP, which begins where the network header of `packet` says.
    Arp,
    /// Nothing that could be read for certain.
    Fault(Reason),
}

/// Reads it into `packet`.
#[inline(never)] // a stack of its own
pub fn packet(skb: Skb, hook: Hook, packet: &mut Packet) -> Read {
    let read = match hook {
        Hook::Packet if skb.is_v6() => parse(&skb, true, 0, packet),
        Hook::Packet => parse(&skb, false, 0, packet),
        _ => match network(&skb) {
            Ok(Network::V4(at)) => parse(&skb, false, at, packet),
            Ok(Network::V6(at)) => parse(&skb, true, at, packet),
            Ok(Network::Arp(at)) => {
                packet.network = at;
                return Read::Arp;
            }
            Err(reason) => Err(reason),
        },
    };
    match read {
        Ok(()) => Read::Ip,
        Err(reason) => Read::Fault(reason),
    }
}

//! Reading a packet, whichever way it goes.

use enforcer_common::event::Hook;
use enforcer_common::packet::{Network, Packet, network, parse};
use enforcer_common::reason::Reason;

use crate::ctx::skb::{Pulled, Skb};

/// What a packet is.
pub enum Read {
    /// IPv4 or IPv6, and read.
    Ip,
    /// ARP, which begins where the network header of `packet` says.
    Arp,
    /// Nothing that could be read for certain.
    Fault(Reason),
}

impl Read {
    #[inline(always)]
    fn of(read: Result<(), Reason>) -> Self {
        match read {
            Ok(()) => Self::Ip,
            Err(reason) => Self::Fault(reason),
        }
    }
}

/// Reads it into `packet`. The hook must be known to the compiler: only programs of interfaces may call what [`Pulled`] does.
#[inline(always)]
pub fn packet(skb: Skb, hook: Hook, packet: &mut Packet) -> Read {
    match hook {
        Hook::Packet => at_socket(skb, packet),
        _ => at_interface(skb, packet),
    }
}

/// Reads what a socket of a cgroup sends or receives into `packet`.
#[inline(never)] // a stack of its own
fn at_socket(skb: Skb, packet: &mut Packet) -> Read {
    Read::of(if skb.is_v6() { parse(&skb, true, 0, packet) } else { parse(&skb, false, 0, packet) })
}

/// Reads what passes an interface into `packet`.
#[inline(never)] // a stack of its own
fn at_interface(skb: Skb, packet: &mut Packet) -> Read {
    let frame = Pulled(skb);
    Read::of(match network(&frame) {
        Ok(Network::V4(at)) => parse(&frame, false, at, packet),
        Ok(Network::V6(at)) => parse(&frame, true, at, packet),
        Ok(Network::Arp(at)) => {
            packet.network = at;
            return Read::Arp;
        }
        Err(reason) => Err(reason),
    })
}

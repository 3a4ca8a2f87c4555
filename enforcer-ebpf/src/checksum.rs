//! Checksums that are written after the last program has looked.

use enforcer_common::addr::Protocol;
use enforcer_common::event::Hook;
use enforcer_common::packet::{Packet, Part};

use crate::ctx::skb::Skb;
use crate::sent::Met;

/// Where TCP and UDP have theirs.
const OF_TCP: u32 = 16;
const OF_UDP: u32 = 6;

/// Whether what is still to be written into a packet is its own checksum, and not its ports or addresses. A packet socket or a guest
/// says itself where; a device without checksum offload writes there (`skb_checksum_help`). That of an inner packet (a tunnel made by the
/// workload) counts as wrong, too: with segmentation offload, what is rewritten there is said by the sender as well.
#[inline(never)] // a stack of its own
pub fn is_in_its_place(met: &Met, packet: &Packet) -> bool {
    // A cgroup sees packets of sockets only, and what raw ones make has no such checksum.
    if matches!(met.hook, Hook::Packet) {
        return true;
    }
    is_own(met.skb, packet.protocol, packet.transport, packet.part == Part::Whole)
}

/// Whether what is still to be written, if anything, is the checksum of the TCP or UDP header that begins at `transport`.
#[inline(always)]
pub fn is_own(skb: Skb, protocol: Protocol, transport: u32, is_whole: bool) -> bool {
    let Some(checksum) = skb.partial_checksum() else { return true };
    let place = match protocol {
        Protocol::TCP => OF_TCP,
        Protocol::UDP => OF_UDP,
        _ => return false,
    };
    is_whole && checksum.start == transport && checksum.offset == place
}

//! Checksums that are written after the last program has looked.

use enforcer_common::addr::Protocol;
use enforcer_common::event::Hook;
use enforcer_common::packet::{Packet, Part};

use crate::sent::Met;

/// Where TCP and UDP have theirs, and how long their headers are.
const OF_TCP: (u32, u32) = (16, 20);
const OF_UDP: (u32, u32) = (6, 8);

/// Whether what is still to be written into a packet is its own checksum, or one of what it carries (a tunnel's), and not its ports or
/// addresses. A packet socket or a guest says itself where; a device without checksum offload writes there (`skb_checksum_help`).
#[inline(never)] // a stack of its own
pub fn is_in_its_place(met: &Met, packet: &Packet) -> bool {
    // A cgroup sees packets of sockets only, and what raw ones make has no such checksum.
    if matches!(met.hook, Hook::Packet) {
        return true;
    }
    let Some(checksum) = met.skb.partial_checksum() else { return true };
    let (place, header) = match packet.protocol {
        Protocol::TCP => OF_TCP,
        Protocol::UDP => OF_UDP,
        _ => return false,
    };
    let is_own = checksum.start == packet.transport && checksum.offset == place;
    packet.part == Part::Whole && (is_own || checksum.start >= packet.transport + header)
}

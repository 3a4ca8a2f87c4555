//! Telling a workload at once that its packet was denied: a TCP reset, or ICMP "administratively prohibited", made of the packet
//! itself and sent back by the interface that it came in by.

use enforcer_common::addr::Protocol;
use enforcer_common::key::CgroupId;
use enforcer_common::packet::{Frame as _, Packet, Part};
use enforcer_common::reason::Reason;

use crate::ctx::skb::{Header, Skb, checksum};
use crate::{ctx, maps};

/// The headers that are made: Ethernet, IPv4, IPv6.
const ETHERNET: u32 = 14;
const IPV4: u32 = 20;
const IPV6: u32 = 40;
const TCP: u32 = 20;
/// An ICMP header.
const ICMP: u32 = 8;
/// As much of the denied packet as an ICMP message quotes here: its header and the ports.
const QUOTE: u32 = 8;
/// The hop limit of what is made.
const HOPS: u8 = 64;

/// What a workload is owed for a denied packet.
#[derive(Clone, Copy)]
enum Owed {
    Nothing,
    Reset,
    Prohibited,
}

/// Turns the packet into its refusal; what the program has to return then. `None`: it is only dropped.
#[inline(always)]
pub fn refuse(skb: Skb, workload: CgroupId, reason: Reason, packet: &Packet) -> Option<i32> {
    let done = match owed(workload, reason, packet) {
        Owed::Nothing => return None,
        Owed::Reset => reset(skb, packet),
        Owed::Prohibited => prohibited(skb, packet),
    };
    done.then(|| skb.send_back())
}

#[inline(never)] // a stack of its own
fn owed(workload: CgroupId, reason: Reason, packet: &Packet) -> Owed {
    if !is_owed(reason) || packet.network != ETHERNET || packet.extended || packet.part != Part::Whole {
        return Owed::Nothing;
    }
    if packet.destination.is_for_many() || packet.source.is_for_many() || packet.source.is_unspecified() {
        return Owed::Nothing;
    }
    if packet.protocol == Protocol::TCP {
        return if packet.tcp_flags().is_rst() { Owed::Nothing } else { Owed::Reset };
    }
    let is_answered = packet.protocol == Protocol::UDP || is_echo(packet);
    if is_answered && maps::spend_refusal(workload, ctx::now_ns()) { Owed::Prohibited } else { Owed::Nothing }
}

#[inline(always)]
fn reset(skb: Skb, packet: &Packet) -> bool {
    if packet.is_v6 { reset_v6(skb, packet) } else { reset_v4(skb, packet) }
}

#[inline(never)] // a stack of its own
fn prohibited(skb: Skb, packet: &Packet) -> bool {
    if packet.is_v6 { prohibited_v6(skb) } else { prohibited_v4(skb) }
}

/// What cannot be trusted to be what it says gets no answer.
#[inline(always)]
const fn is_owed(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotRegistered
            | Reason::NeedsName
            | Reason::NoBackend
            | Reason::PolicyUnknown
            | Reason::UnknownWorkload
            | Reason::TableFault
            | Reason::NotTranslated
            | Reason::NoFlow
    )
}

#[inline(always)]
const fn is_echo(packet: &Packet) -> bool {
    packet.flags == if packet.is_v6 { 128 } else { 8 }
}

/// The Ethernet header, the other way round.
#[inline(always)]
fn turn_ethernet(skb: Skb) -> bool {
    let (mut to, mut from) = ([0; 6], [0; 6]);
    skb.load(0, &mut to) && skb.load(6, &mut from) && skb.store(0, &from) && skb.store(6, &to)
}

/// A reset that the sender's kernel believes: with the sequence number that it expects (RFC 9293 §3.10.7).
#[inline(always)]
fn segment(segment: &[u8; TCP as usize], packet: &Packet) -> [u8; TCP as usize] {
    let flags = packet.tcp_flags();
    let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
    let length = packet.payload + flags.begins() as u32 + flags.is_fin() as u32;
    let mut back = [0; TCP as usize];
    back[..2].copy_from_slice(&segment[2..4]);
    back[2..4].copy_from_slice(&segment[..2]);
    if flags.is_ack() {
        back[4..8].copy_from_slice(&segment[8..12]);
    }
    back[8..12].copy_from_slice(&sequence.wrapping_add(length).to_be_bytes());
    // Five words; RST and ACK.
    back[12] = 0x50;
    back[13] = 0x14;
    back
}

#[inline(never)] // a stack of its own
fn reset_v4(skb: Skb, packet: &Packet) -> bool {
    let (mut ip, mut tcp) = (Header::<{ IPV4 as usize }>::NONE, Header::<{ TCP as usize }>::NONE);
    let (ip, tcp) = (&mut ip.0, &mut tcp.0);
    if !skb.load(ETHERNET, ip) || !skb.load(packet.transport, tcp) {
        return false;
    }
    let mut back = header_v4(ip, TCP, 6);
    let mut segment = segment(tcp, packet);
    let sum = checksum(&mut addresses_v4(ip), u32::from(6_u16.to_be()) + u32::from(20_u16.to_be()));
    let [high, low] = fold(checksum(&mut segment, sum));
    (segment[16], segment[17]) = (high, low);
    let [high, low] = fold(checksum(&mut back, 0));
    (back[10], back[11]) = (high, low);
    skb.resize(ETHERNET + IPV4 + TCP)
        && turn_ethernet(skb)
        && skb.store(ETHERNET, &back)
        && skb.store(ETHERNET + IPV4, &segment)
}

#[inline(never)] // a stack of its own
fn reset_v6(skb: Skb, packet: &Packet) -> bool {
    let (mut ip, mut tcp) = (Header::<{ IPV6 as usize }>::NONE, Header::<{ TCP as usize }>::NONE);
    let (ip, tcp) = (&mut ip.0, &mut tcp.0);
    if !skb.load(ETHERNET, ip) || !skb.load(packet.transport, tcp) {
        return false;
    }
    let back = header_v6(ip, TCP, 6);
    let mut segment = segment(tcp, packet);
    let sum = checksum(&mut addresses_v6(ip), u32::from(6_u16.to_be()) + u32::from(20_u16.to_be()));
    let [high, low] = fold(checksum(&mut segment, sum));
    (segment[16], segment[17]) = (high, low);
    skb.resize(ETHERNET + IPV6 + TCP)
        && turn_ethernet(skb)
        && skb.store(ETHERNET, &back)
        && skb.store(ETHERNET + IPV6, &segment)
}

/// Destination unreachable, communication administratively prohibited (RFC 1812 §5.2.7.1).
#[inline(always)]
fn prohibited_v4(skb: Skb) -> bool {
    let mut quote = Header::<{ (IPV4 + QUOTE) as usize }>::NONE;
    let quote = &mut quote.0;
    if !skb.load(ETHERNET, quote) {
        return false;
    }
    let mut back = header_v4(quote, ICMP + IPV4 + QUOTE, 1);
    let [high, low] = fold(checksum(&mut back, 0));
    (back[10], back[11]) = (high, low);
    let mut message = [3, 13, 0, 0, 0, 0, 0, 0];
    let [high, low] = fold(checksum(&mut message, checksum(quote, 0)));
    (message[2], message[3]) = (high, low);
    skb.resize(ETHERNET + IPV4 + ICMP + IPV4 + QUOTE)
        && turn_ethernet(skb)
        && skb.store(ETHERNET, &back)
        && skb.store(ETHERNET + IPV4, &message)
        && skb.store(ETHERNET + IPV4 + ICMP, quote)
}

/// The same of IPv6 (RFC 4443 §3.1).
#[inline(always)]
fn prohibited_v6(skb: Skb) -> bool {
    let mut quote = Header::<{ (IPV6 + QUOTE) as usize }>::NONE;
    let quote = &mut quote.0;
    if !skb.load(ETHERNET, quote) {
        return false;
    }
    let length = ICMP + IPV6 + QUOTE;
    let back = header_v6(quote, length, 58);
    let mut message = [1, 1, 0, 0, 0, 0, 0, 0];
    let sum = u32::from(58_u16.to_be()) + u32::from(56_u16.to_be());
    let sum = checksum(&mut addresses_v6(quote), sum);
    let sum = checksum(quote, sum);
    let [high, low] = fold(checksum(&mut message, sum));
    (message[2], message[3]) = (high, low);
    skb.resize(ETHERNET + IPV6 + length)
        && turn_ethernet(skb)
        && skb.store(ETHERNET, &back)
        && skb.store(ETHERNET + IPV6, &message)
        && skb.store(ETHERNET + IPV6 + ICMP, quote)
}

/// From where the packet was going to where it came from; its checksum is still 0.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // a few dozen bytes
fn header_v4<const N: usize>(ip: &[u8; N], payload: u32, protocol: u8) -> [u8; IPV4 as usize] {
    let length = (IPV4 + payload) as u8;
    [
        0x45, 0, 0, length, 0, 0, 0x40, 0, HOPS, protocol, 0, 0, ip[16], ip[17], ip[18], ip[19], ip[12],
        ip[13], ip[14], ip[15],
    ]
}

#[inline(always)]
fn addresses_v4<const N: usize>(ip: &[u8; N]) -> [u8; 8] {
    [ip[12], ip[13], ip[14], ip[15], ip[16], ip[17], ip[18], ip[19]]
}

/// The same of IPv6, which has no checksum.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // a few dozen bytes
fn header_v6<const N: usize>(ip: &[u8; N], payload: u32, protocol: u8) -> [u8; IPV6 as usize] {
    let mut back = [0; IPV6 as usize];
    back[0] = 0x60;
    back[5] = payload as u8;
    back[6] = protocol;
    back[7] = HOPS;
    back[8..24].copy_from_slice(&ip[24..40]);
    back[24..40].copy_from_slice(&ip[8..24]);
    back
}

#[inline(always)]
fn addresses_v6<const N: usize>(ip: &[u8; N]) -> [u8; 32] {
    let mut addresses = [0; 32];
    addresses.copy_from_slice(&ip[8..40]);
    addresses
}

/// The checksum of a sum of 32 bits, as it stands in a header.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // folded
fn fold(sum: u32) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_ne_bytes()
}

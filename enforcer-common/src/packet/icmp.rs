//! `docs/packets.md` §6: ICMP (RFC 792, RFC 4443) and the packet that an error quotes.

use crate::addr::{Addr, Port, Protocol, word_at};
use crate::packet::{Frame, Packet, Part, v4, v6};
use crate::reason::Reason;

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Icmp {
    /// Is somebody there?
    Echo,
    /// Somebody is.
    EchoReply,
    /// A packet did not arrive; it is quoted.
    Error,
    /// Who has this address on the link, or which router is there.
    Neighbour,
    /// Who listens to a multicast address on the link.
    Listener,
    /// All else.
    Other,
}

/// Error messages are not longer (RFC 1812 §4.3.2.3, RFC 4443 §2.4).
const LONGEST_V4: u32 = 576;
const LONGEST_V6: u32 = 1_280;
/// Neighbour discovery with all the options that anybody uses.
const LONGEST_NEIGHBOUR: u32 = 128;
/// A report of listeners: some twenty groups. Who listens to more sends several (RFC 3810 §5.2.15).
const LONGEST_LISTENER: u32 = 512;

/// The header that all messages have.
#[inline(always)]
pub(super) fn message<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let mut header = [0; 8];
    if packet.end - packet.transport < 8 || !frame.load(packet.transport, &mut header) {
        return Err(Reason::Malformed);
    }
    packet.flags = header[0];
    packet.code = header[1];
    packet.source_port = Port::new(u16::from_be_bytes([header[4], header[5]]));
    packet.payload = packet.end - packet.transport - 8;
    Ok(())
}

/// What this message is for; [`Icmp::Other`] also for one that is not as its kind has to be.
#[inline(always)]
pub const fn icmp(packet: &Packet) -> Icmp {
    // Of the first part of an error, or of what is for neighbours, it cannot be known how long it is.
    let is_whole = matches!(packet.part, Part::Whole);
    if !is_whole && !matches!((packet.is_v6, packet.flags), (false, 0 | 8) | (true, 128 | 129)) {
        return Icmp::Other;
    }
    if packet.is_v6 { of_v6(packet) } else { of_v4(packet) }
}

#[inline(always)]
const fn of_v4(packet: &Packet) -> Icmp {
    match (packet.flags, packet.code) {
        (8, 0) => Icmp::Echo,
        (0, 0) => Icmp::EchoReply,
        (3 | 11 | 12, _) if packet.end - packet.network <= LONGEST_V4 => Icmp::Error,
        _ => Icmp::Other,
    }
}

#[inline(always)]
const fn of_v6(packet: &Packet) -> Icmp {
    match (packet.flags, packet.code) {
        (128, 0) => Icmp::Echo,
        (129, 0) => Icmp::EchoReply,
        (1..=4, _) if packet.end - packet.network <= LONGEST_V6 => Icmp::Error,
        (133 | 135 | 136, 0) if is_of_neighbour(packet) => Icmp::Neighbour,
        (131 | 132 | 143, _) if is_of_listener(packet) => Icmp::Listener,
        _ => Icmp::Other,
    }
}

/// Only a neighbour can have sent this: no router has passed it on.
#[inline(always)]
pub(crate) const fn is_of_neighbour(packet: &Packet) -> bool {
    packet.hop_limit == 255 && !packet.extended && packet.end - packet.transport <= LONGEST_NEIGHBOUR
}

/// Who listens is told to the link alone, with a hop-by-hop header for its routers (RFC 3810 §5).
const fn is_of_listener(packet: &Packet) -> bool {
    packet.hop_limit == 1
        && (!packet.extended || packet.is_hop_by_hop_only)
        && packet.end - packet.transport <= LONGEST_LISTENER
}

/// The flow of the packet that an error quotes, as its sender had it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// From where.
    pub source: Addr,
    /// To where.
    pub destination: Addr,
    /// TCP, UDP, or the ICMP of an echo.
    pub protocol: Protocol,
    /// Its port, or the echo's identifier.
    pub source_port: Port,
    /// The port there.
    pub port: Port,
}

impl Quoted {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        source: Addr::UNSPECIFIED,
        destination: Addr::UNSPECIFIED,
        protocol: Protocol::ANY,
        source_port: Port::ANY,
        port: Port::ANY,
    };
}

/// Reads what the error `packet` quotes: an IP header without extension headers and the first eight bytes behind it.
#[inline(always)]
pub fn quoted<F: Frame>(frame: &F, packet: &Packet, quoted: &mut Quoted) -> bool {
    let at = packet.transport + 8;
    let length = if packet.is_v6 { v6::quoted(frame, at, quoted) } else { v4::quoted(frame, at, quoted) };
    let mut transport = [0; 8];
    if length == 0 || at + length + 8 > packet.end || !frame.load(at + length, &mut transport) {
        return false;
    }
    let port = |at: usize| Port::new(u16::from_be_bytes([transport[at], transport[at + 1]]));
    match quoted.protocol {
        Protocol::TCP | Protocol::UDP => {
            quoted.source_port = port(0);
            quoted.port = port(2);
            true
        }
        _ => {
            quoted.source_port = port(4);
            word_at(&transport, 0) & u32::from_ne_bytes([0xff, 0xff, 0, 0])
                == u32::from_ne_bytes([if packet.is_v6 { 128 } else { 8 }, 0, 0, 0])
        }
    }
}

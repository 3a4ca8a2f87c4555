//! `docs/packets.md` §3: IPv6 (RFC 8200).

use crate::addr::{Addr, Port, Protocol, word_at};
use crate::packet::{Frame, Packet, Part, Quoted, first_harmless};
use crate::reason::Reason;

/// The fixed header.
const HEADER: u32 = 40;
/// Extension headers that are looked through.
const EXTENSIONS: usize = 6;
/// Next headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;

#[inline(always)]
pub(super) fn header<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let mut header = [0; HEADER as usize];
    if !frame.load(packet.network, &mut header) {
        return Err(Reason::Malformed);
    }
    let length = u16::from_be_bytes([header[4], header[5]]) as u32;
    let has = frame.length() - packet.network - HEADER;
    if header[0] >> 4 != 6 || length > has || (length == 0 && header[6] != NO_NEXT_HEADER) {
        return Err(Reason::Malformed);
    }
    packet.source = Addr::v6_at(&header, 8);
    packet.destination = Addr::v6_at(&header, 24);
    packet.hop_limit = header[7];
    packet.transport = packet.network + HEADER;
    packet.end = packet.transport + length;
    packet.source_port = Port::ANY;
    packet.port = Port::ANY;
    let last = extensions(frame, header[6], packet)?;
    packet.protocol = Protocol::new(last);
    if packet.protocol != Protocol::TCP
        && packet.protocol != Protocol::UDP
        && packet.protocol != Protocol::ICMPV6
    {
        return Err(Reason::Protocol);
    }
    Ok(())
}

/// Looks through the extension headers; the protocol behind them.
#[inline(always)]
fn extensions<F: Frame>(frame: &F, first: u8, packet: &mut Packet) -> Result<u8, Reason> {
    let mut next = first;
    for _ in 0..EXTENSIONS {
        if !is_extension(next) {
            return Ok(next);
        }
        packet.is_hop_by_hop_only = !packet.extended && next == HOP_BY_HOP;
        packet.extended = true;
        let mut extension = [0; 8];
        if packet.end - packet.transport < 8 || !frame.load(packet.transport, &mut extension) {
            return Err(Reason::Malformed);
        }
        if next == FRAGMENT {
            return fragment(&extension, packet);
        }
        // Type 0, or somewhere else to go first (RFC 5095).
        if next == ROUTING && (extension[2] == 0 || extension[3] != 0) {
            return Err(Reason::SourceRoute);
        }
        let length = (extension[1] as u32 + 1) * 8;
        if length > packet.end - packet.transport {
            return Err(Reason::Malformed);
        }
        packet.transport = F::same(packet.transport + length);
        next = extension[0];
    }
    if is_extension(next) { Err(Reason::ExtensionHeaders) } else { Ok(next) }
}

#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

/// The fragment header: behind it only the transport may begin. An atomic fragment (RFC 6946) is a first one.
#[inline(always)]
fn fragment(extension: &[u8; 8], packet: &mut Packet) -> Result<u8, Reason> {
    let field = u16::from_be_bytes([extension[2], extension[3]]);
    let offset = (field >> 3) as u32;
    packet.transport += 8;
    packet.identification = word_at(extension, 4);
    packet.protocol = Protocol::new(extension[0]);
    if is_extension(extension[0]) {
        return Err(Reason::ExtensionHeaders);
    }
    packet.part = if offset == 0 { Part::First } else { Part::Later };
    if packet.part == Part::Later && offset < first_harmless(Protocol::new(extension[0])) {
        return Err(Reason::Fragment);
    }
    Ok(extension[0])
}

/// The header of a quoted packet without extension headers: its length, 0 for one that is none.
#[inline(always)]
pub(super) fn quoted<F: Frame>(frame: &F, at: u32, quoted: &mut Quoted) -> u32 {
    let mut header = [0; HEADER as usize];
    if !frame.load(at, &mut header) {
        return 0;
    }
    quoted.source = Addr::v6_at(&header, 8);
    quoted.destination = Addr::v6_at(&header, 24);
    quoted.protocol = Protocol::new(header[6]);
    let known = matches!(quoted.protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMPV6);
    if header[0] >> 4 == 6 && known { HEADER } else { 0 }
}

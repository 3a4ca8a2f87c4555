//! `docs/packets.md` §2: IPv4 (RFC 791).

use crate::addr::{Addr, Port, Protocol};
use crate::packet::{Frame, Packet, Part, Quoted, first_harmless};
use crate::reason::Reason;

/// The header without options.
const HEADER: u32 = 20;
/// Options are at most this long.
const OPTIONS: usize = 40;
/// Option types.
const END_OF_LIST: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
/// Of the fragment field: more fragments follow.
const MORE: u16 = 0x2000;
/// Of the fragment field: the offset in units of eight bytes.
const OFFSET: u16 = 0x1fff;

#[inline(always)]
pub(super) fn header<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let mut header = [0; HEADER as usize];
    if !frame.load(packet.network, &mut header) {
        return Err(Reason::Malformed);
    }
    let length = (header[0] & 0xf) as u32 * 4;
    let total = u16::from_be_bytes([header[2], header[3]]) as u32;
    let has = frame.length() - packet.network;
    if header[0] >> 4 != 4 || length < HEADER || length > total || total > has {
        return Err(Reason::Malformed);
    }
    packet.source = Addr::v4_at(&header, 12);
    packet.destination = Addr::v4_at(&header, 16);
    packet.protocol = Protocol::new(header[9]);
    packet.hop_limit = header[8];
    packet.transport = packet.network + length;
    packet.end = packet.network + total;
    packet.extended = length > HEADER;
    packet.identification = u16::from_be_bytes([header[4], header[5]]) as u32;
    if packet.extended {
        options(frame, packet.network + HEADER, packet.transport)?;
    }
    fragment(u16::from_be_bytes([header[6], header[7]]), packet)
}

#[inline(always)]
fn fragment(field: u16, packet: &mut Packet) -> Result<(), Reason> {
    let offset = (field & OFFSET) as u32;
    if packet.protocol != Protocol::TCP
        && packet.protocol != Protocol::UDP
        && packet.protocol != Protocol::ICMP
    {
        return Err(Reason::Protocol);
    }
    packet.part = match (offset, field & MORE) {
        (0, 0) => Part::Whole,
        (0, _) => Part::First,
        _ => Part::Later,
    };
    packet.source_port = Port::ANY;
    packet.port = Port::ANY;
    if packet.part == Part::Later && offset < first_harmless(packet.protocol) {
        return Err(Reason::Fragment);
    }
    Ok(())
}

/// Walks the options: none may say which way to go (RFC 7126 §4.3), and all must be within the header.
#[inline(always)]
fn options<F: Frame>(frame: &F, mut at: u32, end: u32) -> Result<(), Reason> {
    let end = F::same(end);
    for _ in 0..OPTIONS {
        at = F::same(at);
        let mut kind = [0; 1];
        if at >= end {
            return Ok(());
        }
        if !frame.load(at, &mut kind) {
            return Err(Reason::Malformed);
        }
        match kind[0] {
            END_OF_LIST => return Ok(()),
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Reason::SourceRoute),
            NO_OPERATION => at += 1,
            _ => {
                let mut length = [0; 1];
                if at + 1 >= end || !frame.load(at + 1, &mut length) {
                    return Err(Reason::Malformed);
                }
                if length[0] < 2 || at + length[0] as u32 > end {
                    return Err(Reason::Malformed);
                }
                at += length[0] as u32;
            }
        }
    }
    if at >= end { Ok(()) } else { Err(Reason::Malformed) }
}

/// The header of a quoted packet: its length, 0 for one that is none.
#[inline(always)]
pub(super) fn quoted<F: Frame>(frame: &F, at: u32, quoted: &mut Quoted) -> u32 {
    let mut header = [0; HEADER as usize];
    if !frame.load(at, &mut header) {
        return 0;
    }
    let length = (header[0] & 0xf) as u32 * 4;
    // A later fragment has no ports.
    let offset = u16::from_be_bytes([header[6], header[7]]) & OFFSET;
    quoted.source = Addr::v4_at(&header, 12);
    quoted.destination = Addr::v4_at(&header, 16);
    quoted.protocol = Protocol::new(header[9]);
    let known = matches!(quoted.protocol, Protocol::TCP | Protocol::UDP | Protocol::ICMP);
    if header[0] >> 4 == 4 && length >= HEADER && offset == 0 && known { length } else { 0 }
}

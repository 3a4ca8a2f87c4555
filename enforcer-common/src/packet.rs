//! What a frame says of itself: the rules of `docs/packets.md`, §1 to §4, once for the kernel and its tests.
//!
//! Generic over [`Frame`], which the kernel implements with its packet buffer. Every loop has a small fixed bound. A frame that
//! cannot be read for certain is a [`Reason`] to deny it.

mod ethernet;
mod icmp;
mod v4;
mod v6;

use crate::addr::{Addr, Port, Protocol};
use crate::flow::TcpFlags;
use crate::reason::Reason;

pub use ethernet::{Arp, Network, network};
pub use icmp::{Icmp, Quoted, icmp, quoted};

/// The bytes of a packet.
pub trait Frame {
    /// How many there are.
    fn length(&self) -> u32;
    /// Reads the bytes from `at` on; false when they end before `into` is full.
    fn load<const N: usize>(&self, at: u32, into: &mut [u8; N]) -> bool;
    /// The same number. The kernel's verifier forgets here what it knows of it: it would walk the rest of a loop once for each
    /// value that the number may have.
    #[inline(always)]
    fn same(number: u32) -> u32 {
        number
    }
}

/// Whether it is a part of a datagram.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// The part with the ports.
    First = 1,
    /// A part without.
    Later = 2,
}

/// An IPv4 or IPv6 packet, as far as a decision needs it. Without padding: the kernel's programs copy it word by word.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// From where.
    pub source: Addr,
    /// To where.
    pub destination: Addr,
    /// Whether it is a fragment.
    pub part: Part,
    /// Of which datagram.
    pub identification: u32,
    /// Where the IP header begins, from the beginning of the frame.
    pub network: u32,
    /// Where the transport header begins.
    pub transport: u32,
    /// Where the packet ends; what follows in the frame is padding.
    pub end: u32,
    /// Bytes behind the transport header.
    pub payload: u32,
    /// TCP's flags; the type of an ICMP message.
    pub flags: u8,
    /// The code of an ICMP message.
    pub code: u8,
    /// How many routers may still pass it on.
    pub hop_limit: u8,
    /// TCP, UDP, ICMP or `ICMPv6`.
    pub protocol: Protocol,
    /// TCP's and UDP's; the identifier of an echo.
    pub source_port: Port,
    /// TCP's and UDP's.
    pub port: Port,
    /// Has IPv4 options or IPv6 extension headers.
    pub extended: bool,
    /// Has one extension header, for every hop.
    pub is_hop_by_hop_only: bool,
    /// IPv6.
    pub is_v6: bool,
    pad: [u8; 5],
}

const _: () = assert!(size_of::<Packet>() == 72);

impl Packet {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        source: Addr::UNSPECIFIED,
        destination: Addr::UNSPECIFIED,
        part: Part::Whole,
        identification: 0,
        network: 0,
        transport: 0,
        end: 0,
        payload: 0,
        flags: 0,
        code: 0,
        hop_limit: 0,
        protocol: Protocol::ANY,
        source_port: Port::ANY,
        port: Port::ANY,
        extended: false,
        is_hop_by_hop_only: false,
        is_v6: false,
        pad: [0; 5],
    };

    /// TCP's flags.
    #[inline(always)]
    pub const fn tcp_flags(&self) -> TcpFlags {
        TcpFlags::new(self.flags)
    }
}

/// Reads the IPv4 or IPv6 packet that begins at `network`.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, is_v6: bool, network: u32, packet: &mut Packet) -> Result<(), Reason> {
    packet.network = network;
    packet.is_v6 = is_v6;
    if is_v6 {
        v6::header(frame, packet)?;
    } else {
        v4::header(frame, packet)?;
    }
    if packet.part == Part::Later {
        return Ok(());
    }
    transport(frame, packet)
}

/// The first offset, in units of eight bytes, at which a later fragment cannot change what was decided over the first.
#[inline(always)]
const fn first_harmless(protocol: Protocol) -> u32 {
    if protocol.get() == Protocol::TCP.get() { 3 } else { 1 }
}

#[inline(always)]
fn transport<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    match packet.protocol {
        Protocol::TCP => tcp(frame, packet),
        Protocol::UDP => udp(frame, packet),
        _ => icmp::message(frame, packet),
    }
}

#[inline(always)]
fn tcp<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let mut header = [0; 20];
    if packet.end - packet.transport < 20 || !frame.load(packet.transport, &mut header) {
        return Err(Reason::Malformed);
    }
    let length = (header[12] >> 4) as u32 * 4;
    let has = packet.end - packet.transport;
    if length < 20 || length > has {
        return Err(Reason::Malformed);
    }
    ports(&[header[0], header[1], header[2], header[3]], packet);
    packet.flags = header[13];
    packet.payload = has - length;
    Ok(())
}

#[inline(always)]
fn udp<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let mut header = [0; 8];
    if packet.end - packet.transport < 8 || !frame.load(packet.transport, &mut header) {
        return Err(Reason::Malformed);
    }
    let length = u16::from_be_bytes([header[4], header[5]]) as u32;
    let has = packet.end - packet.transport;
    if length < 8 || (length > has && packet.part == Part::Whole) {
        return Err(Reason::Malformed);
    }
    ports(&[header[0], header[1], header[2], header[3]], packet);
    packet.payload = has - 8;
    Ok(())
}

#[inline(always)]
const fn ports(bytes: &[u8; 4], packet: &mut Packet) {
    packet.source_port = Port::new(u16::from_be_bytes([bytes[0], bytes[1]]));
    packet.port = Port::new(u16::from_be_bytes([bytes[2], bytes[3]]));
}

#[cfg(test)]
mod tests;

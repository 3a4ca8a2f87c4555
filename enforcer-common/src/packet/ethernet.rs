//! `docs/packets.md` §1: the frame up to the network header.

use crate::addr::{Addr, word_at};
use crate::packet::Frame;
use crate::reason::Reason;

/// The length of an Ethernet header.
const HEADER: u32 = 14;
/// The length of a VLAN tag.
const TAG: u32 = 4;
/// Ethertypes.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;
const SERVICE_VLAN: u16 = 0x88a8;

/// What a frame carries, and where that begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// An IPv4 packet.
    V4(u32),
    /// An IPv6 packet.
    V6(u32),
    /// An ARP message.
    Arp(u32),
}

/// Looks behind the Ethernet header and up to two VLAN tags.
#[inline(always)]
pub fn network<F: Frame>(frame: &F) -> Result<Network, Reason> {
    let mut kind = [0; 2];
    if frame.length() < HEADER || !frame.load(12, &mut kind) {
        return Err(Reason::Malformed);
    }
    let mut at = HEADER;
    for _ in 0..2 {
        if is_tag(u16::from_be_bytes(kind)) {
            if !frame.load(at + 2, &mut kind) {
                return Err(Reason::Malformed);
            }
            at += TAG;
        }
    }
    match u16::from_be_bytes(kind) {
        IPV4 => Ok(Network::V4(at)),
        IPV6 => Ok(Network::V6(at)),
        ARP => Ok(Network::Arp(at)),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
const fn is_tag(kind: u16) -> bool {
    kind == VLAN || kind == SERVICE_VLAN
}

/// An ARP message (RFC 826).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Who speaks.
    pub sender: Addr,
}

/// The most that an ARP message and its padding have: frames are padded to 60 bytes.
const ARP_MOST: u32 = 60;

impl Arp {
    /// Reads the message that begins at `at`: Ethernet over IPv4, a request or a reply, and nothing behind it but padding.
    #[inline(always)]
    pub fn parse<F: Frame>(frame: &F, at: u32) -> Result<Self, Reason> {
        let mut message = [0; 28];
        if !frame.load(at, &mut message) || frame.length() - at > ARP_MOST {
            return Err(Reason::Malformed);
        }
        let is_ethernet = word_at(&message, 0) == u32::from_ne_bytes([0, 1, 8, 0]);
        let is_v4 = message[4] == 6 && message[5] == 4;
        let asks_or_answers = message[6] == 0 && (message[7] == 1 || message[7] == 2);
        if !is_ethernet || !is_v4 || !asks_or_answers {
            return Err(Reason::Malformed);
        }
        Ok(Self { sender: Addr::v4_at(&message, 14) })
    }
}

//! The transport header (§4).

use super::flows::Flow;
use super::{Packet, Part, Spoken, deny, number_at};

/// What a transport header says.
pub(super) enum Transport {
    Icmp(Message),
    Tcp(Segment),
    Udp { source_port: u16, destination_port: u16 },
}

/// Of ICMP and `ICMPv6`.
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// Of an echo.
    pub(super) identifier: u16,
    /// What follows the first eight bytes.
    pub(super) body: Vec<u8>,
}

/// Of TCP.
#[allow(clippy::struct_excessive_bools)] // flags they are
pub(super) struct Segment {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    /// Whether there is anything behind the header.
    pub(super) has_payload: bool,
}

impl Segment {
    /// The flow that it is of, when it leaves.
    pub(super) fn leaving(&self, packet: &Packet) -> Flow {
        let (own_port, remote_port) = (self.source_port, self.destination_port);
        Flow { own_port, remote: packet.destination, remote_port }
    }

    /// The flow that it is of, when it comes in.
    pub(super) fn arriving(&self, packet: &Packet) -> Flow {
        let (own_port, remote_port) = (self.destination_port, self.source_port);
        Flow { own_port, remote: packet.source, remote_port }
    }
}

pub(super) fn read(packet: &Packet) -> Spoken<Transport> {
    // A first fragment that lacks some of the header is a fragment to deny, a whole packet is malformed.
    let cut = deny(if packet.part == Part::Whole { "malformed" } else { "fragment" });
    let bytes = &packet.payload;
    if packet.protocol == 6 {
        if bytes.len() < 20 {
            return Err(cut);
        }
        let header = usize::from(bytes[12] >> 4) * 4;
        if header < 20 {
            return Err(deny("malformed"));
        }
        if header > bytes.len() {
            return Err(cut);
        }
        let flag = |bit| bytes[13] & bit != 0;
        return Ok(Transport::Tcp(Segment {
            source_port: number_at(bytes, 0).ok_or(cut)?,
            destination_port: number_at(bytes, 2).ok_or(cut)?,
            syn: flag(0x02),
            ack: flag(0x10),
            fin: flag(0x01),
            rst: flag(0x04),
            has_payload: bytes.len() > header,
        }));
    }
    if bytes.len() < 8 {
        return Err(cut);
    }
    if packet.protocol == 17 {
        let length = usize::from(number_at(bytes, 4).ok_or(cut)?);
        // In doubt: that it is beyond the payload is no fault of a fragment, that it is below 8 is.
        if length < 8 || (packet.part == Part::Whole && length > bytes.len()) {
            return Err(deny("malformed"));
        }
        let source_port = number_at(bytes, 0).ok_or(cut)?;
        return Ok(Transport::Udp { source_port, destination_port: number_at(bytes, 2).ok_or(cut)? });
    }
    // ICMPv6 errors quote an IPv6 header at least.
    if packet.protocol == 58 && bytes[0] < 128 && bytes.len() < 48 {
        return Err(cut);
    }
    let identifier = number_at(bytes, 4).ok_or(cut)?;
    Ok(Transport::Icmp(Message { kind: bytes[0], code: bytes[1], identifier, body: bytes[8..].to_vec() }))
}

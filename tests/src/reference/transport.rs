//! The transport header (§4).

use super::{Packet, Part, Spoken, deny, number_at};

/// What a transport header says.
pub(super) enum Transport {
    Icmp {
        kind: u8,
        code: u8,
        /// What follows the first eight bytes.
        body: Vec<u8>,
    },
    Tcp {
        destination_port: u16,
        syn: bool,
        ack: bool,
    },
    Udp {
        source_port: u16,
        destination_port: u16,
    },
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
        let (syn, ack) = (bytes[13] & 0x02 != 0, bytes[13] & 0x10 != 0);
        return Ok(Transport::Tcp { destination_port: number_at(bytes, 2).ok_or(cut)?, syn, ack });
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
    Ok(Transport::Icmp { kind: bytes[0], code: bytes[1], body: bytes[8..].to_vec() })
}

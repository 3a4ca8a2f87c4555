//! IPv4 (§2).

use std::net::{IpAddr, Ipv4Addr};

use super::{Packet, Part, Spoken, deny, number_at};

pub(super) fn read(bytes: &[u8]) -> Spoken<Packet> {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return Err(deny("malformed"));
    }
    let header = usize::from(bytes[0] & 15) * 4;
    let total = usize::from(number_at(bytes, 2).ok_or(deny("malformed"))?);
    if header < 20 || header > bytes.len() || total < header || total > bytes.len() {
        return Err(deny("malformed"));
    }
    options(&bytes[20..header])?;
    let protocol = bytes[9];
    if ![1, 6, 17].contains(&protocol) {
        return Err(deny("protocol"));
    }
    let identification = u32::from(number_at(bytes, 4).ok_or(deny("malformed"))?);
    let flags = number_at(bytes, 6).ok_or(deny("malformed"))?;
    let more = flags & 0x2000 != 0;
    let part = match flags & 0x1fff {
        0 if more => Part::First(identification),
        0 => Part::Whole,
        offset => Part::Later(identification, offset),
    };
    Ok(Packet {
        source: address(&bytes[12..16]),
        destination: address(&bytes[16..20]),
        protocol,
        hop_limit: bytes[8],
        extensions: Vec::new(),
        part,
        payload: bytes[header..total].to_vec(),
        length: total,
    })
}

fn options(options: &[u8]) -> Spoken<()> {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return Ok(()),
            1 => at += 1,
            option => {
                let length = usize::from(*options.get(at + 1).ok_or(deny("malformed"))?);
                if length < 2 || at + length > options.len() {
                    return Err(deny("malformed"));
                }
                if option == 131 || option == 137 {
                    return Err(deny("source_route"));
                }
                at += length;
            }
        }
    }
    Ok(())
}

/// The address in four bytes.
pub(super) fn address(bytes: &[u8]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
}

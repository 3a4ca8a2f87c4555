//! IPv6 (§3).

use std::net::{IpAddr, Ipv6Addr};

use super::{Packet, Part, Spoken, deny, number_at};

const HEADER: usize = 40;
const MOST_EXTENSIONS: usize = 6;
const FRAGMENT: u8 = 44;
const NO_NEXT: u8 = 59;

pub(super) fn read(bytes: &[u8]) -> Spoken<Packet> {
    if bytes.len() < HEADER || bytes[0] >> 4 != 6 {
        return Err(deny("malformed"));
    }
    let length = usize::from(number_at(bytes, 4).ok_or(deny("malformed"))?);
    if HEADER + length > bytes.len() || (length == 0 && bytes[6] != NO_NEXT) {
        return Err(deny("malformed"));
    }
    let chain = chain(bytes[6], &bytes[HEADER..HEADER + length])?;
    if let Part::Later(..) = chain.part {
        // What it carries is not looked at: its protocol is that of a datagram whose beginning was.
    } else if ![58, 6, 17].contains(&chain.next) {
        return Err(deny("protocol"));
    }
    Ok(Packet {
        source: address(&bytes[8..24]),
        destination: address(&bytes[24..40]),
        protocol: chain.next,
        hop_limit: bytes[7],
        extensions: chain.seen,
        part: chain.part,
        payload: chain.rest,
        length: HEADER + length,
    })
}

struct Chain {
    seen: Vec<u8>,
    next: u8,
    part: Part,
    rest: Vec<u8>,
}

fn chain(first: u8, payload: &[u8]) -> Spoken<Chain> {
    let mut chain = Chain { seen: Vec::new(), next: first, part: Part::Whole, rest: payload.to_vec() };
    while [0, 60, 43, FRAGMENT].contains(&chain.next) {
        // Nothing but the transport header follows a fragment header.
        if chain.seen.contains(&FRAGMENT) {
            return Err(deny("fragment"));
        }
        if chain.seen.len() == MOST_EXTENSIONS {
            return Err(deny("extension_headers"));
        }
        chain.seen.push(chain.next);
        let after = *chain.rest.first().ok_or(deny("malformed"))?;
        let units = *chain.rest.get(1).ok_or(deny("malformed"))?;
        // The second byte of a fragment header is no length.
        let length = if chain.next == FRAGMENT { 8 } else { (usize::from(units) + 1) * 8 };
        if length > chain.rest.len() {
            return Err(deny("malformed"));
        }
        let header = chain.rest[..length].to_vec();
        chain.rest = chain.rest[length..].to_vec();
        if chain.next == 43 && (header[2] == 0 || header[3] != 0) {
            return Err(deny("source_route"));
        }
        if chain.next == FRAGMENT {
            let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            chain.part = match u16::from_be_bytes([header[2], header[3]]) >> 3 {
                0 => Part::First(identification),
                offset => Part::Later(identification, offset),
            };
        }
        chain.next = after;
        if let Part::Later(..) = chain.part {
            break;
        }
    }
    Ok(chain)
}

/// The address in sixteen bytes.
pub(super) fn address(bytes: &[u8]) -> IpAddr {
    let mut all = [0; 16];
    all.copy_from_slice(bytes);
    IpAddr::V6(Ipv6Addr::from(all))
}

//! A frame in a line, for people who look at a disagreement.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a frame seems to be; nothing of it is checked.
pub fn describe(frame: &[u8]) -> String {
    let mut text = format!("{} bytes", frame.len());
    let mut at = 12;
    loop {
        let Some(ethertype) = half(frame, at) else { return text + ", cut in the frame's header" };
        at += 2;
        let rest = frame.get(at..).unwrap_or_default();
        match ethertype {
            0x8100 | 0x88a8 => {
                let _ = write!(text, ", tag {ethertype:04x}");
                at += 2;
            }
            0x0800 => return text + &ipv4(rest),
            0x86dd => return text + &ipv6(rest),
            0x0806 => {
                return format!("{text}, ARP operation {:?} from {:?}", half(rest, 6), rest.get(14..18));
            }
            other => return format!("{text}, ethertype {other:04x}"),
        }
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn ipv4(bytes: &[u8]) -> String {
    let (Some(first), Some(from), Some(to)) = (
        bytes.first(),
        bytes.first_chunk::<16>().and_then(|head| head.last_chunk::<4>()),
        bytes.first_chunk::<20>().and_then(|head| head.last_chunk::<4>()),
    ) else {
        return ", cut in the IPv4 header".to_owned();
    };
    let flags = half(bytes, 6).unwrap_or(0);
    let mut text = format!(
        ", IPv4 first byte {first:02x} total {} of {} ttl {} {} > {}",
        half(bytes, 2).unwrap_or(0),
        bytes.len(),
        bytes[8],
        Ipv4Addr::from(*from),
        Ipv4Addr::from(*to)
    );
    if flags & 0x3fff != 0 {
        let id = half(bytes, 4).unwrap_or(0);
        let _ = write!(text, " fragment id {id} offset {} more {}", flags & 0x1fff, flags >> 13 & 1);
    }
    let header = usize::from(first & 15) * 4;
    text + &transport(bytes[9], bytes.get(header..).unwrap_or_default())
}

fn ipv6(bytes: &[u8]) -> String {
    let (Some(from), Some(to)) = (
        bytes.first_chunk::<24>().and_then(|head| head.last_chunk::<16>()),
        bytes.first_chunk::<40>().and_then(|head| head.last_chunk::<16>()),
    ) else {
        return ", cut in the IPv6 header".to_owned();
    };
    let mut text = format!(
        ", IPv6 version {} payload {} of {} hop limit {} {} > {}",
        bytes[0] >> 4,
        half(bytes, 4).unwrap_or(0),
        bytes.len() - 40,
        bytes[7],
        Ipv6Addr::from(*from),
        Ipv6Addr::from(*to)
    );
    let (mut next, mut rest) = (bytes[6], &bytes[40..]);
    while let (0 | 43 | 44 | 60, Some(after), Some(units)) = (next, rest.first(), rest.get(1)) {
        let _ = write!(text, " [{next}");
        let mut length = (usize::from(*units) + 1) * 8;
        if next == 44 {
            length = 8;
            let offset = half(rest, 2).unwrap_or(0);
            let _ = write!(text, " id {:?} offset {} more {}", rest.get(4..8), offset >> 3, offset & 1);
        } else if next == 43 {
            let _ = write!(text, " type, left {:?}", rest.get(2..4));
        }
        text += "]";
        next = *after;
        rest = rest.get(length..).unwrap_or_default();
    }
    text + &transport(next, rest)
}

fn transport(protocol: u8, bytes: &[u8]) -> String {
    let length = bytes.len();
    let port = |at| half(bytes, at).unwrap_or(0);
    match protocol {
        1 | 58 => format!(", ICMP ({protocol}) type, code {:?}, {length} bytes", bytes.get(..2)),
        6 => format!(
            ", TCP {} > {} offset, flags {:02x?}, {length} bytes",
            port(0),
            port(2),
            bytes.get(12..14)
        ),
        17 => format!(", UDP {} > {} length {}, {length} bytes", port(0), port(2), port(4)),
        other => format!(", protocol {other}, {length} bytes"),
    }
}

//! The frame (§1): tags, ARP, and what is inside.

use std::net::{IpAddr, Ipv4Addr};

use super::{Model, Spoken, allow, deny, number_at};

/// Destination, source and ethertype.
const ETHERNET: usize = 14;
const TAG: usize = 4;
const MOST_TAGS: usize = 2;
/// The most bytes behind the last ethertype of a frame with ARP.
const MOST_ARP: usize = 60;

/// The packet in a frame, with the frame's padding.
pub(super) enum Inside {
    Ipv4(Vec<u8>),
    Ipv6(Vec<u8>),
}

pub(super) fn read(model: &Model, frame: &[u8]) -> Spoken<Inside> {
    if frame.len() < ETHERNET {
        return Err(deny("malformed"));
    }
    let mut end = ETHERNET;
    let mut tags = 0;
    loop {
        let ethertype = number_at(frame, end - 2).ok_or(deny("malformed"))?;
        let rest = frame[end..].to_vec();
        match ethertype {
            0x8100 | 0x88a8 => {
                tags += 1;
                if tags > MOST_TAGS {
                    return Err(deny("not_ip"));
                }
                end += TAG;
                if frame.len() < end {
                    return Err(deny("malformed"));
                }
            }
            0x0806 => return Err(arp(model, &rest)),
            0x0800 => return Ok(Inside::Ipv4(rest)),
            0x86dd => return Ok(Inside::Ipv6(rest)),
            _ => return Err(deny("not_ip")),
        }
    }
}

fn arp(model: &Model, message: &[u8]) -> super::Ruling {
    if message.len() < 28 || message.len() > MOST_ARP {
        return deny("malformed");
    }
    let hardware = number_at(message, 0);
    let protocol = number_at(message, 2);
    let operation = number_at(message, 6);
    if hardware != Some(1) || protocol != Some(0x0800) || message[4] != 6 || message[5] != 4 {
        return deny("malformed");
    }
    if operation != Some(1) && operation != Some(2) {
        return deny("malformed");
    }
    let sender = Ipv4Addr::new(message[14], message[15], message[16], message[17]);
    if sender == Ipv4Addr::UNSPECIFIED || model.own.contains(&IpAddr::V4(sender)) {
        allow("link_control")
    } else {
        deny("spoofed_source")
    }
}

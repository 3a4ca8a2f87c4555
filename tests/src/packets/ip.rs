//! IP headers with what they may have beside the addresses: options, extension headers.

use std::net::IpAddr;

use super::dice::Dice;
use crate::reference::frames::{extension, ipv4, ipv6, packet, routing};

/// An IP packet, sometimes with options or extension headers. `source` and `destination` are of one family.
pub(super) fn wrap(dice: &mut Dice, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if !dice.one_in(6) {
        return packet(from, to, protocol, payload);
    }
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, &options(dice), payload),
        (from, to) => {
            let (next, chain) = chain(dice, protocol, payload);
            ipv6(from, to, next, &chain)
        }
    }
}

/// Up to 40 bytes of options, right ones and nearly right ones.
fn options(dice: &mut Dice) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..=dice.below(5) {
        let option: &[u8] = match dice.below(12) {
            0 => &[0],
            1 | 2 => &[1],
            3 => &[131, 7, 4, 10, 1, 0, 10],
            4 => &[137, 7, 4, 10, 1, 0, 10],
            5 => &[131, 3],
            6 => &[7, 1],
            7 => &[68, 0],
            8 => &[7, 40, 4],
            9 => &[148, 4, 0, 0],
            10 => &[7, 2],
            _ => &[7, 7, 4, 0, 0, 0, 0],
        };
        options.extend(option);
    }
    if dice.one_in(6) {
        // One that begins with the last byte of the header.
        options.truncate(3);
        options.resize(3, 1);
        options.push(dice.pick(&[7, 131, 137, 0, 1]));
    }
    options.truncate(40);
    options
}

/// Extension headers before a payload, from the last to the first; gives the next header of the IPv6 header.
pub(super) fn chain(dice: &mut Dice, protocol: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let (mut next, mut bytes) = (protocol, payload.to_vec());
    let count = dice.pick(&[1, 1, 1, 2, 2, 3, 5, 6, 6, 7, 8]);
    for _ in 0..count {
        let units = dice.pick(&[0, 0, 0, 1, 2]);
        let (kind, header) = match dice.below(24) {
            0 => (43, routing(next, 2, 1)),
            1 => (43, routing(next, 0, 0)),
            2 | 3 => (43, routing(next, dice.pick(&[1, 2, 3, 4, 255]), 0)),
            4 => (dice.pick(&[50, 51, 135, 139, 140, 59, 253]), extension(next, units)),
            5..=13 => (0, extension(next, units)),
            _ => (60, extension(next, units)),
        };
        bytes = [header, bytes].concat();
        next = kind;
    }
    if dice.one_in(8) && bytes.len() > 1 {
        // A header that claims more or less than it has.
        bytes[1] = dice.pick(&[0, 1, 2, 3, 7, 255]);
    }
    (next, bytes)
}

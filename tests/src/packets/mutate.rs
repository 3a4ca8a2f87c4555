//! What can go wrong with a frame: fields at their limits, cuts, flipped bits.

use std::net::IpAddr;

use super::address::{self, Places};
use super::dice::Dice;

/// Changes one thing, or a few bits.
pub(super) fn mutate(dice: &mut Dice, places: &Places, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    match dice.below(10) {
        0 => frame.truncate(dice.below(frame.len() + 1)),
        1 => cut_at_header(dice, frame),
        2 => flip(dice, frame),
        3 => exchange_address(dice, places, frame),
        _ => set_field(dice, frame),
    }
}

/// Near the ends of headers, where a bound is off by one.
fn cut_at_header(dice: &mut Dice, frame: &mut Vec<u8>) {
    let end = dice.pick(&[14, 18, 22, 34, 38, 42, 48, 54, 58, 62, 74, 82, 102]);
    frame.truncate((end + dice.below(3)).saturating_sub(1));
}

fn flip(dice: &mut Dice, frame: &mut [u8]) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(frame.len());
        frame[at] ^= 1 << dice.below(8);
    }
}

/// Where the IP header begins, if there is one.
fn ip_header(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match (frame.get(at)?, frame.get(at + 1)?) {
            (0x81, 0) | (0x88, 0xa8) => at += 4,
            (0x08, 0) | (0x86, 0xdd) => return Some(at + 2),
            _ => return None,
        }
    }
}

fn exchange_address(dice: &mut Dice, places: &Places, frame: &mut [u8]) {
    let Some(start) = ip_header(frame) else { return };
    let Some(version) = frame.get(start).map(|byte| byte >> 4) else { return };
    let v4 = version == 4;
    let address = if dice.one_in(2) { address::special(dice, v4) } else { places.foreign(dice, v4) };
    let (octets, at): (Vec<u8>, usize) = match address {
        IpAddr::V4(address) => (address.octets().into(), start + dice.pick(&[12, 16])),
        IpAddr::V6(address) => (address.octets().into(), start + dice.pick(&[8, 24])),
    };
    if let Some(place) = frame.get_mut(at..at + octets.len()) {
        place.copy_from_slice(&octets);
    }
}

/// One field of the frame, IP or transport header at one of its limits.
fn set_field(dice: &mut Dice, frame: &mut [u8]) {
    let Some(start) = ip_header(frame) else {
        let at = 12 + dice.below(16);
        let value = dice.pick(&[0, 1, 2, 6, 8, 255]);
        set(frame, at, value);
        return;
    };
    let is_v6 = frame.get(start).is_some_and(|byte| byte >> 4 == 6);
    let header = if is_v6 { 40 } else { frame.get(start).map_or(20, |byte| usize::from(byte & 15) * 4) };
    let transport = start + header;
    match dice.below(8) {
        0 => half(dice, frame, start, if is_v6 { 4 } else { 2 }),
        1 if !is_v6 => half(dice, frame, start, 6),
        2 => byte(dice, frame, start),
        3 => {
            let value = dice.pick(&[0, 1, 2, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132, 135, 139, 140, 255]);
            set(frame, start + if is_v6 { 6 } else { 9 }, value);
        }
        4 => {
            let value = dice.pick(&[0, 1, 2, 64, 254, 255]);
            set(frame, start + if is_v6 { 7 } else { 8 }, value);
        }
        5 => {
            let offset = dice.pick(&[0, 2, 4, 6]);
            half(dice, frame, transport, offset);
        }
        6 => {
            let offset = dice.pick(&[0, 1, 2, 3, 12, 13]);
            byte(dice, frame, transport + offset);
        }
        _ => {
            let at = dice.below(transport + 24);
            byte(dice, frame, at);
        }
    }
}

/// A field of two bytes; the lengths that are there, and one more and less, are among its limits.
fn half(dice: &mut Dice, frame: &mut [u8], start: usize, offset: usize) {
    let rest = u16::try_from(frame.len().saturating_sub(start)).unwrap_or(u16::MAX);
    let Some(place) = frame.get_mut(start + offset..start + offset + 2) else { return };
    let old = u16::from_be_bytes([place[0], place[1]]);
    let values = [
        0,
        1,
        7,
        8,
        9,
        19,
        20,
        0x1fff,
        0x2000,
        0x2001,
        0x3fff,
        0x4000,
        0x8000,
        0xffff,
        old.wrapping_sub(1),
        old.wrapping_add(1),
        rest,
        rest.wrapping_add(1),
        rest.wrapping_sub(40),
        rest.wrapping_sub(39),
    ];
    place.copy_from_slice(&dice.pick(&values).to_be_bytes());
}

fn byte(dice: &mut Dice, frame: &mut [u8], at: usize) {
    let Some(old) = frame.get(at).copied() else { return };
    let (any, nibble) = (dice.byte(), dice.byte() & 0xf0);
    let value = dice.pick(&[
        0,
        1,
        0x7f,
        0x80,
        0xff,
        old.wrapping_add(1),
        old.wrapping_sub(1),
        old & 0x0f | nibble,
        old & 0xf0 | nibble >> 4,
        any,
    ]);
    set(frame, at, value);
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(place) = frame.get_mut(at) {
        *place = value;
    }
}

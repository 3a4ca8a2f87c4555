//! Transport payloads.

use super::dice::Dice;
use crate::reference::frames::{ACK, SYN, tcp, udp};

/// Sequence of payload lengths: none, small, and what makes fragments of interesting lengths.
const LENGTHS: [usize; 8] = [0, 0, 1, 4, 12, 40, 200, 900];

/// A TCP segment or a UDP datagram to that port, and its protocol number.
pub(super) fn with_ports(dice: &mut Dice, is_tcp: bool, port: u16) -> (u8, Vec<u8>) {
    let length = dice.pick(&LENGTHS);
    let data = dice.bytes(length);
    let from = dice.pick(&[40_000, 40_001, 443, 53]);
    if is_tcp { (6, segment(dice, from, port, &data)) } else { (17, udp(from, port, &data)) }
}

fn segment(dice: &mut Dice, from: u16, port: u16, data: &[u8]) -> Vec<u8> {
    let flags = dice.pick(&[SYN, SYN, SYN, ACK, ACK, SYN | ACK, 0x18, 0x11, 0x04, 0x14, 0xff, 0]);
    let mut segment = tcp(from, port, flags, data);
    if dice.one_in(4) {
        let words = dice.pick(&[1, 2, 10]);
        segment.splice(20..20, vec![1; words * 4]);
        segment[12] = (u8::try_from(words).unwrap_or(0) + 5) << 4;
    }
    segment
}

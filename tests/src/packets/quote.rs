//! ICMP errors with the packet that they are about.

use std::net::IpAddr;

use super::address::{self, Places};
use super::dice::Dice;
use super::{ip, pieces};
use crate::reference::frames::{frame, icmp, packet, tcp, udp};

/// An error about a packet that could have come from a place that is registered, or nearly so.
pub(super) fn error(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let remote = places.target(dice);
    let own = places.source(dice, remote.address);
    let (protocol, quoted) = match dice.below(8) {
        0 if own.is_ipv4() => (1, icmp(dice.pick(&[8, 8, 0, 3]), 0, &dice.bytes(8))),
        0 => (58, icmp(dice.pick(&[128, 128, 129, 1]), 0, &dice.bytes(8))),
        1 => pieces::with_ports(dice, remote.tcp, remote.port),
        2 => (dice.pick(&[1, 58, 47, 132]), tcp(remote.port, 40_000, 2, &[])),
        _ if remote.tcp => (6, tcp(remote.port, 40_000, 2, &[])),
        _ => (17, udp(remote.port, 40_000, &[1, 2, 3, 4])),
    };
    let (mut from, mut to) = (remote.address, own);
    match dice.below(10) {
        0 => std::mem::swap(&mut from, &mut to),
        1 => from = address::special(dice, from.is_ipv4()),
        2 => to = places.foreign(dice, to.is_ipv4()),
        _ => {}
    }
    let mut quoted = ip::wrap(dice, from, to, protocol, &quoted);
    shape(dice, &mut quoted, own.is_ipv4());
    let kinds: &[u8] = if own.is_ipv4() { &[3, 3, 11, 12, 4, 5] } else { &[1, 2, 3, 4, 0, 5] };
    let kind = dice.pick(kinds);
    let source = if dice.one_in(12) { places.foreign(dice, own.is_ipv4()) } else { own };
    let outer = if own.is_ipv4() { 1 } else { 58 };
    let message = icmp(kind, dice.pick(&[0, 1, 3, 4]), &quoted);
    frame(&outer_packet(dice, source, remote.address, outer, &message))
}

/// Cut, filled up to the longest that may be, or made a fragment.
fn shape(dice: &mut Dice, quoted: &mut Vec<u8>, v4: bool) {
    let header = if v4 { 20 } else { 40 };
    match dice.below(10) {
        0 => quoted.truncate(header + dice.below(10)),
        1 => quoted.truncate(dice.below(header)),
        2 => {
            let full = if v4 { 576 - 28 } else { 1280 - 48 };
            let length = dice.pick(&[full - 1, full, full, full + 1, full + 40]);
            quoted.resize(length, 0xaa);
        }
        3 if v4 => {
            let flags: u16 = dice.pick(&[0x2000, 0x4000, 1, 0x2001, 0x1fff]);
            quoted[6..8].copy_from_slice(&flags.to_be_bytes());
        }
        4 => quoted[0] = dice.pick(&[0x45, 0x46, 0x44, 0x4f, 0x60, 0x65, 0x05]),
        _ => {}
    }
}

fn outer_packet(dice: &mut Dice, from: IpAddr, to: IpAddr, protocol: u8, message: &[u8]) -> Vec<u8> {
    if dice.one_in(4) {
        ip::wrap(dice, from, to, protocol, message)
    } else {
        packet(from, to, protocol, message)
    }
}

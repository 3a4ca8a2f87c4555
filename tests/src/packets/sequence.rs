//! Datagrams in fragments: whole stories of them, in order and out of it.

use std::net::IpAddr;

use super::address::{Places, Target};
use super::dice::Dice;
use super::{ip, pieces};
use crate::reference::frames::{ACK, fragment, frame, icmp, ipv4_fragment, ipv6, packet, tcp, udp};

/// Few identifications, so that one story meets another.
const IDENTIFICATIONS: usize = 200;

/// What the fragments of one story share.
struct Story {
    from: IpAddr,
    to: Target,
    identification: u32,
    protocol: u8,
}

/// A beginning and what is to follow it.
pub(super) fn fragments(dice: &mut Dice, places: &Places) -> Vec<Vec<u8>> {
    let to = places.target(dice);
    let from = places.source(dice, to.address);
    let (protocol, payload) = match (dice.one_in(5), to.address.is_ipv4()) {
        (true, true) => (1, icmp(8, 0, &dice.bytes(24))),
        (true, false) => (58, icmp(128, 0, &dice.bytes(24))),
        _ if dice.one_in(10) => error(from, to),
        _ => pieces::with_ports(dice, to.tcp, to.port),
    };
    let identification = u32::try_from(dice.below(IDENTIFICATIONS)).unwrap_or(0);
    let story = Story { from, to, identification, protocol };
    let mut frames = Vec::new();
    if !dice.one_in(8) {
        frames.push(first(dice, &story, &payload));
    }
    for _ in 0..=dice.below(3) {
        frames.push(later(dice, places, &story));
    }
    if dice.one_in(4) {
        // Another first fragment of the same datagram, to a port that nobody registered, or cut.
        let denied = if story.protocol == 6 || story.protocol == 17 {
            pieces::with_ports(dice, story.protocol == 6, 9)
        } else {
            (story.protocol, payload)
        };
        frames.push(first(dice, &story, &denied.1));
        frames.push(later(dice, places, &story));
    }
    if dice.one_in(6) {
        let last = frames.len() - 1;
        frames.swap(0, last);
    }
    frames
}

/// An error about what could be an answer, which would be allowed but for its being a fragment.
fn error(from: IpAddr, to: Target) -> (u8, Vec<u8>) {
    let (protocol, quoted) =
        if to.tcp { (6, tcp(to.port, 40_000, ACK, &[])) } else { (17, udp(to.port, 40_000, &[0; 8])) };
    let quoted = packet(to.address, from, protocol, &quoted);
    if from.is_ipv4() { (1, icmp(3, 1, &quoted)) } else { (58, icmp(1, 1, &quoted)) }
}

fn first(dice: &mut Dice, story: &Story, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    if dice.one_in(4) {
        payload.truncate(dice.pick(&[0, 4, 7, 8, 12, 16, 19, 20, 24]));
    }
    let more = story.to.address.is_ipv4() || !dice.one_in(4);
    frame(&part(dice, story, 0, more, &payload))
}

fn later(dice: &mut Dice, places: &Places, story: &Story) -> Vec<u8> {
    let offset = dice.pick(&[1, 2, 3, 3, 4, 25, 0x800, 0x1000, 0x1fff]);
    let mut story = Story { ..*story };
    match dice.below(14) {
        0 => story.identification ^= dice.pick(&[1, 0x100, 0x1_0000, 0x100_0000]),
        1 => story.protocol = dice.pick(&[1, 6, 17, 58, 60]),
        2 => story.from = places.source(dice, story.to.address),
        3 => {
            let other = places.target(dice);
            if other.address.is_ipv4() == story.to.address.is_ipv4() {
                story.to = other;
            }
        }
        _ => {}
    }
    let length = dice.pick(&[0, 1, 8, 16, 40]);
    let data = dice.bytes(length);
    let more = dice.one_in(2);
    frame(&part(dice, &story, offset, more, &data))
}

fn part(dice: &mut Dice, story: &Story, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let Story { from, to, identification, protocol } = *story;
    if to.address.is_ipv4() {
        let mut packet = ip::wrap(dice, from, to.address, protocol, payload);
        let [.., high, low] = identification.to_be_bytes();
        ipv4_fragment(&mut packet, u16::from_be_bytes([high, low]), offset, more);
        return packet;
    }
    let mut next = protocol;
    let mut inside = payload.to_vec();
    if dice.one_in(10) {
        // Something between the fragment header and the transport header.
        (next, inside) = ip::chain(dice, protocol, payload);
    }
    let inside = [fragment(next, identification, offset, more), inside].concat();
    if dice.one_in(5) {
        let (next, chain) = ip::chain(dice, 44, &inside);
        return ipv6(from, to.address, next, &chain);
    }
    packet(from, to.address, 44, &inside)
}

//! One frame, or the frames of one story, of each kind.

use std::net::{IpAddr, Ipv4Addr};

use super::address::{self, Places};
use super::dice::Dice;
use super::{ip, pieces, quote, sequence};
use crate::reference::frames::{ARP, arp, extension, fragment, frame, icmp, ipv6, packet, tagged, udp};

/// The frames of the next story, in their order.
pub(super) fn frames(dice: &mut Dice, places: &Places) -> Vec<Vec<u8>> {
    match dice.below(100) {
        0..=39 => vec![flow(dice, places)],
        40..=49 => vec![echo(dice, places)],
        50..=61 => vec![quote::error(dice, places)],
        62..=66 => vec![other_message(dice, places)],
        67..=74 => vec![discovery(dice, places)],
        75..=79 => vec![listener(dice, places)],
        80..=83 => vec![resolution(dice, places)],
        84..=85 => vec![lease(dice)],
        86..=87 => vec![other_protocol(dice, places)],
        88 => vec![other_ethertype(dice)],
        89 => vec![noise(dice)],
        _ => sequence::fragments(dice, places),
    }
}

/// TCP or UDP.
fn flow(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = places.target(dice);
    let from = places.source(dice, to.address);
    let (protocol, payload) = pieces::with_ports(dice, to.tcp, to.port);
    frame(&ip::wrap(dice, from, to.address, protocol, &payload))
}

/// An echo request or reply.
fn echo(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = places.target(dice).address;
    let from = places.source(dice, to);
    let reply = dice.one_in(5);
    let (protocol, kind) = match (to.is_ipv4(), reply) {
        (true, false) => (1, 8),
        (true, true) => (1, 0),
        (false, false) => (58, 128),
        (false, true) => (58, 129),
    };
    let data = dice.bytes(16);
    frame(&ip::wrap(dice, from, to, protocol, &icmp(kind, 0, &data)))
}

/// Every type of ICMP there is, and the one family's in the other.
fn other_message(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = places.target(dice).address;
    let from = places.source(dice, to);
    let (usual, other) = if to.is_ipv4() { (1, 58) } else { (58, 1) };
    let protocol = if dice.one_in(10) { other } else { usual };
    let kind = dice.byte();
    let length = dice.pick(&[0, 16, 40, 60]);
    let data = dice.bytes(length);
    let code = dice.pick(&[0, 0, 1]);
    frame(&ip::wrap(dice, from, to, protocol, &icmp(kind, code, &data)))
}

/// Solicitations and advertisements of neighbours and routers.
fn discovery(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = address::discovery(dice);
    let from = link_source(dice, places, to);
    let kind = dice.pick(&[133, 135, 135, 136, 136, 134, 137]);
    let length = dice.pick(&[0, 0, 16, 24, 24, 119, 120, 121, 200]);
    let message = icmp(kind, dice.pick(&[0, 0, 0, 0, 0, 0, 1, 255]), &dice.bytes(length));
    let mut packet = match dice.below(12) {
        0 => ip::wrap(dice, from, to, 58, &message),
        1 => ipv6(from, to, 44, &[fragment(58, 9, 0, false), message].concat()),
        _ => packet(from, to, 58, &message),
    };
    packet[7] = dice.pick(&[255, 255, 255, 255, 255, 254, 1, 64]);
    frame(&packet)
}

/// Multicast listener discovery.
fn listener(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = address::discovery(dice);
    let from = link_source(dice, places, to);
    let message = icmp(dice.pick(&[131, 132, 143, 143, 130]), 0, &dice.bytes(20));
    let mut packet = match dice.below(8) {
        0 => ip::wrap(dice, from, to, 58, &message),
        1 | 2 => packet(from, to, 58, &message),
        3 => ipv6(from, to, 60, &[extension(58, 0), message].concat()),
        _ => ipv6(from, to, 0, &[extension(58, 0), message].concat()),
    };
    packet[7] = dice.pick(&[1, 1, 1, 1, 1, 0, 2, 255]);
    frame(&packet)
}

fn link_source(dice: &mut Dice, places: &Places, to: IpAddr) -> IpAddr {
    match dice.below(5) {
        0 => address::parse("::"),
        1 | 2 => address::parse("fe80::5"),
        _ => places.source(dice, to),
    }
}

/// ARP, mostly right.
fn resolution(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let sender = match (dice.below(4), places.own(dice)) {
        (0, _) => Ipv4Addr::UNSPECIFIED,
        (1 | 2, IpAddr::V4(own)) => own,
        (..) => match places.foreign(dice, true) {
            IpAddr::V4(foreign) => foreign,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        },
    };
    let mut message = arp(dice.pick(&[1, 1, 2, 2, 0, 3, 8]), sender, Ipv4Addr::new(10, 0, 0, 1));
    if dice.one_in(4) {
        let at = dice.below(8);
        message[at] = dice.byte();
    }
    let length = dice.pick(&[27, 28, 28, 28, 46, 46, 59, 60, 61, 100]);
    message.resize(length, 0);
    tagged(&[], ARP, &message)
}

/// DHCP, and what is not quite.
fn lease(dice: &mut Dice) -> Vec<u8> {
    let from = dice.pick(&[Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(0, 0, 0, 1)]);
    let to = dice.pick(&[Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST, Ipv4Addr::new(192, 0, 2, 1)]);
    let message = udp(dice.pick(&[68, 68, 68, 67]), dice.pick(&[67, 67, 67, 68]), &dice.bytes(244));
    frame(&packet(from.into(), to.into(), 17, &message))
}

/// What is neither TCP nor UDP nor ICMP.
fn other_protocol(dice: &mut Dice, places: &Places) -> Vec<u8> {
    let to = places.target(dice).address;
    let from = places.source(dice, to);
    let any = dice.byte();
    let protocol = dice.pick(&[0, 2, 4, 41, 47, 50, 51, 59, 60, 132, 135, 136, 139, 140, 253, any]);
    let data = dice.bytes(40);
    frame(&ip::wrap(dice, from, to, protocol, &data))
}

fn other_ethertype(dice: &mut Dice) -> Vec<u8> {
    let any = dice.half();
    let ethertype = dice.pick(&[0, 46, 0x0801, 0x8035, 0x8847, 0x8863, 0x8864, 0x88cc, 0x9100, any]);
    tagged(&[], ethertype, &dice.bytes(50))
}

/// Nothing in particular; sometimes with the ethertype of something.
fn noise(dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(120);
    let mut bytes = dice.bytes(length);
    if length > 15 && !dice.one_in(3) {
        let (ethertype, version) = dice.pick(&[(0x0800_u16, 0x45), (0x86dd, 0x60), (0x0806, 0), (0x8100, 0)]);
        bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
        bytes[14] = version;
    }
    bytes
}

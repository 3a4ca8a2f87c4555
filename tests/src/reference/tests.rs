//! Each sentence of the document, with a frame on either side of it.

mod arrivals;
mod fragments;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod neighbours;
mod place;
mod registry;
mod transport;

use std::net::{IpAddr, Ipv4Addr};

use super::frames::*;
use super::*;
use crate::packets::{describe, model};

/// The workload's own addresses.
const OWN: &str = "10.0.0.5";
const OWN6: &str = "fd00::5";
/// Registered at TCP port 443 and UDP port 53.
const SHOP: &str = "10.1.0.10";
const SHOP6: &str = "fd01::10";
/// Not registered.
const OTHER: &str = "10.1.0.11";
const OTHER6: &str = "fd01::11";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ip4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A packet of text addresses.
fn pack(from: &str, to: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet(ip(from), ip(to), protocol, payload)
}

/// The first packet of a connection to the shop's port 443.
fn syn() -> Vec<u8> {
    tcp(40_000, 443, SYN, &[])
}

/// A question for the shop's port 53.
fn query() -> Vec<u8> {
    udp(40_000, 53, &[1, 2, 3, 4])
}

/// A packet of the workload's with that to the shop, over IPv4.
fn to_shop(protocol: u8, payload: &[u8]) -> Vec<u8> {
    pack(OWN, SHOP, protocol, payload)
}

/// ... over IPv6.
fn to_shop6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    pack(OWN6, SHOP6, protocol, payload)
}

/// The packet with one byte changed.
fn with(packet: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] = value;
    packet
}

/// The ruling on a frame before which there was none.
fn alone(frame: &[u8]) -> Ruling {
    judge(&model(), &mut History::default(), frame)
}

#[track_caller]
fn frame_allowed(reason: &'static str, frame: &[u8]) {
    assert_eq!(alone(frame), allow(reason), "{}", describe(frame));
}

#[track_caller]
fn frame_denied(reason: &'static str, frame: &[u8]) {
    assert_eq!(alone(frame), deny(reason), "{}", describe(frame));
}

#[track_caller]
fn allowed(reason: &'static str, packet: &[u8]) {
    frame_allowed(reason, &frame(packet));
}

#[track_caller]
fn denied(reason: &'static str, packet: &[u8]) {
    frame_denied(reason, &frame(packet));
}

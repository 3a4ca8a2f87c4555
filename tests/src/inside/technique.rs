//! Ways to get bytes to somebody, each as sly as we know: `try NAME MARKER ADDR:PORT KEY=VALUE ...`.
//!
//! Each puts the marker's bytes into what it sends, and the answer says what was sent, or which call failed. Sockets do it in
//! [`stream`], [`datagram`] and [`raw`]; with other processes, namespaces and devices in [`detour`]; with bytes that change on
//! their way in [`flipped`]. The others only build packets or frames, which leave by [`way`]: from `eth0` to the gateway, with the
//! pod's own address as the source. What every one of these understands: `source=ADDR:PORT`, `mac=MAC` (of the next hop),
//! `by=packet|dgram|ring|bypass|xdp|hdrincl`.

mod checksum;
mod datagram;
mod detour;
mod embedded;
mod extension;
mod flipped;
mod forged;
mod fragment;
mod icmp;
mod link;
mod malformed;
mod options;
mod place;
mod raw;
mod stream;
mod target;
mod tunnel;
mod way;

use std::io;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use socket2::SockAddr;

use crate::frame::BROADCAST;
use crate::inside::calls::answer;
use crate::sys::packet;
use target::Target;
use way::Way;

/// Packets or frames of a technique, if this is its name.
type Build = fn(&str, &Target<'_>) -> Option<Vec<Vec<u8>>>;
/// A technique of a family that does more than that.
type Act = fn(&str, &Target<'_>) -> Option<io::Result<Value>>;

/// Those that build IP packets.
const PACKETS: [Build; 8] = [
    forged::packets,
    embedded::packets,
    extension::packets,
    fragment::packets,
    icmp::packets,
    malformed::packets,
    options::packets,
    tunnel::packets,
];
/// Those that build whole frames.
const FRAMES: [Build; 2] = [link::frames, malformed::frames];
/// Those that do.
const ACTS: [Act; 6] = [stream::act, datagram::act, raw::act, detour::act, checksum::act, flipped::act];

/// What a technique builds, for a socket that somebody has.
pub(super) struct Crafted {
    /// IP packets; none when the technique builds frames only.
    pub(super) packets: Vec<Vec<u8>>,
    /// Frames.
    pub(super) frames: Vec<Vec<u8>>,
    /// The target, without a port.
    pub(super) to: SockAddr,
    /// The interface.
    pub(super) link: SockAddr,
}

/// Builds what a technique would send: `NAME MARKER ADDR:PORT KEY=VALUE ...`.
pub(super) fn craft(rest: &str) -> Result<Crafted> {
    let (name, target) = parse(rest)?;
    let packets = PACKETS.iter().find_map(|build| build(name, &target)).unwrap_or_default();
    let mut frames: Vec<_> = packets.iter().map(|packet| target.frame(packet)).collect();
    frames.extend(FRAMES.iter().find_map(|build| build(name, &target)).unwrap_or_default());
    anyhow::ensure!(!frames.is_empty(), "no technique that builds anything is called {name:?}");
    let mut to = target.to;
    to.set_port(0);
    let link = packet::link(target.me.index, 0, BROADCAST).context("naming the interface")?;
    Ok(Crafted { packets, frames, to: to.into(), link })
}

fn parse(rest: &str) -> Result<(&str, Target<'_>)> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [name, marker, to, options @ ..] = &*words else { bail!("try what, with which marker, to whom?") };
    Ok((*name, Target::new(marker.parse()?, to, options)?))
}

/// Tries one.
pub(super) fn run(rest: &str) -> Result<Value> {
    let (name, target) = parse(rest)?;
    if let Some(outcome) = ACTS.iter().find_map(|act| act(name, &target)) {
        return Ok(answer(outcome));
    }
    let (way, name) = match Way::of_technique(name) {
        Some(way) => (way, "udp-packet"),
        None => (target.option("by").map_or(Ok(Way::Packet), Way::named)?, name),
    };
    if let Some(packets) = PACKETS.iter().find_map(|build| build(name, &target)) {
        return Ok(answer(way.send_packets(&target, &packets).map(|bytes| json!({ "sent": bytes }))));
    }
    let frames = FRAMES.iter().find_map(|build| build(name, &target));
    let frames = frames.with_context(|| format!("no technique is called {name:?}"))?;
    Ok(answer(way.send_frames(&target, &frames).map(|bytes| json!({ "sent": bytes }))))
}

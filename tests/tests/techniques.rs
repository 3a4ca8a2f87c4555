//! Every technique gets its bytes to the far side of a network that stops nothing; and to nowhere behind a program that stops
//! everything. That they are stopped elsewhere shows something only because of both.
//!
//! Root is needed, and a kernel with cgroup v2 and BTF; a test whose needs are missing fails and says what is missing.

#[path = "techniques/crafted.rs"]
mod crafted;
#[path = "techniques/frames.rs"]
mod frames;
#[path = "techniques/kept.rs"]
mod kept;
#[path = "techniques/pods.rs"]
mod pods;
#[path = "techniques/sockets.rs"]
mod sockets;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use enforcer_tests::capture::{Capture, destination};
use enforcer_tests::frame::{Tcp, ethertype};
use enforcer_tests::marker::Marker;
use enforcer_tests::pod::Pod;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::World;
use serde_json::Value;

/// The ports that somebody listens on, at every address outside.
const PORTS: [u16; 3] = [53, 443, 9000];

/// What an IP header names.
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;

/// Where a frame with the marker is to be seen, and as what.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// On the wire, as an IP packet to the target of this protocol: what the IP header names.
    Outside(u8),
    /// On the wire, as an IP packet to this address of this protocol.
    OutsideTo(&'static str, u8),
    /// On the wire, as a UDP packet to the target's address and this port.
    OutsideAt(u16),
    /// On the wire, as the first segment of a TCP connection, which has no marker.
    Begins,
    /// At the host side of the pod's veth pair, past the programs there, with this ethertype.
    Past(u16),
    /// There, before the programs.
    Sent(u16),
}

/// A pod on a free network, and captures of what leaves it.
struct Free {
    probe: Probe,
    pod: Pod,
    outside: Capture,
    past: Capture,
    sent: Capture,
    world: World,
}

impl Free {
    fn new() -> Result<Self> {
        let world = World::for_pods("enforcer-techniques", &PORTS)?;
        let pod = world.add_pod("curl")?;
        let probe = Probe::start_in_pod(&world, &pod)?;
        let (outside, past) = (world.capture_outside()?, world.capture_past_programs("curl")?);
        let sent = world.capture_sent("curl")?;
        Ok(Self { probe, pod, outside, past, sent, world })
    }

    /// Every row arrives, and behind a wall it does not: one line each. Fails with the rows that are otherwise.
    fn all(&mut self, table: &[(&str, Seen)]) -> Result<()> {
        let mut failed = Vec::new();
        for (command, seen) in table {
            let outcome = self.one(command, *seen);
            let behind = self.world.wall("curl").and_then(|_wall| self.behind_a_wall(command, *seen));
            println!(
                "{command:70} {seen:?}: {}, {}",
                outcome.as_ref().map_or("MISSING".to_owned(), ToString::to_string),
                if behind.is_ok() { "none behind a wall" } else { "LEAKS" }
            );
            for error in [outcome.err(), behind.err()].into_iter().flatten() {
                failed.push(format!("{command}: {error:#}"));
            }
        }
        anyhow::ensure!(failed.is_empty(), "not as they should be:\n{}", failed.join("\n"));
        Ok(())
    }

    /// Tries `NAME ADDR:PORT KEY=VALUE ...` and says how many frames came.
    fn one(&mut self, command: &str, seen: Seen) -> Result<usize> {
        let (marker, to, answer) = self.attempt(command)?;
        let frames = match seen {
            Seen::Begins => self.outside.saw_to(to.ip())?,
            Seen::Outside(_) | Seen::OutsideTo(..) | Seen::OutsideAt(_) => self.outside.saw(&marker)?,
            Seen::Past(_) => self.past.saw(&marker)?,
            Seen::Sent(_) => self.sent.saw(&marker)?,
        };
        let count = frames.iter().filter(|frame| seen.fits(frame, to.ip())).count();
        let shown = |frames: &[Vec<u8>]| frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>();
        anyhow::ensure!(
            count > 0,
            "the probe said {answer}; seen: {:?}; past the host side of the pod: {:?}",
            shown(&frames),
            shown(&self.past.saw(&marker)?)
        );
        Ok(count)
    }

    /// The same behind a wall: it leaves the pod, and is nowhere else.
    fn behind_a_wall(&mut self, command: &str, seen: Seen) -> Result<()> {
        self.outside.clear()?;
        self.sent.clear()?;
        let (marker, to, answer) = self.attempt(command)?;
        let begins = matches!(seen, Seen::Begins | Seen::Outside(TCP)) || command.starts_with("tcp");
        let sent = if begins { self.sent.count()? } else { self.sent.saw(&marker)?.len() };
        anyhow::ensure!(sent > 0, "nothing is sent behind a wall: the probe said {answer}");
        let leaks =
            [self.outside.saw(&marker)?, self.outside.saw_to(to.ip())?, self.past.saw(&marker)?].concat();
        anyhow::ensure!(
            leaks.is_empty(),
            "behind a wall: {:?}",
            leaks.iter().map(|it| hex(it)).collect::<Vec<_>>()
        );
        Ok(())
    }

    fn attempt(&mut self, command: &str) -> Result<(Marker, SocketAddr, Value)> {
        let marker = Marker::fresh();
        let (name, rest) = command.split_once(' ').context("no target")?;
        let to = rest.split(' ').next().unwrap_or_default().parse().context("no target")?;
        Ok((marker, to, self.probe.ask(&format!("try {name} {marker} {rest}"))?))
    }
}

impl Seen {
    /// Whether a frame is what it should be.
    fn fits(self, frame: &[u8], to: IpAddr) -> bool {
        match self {
            Self::Outside(protocol) => packet(frame) == Some((to, protocol)),
            Self::OutsideTo(to, protocol) => {
                packet(frame).is_some_and(|it| Ok(it.0) == to.parse() && it.1 == protocol)
            }
            Self::OutsideAt(port) => packet(frame) == Some((to, UDP)) && port_of(frame) == Some(port),
            Self::Begins => destination(frame) == Some(to) && begins(frame) == Some(true),
            Self::Past(kind) | Self::Sent(kind) => ethertype_of(frame) == Some(kind),
        }
    }
}

/// The destination of an IP packet, and what its header says that it carries.
fn packet(frame: &[u8]) -> Option<(IpAddr, u8)> {
    let to = destination(frame)?;
    let at = if to.is_ipv4() { 14 + 9 } else { 14 + 6 };
    Some((to, *frame.get(at)?))
}

/// Whether a TCP segment begins a connection: SYN, and neither FIN nor RST nor ACK. Options and a routing header may be in front of it.
fn begins(frame: &[u8]) -> Option<bool> {
    let packet = frame.get(14..)?;
    let (mut next, mut at) = if destination(frame)?.is_ipv4() {
        (*packet.get(9)?, 4 * usize::from(packet.first()? & 15))
    } else {
        (*packet.get(6)?, 40)
    };
    if next == ROUTING {
        (next, at) = (*packet.get(at)?, at + 8 * (usize::from(*packet.get(at + 1)?) + 1));
    }
    let flags = packet.get(at + 13)?;
    Some(next == TCP && flags & (Tcp::SYN | Tcp::FIN | Tcp::RST | Tcp::ACK) == Tcp::SYN)
}

/// The destination port of a UDP packet that has nothing in front of UDP but an IP header.
fn port_of(frame: &[u8]) -> Option<u16> {
    let at = if destination(frame)?.is_ipv4() { 14 + 20 + 2 } else { 14 + 40 + 2 };
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

/// The ethertype; that of a frame whose type is a length is 0.
fn ethertype_of(frame: &[u8]) -> Option<u16> {
    let kind = u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?);
    Some(if kind < ethertype::IPV4 - 0x200 { 0 } else { kind })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

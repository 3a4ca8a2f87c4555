//! `storm MARKER ADDR:PORT ... [packets]`: tries to get to somebody in every plain way, over and over, until the next line comes; from
//! before there is any interface. With `packets` also by frames.
//!
//! The answer counts what became of each way and family: `tcp4 sent`, `raw6 EPERM`.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::inside::workload::errno;
use crate::inside::{calls, technique};
use crate::marker::Marker;

/// A protocol for experiments (RFC 3692).
const EXPERIMENT: i32 = 253;
/// Between two rounds: others want to run, too.
const PAUSE: Duration = Duration::from_millis(2);

type Counts = BTreeMap<String, u64>;

pub(super) fn run(rest: &str, goes_on: impl Fn() -> bool) -> Result<Value> {
    let words: Vec<&str> = rest.split(' ').collect();
    let [marker, targets @ ..] = &*words else { anyhow::bail!("storm MARKER ADDR:PORT ... [packets]") };
    let (targets, packets) = match targets {
        [targets @ .., "packets"] => (targets, true),
        targets => (targets, false),
    };
    let marker: Marker = marker.parse()?;
    let targets: Result<Vec<SocketAddr>> =
        targets.iter().map(|to| to.parse().context("no address")).collect();
    let (targets, mut counts) = (targets?, Counts::new());
    while goes_on() {
        for to in &targets {
            round(&marker, *to, &mut counts);
            if packets {
                let outcome = frame(&marker, *to);
                *counts.entry(format!("packet{} {outcome}", family(*to))).or_default() += 1;
            }
        }
        sleep(PAUSE);
    }
    Ok(json!(counts))
}

fn family(to: SocketAddr) -> char {
    if to.is_ipv4() { '4' } else { '6' }
}

/// By a frame of its own, if there is an interface.
fn frame(marker: &Marker, to: SocketAddr) -> String {
    match technique::run(&format!("packet-raw {marker} {to}")) {
        Ok(answer) => answer["errno"].as_str().unwrap_or("sent").to_owned(),
        Err(_) => "without an interface".to_owned(),
    }
}

fn round(marker: &Marker, to: SocketAddr, counts: &mut Counts) {
    let bytes = marker.bytes();
    let mut count = |way: &str, outcome: io::Result<usize>| {
        let outcome = outcome.map_or_else(|error| errno(&error), |_| "sent".to_owned());
        *counts.entry(format!("{way}{} {outcome}", family(to))).or_default() += 1;
    };
    count("tcp", syn(to));
    count("udp", calls::udp(to).and_then(|socket| socket.send_to(&bytes, to)));
    count("connected", calls::udp(to).and_then(|socket| connected(&socket, to, &bytes)));
    count("raw", raw(to, &bytes));
}

/// Begins a connection, and waits for nothing.
fn syn(to: SocketAddr) -> io::Result<usize> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), None)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(0),
        other => other.map(|()| 0),
    }
}

fn connected(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
    socket.connect(to)?;
    socket.send(bytes)
}

fn raw(mut to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
    // Of IPv6 it would be the protocol's number.
    to.set_port(0);
    let protocol = Some(Protocol::from(EXPERIMENT));
    Socket::new(Domain::for_address(to), Type::RAW, protocol)?.send_to(bytes, &to.into())
}

//! Socket calls beside `connect` and `send`, each over a socket of its own.
//!
//! `tfo ADDR` (TCP, connected by its first `sendto`), `mptcp ADDR`, `udplite ADDR`, `uring-connect ADDR` (TCP),
//! `uring-send ADDR` (UDP), both also `/worker` and `/poller`: by threads of the kernel; and to several destinations over one UDP socket that is not connected: `udp-many ADDR ...`
//! asks one at a time, `sendmmsg ADDR ...` all with one call.

use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::inside::workload::{PATIENCE, SILENCE, errno};
use crate::sys::{self, By};

/// `IPPROTO_MPTCP` and `IPPROTO_UDPLITE`.
const MPTCP: i32 = 262;
const UDPLITE: i32 = 136;

/// Dials, if this is how one does here.
pub(super) fn dial(how: &str, to: SocketAddr) -> Option<io::Result<Value>> {
    match how {
        "tfo" => Some(tfo(to)),
        "mptcp" => Some(mptcp(to)),
        "udplite" => Some(udplite(to)),
        _ => {
            let (call, by) = how.split_once('/').unwrap_or((how, "caller"));
            let by = match by {
                "caller" => By::Caller,
                "worker" => By::Worker,
                "poller" => By::Poller,
                _ => return None,
            };
            match call {
                "uring-connect" => Some(uring_connect(to, by)),
                "uring-send" => Some(uring_send(to, by)),
                _ => None,
            }
        }
    }
}

/// One destination after the other.
pub(super) fn udp_many(list: &str) -> Result<Value> {
    let all = destinations(list)?;
    let socket = udp(*all.first().context("no destination")?)?;
    let outcomes: Vec<Value> =
        all.iter().map(|to| answer(socket.send_to(b"?", to).and_then(|_| hear(&socket)))).collect();
    Ok(json!({ "all": outcomes }))
}

/// One call for all. What follows a failed one is not sent: it fails like that.
pub(super) fn sendmmsg(list: &str) -> Result<Value> {
    let all = destinations(list)?;
    let socket = udp(*all.first().context("no destination")?)?;
    let sent = sys::sendmmsg(socket.as_fd(), &all, b"?").unwrap_or(0);
    let mut answers = Vec::new();
    for _ in 0..sent {
        answers.push(answer(hear(&socket)));
    }
    // Different servers answer in any order.
    let order = |answer: &Value| all.iter().position(|to| answer["peer"] == json!(to));
    answers.sort_by_key(order);
    if sent < all.len() {
        let rest = sys::sendmmsg(socket.as_fd(), &all[sent..], b"?");
        answers.push(answer(rest.map(|_| json!({ "said": "sent at the second attempt" }))));
    }
    Ok(json!({ "sent": sent, "all": answers }))
}

/// An outcome as JSON, whatever it is.
pub(super) fn answer(outcome: io::Result<Value>) -> Value {
    outcome.unwrap_or_else(|error| json!({ "errno": errno(&error) }))
}

/// A UDP socket of the family of `to`.
pub(super) fn udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_read_timeout(Some(SILENCE))?;
    Ok(socket)
}

/// A TCP socket of the family of `to` that is connected to nothing.
pub(super) fn tcp(to: SocketAddr, protocol: Option<i32>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, protocol.map(Protocol::from))?;
    // What is sent goes at once.
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // What io_uring connects does not know the other limit, and would wait for minutes where nobody answers.
    if protocol.is_none() {
        socket.set_tcp_user_timeout(Some(PATIENCE))?;
    }
    Ok(socket)
}

/// What the TCP server says, and to whom the socket believes it is connected.
pub(super) fn greeting(socket: &Socket) -> io::Result<Value> {
    let mut said = String::new();
    BufReader::new(socket).read_line(&mut said)?;
    Ok(json!({ "peer": socket.peer_addr()?.as_socket(), "at": said.trim() }))
}

/// What the UDP server says, and who it is. Silence is no error: nobody need listen.
pub(super) fn hear(socket: &UdpSocket) -> io::Result<Value> {
    let mut said = [0; 2048];
    let mut received = socket.recv_from(&mut said);
    // An io_uring of this process that ends interrupts it.
    while received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
        received = socket.recv_from(&mut said);
    }
    match received {
        Ok((length, sender)) => {
            let at = String::from_utf8_lossy(&said[..length]);
            Ok(json!({ "peer": sender, "at": at.trim(), "length": length }))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(json!({ "at": null })),
        Err(error) => Err(error),
    }
}

fn tfo(to: SocketAddr) -> io::Result<Value> {
    let socket = tcp(to, None)?;
    socket.send_to_with_flags(b"?", &to.into(), libc::MSG_FASTOPEN)?;
    greeting(&socket)
}

fn mptcp(to: SocketAddr) -> io::Result<Value> {
    let socket = tcp(to, Some(MPTCP))?;
    socket.connect(&to.into())?;
    greeting(&socket)
}

fn udplite(to: SocketAddr) -> io::Result<Value> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::from(UDPLITE)))?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(SILENCE))?;
    socket.send_to(b"?", to)?;
    hear(&socket)
}

fn uring_connect(to: SocketAddr, by: By) -> io::Result<Value> {
    let socket = tcp(to, None)?;
    sys::uring_connect(socket.as_fd(), to, by)?;
    greeting(&socket)
}

fn uring_send(to: SocketAddr, by: By) -> io::Result<Value> {
    let socket = udp(to)?;
    sys::uring_send(socket.as_fd(), to, b"?", by)?;
    hear(&socket)
}

fn destinations(list: &str) -> Result<Vec<SocketAddr>> {
    list.split(' ')
        .map(|to| to.parse().with_context(|| format!("{to:?} is no address with a port")))
        .collect()
}

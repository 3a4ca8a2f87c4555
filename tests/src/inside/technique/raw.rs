//! Raw sockets, of the target's family: `raw4` and `raw6` (UDP), `raw4-tcp` and `raw6-tcp` (a SYN with data), `raw4-other` and
//! `raw6-other` (a protocol for experiments), `sctp`, `dccp`, `udplite-raw`, `raw-two allowed=ADDR:PORT` (UDP to one, then to
//! the target, by the same socket).

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{self, Tcp, checksum, protocol};
use crate::inside::technique::target::Target;

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    let (protocol, payload) = match name {
        "raw4" | "raw6" | "raw-two" => (protocol::UDP, target.udp()),
        "raw4-tcp" | "raw6-tcp" => {
            (protocol::TCP, Tcp::new(target.source(), target.to, Tcp::SYN).around(&target.marker.bytes()))
        }
        "raw4-other" | "raw6-other" => (protocol::EXPERIMENT, target.marker.bytes().to_vec()),
        "sctp" => (protocol::SCTP, sctp(target)),
        "dccp" => (protocol::DCCP, dccp(target)),
        "udplite-raw" => (protocol::UDPLITE, udplite(target)),
        _ => return None,
    };
    Some(send(target, protocol, &payload, name == "raw-two"))
}

fn send(target: &Target<'_>, protocol: u8, payload: &[u8], two: bool) -> io::Result<Value> {
    let domain = Domain::for_address(target.to);
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    let to = |to: SocketAddr| match to {
        SocketAddr::V4(to) => SocketAddr::new((*to.ip()).into(), 0),
        SocketAddr::V6(mut to) => {
            to.set_port(0);
            to.into()
        }
    };
    if two {
        let allowed = target.allowed();
        let first =
            frame::udp(SocketAddr::new(target.own(allowed.ip()), target.source().port()), allowed, b"?");
        socket.send_to(&first, &to(allowed).into())?;
    }
    Ok(json!({ "sent": socket.send_to(payload, &to(target.to).into())? }))
}

/// An association's first chunk (INIT); its checksum is nobody's on the way.
fn sctp(target: &Target<'_>) -> Vec<u8> {
    let ports = ports(target);
    let init = [1, 0, 0, 36, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
    [&ports[..], &[0; 8], &init, &target.marker.bytes()].concat()
}

/// A request with long sequence numbers, and data.
fn dccp(target: &Target<'_>) -> Vec<u8> {
    let ports = ports(target);
    [&ports[..], &[5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 42], &target.marker.bytes()].concat()
}

/// As UDP, with how much the checksum covers instead of the length.
fn udplite(target: &Target<'_>) -> Vec<u8> {
    let mut datagram = [&ports(target)[..], &[0, 8, 0, 0], &target.marker.bytes()].concat();
    let sum = checksum(&datagram[..8]);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

fn ports(target: &Target<'_>) -> [u8; 4] {
    let [[a, b], [c, d]] = [target.source().port().to_be_bytes(), target.to.port().to_be_bytes()];
    [a, b, c, d]
}

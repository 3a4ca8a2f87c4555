//! UDP by sockets: `udp`, `udp-connected`, `sendmmsg`, `udplite`, `uring-send` (also `/worker`, `/poller`), `uring-send-zc`,
//! `mapped-udp`, `udp-mark`, `udp-device`, `udp-transparent source=ADDR:PORT`, `udp-again allowed=ADDR:PORT` (connected there
//! before), `unconnected-two allowed=ADDR:PORT`, `ping` (an ICMP socket that is not raw), and with IP options `udp-nop`,
//! `udp-record`, `udp-timestamp`, `udp-lsrr via=ADDR`, `udp-ssrr via=ADDR`,
//! IPv6 `udp-hopopts`, `udp-dstopts`, `udp-segment via=ADDR`.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;

use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::frame;
use crate::inside::calls;
use crate::inside::technique::options::Sticky;
use crate::inside::technique::stream::{MARK, mapped_address, transparent};
use crate::inside::technique::target::Target;
use crate::sys::{self, By};

/// `IPPROTO_UDPLITE`.
const UDPLITE: i32 = 136;

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    let bytes = target.marker.bytes();
    Some(match name {
        "udp" => by_socket(target, |socket| socket.send_to(&bytes, target.to)),
        "udp-connected" => by_socket(target, |socket| {
            socket.connect(target.to)?;
            socket.send(&bytes)
        }),
        "udp-again" => by_socket(target, |socket| {
            socket.connect(target.allowed())?;
            sys::disconnect(&Socket::from(socket.try_clone()?))?;
            socket.connect(target.to)?;
            socket.send(&bytes)
        }),
        "unconnected-two" => by_socket(target, |socket| {
            socket.send_to(b"?", target.allowed())?;
            calls::hear(socket)?;
            socket.send_to(&bytes, target.to)
        }),
        "sendmmsg" => by_socket(target, |socket| {
            sys::sendmmsg(socket.as_fd(), &[target.to], &bytes)?;
            Ok(bytes.len())
        }),
        "udplite" => udplite(target),
        "ping" => ping(target),
        "mapped-udp" => {
            let to = mapped_address(target.to);
            calls::udp(to).and_then(|socket| told(&socket, socket.send_to(&bytes, to)?))
        }
        "udp-mark" => by_socket(target, |socket| {
            SockRef::from(socket).set_mark(MARK)?;
            socket.send_to(&bytes, target.to)
        }),
        "udp-device" => by_socket(target, |socket| {
            SockRef::from(socket).bind_device(Some(target.me.interface.as_bytes()))?;
            socket.send_to(&bytes, target.to)
        }),
        "udp-transparent" => from_elsewhere(target),
        "uring-send-zc" => by_socket(target, |socket| sys::uring_send_zc(socket.as_fd(), target.to, &bytes)),
        "uring-send" => uring(target, By::Caller),
        "uring-send/worker" => uring(target, By::Worker),
        "uring-send/poller" => uring(target, By::Poller),
        _ => {
            let option = Sticky::new(name.strip_prefix("udp-")?, target)?;
            by_socket(target, |socket| {
                option.set(socket.as_fd())?;
                socket.send_to(&bytes, target.to)
            })
        }
    })
}

fn by_socket(target: &Target<'_>, send: impl FnOnce(&UdpSocket) -> io::Result<usize>) -> io::Result<Value> {
    let socket = calls::udp(target.to)?;
    socket.set_broadcast(true)?;
    if target.to.is_ipv6() {
        SockRef::from(&socket).set_multicast_if_v6(target.me.index)?;
    } else {
        SockRef::from(&socket).set_multicast_if_v4(&target.me.ipv4)?;
    }
    let bytes = send(&socket)?;
    told(&socket, bytes)
}

/// What was sent and what came back. That there came nothing is no error.
fn told(socket: &UdpSocket, sent: usize) -> io::Result<Value> {
    let heard = calls::hear(socket)?;
    Ok(json!({ "sent": sent, "peer": heard["peer"], "at": heard["at"] }))
}

fn uring(target: &Target<'_>, by: By) -> io::Result<Value> {
    by_socket(target, |socket| sys::uring_send(socket.as_fd(), target.to, &target.marker.bytes(), by))
}

fn udplite(target: &Target<'_>) -> io::Result<Value> {
    let socket = Socket::new(Domain::for_address(target.to), Type::DGRAM, Some(Protocol::from(UDPLITE)))?;
    let sent = socket.send_to(&target.marker.bytes(), &target.to.into())?;
    Ok(json!({ "sent": sent }))
}

/// The answer goes to whom the source names.
fn from_elsewhere(target: &Target<'_>) -> io::Result<Value> {
    let socket = Socket::new(Domain::for_address(target.to), Type::DGRAM, None)?;
    transparent(&socket, target)?;
    let sent = socket.send_to(&target.marker.bytes(), &target.to.into())?;
    Ok(json!({ "sent": sent }))
}

fn ping(target: &Target<'_>) -> io::Result<Value> {
    let to = SocketAddr::new(target.to.ip(), 0);
    let (protocol, echo) = if to.is_ipv4() { (Protocol::ICMPV4, 8) } else { (Protocol::ICMPV6, 128) };
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(protocol))?;
    let message = frame::icmp(echo, 0, [0, 1, 0, 1], &target.marker.bytes());
    Ok(json!({ "sent": socket.send_to(&message, &to.into())? }))
}

//! TCP by sockets: `tcp`, `tfo` (data in the first segment), `mptcp`, `uring-connect` (also `/worker`, `/poller`),
//! `mapped-tcp` (an IPv4 address by an IPv6 socket), `dns-tcp` (the marker is the name that is asked for), `tcp-mark`, `tcp-device`,
//! `tcp-transparent source=ADDR:PORT`, `disconnect-again allowed=ADDR:PORT`, and with IP options `tcp-nop`, `tcp-record`,
//! `tcp-timestamp`, `tcp-lsrr via=ADDR`, `tcp-ssrr via=ADDR`,
//! IPv6 `tcp-hopopts`, `tcp-dstopts`, `tcp-segment via=ADDR`.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use serde_json::Value;
use socket2::Socket;

use crate::frame::length;
use crate::inside::calls;
use crate::inside::technique::options::Sticky;
use crate::inside::technique::target::Target;
use crate::sys::{self, By};

/// `IPPROTO_MPTCP`.
const MPTCP: i32 = 262;
/// What Istio's own proxy marks its packets with.
pub(super) const MARK: u32 = 1337;

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    Some(match name {
        "tcp" => plain(target, |_| Ok(())),
        "tfo" => tfo(target),
        "mptcp" => connected(target, Some(MPTCP), |_| Ok(())),
        "mapped-tcp" => mapped(target),
        "dns-tcp" => dns(target),
        "tcp-mark" => plain(target, |socket| socket.set_mark(MARK)),
        "tcp-device" => plain(target, |socket| socket.bind_device(Some(target.me.interface.as_bytes()))),
        "tcp-transparent" => plain(target, |socket| transparent(socket, target)),
        "disconnect-again" => again(target),
        "uring-connect" => uring(target, By::Caller),
        "uring-connect/worker" => uring(target, By::Worker),
        "uring-connect/poller" => uring(target, By::Poller),
        _ => {
            let option = Sticky::new(name.strip_prefix("tcp-")?, target)?;
            plain(target, |socket| option.set(socket.as_fd()))
        }
    })
}

/// Binds to an address that is not the pod's.
pub(super) fn transparent(socket: &Socket, target: &Target<'_>) -> io::Result<()> {
    if target.to.is_ipv4() {
        socket.set_ip_transparent_v4(true)?;
    } else {
        socket.set_ip_transparent_v6(true)?;
    }
    socket.bind(&target.source().into())
}

/// The address as an IPv6 socket names it.
pub(super) fn mapped_address(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(addr) => SocketAddr::new(addr.to_ipv6_mapped().into(), to.port()),
        IpAddr::V6(_) => to,
    }
}

fn plain(target: &Target<'_>, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<Value> {
    connected(target, None, prepare)
}

fn connected(
    target: &Target<'_>,
    protocol: Option<i32>,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Value> {
    let socket = calls::tcp(target.to, protocol)?;
    prepare(&socket)?;
    socket.connect(&target.to.into())?;
    deliver(&socket, &target.marker.bytes())
}

/// Says it, and hears the greeting.
fn deliver(mut socket: &Socket, bytes: &[u8]) -> io::Result<Value> {
    socket.write_all(bytes)?;
    calls::greeting(socket)
}

fn tfo(target: &Target<'_>) -> io::Result<Value> {
    let socket = calls::tcp(target.to, None)?;
    socket.send_to_with_flags(&target.marker.bytes(), &target.to.into(), libc::MSG_FASTOPEN)?;
    calls::greeting(&socket)
}

fn mapped(target: &Target<'_>) -> io::Result<Value> {
    let to = mapped_address(target.to);
    let socket = calls::tcp(to, None)?;
    socket.connect(&to.into())?;
    deliver(&socket, &target.marker.bytes())
}

fn uring(target: &Target<'_>, by: By) -> io::Result<Value> {
    let socket = calls::tcp(target.to, None)?;
    sys::uring_connect(socket.as_fd(), target.to, by)?;
    deliver(&socket, &target.marker.bytes())
}

/// A question for the address of a name whose first label is the marker.
fn dns(target: &Target<'_>) -> io::Result<Value> {
    let head = [0x47, 0x11, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 16];
    let tail = [0, 0, 1, 0, 1];
    let query = [&head[..], &target.marker.bytes(), &tail].concat();
    let socket = calls::tcp(target.to, None)?;
    socket.connect(&target.to.into())?;
    deliver(&socket, &[&length(query.len()).to_be_bytes()[..], &query].concat())
}

/// Connected to whom one may, then to the target.
fn again(target: &Target<'_>) -> io::Result<Value> {
    let socket = calls::tcp(target.to, None)?;
    socket.connect(&target.allowed().into())?;
    sys::disconnect(&socket)?;
    socket.connect(&target.to.into())?;
    deliver(&socket, &target.marker.bytes())
}

//! Sockets that live longer than one command.
//!
//! `keep NAME tcp4|tcp6|udp4|udp6` makes one; `on NAME connect ADDR`, `on NAME off` (forgets whom it is connected to),
//! `on NAME say` (asks the peer), `on NAME to ADDR` (asks by `sendto`), `on NAME peer` (`getpeername`),
//! `on NAME exchange COUNT SIZE [ADDR]` (asks often, with datagrams of that size), `on NAME close`.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use socket2::{SockRef, Socket};

use crate::inside::calls::{self, answer};
use crate::sys;

/// How many datagrams are on their way at a time: no more than a socket's buffer takes.
const WINDOW: usize = 10;

/// All of a process, by name.
#[derive(Debug, Default)]
pub(super) struct Sockets(BTreeMap<String, Kept>);

#[derive(Debug)]
enum Kept {
    Tcp(Socket),
    Udp(UdpSocket),
}

impl Sockets {
    /// Makes one.
    pub(super) fn keep(&mut self, rest: &str) -> Result<Value> {
        let (name, kind) = rest.split_once(' ').context("keep what, and of which kind?")?;
        let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
        let kept = match kind {
            "tcp4" => Kept::Tcp(calls::tcp(v4, None)?),
            "tcp6" => Kept::Tcp(calls::tcp(v6, None)?),
            "udp4" => Kept::Udp(calls::udp(v4)?),
            "udp6" => Kept::Udp(calls::udp(v6)?),
            _ => bail!("no socket is of the kind {kind:?}"),
        };
        self.0.insert(name.to_owned(), kept);
        Ok(said("made"))
    }

    /// Does something with one.
    pub(super) fn on(&mut self, rest: &str) -> Result<Value> {
        let words: Vec<&str> = rest.split(' ').collect();
        let [name, call, arguments @ ..] = &*words else { bail!("on which socket, and what?") };
        if *call == "close" {
            self.0.remove(*name).with_context(|| format!("no socket is called {name:?}"))?;
            return Ok(said("closed"));
        }
        let kept = self.0.get(*name).with_context(|| format!("no socket is called {name:?}"))?;
        let parse =
            |text: &str| text.parse::<SocketAddr>().with_context(|| format!("{text:?} is no address"));
        let outcome = match (*call, arguments) {
            ("connect", [to]) => kept.socket().connect(&parse(to)?.into()).map(|()| said("connected")),
            ("off", []) => sys::disconnect(&kept.socket()).map(|()| said("off")),
            ("peer", []) => kept.peer().map(|peer| said(&peer.to_string())),
            ("say", []) => kept.say(),
            ("to", [to]) => {
                kept.udp()?.send_to(b"?", parse(to)?).and_then(|_| calls::hear(kept.udp_or_error()?))
            }
            ("exchange", [count, size, to @ ..]) => {
                let to = to.first().map(|to| parse(to)).transpose()?;
                exchange(kept.udp()?, count.parse()?, size.parse()?, to)
            }
            _ => bail!("no command is called on NAME {call:?}"),
        };
        Ok(answer(outcome))
    }
}

impl Kept {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Udp(socket) => SockRef::from(socket),
        }
    }

    fn udp(&self) -> Result<&UdpSocket> {
        Ok(self.udp_or_error()?)
    }

    fn udp_or_error(&self) -> io::Result<&UdpSocket> {
        match self {
            Self::Udp(socket) => Ok(socket),
            Self::Tcp(_) => Err(io::Error::other("this is a TCP socket")),
        }
    }

    fn peer(&self) -> io::Result<SocketAddr> {
        let peer = self.socket().peer_addr()?.as_socket();
        let peer = peer.ok_or_else(|| io::Error::other("the peer is no address"))?;
        Ok(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    fn say(&self) -> io::Result<Value> {
        let socket = match self {
            Self::Tcp(socket) => return calls::greeting(socket),
            Self::Udp(socket) => socket,
        };
        socket.send(b"?")?;
        let heard = calls::hear(socket)?;
        let peer = socket.peer_addr()?;
        if !heard["at"].is_null() && heard["peer"] != json!(peer) {
            return Err(io::Error::other(format!("connected to {peer}, answered by {}", heard["peer"])));
        }
        Ok(heard)
    }
}

/// Says how many answers came from where, of the size that was sent.
fn exchange(socket: &UdpSocket, count: usize, size: usize, to: Option<SocketAddr>) -> io::Result<Value> {
    let mut counts = BTreeMap::<String, usize>::new();
    let datagram = vec![b'?'; size];
    for begin in (0..count).step_by(WINDOW) {
        let window = begin..count.min(begin + WINDOW);
        for _ in window.clone() {
            match to {
                Some(to) => socket.send_to(&datagram, to)?,
                None => socket.send(&datagram)?,
            };
        }
        for _ in window {
            let heard = calls::hear(socket)?;
            let what = match (heard["at"].as_str(), heard["peer"].as_str(), heard["length"].as_u64()) {
                (Some(at), Some(peer), Some(length)) => format!("{length} bytes of {at} from {peer}"),
                _ => "silence".to_owned(),
            };
            *counts.entry(what).or_default() += 1;
        }
    }
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} times {what}")).collect();
    Ok(said(&counts.join(", ")))
}

fn said(text: &str) -> Value {
    json!({ "said": text })
}

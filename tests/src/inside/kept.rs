//! Sockets that live longer than one command.
//!
//! `keep NAME tcp4|tcp6|udp4|udp6` makes one; `on NAME connect ADDR`, `on NAME off` (forgets whom it is connected to),
//! `on NAME say` (asks the peer), `on NAME to ADDR` (asks by `sendto`), `on NAME peer` (`getpeername`),
//! `on NAME exchange COUNT SIZE [ADDR]` (asks often, with datagrams of that size), `on NAME close`.
//!
//! Bytes of their own, both ways: `on NAME send MARKER`, `on NAME send-to ADDR MARKER`, `on NAME receive` (what came, in
//! hexadecimal, or `silence`). A server: `keep NAME listen PORT`, `on NAME accept OTHER`; of datagrams: `keep NAME bind ADDR:PORT`, also where the address is not there: `keep NAME freebind ADDR:PORT`. `keep NAME from ADDR:PORT` will connect from there. `on NAME tuple` says both addresses of a connection.
//! Much at a time: `on NAME pour COUNT`, `on NAME drain COUNT` (bytes).
//! By hand: `keep NAME packet` and `keep NAME raw4|raw6`, `on NAME craft TECHNIQUE MARKER ADDR ...` for what a technique builds.
//! To another process: `on NAME give PATH` here, `take NAME tcp|udp|packet|raw PATH` there.

mod pass;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::inside::calls::{self, answer};
use crate::inside::technique;
use crate::inside::workload::{PATIENCE, SILENCE};
use crate::marker::Marker;
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
    /// Takes whole frames.
    Packet(Socket),
    /// Takes packets with their IP header.
    Raw(Socket),
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
            "packet" => Kept::Packet(Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?),
            "raw4" => Kept::Raw(raw(Domain::IPV4)?),
            "raw6" => Kept::Raw(raw(Domain::IPV6)?),
            _ if kind.starts_with("bind ") || kind.starts_with("freebind ") => Kept::Udp(bound(kind)?),
            _ if kind.starts_with("from ") => Kept::Tcp(connecting_from(kind)?),
            _ if kind.starts_with("listen ") => Kept::Tcp(listener(kind)?),
            _ => bail!("no socket is of the kind {kind:?}"),
        };
        self.0.insert(name.to_owned(), kept);
        Ok(said("made"))
    }

    /// Takes one from another process.
    pub(super) fn take(&mut self, rest: &str) -> Result<Value> {
        let words: Vec<&str> = rest.split(' ').collect();
        let [name, kind, path] = words[..] else { bail!("take NAME KIND PATH") };
        let socket = Socket::from(pass::take(path)?);
        let kept = match kind {
            "tcp" => Kept::Tcp(socket),
            "udp" => Kept::Udp(socket.into()),
            "packet" => Kept::Packet(socket),
            "raw" => Kept::Raw(socket),
            _ => bail!("no socket is of the kind {kind:?}"),
        };
        self.0.insert(name.to_owned(), kept);
        Ok(said("taken"))
    }

    /// Does something with one.
    pub(super) fn on(&mut self, rest: &str) -> Result<Value> {
        let words: Vec<&str> = rest.split(' ').collect();
        let [name, call, arguments @ ..] = &*words else { bail!("on which socket, and what?") };
        if *call == "close" {
            self.0.remove(*name).with_context(|| format!("no socket is called {name:?}"))?;
            return Ok(said("closed"));
        }
        if let ("accept", [other]) = (*call, arguments) {
            return self.accept(name, other);
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
            ("tuple", []) => kept.tuple(),
            ("send", [marker]) => kept.send(&marker.parse()?),
            ("send-to", [to, marker]) => {
                let marker: Marker = marker.parse()?;
                let sent = kept.socket().send_to(&marker.bytes(), &parse(to)?.into());
                sent.map(|bytes| json!({ "sent": bytes }))
            }
            ("receive", []) => kept.receive(),
            ("pour", [count]) => {
                let bytes = vec![b'?'; count.parse()?];
                (&*kept.socket()).write_all(&bytes).map(|()| said("poured"))
            }
            ("drain", [count]) => {
                let mut bytes = vec![0; count.parse()?];
                (&*kept.socket()).read_exact(&mut bytes).map(|()| said(&format!("{count} bytes")))
            }
            ("give", [path]) => {
                pass::give(kept.socket().as_fd(), path)?;
                Ok(said("given"))
            }
            ("craft", rest) => kept.craft(&rest.join(" "))?,
            _ => bail!("no command is called on NAME {call:?}"),
        };
        Ok(answer(outcome))
    }

    /// A connection that came to the server `name`, from then on called `other`.
    fn accept(&mut self, name: &str, other: &str) -> Result<Value> {
        let server = self.0.get(name).with_context(|| format!("no socket is called {name:?}"))?;
        let outcome = server.socket().accept().and_then(|(client, from)| {
            client.set_read_timeout(Some(SILENCE))?;
            Ok((client, from.as_socket()))
        });
        Ok(match outcome {
            Ok((client, from)) => {
                self.0.insert(other.to_owned(), Kept::Tcp(client));
                json!({ "said": format!("accepted {}", shown(from)) })
            }
            Err(error) => answer(Err(error)),
        })
    }
}

impl Kept {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(socket) | Self::Packet(socket) | Self::Raw(socket) => SockRef::from(socket),
            Self::Udp(socket) => SockRef::from(socket),
        }
    }

    fn udp(&self) -> Result<&UdpSocket> {
        Ok(self.udp_or_error()?)
    }

    fn udp_or_error(&self) -> io::Result<&UdpSocket> {
        match self {
            Self::Udp(socket) => Ok(socket),
            Self::Tcp(_) | Self::Packet(_) | Self::Raw(_) => Err(io::Error::other("this is no UDP socket")),
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
            Self::Packet(_) | Self::Raw(_) => return Err(io::Error::other("this socket has no peer")),
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

impl Kept {
    fn tuple(&self) -> io::Result<Value> {
        let local = self.socket().local_addr()?.as_socket();
        Ok(said(&format!("{} {}", shown(local), self.peer()?)))
    }

    fn send(&self, marker: &Marker) -> io::Result<Value> {
        let sent = (&*self.socket()).write(&marker.bytes())?;
        Ok(json!({ "sent": sent }))
    }

    /// Whatever came, which may be several things.
    fn receive(&self) -> io::Result<Value> {
        let socket = self.socket();
        socket.set_read_timeout(Some(SILENCE))?;
        let mut buffer = [0; 2048];
        match (&*socket).read(&mut buffer) {
            Ok(0) => Ok(said("closed by the peer")),
            Ok(length) => Ok(said(&hex(&buffer[..length]))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(said("silence")),
            Err(error) => Err(error),
        }
    }

    /// What a technique builds, by this socket.
    fn craft(&self, rest: &str) -> Result<io::Result<Value>> {
        let crafted = technique::craft(rest)?;
        let (parts, to) = match self {
            Self::Packet(_) => (crafted.frames, crafted.link),
            Self::Raw(_) => (crafted.packets, crafted.to),
            Self::Tcp(_) | Self::Udp(_) => bail!("this socket takes nothing that is built by hand"),
        };
        let sent = parts.iter().map(|part| self.socket().send_to(part, &to)).sum::<io::Result<usize>>();
        Ok(sent.map(|bytes| json!({ "sent": bytes })))
    }
}

/// A raw socket that is given IP headers.
fn raw(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    if domain == Domain::IPV4 {
        socket.set_header_included_v4(true)?;
    } else {
        socket.set_header_included_v6(true)?;
    }
    Ok(socket)
}

/// A UDP socket at this address, of its family only.
fn bound(kind: &str) -> Result<UdpSocket> {
    let (how, at) = kind.split_once(' ').context("bind where?")?;
    let at: SocketAddr = at.parse().context("no address")?;
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match (how, at) {
        ("freebind", SocketAddr::V4(_)) => socket.set_freebind_v4(true)?,
        ("freebind", SocketAddr::V6(_)) => socket.set_freebind_v6(true)?,
        _ => {}
    }
    socket.bind(&at.into()).with_context(|| format!("binding to {at}"))?;
    Ok(socket.into())
}

/// A TCP socket that will connect from this address.
fn connecting_from(kind: &str) -> Result<Socket> {
    let at: SocketAddr = kind.strip_prefix("from ").context("from where?")?.parse().context("no address")?;
    let socket = calls::tcp(at, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into()).with_context(|| format!("binding to {at}"))?;
    Ok(socket)
}

/// A server at every address, IPv4 too.
fn listener(kind: &str) -> Result<Socket> {
    let port = kind.strip_prefix("listen ").context("listen where?")?.parse().context("no port")?;
    let socket = calls::tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into())?;
    socket.listen(8)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn shown(addr: Option<SocketAddr>) -> String {
    addr.map_or_else(
        || "nobody".to_owned(),
        |it| SocketAddr::new(it.ip().to_canonical(), it.port()).to_string(),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
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

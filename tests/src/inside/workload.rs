//! A process of a workload: dials what it is told, one command a line, and answers one line of JSON each.
//!
//! `tcp ADDR:PORT`, `udp ADDR:PORT` (connected), `udp-send ADDR:PORT` (not connected), `repeat N COMMAND`,
//! `load A B` (dials A and B in turn by TCP until the next line comes), the socket calls of `calls` and the
//! sockets of `kept`. `try ...` is a technique of `technique`; `become UID` changes the user; `ask PROXY ADDR` asks a
//! mesh proxy for a destination; `storm ...` is in `storm`.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use nix::unistd::{Uid, setuid};
use serde_json::{Value, json};

use crate::inside::calls;
use crate::inside::kept::Sockets;
use crate::inside::{storm, technique};

/// How long a connection may take, and an answer over it: what is lost once is sent again after a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for the answer to a datagram, to whom nobody need listen.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// Answers commands until standard input ends.
pub fn run() -> Result<()> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok()
    });
    let mut sockets = Sockets::default();
    while let Ok(line) = lines.recv() {
        let answer = answer(&line, &lines, &mut sockets).with_context(|| format!("doing {line:?}"))?;
        println!("{answer}");
        io::stdout().flush().context("answering")?;
    }
    Ok(())
}

fn answer(line: &str, lines: &Receiver<String>, sockets: &mut Sockets) -> Result<Value> {
    let (command, rest) = line.split_once(' ').context("no argument")?;
    match command {
        "repeat" => {
            let (times, command) = rest.split_once(' ').context("repeat how often, and what?")?;
            let mut counts = BTreeMap::new();
            for _ in 0..times.parse::<u32>().context("repeat how often?")? {
                count(&mut counts, &dial(command)?);
            }
            Ok(json!(counts))
        }
        "load" => {
            let (one, other) = rest.split_once(' ').context("load takes two destinations")?;
            let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
            while lines.try_recv() == Err(TryRecvError::Empty) {
                count(&mut first, &dial(&format!("tcp {one}"))?);
                count(&mut second, &dial(&format!("tcp {other}"))?);
            }
            Ok(json!([first, second]))
        }
        "try" => technique::run(rest),
        "ask" => {
            let (proxy, to) = rest.split_once(' ').context("ask whom, for what?")?;
            Ok(calls::answer(ask(proxy.parse().context("ask whom?")?, to)))
        }
        "storm" => storm::run(rest, || lines.try_recv() == Err(TryRecvError::Empty)),
        "become" => {
            setuid(Uid::from_raw(rest.parse().context("become whom?")?)).context("changing the user")?;
            Ok(json!({ "said": rest }))
        }
        "keep" => sockets.keep(rest),
        "take" => sockets.take(rest),
        "on" => sockets.on(rest),
        "udp-many" => calls::udp_many(rest),
        "sendmmsg" => calls::sendmmsg(rest),
        _ => dial(line),
    }
}

/// Counts by errno, or by the address at which the server was reached.
fn count(counts: &mut BTreeMap<String, u64>, outcome: &Value) {
    let key = outcome["errno"].as_str().map(str::to_owned);
    let key = key.or_else(|| outcome["at"].as_str().map(|at| format!("reached {at}")));
    *counts.entry(key.unwrap_or_else(|| "silence".to_owned())).or_default() += 1;
}

fn dial(command: &str) -> Result<Value> {
    let (how, to) = command.split_once(' ').context("no destination")?;
    let to: SocketAddr = to.parse().with_context(|| format!("{to:?} is no address with a port"))?;
    let outcome = match how {
        "tcp" => tcp(to),
        "udp" => udp(to, true),
        "udp-send" => udp(to, false),
        _ => calls::dial(how, to).with_context(|| format!("no command is called {how:?}"))?,
    };
    Ok(calls::answer(outcome))
}

fn tcp(to: SocketAddr) -> io::Result<Value> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    // Closing resets: thousands of connections leave nothing waiting.
    setsockopt(&stream.as_fd(), Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    BufReader::new(&stream).read_line(&mut said)?;
    Ok(json!({ "local": stream.local_addr()?, "peer": stream.peer_addr()?, "at": said.trim() }))
}

/// What comes first from where a mesh proxy is told to go; nothing, if it does not get there.
fn ask(proxy: SocketAddr, to: &str) -> io::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    writeln!(stream, "{to}")?;
    let mut said = String::new();
    BufReader::new(&stream).read_line(&mut said)?;
    Ok(json!({ "said": said.trim() }))
}

/// A datagram, and what comes back. Silence is no error: nobody need listen.
fn udp(to: SocketAddr, connected: bool) -> io::Result<Value> {
    let socket = calls::udp(to)?;
    if connected {
        socket.connect(to)?;
        socket.send(b"?")?;
    } else {
        socket.send_to(b"?", to)?;
    }
    let heard = calls::hear(&socket)?;
    let peer = if connected { json!(socket.peer_addr()?) } else { heard["peer"].clone() };
    if !heard["at"].is_null() && peer != heard["peer"] {
        return Err(io::Error::other(format!("connected to {peer}, answered by {}", heard["peer"])));
    }
    Ok(heard)
}

pub(super) fn errno(error: &io::Error) -> String {
    match (error.raw_os_error(), error.kind()) {
        (Some(code), _) => format!("{:?}", Errno::from_raw(code)),
        (None, io::ErrorKind::TimedOut) => "ETIMEDOUT".to_owned(),
        (None, io::ErrorKind::Other) => error.to_string(),
        (None, kind) => kind.to_string(),
    }
}

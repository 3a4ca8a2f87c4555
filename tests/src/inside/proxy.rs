//! A mesh proxy, as far as the network can tell: it takes what iptables redirects to it, and goes by a socket of its own where
//! that was meant to go, or through a tunnel to an endpoint. It does as it is told: it knows no registry.
//!
//! Whoever dials it directly names the destination in the first line, as clients of an HTTP proxy do. One line on standard output
//! for each connection: `MEANT by DIALLED: connected`, or the errno.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Uid, setuid};
use socket2::{Domain, SockRef, Socket, Type};

use crate::inside::workload::{PATIENCE, errno};

/// The user that Istio's sidecar is, and the mark of the packets of its node proxy: what is not redirected again.
pub const PROXY: u32 = 1337;

/// What goes to this address goes to that one instead.
pub type Tunnels = BTreeMap<SocketAddr, SocketAddr>;

/// A sidecar: in its pod's network from the beginning, as a user of its own.
pub fn sidecar(port: u16, tunnels: Tunnels) -> Result<()> {
    setuid(Uid::from_raw(PROXY)).context("changing the user")?;
    let proxy = Proxy { mark: None, tunnels };
    let listener = listen(port)?;
    thread::spawn(move || proxy.serve(&listener));
    wait()
}

/// A node proxy as ztunnel is one: a thread of it enters the pod's network and makes sockets there, which are marked.
pub fn ztunnel(network: &Path, port: u16, tunnels: Tunnels) -> Result<()> {
    let network = File::open(network).with_context(|| format!("opening {}", network.display()))?;
    let (sender, listening) = channel();
    thread::spawn(move || inside(&network, port, tunnels, &sender));
    listening.recv().context("the thread in the pod's network has ended")??;
    wait()
}

/// Serves in a network; `listening` is told once it does, or why it cannot.
fn inside(network: &File, port: u16, tunnels: Tunnels, listening: &Sender<Result<()>>) {
    let entered = setns(network.as_fd(), CloneFlags::CLONE_NEWNET).context("entering the pod's network");
    // Nobody hears of it any more when the main thread has gone.
    match entered.and_then(|()| listen(port)) {
        Ok(listener) => {
            let _ = listening.send(Ok(()));
            Proxy { mark: Some(PROXY), tunnels }.serve(&listener);
        }
        Err(error) => drop(listening.send(Err(error))),
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).with_context(|| format!("listening on port {port}"))
}

fn wait() -> Result<()> {
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new()).context("waiting for the end")?;
    Ok(())
}

struct Proxy {
    mark: Option<u32>,
    tunnels: Tunnels,
}

impl Proxy {
    fn serve(self, listener: &TcpListener) {
        let proxy = Arc::new(self);
        for client in listener.incoming().flatten() {
            let proxy = Arc::clone(&proxy);
            // A client that has gone is no reason to stop.
            thread::spawn(move || proxy.relay(client).is_ok());
        }
    }

    fn relay(&self, mut client: TcpStream) -> Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let meant = match original(&client)? {
            Some(meant) => meant,
            None => line(&mut client)?.parse().context("a first line that is no address")?,
        };
        client.set_read_timeout(None)?;
        let to = self.tunnels.get(&meant).copied().unwrap_or(meant);
        let server = self.connect(to);
        let outcome = server.as_ref().map_or_else(errno, |_| "connected".to_owned());
        println!("{meant} by {to}: {outcome}");
        let mut server: TcpStream = server?.into();
        let (mut from, mut back) = (client.try_clone()?, server.try_clone()?);
        let upwards = thread::spawn(move || {
            let copied = io::copy(&mut from, &mut back);
            back.shutdown(Shutdown::Write).and(copied)
        });
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Write)?;
        drop(upwards.join());
        Ok(())
    }

    fn connect(&self, to: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok(socket)
    }
}

/// Where a redirected connection was meant to go; `None` for one that was meant to come here.
fn original(client: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let own = client.local_addr()?;
    match SockRef::from(client).original_dst_v4() {
        Ok(meant) => Ok(meant.as_socket().filter(|meant| *meant != own)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first line, and not a byte more: the rest is the server's.
fn line(client: &mut TcpStream) -> Result<String> {
    let mut bytes = Vec::new();
    let one = BufReader::with_capacity(1, client).read_until(b'\n', &mut bytes);
    one.context("reading a destination")?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

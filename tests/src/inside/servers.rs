//! Servers at every address of the namespace: each answers with the address and port at which it was reached, so that a
//! translation is seen.

use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::sockopt::Ipv6RecvPacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, cmsg_space, recvmsg, sendmsg, setsockopt,
};

/// How long a client may keep its connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// The port of the HTTP servers.
pub const HTTP: u16 = 8088;

/// Listens on each of the ports, TCP and UDP, IPv4 and IPv6; and on [`HTTP`].
pub fn start(ports: &[u16]) -> Result<()> {
    let http = TcpListener::bind(("::", HTTP)).with_context(|| format!("listening on port {HTTP}/tcp"))?;
    thread::spawn(move || http.incoming().flatten().for_each(|client| drop(respond(client))));
    for port in ports {
        let tcp =
            TcpListener::bind(("::", *port)).with_context(|| format!("listening on port {port}/tcp"))?;
        // Each for itself: one whose last words are denied would keep all others waiting.
        thread::spawn(move || {
            for client in tcp.incoming().flatten() {
                thread::spawn(move || serve(&client));
            }
        });
        let udp = UdpSocket::bind(("::", *port)).with_context(|| format!("listening on port {port}/udp"))?;
        setsockopt(&udp, Ipv6RecvPacketInfo, &true).context("asking for the addresses of datagrams")?;
        let port = *port;
        thread::spawn(move || while echo(&udp, port).is_some() {});
    }
    Ok(())
}

/// Says where it was reached, then waits for the client to close: so the client's end goes first.
fn serve(mut client: &TcpStream) {
    let Ok(at) = client.local_addr() else { return };
    let _ = client.set_read_timeout(Some(PATIENCE));
    let _ = client.write_all(format!("{}\n", canonical(at)).as_bytes());
    let _ = client.read(&mut [0; 64]);
}

/// HTTP/1.1: says where it was reached, whatever is asked.
fn respond(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let at = canonical(client.local_addr()?).to_string();
    let lines = BufReader::new(client.try_clone()?).lines().map_while(Result::ok);
    let asked = lines.take_while(|line| !line.is_empty()).count();
    if asked > 0 {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
        write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{at}", at.len())?;
    }
    Ok(())
}

fn echo(socket: &UdpSocket, port: u16) -> Option<()> {
    let mut buffer = [0; 2048];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut space = vec![0; cmsg_space::<libc::in6_pktinfo>()];
    let received =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).ok()?;
    let client = received.address?;
    let mut messages = received.cmsgs().ok()?;
    let reached = messages.find_map(|message| match message {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
        _ => None,
    })?;
    let at = SocketAddr::new(std::net::Ipv6Addr::from(reached.ipi6_addr.s6_addr).to_canonical(), port);
    let from = libc::in6_pktinfo { ipi6_ifindex: 0, ..reached };
    // As long as the question, if that is longer.
    let answer = format!("{at:length$}", at = at.to_string(), length = received.bytes);
    let slices = [IoSlice::new(answer.as_bytes())];
    let control = [ControlMessage::Ipv6PacketInfo(&from)];
    // A client that has gone is no reason to stop.
    let _ = sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&client));
    Some(())
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

//! Servers at every address of the namespace: each answers with the address and port at which it was reached, so that a
//! translation is seen.

use std::io::{IoSliceMut, Read as _, Write as _};
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

/// Listens on each of the ports, TCP and UDP, IPv4 and IPv6.
pub fn start(ports: &[u16]) -> Result<()> {
    for port in ports {
        let tcp =
            TcpListener::bind(("::", *port)).with_context(|| format!("listening on port {port}/tcp"))?;
        thread::spawn(move || tcp.incoming().flatten().for_each(|client| serve(&client)));
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

fn echo(socket: &UdpSocket, port: u16) -> Option<()> {
    let mut buffer = [0; 64];
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
    let answer = at.to_string();
    let slices = [std::io::IoSlice::new(answer.as_bytes())];
    let control = [ControlMessage::Ipv6PacketInfo(&from)];
    // A client that has gone is no reason to stop.
    let _ = sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&client));
    Some(())
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

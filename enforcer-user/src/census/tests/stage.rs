//! Sockets that belong to a cgroup of choice, in the hands of the test.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    SockaddrStorage, bind, connect, getsockopt, listen, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::{getsockopt_impl, sockopt_impl};

/// How long a connection may take to be possible.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket that was made in the cgroup, in the calling thread's network namespace: a process that is there makes it and
/// hands it over.
fn made_in(cgroup: &Path, family: AddressFamily, kind: SockType) -> OwnedFd {
    let mut joining = File::options().write(true).open(cgroup.join("cgroup.procs")).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let make = move || {
        // 0 is whoever writes it.
        joining.write_all(b"0")?;
        let made = socket(family, kind, SockFlag::empty(), None)?;
        let rights = [made.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(theirs.as_raw_fd(), &[IoSlice::new(b"!")], &message, MsgFlags::empty(), None)?;
        Ok(())
    };
    let mut command = Command::new("true");
    // SAFETY: between fork and exec it makes three system calls; what it allocates is little, and glibc allows that.
    unsafe { command.pre_exec(make) };
    assert!(command.status().unwrap().success());
    received(&ours)
}

fn received(from: &UnixStream) -> OwnedFd {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), flags).unwrap();
    let rights = message.cmsgs().unwrap().find_map(|message| match message {
        ControlMessageOwned::ScmRights(rights) => rights.first().copied(),
        _ => None,
    });
    // SAFETY: the kernel has just given us this descriptor.
    unsafe { OwnedFd::from_raw_fd(rights.expect("a socket")) }
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

sockopt_impl!(Cookie, GetOnly, libc::SOL_SOCKET, libc::SO_COOKIE, u64);

pub(super) fn cookie_of(socket: &impl AsFd) -> u64 {
    getsockopt(&socket.as_fd(), Cookie).unwrap()
}

/// The bytes of a map value without padding.
pub(super) fn bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: they live as long as the value, and all of them were written.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

/// Whoever listens here lets others listen at the same port.
pub(super) fn listener_of(cgroup: &Path, address: &str) -> TcpListener {
    let address: SocketAddr = address.parse().unwrap();
    let made = bound(cgroup, address);
    listen(&made, Backlog::new(128).unwrap()).unwrap();
    made.into()
}

/// A connection that the cgroup made.
pub(super) fn client_of(cgroup: &Path, address: SocketAddr) -> TcpStream {
    let made = made_in(cgroup, family(address), SockType::Stream);
    connect(made.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    made.into()
}

/// A connection from an address and port of choice, at which others may listen.
pub(super) fn client_from(cgroup: &Path, from: SocketAddr, to: SocketAddr) -> TcpStream {
    let (made, begun) = (bound(cgroup, from), Instant::now());
    // The kernel takes packets to a new address of its own a little after `ip` has ended.
    while let Err(error) = connect(made.as_raw_fd(), &SockaddrStorage::from(to)) {
        assert!(error == Errno::ENETUNREACH && begun.elapsed() < PATIENCE, "{from} to {to}: {error}");
        sleep(Duration::from_millis(10));
    }
    made.into()
}

/// One that has no answer yet.
pub(super) fn asking_from(cgroup: &Path, from: SocketAddr, to: SocketAddr) -> TcpStream {
    let made: TcpStream = bound(cgroup, from).into();
    made.set_nonblocking(true).unwrap();
    assert_eq!(connect(made.as_raw_fd(), &SockaddrStorage::from(to)), Err(Errno::EINPROGRESS));
    made
}

fn bound(cgroup: &Path, address: SocketAddr) -> OwnedFd {
    let made = made_in(cgroup, family(address), SockType::Stream);
    setsockopt(&made, sockopt::ReusePort, &true).unwrap();
    bind(made.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    made
}

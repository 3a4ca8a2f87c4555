//! The number under which kernel programs know a network namespace.

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::{getsockopt_impl, sockopt_impl};

/// asm-generic/socket.h, since 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

sockopt_impl!(NetnsCookie, GetOnly, libc::SOL_SOCKET, SO_NETNS_COOKIE, u64);

/// That of the namespace that the calling thread is in; `None` when the kernel is too old to tell.
pub(super) fn current() -> Result<Option<u64>> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a socket to ask for its namespace's cookie")?;
    match getsockopt(&socket, NetnsCookie) {
        Ok(cookie) => Ok(Some(cookie)),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error).context("cannot ask for a network namespace's cookie"),
    }
}

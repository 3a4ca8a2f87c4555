//! Socket calls that take pointers, each in a safe form.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use socket2::{SockAddr, SockAddrStorage, Socket};

/// How long a polling thread waits for more before it sleeps.
const POLLER_IDLE_MS: u32 = 100;

/// `connect` to `AF_UNSPEC`.
pub(crate) fn disconnect(socket: &Socket) -> io::Result<()> {
    let length = size_of::<libc::sockaddr>().try_into().map_err(io::Error::other)?;
    // SAFETY: the storage is larger than `sockaddr`, and all zeros are one of the family 0, which is AF_UNSPEC.
    let nobody = unsafe { SockAddr::new(SockAddrStorage::zeroed(), length) };
    socket.connect(&nobody)
}

/// The same datagram to each; how many were sent.
pub(crate) fn sendmmsg(socket: BorrowedFd<'_>, to: &[SocketAddr], bytes: &[u8]) -> io::Result<usize> {
    let names: Vec<SockAddr> = to.iter().map(|to| SockAddr::from(*to)).collect();
    let mut part = iovec(bytes);
    let mut messages: Vec<libc::mmsghdr> =
        names.iter().map(|name| libc::mmsghdr { msg_hdr: message(name, &mut part), msg_len: 0 }).collect();
    let count = messages.len().try_into().map_err(io::Error::other)?;
    // SAFETY: `messages` has so many elements, whose names and part live as long as it.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Which thread does what a ring is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// The one that submits it.
    Caller,
    /// One of the kernel's workers.
    Worker,
    /// The kernel thread that polls the queue.
    Poller,
}

/// `connect` by `IORING_OP_CONNECT`.
pub(crate) fn uring_connect(socket: BorrowedFd<'_>, to: SocketAddr, by: By) -> io::Result<()> {
    let name = SockAddr::from(to);
    let entry = opcode::Connect::new(types::Fd(socket.as_raw_fd()), name.as_ptr().cast(), name.len());
    // SAFETY: socket and name live until after the call, and so until the kernel is done.
    unsafe { submit(entry.build(), by) }.map(drop)
}

/// `sendmsg` by `IORING_OP_SENDMSG`; how many bytes were sent.
pub(crate) fn uring_send(socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8], by: By) -> io::Result<usize> {
    let name = SockAddr::from(to);
    let mut part = iovec(bytes);
    let message = message(&name, &mut part);
    let entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), &raw const message);
    // SAFETY: socket, name, part and message live until after the call, and so until the kernel is done.
    unsafe { submit(entry.build(), by) }
}

/// `IORING_OP_SEND_ZC`; how many bytes were sent.
pub(crate) fn uring_send_zc(socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
    let name = SockAddr::from(to);
    let length = bytes.len().try_into().map_err(io::Error::other)?;
    let entry = opcode::SendZc::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
        .dest_addr(name.as_ptr().cast())
        .dest_addr_len(name.len())
        .build();
    let mut ring = IoUring::new(2)?;
    // SAFETY: name and bytes live until after the notification that the kernel is done with them, for which we wait.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let first = ring.completion().next().ok_or_else(|| io::Error::other("io_uring completes nothing"))?;
    if cqueue::more(first.flags()) {
        while ring.completion().next().is_none() {
            ring.submit_and_wait(1)?;
        }
    }
    usize::try_from(first.result()).map_err(|_| io::Error::from_raw_os_error(-first.result()))
}

/// Submits one operation and waits for its end.
///
/// # Safety
/// What it points to lives until this returns.
unsafe fn submit(entry: squeue::Entry, by: By) -> io::Result<usize> {
    let (mut ring, entry) = match by {
        By::Caller => (IoUring::new(1)?, entry),
        By::Worker => (IoUring::new(1)?, entry.flags(squeue::Flags::ASYNC)),
        By::Poller => (IoUring::builder().setup_sqpoll(POLLER_IDLE_MS).build(1)?, entry),
    };
    // SAFETY: as promised by the caller.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().ok_or_else(|| io::Error::other("io_uring completes nothing"))?;
    usize::try_from(done.result()).map_err(|_| io::Error::from_raw_os_error(-done.result()))
}

/// The kernel reads what these point to, and writes nothing.
fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn message(name: &SockAddr, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros are a message of nothing to nobody.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.as_ptr().cast_mut().cast();
    message.msg_namelen = name.len();
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

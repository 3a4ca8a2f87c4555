//! Sockets from process to process (`SCM_RIGHTS`), over a socket at a path: the one who takes listens there.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, cmsg_space, recvmsg, sendmsg};

use crate::sys;

/// How long the other may take to be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives a socket to the one who takes at `path`.
pub(super) fn give(socket: BorrowedFd<'_>, path: &str) -> Result<()> {
    let since = Instant::now();
    let taker = loop {
        match UnixStream::connect(path) {
            Ok(taker) => break taker,
            Err(error) if since.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("nobody takes at {path}"));
            }
            Err(_) => sleep(Duration::from_millis(1)),
        }
    };
    let descriptors = [socket.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    let parts = [IoSlice::new(b"!")];
    sendmsg::<()>(taker.as_raw_fd(), &parts, &message, MsgFlags::empty(), None).context("giving a socket")?;
    Ok(())
}

/// Takes a socket at `path`.
pub(super) fn take(path: &str) -> Result<OwnedFd> {
    let listener = UnixListener::bind(path).with_context(|| format!("listening at {path}"))?;
    let (giver, _) = listener.accept().context("waiting for a socket")?;
    std::fs::remove_file(path).with_context(|| format!("removing {path}"))?;
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = vec![0; cmsg_space::<[i32; 1]>()];
    let received = recvmsg::<()>(giver.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
    let received = received.context("taking a socket")?;
    for message in received.cmsgs().context("reading what came")? {
        if let ControlMessageOwned::ScmRights(descriptors) = message
            && let [descriptor] = descriptors[..]
        {
            return Ok(sys::passed(descriptor));
        }
    }
    bail!("there came no socket")
}

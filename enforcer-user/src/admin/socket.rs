//! The socket in the file system: who may open it, and what becomes of one that is already there.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _};
use std::os::unix::net;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::Mode;
use tokio::net::{UnixListener, UnixStream};

/// How long another agent may take to accept before it counts as alive and busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Listens at `path`: the directory is made for its owner alone when it is missing, the socket always is. What a
/// dead agent left is replaced.
pub(super) async fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("making the directory {} of the admin socket", dir.display()))?;
    }
    clear(path).await?;
    let listener = bind(path).with_context(|| format!("listening at the admin socket {}", path.display()))?;
    UnixListener::from_std(listener).context("handing the admin socket to the runtime")
}

/// Makes room, unless somebody lives there.
async fn clear(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("looking at the admin socket {shown}")),
        Ok(there) if !there.file_type().is_socket() => {
            bail!("{shown} is there and is not a socket; remove it, or give another path with --admin");
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .with_context(|| format!("removing the admin socket {shown} of a dead agent")),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A full queue is an agent that lives and does not accept.
        Ok(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
            Err(error).with_context(|| format!("asking whether an agent answers at {shown}"))
        }
        _ => bail!("another agent answers at {shown}; stop it, or give another path with --admin"),
    }
}

/// The mode is set before the name exists: Linux takes a socket's file mode from the unbound socket's, so that there is no
/// instant at which others could connect.
fn bind(path: &Path) -> io::Result<net::UnixListener> {
    use nix::sys::{socket, stat};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    stat::fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd.into())
}

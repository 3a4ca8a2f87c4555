//! Canaries: below every cgroup that has programs a process asks now and then for what nobody registers, and the programs must
//! have noticed. What is attached and does not run (another cgroup namespace, a program put in the place of ours, a map of
//! another agent) is found no other way.

mod ear;
mod round;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};

use enforcer_common::event::FlowEvent;

pub use ear::Ear;
pub use round::{Senses, watch};

/// The cgroup of a canary, and what its process is called: the fifteen characters that a name may have.
pub const NAME: &str = "enforcer-canary";
/// What it asks for, by UDP: an address for documentation (RFC 5737) and the port that discards. Nothing is sent there.
pub const DESTINATION: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);

/// What a canary met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Met {
    /// The kernel said EPERM.
    Denied,
    /// It was connected.
    LetThrough,
    /// The kernel said something else.
    Other,
    /// It could not ask: the cgroup took it not in.
    Nothing,
}

impl Met {
    /// As the canary's process ends.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Denied => 0,
            Self::LetThrough => 1,
            Self::Other => 2,
            Self::Nothing => 3,
        }
    }

    fn from_exit_code(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Denied,
            Some(1) => Self::LetThrough,
            Some(2) => Self::Other,
            _ => Self::Nothing,
        }
    }
}

/// What the canary itself does: goes into the cgroup, and asks.
pub fn sing(cgroup: &Path) -> Met {
    // Only for who looks at it.
    let _ = fs::write("/proc/self/comm", NAME);
    if fs::write(cgroup.join("cgroup.procs"), "0").is_err() {
        return Met::Nothing;
    }
    let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(DESTINATION));
    match asked {
        Ok(()) => Met::LetThrough,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Met::Denied,
        Err(_) => Met::Other,
    }
}

/// Whether this is about a canary: nobody wants to hear of it.
pub fn is_canary(event: &FlowEvent) -> bool {
    let (addr, port) = event.destination();
    let to = (addr.ip(), port.get());
    event.command() == NAME.as_bytes() && to == (DESTINATION.ip().to_owned().into(), DESTINATION.port())
}

/// Takes away what is left of canaries below these cgroups. What is in use stays, for somebody else's next try.
pub fn remove(roots: &[PathBuf]) {
    for root in roots {
        let _ = fs::remove_dir(root.join(NAME));
    }
}

/// The cgroup of a canary. Goes with the value: whoever removes the cgroup above would stumble over it.
#[derive(Debug)]
struct Cage(PathBuf);

impl Cage {
    /// Below `root`; fails where no process can be.
    fn make(root: &Path) -> io::Result<Self> {
        let path = root.join(NAME);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let cage = Self(path);
        let kind = fs::read_to_string(cage.0.join("cgroup.type"))?;
        if kind.trim() == "domain invalid" {
            return Err(io::Error::other("no process can be below a threaded cgroup"));
        }
        Ok(cage)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // The next one finds what stays.
        let _ = fs::remove_dir(&self.0);
    }
}

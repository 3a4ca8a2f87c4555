//! What is pinned below a pin directory, and who holds it: read, never changed.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use enforcer_common::names::CGROUP_PROGRAMS;

use crate::dataplane::interface;
use crate::dataplane::pin::{Pins, directories, entries, is_abi};
use crate::dataplane::sys::{self, PinnedObject};

/// The pins of one ABI.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinnedAbi {
    /// `v2`.
    pub name: String,
    /// Whether this build speaks it.
    pub ours: bool,
    /// How many maps.
    pub maps: usize,
    /// The cgroups with links.
    pub cgroups: Vec<PinnedTarget>,
    /// The interfaces with links or, before kernel 6.6, with programs.
    pub interfaces: Vec<PinnedTarget>,
}

/// The links of one cgroup or interface.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinnedTarget {
    /// Its id, as the directory is named.
    pub id: String,
    /// How many links.
    pub links: usize,
    /// Programs of this build that have none there.
    pub missing: Vec<&'static str>,
    /// Links whose cgroup or interface has gone.
    pub dangling: usize,
    /// Links that could not be looked at, and why the last one could not.
    pub unseen: Option<String>,
}

/// Everything that is pinned below `pin_dir`.
pub fn pinned(pin_dir: &Path) -> Result<Vec<PinnedAbi>> {
    let ours = Pins::new(pin_dir);
    // What may not be looked at is not nothing.
    if pin_dir.try_exists().with_context(|| format!("cannot look at {}", pin_dir.display()))? {
        std::fs::read_dir(pin_dir).with_context(|| format!("cannot read {}", pin_dir.display()))?;
    }
    let abis = directories(pin_dir)?.into_iter().filter(|path| is_abi(path));
    abis.map(|path| {
        let cgroups = directories(&path.join("links"))?;
        let interfaces = directories(&path.join("interfaces"))?;
        Ok(PinnedAbi {
            name: file_name(&path),
            ours: path == ours.abi(),
            maps: entries(&path.join("maps"))?.len(),
            cgroups: cgroups.iter().map(|path| cgroup(path)).collect::<Result<_>>()?,
            interfaces: interfaces.iter().map(|path| interface(path)).collect::<Result<_>>()?,
        })
    })
    .collect()
}

fn cgroup(directory: &Path) -> Result<PinnedTarget> {
    let has_gone = |link: BorrowedFd<'_>| Ok(sys::cgroup_of(link)? == 0);
    let missing = |names: &[String]| {
        let programs = CGROUP_PROGRAMS.iter().map(|program| program.name);
        programs.filter(|program| !names.iter().any(|name| name == program)).collect()
    };
    target(directory, has_gone, missing)
}

fn interface(directory: &Path) -> Result<PinnedTarget> {
    // A program does not tell where its filter is.
    let has_gone = |pinned: BorrowedFd<'_>| match sys::identify(pinned)? {
        PinnedObject::Link(_) => Ok(sys::interface_of(pinned)? == 0),
        PinnedObject::Program(_) | PinnedObject::Other => Ok(false),
    };
    target(directory, has_gone, interface::missing)
}

fn target(
    directory: &Path,
    has_gone: impl Fn(BorrowedFd<'_>) -> io::Result<bool>,
    missing: impl Fn(&[String]) -> Vec<&'static str>,
) -> Result<PinnedTarget> {
    let links = entries(directory)?;
    let mut found = PinnedTarget { id: file_name(directory), links: links.len(), ..PinnedTarget::default() };
    for link in &links {
        match sys::get(link).and_then(|link| has_gone(link.as_fd())) {
            Ok(has_gone) => found.dangling += usize::from(has_gone),
            Err(error) => found.unseen = Some(format!("{}: {error}", link.display())),
        }
    }
    let names: Vec<String> = links.iter().map(|link| file_name(link)).collect();
    found.missing = missing(&names);
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The process that holds the lock of `pin_dir`; 0 when it is not to be seen from here.
pub fn lock_holder(pin_dir: &Path) -> Result<Option<u32>> {
    let metadata = match std::fs::metadata(pin_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.with_context(|| format!("cannot look at {}", pin_dir.display()))?,
    };
    let locks = std::fs::read_to_string("/proc/locks").context("cannot read /proc/locks")?;
    let device = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    Ok(holder(&locks, device, metadata.ino()))
}

/// proc(5): `1: FLOCK  ADVISORY  WRITE 1234 00:2a:7 0 EOF`, the device in hexadecimal, then the inode.
fn holder(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, "WRITE", pid, at, ..] if at == place => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_among_others() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:2a:7 0 EOF\n\
                     2: FLOCK  ADVISORY  READ  12 00:2a:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 15 00:2a:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 00:2a:70 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 14 00:2a:7 0 EOF\n\
                     5: FLOCK  ADVISORY  WRITE 0 103:05:9 0 EOF\n";
        assert_eq!(holder(locks, (0, 0x2a), 7), Some(14));
        assert_eq!(holder(locks, (0x103, 5), 9), Some(0));
        assert_eq!(holder(locks, (0, 0x2b), 7), None);
        assert_eq!(holder("", (0, 0), 0), None);
    }
}

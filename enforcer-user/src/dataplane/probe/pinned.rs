//! What is pinned below a pin directory, and who holds it: read, never changed.

use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use enforcer_common::names::CGROUP_PROGRAMS;

use crate::dataplane::pin::{Pins, directories, entries, is_abi};
use crate::dataplane::sys;

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
    pub cgroups: Vec<PinnedCgroup>,
}

/// The links of one cgroup.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PinnedCgroup {
    /// Its id, as the directory is named.
    pub id: String,
    /// How many links.
    pub links: usize,
    /// Programs of this build that have none there.
    pub missing: Vec<&'static str>,
    /// Links whose cgroup has gone.
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
        Ok(PinnedAbi {
            name: file_name(&path),
            ours: path == ours.abi(),
            maps: entries(&path.join("maps"))?.len(),
            cgroups: cgroups.iter().map(|path| cgroup(path)).collect::<Result<_>>()?,
        })
    })
    .collect()
}

fn cgroup(directory: &Path) -> Result<PinnedCgroup> {
    let links = entries(directory)?;
    let mut found = PinnedCgroup { id: file_name(directory), links: links.len(), ..PinnedCgroup::default() };
    for link in &links {
        match sys::get(link).and_then(|link| sys::cgroup_of(link.as_fd())) {
            Ok(0) => found.dangling += 1,
            Ok(_) => {}
            Err(error) => found.unseen = Some(format!("{}: {error}", link.display())),
        }
    }
    let names: Vec<String> = links.iter().map(|link| file_name(link)).collect();
    let programs = CGROUP_PROGRAMS.iter().map(|program| program.name);
    found.missing = programs.filter(|program| !names.iter().any(|name| name == program)).collect();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The process that holds the lock of `pin_dir`; 0 when it is not to be seen from here.
pub fn lock_holder(pin_dir: &Path) -> Result<Option<u32>> {
    let metadata = match std::fs::metadata(pin_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
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

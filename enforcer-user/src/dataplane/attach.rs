//! Links: one per program and cgroup, pinned, replaced in place.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use enforcer_common::key::CgroupId;

use crate::dataplane::load::LoadedProgram;
use crate::dataplane::pin::{Pins, directories};
use crate::dataplane::sys;

/// What judges packets.
pub(super) const JUDGES_PACKETS: &str = "enforcer_skb_out";

/// Attaches every program to the cgroup at `path`: into the pinned link when there is a living one, else by a new link. A cgroup
/// that got only some of its programs keeps them: some checks are better than none. `between` is called before the last of them, which
/// judges packets, if that was not there yet.
pub fn attach(
    pins: &Pins,
    cgroup: CgroupId,
    path: &Path,
    programs: &[LoadedProgram],
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let target = File::open(path).with_context(|| format!("cannot open the cgroup {}", path.display()))?;
    let links = pins.links(cgroup);
    fs::create_dir_all(&links).with_context(|| format!("cannot create {}", links.display()))?;
    for loaded in programs {
        let pin = links.join(loaded.program.name);
        if loaded.program.name == JUDGES_PACKETS && !pin.exists() {
            between()?;
        }
        attach_one(&pin, target.as_fd(), loaded).with_context(|| {
            format!("cannot attach {} to the cgroup {}", loaded.program.name, path.display())
        })?;
    }
    Ok(())
}

fn attach_one(pin: &Path, target: BorrowedFd<'_>, loaded: &LoadedProgram) -> io::Result<()> {
    if pin.exists() {
        match sys::link_update(sys::get(pin)?.as_fd(), loaded.fd.as_fd()) {
            Ok(()) => return Ok(()),
            // The cgroup was removed and its inode number came again: the old link hangs in the air.
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => fs::remove_file(pin)?,
            Err(error) => return Err(error),
        }
    }
    let link = sys::link_create(loaded.fd.as_fd(), target, loaded.program.attach_type)?;
    sys::pin(link.as_fd(), pin)
}

/// Takes the programs off all cgroups but these. Returns the links' directories that went.
pub fn detach_others(pins: &Pins, keep: &[CgroupId]) -> Result<Vec<PathBuf>> {
    let keep: Vec<PathBuf> = keep.iter().map(|cgroup| pins.links(*cgroup)).collect();
    let others: Vec<PathBuf> =
        directories(&pins.all_links())?.into_iter().filter(|path| !keep.contains(path)).collect();
    for directory in &others {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(others)
}

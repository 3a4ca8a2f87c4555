//! Cgroups of a test's own: made below the cgroup2 mount, removed with everything in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long processes that were killed may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the cgroup2 hierarchy is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on hybrid systems.
pub fn mount() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
    let found = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let path = fields.nth(1)?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    });
    found.context("no cgroup2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
}

/// The name of a cgroup of this process that nobody else has.
pub fn name(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes `cgroup` and all below it, after killing every process that is still there.
pub fn remove(cgroup: &Path) -> Result<()> {
    if !cgroup.exists() {
        return Ok(());
    }
    let since = Instant::now();
    loop {
        for pid in processes(cgroup) {
            // It may be gone by now: then that is what we want.
            let _ = kill(pid, Signal::SIGKILL);
        }
        match remove_tree(cgroup) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if since.elapsed() > PATIENCE => {
                bail!("cannot remove the cgroup {}: {error}; remove it with rmdir", cgroup.display())
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}

/// The processes in `cgroup` and below.
fn processes(cgroup: &Path) -> Vec<Pid> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw);
    own.chain(children(cgroup).iter().flat_map(|child| processes(child))).collect()
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    children(cgroup).iter().try_for_each(|child| remove_tree(child))?;
    fs::remove_dir(cgroup)
}

fn children(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

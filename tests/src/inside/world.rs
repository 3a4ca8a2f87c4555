//! The process that holds a node's namespaces and its bpffs. It lives until its standard input ends, however the test
//! ended, and then takes away whatever is left.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::inside::servers;
use crate::{cgroup, needs, sys};

/// Every address is local: whatever is dialled is served by [`servers`].
const NETWORK: [&[&str]; 3] = [
    &["link", "set", "lo", "up"],
    &["route", "add", "local", "0.0.0.0/0", "dev", "lo"],
    &["-6", "route", "add", "local", "::/0", "dev", "lo"],
];

/// Holds a world in `directory` with the cgroup `cgroup`, both made here; `network` makes its network.
pub fn hold(directory: &Path, cgroup: &Path, network: impl FnOnce() -> Result<()>) -> Result<()> {
    sys::ignore_signals().context("ignoring signals")?;
    let _guard = Leftovers { directory: directory.to_path_buf(), cgroup: cgroup.to_path_buf() };
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("making namespaces")?;
    fs::create_dir(cgroup).with_context(|| format!("making the cgroup {}", cgroup.display()))?;
    mount_bpffs(&directory.join("bpf"))?;
    network()?;
    println!("ready");
    std::io::stdout().flush().context("saying that all is ready")?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("waiting for the test to end")?;
    Ok(())
}

/// The network of a node whose every address is local, with servers on `ports`.
pub fn served(ports: &[u16]) -> Result<()> {
    for command in NETWORK {
        let output = needs::tool("ip").args(command).output().context("running ip")?;
        if !output.status.success() {
            bail!("ip {}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    // So that UDP answers come from whatever address was asked.
    fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").context("allowing answers from any address")?;
    servers::start(ports)
}

fn mount_bpffs(path: &Path) -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts private")?;
    fs::create_dir(path).with_context(|| format!("making {}", path.display()))?;
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), none)
        .with_context(|| format!("mounting a bpffs at {}", path.display()))
}

struct Leftovers {
    directory: PathBuf,
    cgroup: PathBuf,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Err(error) = cgroup::remove(&self.cgroup) {
            eprintln!("{error:#}");
        }
        // With the bpffs all pins go, with these all links. It is busy while somebody looks: then it goes a little later.
        let _ = umount2(&self.directory.join("bpf"), MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

//! `--workload pid=1234`: the process's cgroup, which is looked up here, since the agent may see other processes than who asks.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, bail};

/// `text`, with a process turned into its cgroup.
pub(super) fn cgroup_for(text: &str) -> anyhow::Result<String> {
    let Some(pid) = text.trim().strip_prefix("pid=") else { return Ok(text.to_owned()) };
    let Some(pid) = pid.parse::<u32>().ok().filter(|pid| *pid > 0) else {
        bail!("--workload {text:?}: {pid:?} is no process id; write pid=1234");
    };
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("--workload {text:?}: there is no process {pid}"),
        _ => anyhow::Error::new(error).context(format!("--workload {text:?}: reading /proc/{pid}/cgroup")),
    })?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    match path(&cgroups, &mounts) {
        Ok(path) => Ok(format!("cgroup={path}")),
        Err(what) => bail!("--workload {text:?}: {what}; write cgroup=PATH or namespace/name instead"),
    }
}

/// Where the cgroup v2 of a process is, by what `/proc/PID/cgroup` and `/proc/self/mountinfo` say.
fn path(cgroups: &str, mountinfo: &str) -> Result<String, &'static str> {
    // cgroups(7): hierarchy 0 is v2; v1 controllers have other numbers.
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or("the process is in no cgroup v2")?;
    if own.starts_with("/..") {
        return Err("its cgroup is outside of the cgroup namespace of who asks");
    }
    if own.ends_with(" (deleted)") {
        return Err("its cgroup has been removed");
    }
    let at = |line: &str| {
        // proc(5): id parent major:minor root mount-point options... - type source options
        let mut fields = line.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let is_cgroup2 = line.split(" - ").nth(1)?.starts_with("cgroup2 ");
        let below = own.strip_prefix(root.trim_end_matches('/'))?;
        let whole = below.is_empty() || below.starts_with('/');
        (is_cgroup2 && whole).then(|| format!("{}{below}", mount.trim_end_matches('/')))
    };
    mountinfo.lines().find_map(at).ok_or("no cgroup2 file system with its cgroup is mounted here")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 30 0:22 / /sys rw - sysfs sysfs rw
42 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_process_is_where_its_cgroup_is_mounted() {
        for (cgroups, mounts, expected) in [
            ("0::/shop/cart\n", MOUNTS, Ok("/sys/fs/cgroup/unified/shop/cart")),
            ("4:memory:/x\n0::/shop/cart\n", MOUNTS, Ok("/sys/fs/cgroup/unified/shop/cart")),
            ("0::/pods/a/b\n", "1 2 0:3 /pods /mnt rw - cgroup2 c rw\n", Ok("/mnt/a/b")),
            (
                "0::/podsy/a\n",
                "1 2 0:3 /pods /mnt rw - cgroup2 c rw\n",
                Err("no cgroup2 file system with its cgroup is mounted here"),
            ),
            ("4:memory:/x\n", MOUNTS, Err("the process is in no cgroup v2")),
            ("0::/../x\n", MOUNTS, Err("its cgroup is outside of the cgroup namespace of who asks")),
            ("0::/x (deleted)\n", MOUNTS, Err("its cgroup has been removed")),
            ("0::/x\n", "", Err("no cgroup2 file system with its cgroup is mounted here")),
        ] {
            assert_eq!(path(cgroups, mounts), expected.map(str::to_owned), "{cgroups}");
        }
    }

    #[test]
    fn what_is_no_process_is_said() {
        for (text, expected) in [
            ("pid=x", "\"x\" is no process id"),
            ("pid=", "\"\" is no process id"),
            ("pid=0", "\"0\" is no process id"),
            ("pid=4294967295", "there is no process 4294967295"),
        ] {
            let error = format!("{:#}", cgroup_for(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(cgroup_for("shop/cart").unwrap(), "shop/cart");
    }
}

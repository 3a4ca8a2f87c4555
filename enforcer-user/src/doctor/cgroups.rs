//! The cgroup hierarchy, and where pods are in it.

use std::path::{Path, PathBuf};

use crate::doctor::{Area, Check};
use crate::mountinfo::Mount;

const AREA: Area = Area("cgroups");

/// Where kubelet puts pods, below a hierarchy's mount: by the cgroupfs and by the systemd driver, by itself or inside another
/// node's container (kind).
pub(super) const KUBEPODS: &[&str] =
    &["kubepods", "kubepods.slice", "kubelet/kubepods", "kubelet.slice/kubelet-kubepods.slice"];

/// The inode number of the hierarchy's real root; the root of a cgroup namespace has another.
const ROOT_INODE: u64 = 1;

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroups {
    pub(super) mounts: Vec<Mount>,
    /// The inode of the cgroup2 mount.
    pub(super) inode: Option<u64>,
    /// `--cgroup`, and what is wrong with each, if anything is.
    pub(super) given: Vec<(PathBuf, Option<String>)>,
    /// Those of [`KUBEPODS`] that are there, in the cgroup2 hierarchy.
    pub(super) kubepods: Vec<PathBuf>,
    /// And in hierarchies of version 1.
    pub(super) kubepods_v1: Vec<PathBuf>,
}

pub(super) fn checks(cgroups: &Cgroups) -> Vec<Check> {
    let v1 = || cgroups.mounts.iter().filter(|mount| mount.kind == "cgroup");
    let Some(v2) = cgroups.mounts.iter().find(|mount| mount.kind == "cgroup2") else {
        let found = if v1().next().is_some() { "version 1 only" } else { "none is mounted" };
        return vec![AREA.fail(
            "hierarchy",
            found,
            "boot with systemd.unified_cgroup_hierarchy=1, or mount one: mount -t cgroup2 none /sys/fs/cgroup/unified; in a \
             container, mount the host's /sys/fs/cgroup",
        )];
    };
    let point = v2.point.display();
    let hierarchy = match v1().count() {
        0 => AREA.ok("hierarchy", format!("unified, at {point}")),
        count => AREA.note(
            "hierarchy",
            format!("hybrid: {count} of version 1, and version 2 at {point}"),
            "only what is in the version 2 hierarchy can be enforced",
        ),
    };
    let mut checks = vec![hierarchy];
    checks.extend(root(cgroups.inode, &v2.point));
    if cgroups.given.is_empty() {
        checks.push(kubepods(cgroups, &v2.point));
    }
    checks.extend(cgroups.given.iter().map(|(path, fault)| match fault {
        None => AREA.ok("--cgroup", path.display().to_string()),
        Some(fault) => {
            AREA.fail("--cgroup", fault, "correct the path, or make the cgroup before the agent starts")
        }
    }));
    checks
}

/// A container with its own cgroup namespace sees its own cgroup as the root, and no pod.
fn root(inode: Option<u64>, point: &Path) -> Option<Check> {
    match inode {
        Some(ROOT_INODE) => None,
        None => Some(AREA.not_looked_at("root", format!("{} cannot be read", point.display()), "run as root")),
        Some(_) => Some(AREA.warn(
            "root",
            format!("{} is not the root of the hierarchy: this is a container's own view", point.display()),
            "mount the host's /sys/fs/cgroup into the container (hostPath), or the pods of the node are not seen",
        )),
    }
}

fn kubepods(cgroups: &Cgroups, point: &Path) -> Check {
    let driver = |path: &Path| if path.extension().is_some() { "systemd" } else { "cgroupfs" };
    match (&cgroups.kubepods[..], &cgroups.kubepods_v1[..]) {
        ([], []) => AREA.warn(
            "kubepods",
            format!("none of {} is below {}", KUBEPODS.join(", "), point.display()),
            "without Kubernetes, say where to enforce: --cgroup PATH or --workload cgroup=PATH,namespace=NS",
        ),
        ([], [v1, ..]) => AREA.fail(
            "kubepods",
            format!("only in version 1: {}", v1.display()),
            "pods must be in the version 2 hierarchy: boot with systemd.unified_cgroup_hierarchy=1",
        ),
        (found, _) => {
            let found: Vec<String> =
                found.iter().map(|path| format!("{} ({} driver)", path.display(), driver(path))).collect();
            AREA.ok("kubepods", found.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Fail, Ok, Warn};
    use crate::doctor::{named, told};
    use crate::mountinfo;

    const V2: &str = "42 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    const V1: &str = "33 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

    fn cgroups(mounts: &str) -> Cgroups {
        Cgroups { mounts: mountinfo::parse(mounts), inode: Some(1), ..Cgroups::default() }
    }

    #[test]
    fn hierarchies_are_told_apart() {
        for (mounts, result, found) in [
            (V2.to_owned(), Ok, "unified, at /sys/fs/cgroup"),
            (format!("{V1}{V2}"), Ok, "hybrid: 1 of version 1, and version 2 at /sys/fs/cgroup"),
            (V1.to_owned(), Fail, "version 1 only"),
            (String::new(), Fail, "none is mounted"),
        ] {
            let checks = checks(&cgroups(&mounts));
            let check = named(&checks, "hierarchy");
            assert_eq!((check.result, check.found.as_str()), (result, found));
            told(&checks);
        }
        assert_eq!(named(&checks(&Cgroups { inode: Some(77), ..cgroups(V2) }), "root").result, Warn);
    }

    #[test]
    fn pods_are_found_by_either_driver_and_in_the_right_hierarchy() {
        let path = |path: &str| vec![PathBuf::from(path)];
        let systemd = Cgroups { kubepods: path("/sys/fs/cgroup/kubepods.slice"), ..cgroups(V2) };
        assert_eq!(
            named(&checks(&systemd), "kubepods").found,
            "/sys/fs/cgroup/kubepods.slice (systemd driver)"
        );
        let v1 = Cgroups { kubepods_v1: path("/sys/fs/cgroup/cpu/kubepods"), ..cgroups(V2) };
        assert_eq!(named(&checks(&v1), "kubepods").result, Fail);
        assert_eq!(named(&checks(&cgroups(V2)), "kubepods").result, Warn);
        let given = vec![("/a".into(), None), ("/b".into(), Some("/b cannot be read".to_owned()))];
        let checks = checks(&Cgroups { given, ..cgroups(V2) });
        let results: Vec<_> = told(&checks).into_iter().skip(1).collect();
        assert_eq!(results, [("--cgroup".to_owned(), Ok), ("--cgroup".to_owned(), Fail)]);
    }
}

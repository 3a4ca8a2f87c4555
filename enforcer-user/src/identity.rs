//! Who runs here: from the configured workloads to the cgroups that the kernel knows.

mod find;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::Role;
use enforcer_core::policy::WorkloadSpec;

use crate::config::{Mesh, StaticWorkload};
use crate::mountinfo;

pub use find::{below, paths};

/// A cgroup directory that exists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cgroup {
    /// Its id: the inode number of the directory.
    pub id: CgroupId,
    /// How many levels below the hierarchy's root.
    pub level: u8,
    /// Where it is.
    pub path: PathBuf,
}

/// The cgroup at `path`, which must be a cgroup2 directory and not the root of the hierarchy.
pub fn cgroup(path: &Path) -> Result<Cgroup> {
    Hierarchies::read()?.cgroup(path)
}

/// Whether there is a cgroup at `path`, or can be one later: below a cgroup2 mount, and not the root of the hierarchy.
pub fn may_become_cgroup(path: &Path) -> Result<()> {
    match cgroup(path) {
        Err(_) if is_gone(path) => {}
        found => return found.map(drop),
    }
    // What is there of the way to it decides.
    let above = path.ancestors().skip(1).find(|above| !is_gone(above)).unwrap_or(Path::new("/"));
    let above = above.canonicalize().with_context(|| format!("cannot resolve {}", above.display()))?;
    if Hierarchies::read()?.level(&above).is_none() {
        bail!(
            "{} is not there and can be no cgroup: {} is not a directory of a cgroup2 hierarchy (look for \"cgroup2\" in \
             /proc/mounts)",
            path.display(),
            above.display()
        );
    }
    Ok(())
}

/// Where cgroup2 hierarchies are mounted, and at which depth is what is seen there.
struct Hierarchies(Vec<(PathBuf, usize)>);

impl Hierarchies {
    fn read() -> Result<Self> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
        Ok(Self::of(&mounts))
    }

    fn of(mounts: &str) -> Self {
        let mounts = mountinfo::parse(mounts).into_iter().filter(|mount| mount.kind == "cgroup2");
        Self(mounts.map(|mount| (mount.point, depth(&mount.root))).collect())
    }

    fn cgroup(&self, path: &Path) -> Result<Cgroup> {
        let metadata = fs::metadata(path).with_context(|| {
            format!("the cgroup {} cannot be read; make it first, or correct the path", path.display())
        })?;
        let path = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        let Some(level) = self.level(&path) else {
            bail!(
                "{} is not a directory of a cgroup2 hierarchy (look for \"cgroup2\" in /proc/mounts)",
                path.display()
            );
        };
        if level == 0 {
            bail!("{} is the root cgroup: enforcing there would cut off the host itself", path.display());
        }
        let level = u8::try_from(level).with_context(|| format!("{} is too deep", path.display()))?;
        Ok(Cgroup { id: CgroupId::new(metadata.ino()), level, path })
    }

    /// The depth of `path` in the kernel's own count: what of the hierarchy is above the mount counts, too.
    fn level(&self, path: &Path) -> Option<usize> {
        let around = self.0.iter().filter_map(|(mount, above)| {
            let below = path.strip_prefix(mount).ok()?;
            Some((mount.as_os_str().len(), above + depth(below)))
        });
        around.max().map(|(_, level)| level)
    }
}

fn depth(path: &Path) -> usize {
    path.components().filter(|component| matches!(component, std::path::Component::Normal(_))).count()
}

/// The configured workloads, and where programs have to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// The `--cgroup` directories that are there.
    pub roots: Vec<Cgroup>,
    /// Every configured workload, those whose cgroup is not there included.
    pub workloads: Vec<Identified>,
    /// The topmost cgroups.
    pub attach: Vec<Cgroup>,
    /// Paths that could not be looked at: taken to be as they were.
    pub unreadable: BTreeSet<PathBuf>,
}

/// A configured workload, and its cgroup while there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identified {
    /// As configured.
    pub workload: StaticWorkload,
    /// Its cgroup. A directory that came again is another one.
    pub cgroup: Option<Cgroup>,
    /// That of its sidecar, while there is one.
    pub proxy: Option<Cgroup>,
}

impl Roster {
    /// Looks at the cgroups as they are now. Only a directory that is not there is gone: one that cannot be looked at (no
    /// descriptors left, say) is what it was in `last`, for a failed look must not lift enforcement.
    pub fn look(last: &Self, roots: &[PathBuf], workloads: &[StaticWorkload]) -> Self {
        let known = last.roots.iter().chain(last.workloads.iter().filter_map(|known| known.cgroup.as_ref()));
        let known: Vec<&Cgroup> = known.collect();
        let mut unreadable = BTreeSet::new();
        let hierarchies = Hierarchies::read();
        let cgroup = |path: &Path| match &hierarchies {
            Ok(hierarchies) => hierarchies.cgroup(path),
            Err(error) => bail!("{error:#}"),
        };
        let mut look = |path: &Path| match cgroup(path) {
            Ok(cgroup) => Some(cgroup),
            Err(_) if is_gone(path) => None,
            Err(error) => {
                if unreadable.insert(path.to_path_buf()) && !last.unreadable.contains(path) {
                    let error = format!("{error:#}");
                    tracing::warn!(cgroup = %path.display(), error, "cannot look at a cgroup; it is taken to be as it was");
                }
                let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
                known.iter().find(|cgroup| cgroup.path == path).copied().cloned()
            }
        };
        let roots: Vec<Cgroup> = roots.iter().filter_map(|path| look(path)).collect();
        let workloads = workloads.iter().map(|workload| Identified {
            cgroup: look(&workload.cgroup),
            proxy: sidecar(workload).and_then(&mut look),
            workload: workload.clone(),
        });
        let workloads: Vec<Identified> = workloads.collect();
        let there = workloads.iter().filter_map(|identified| identified.cgroup.clone());
        let attach = topmost(roots.iter().cloned().chain(there).collect());
        Self { roots, workloads, attach, unreadable }
    }

    /// The `--cgroup` directories that are no workload's and in none: a process there and in no workload has no identity.
    pub fn nobodys(&self) -> impl Iterator<Item = &Cgroup> {
        let is_of = |root: &Cgroup, workload: &Cgroup| root.path.starts_with(&workload.path);
        self.roots.iter().filter(move |root| !self.identified().any(|workload| is_of(root, workload)))
    }

    /// The depths at which programs look for an identity, deepest first.
    pub fn levels(&self) -> Vec<u8> {
        let mut levels: Vec<u8> =
            self.identified().chain(self.nobodys()).map(|cgroup| cgroup.level).collect();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels.dedup();
        levels
    }

    /// The cgroups of workloads and of their sidecars.
    fn identified(&self) -> impl Iterator<Item = &Cgroup> {
        self.workloads.iter().flat_map(|identified| [&identified.cgroup, &identified.proxy]).flatten()
    }
}

/// Whether the file system says that there is nothing at `path`.
fn is_gone(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// The cgroup of a workload's sidecar.
fn sidecar(workload: &StaticWorkload) -> Option<&Path> {
    match workload.mesh.as_ref()? {
        Mesh::Sidecar { proxy } => Some(proxy),
        Mesh::Ambient => None,
    }
}

impl Identified {
    /// As the compiler takes it, while its cgroup is there; `covered`: its packets are judged on the host's side of its interfaces.
    pub fn spec(&self, covered: bool) -> Option<WorkloadSpec> {
        let cgroup = self.cgroup.as_ref()?;
        let role = if self.workload.mesh.is_some() { Role::Meshed } else { Role::Alone };
        Some(self.spec_as(cgroup.id, role, covered))
    }

    /// Its mesh proxy, as the compiler takes it: the sidecar, while its cgroup is there, or ztunnel.
    pub fn proxy_spec(&self, covered: bool) -> Option<WorkloadSpec> {
        let cgroup = match self.workload.mesh.as_ref()? {
            Mesh::Sidecar { .. } => self.proxy.as_ref()?.id,
            Mesh::Ambient => self.cgroup.as_ref()?.id.of_proxy(),
        };
        Some(self.spec_as(cgroup, Role::MeshProxy, covered))
    }

    fn spec_as(&self, cgroup: CgroupId, role: Role, covered: bool) -> WorkloadSpec {
        WorkloadSpec {
            cgroup,
            role,
            covered,
            namespace: self.workload.namespace.clone(),
            name: self.workload.name.as_str().into(),
            labels: self.workload.labels.clone(),
            enforcement: self.workload.enforcement,
        }
    }

    /// `namespace/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.workload.namespace, self.workload.name)
    }
}

/// The topmost of `cgroups`: programs there see everything below, and a second one below would decide again.
fn topmost(mut cgroups: Vec<Cgroup>) -> Vec<Cgroup> {
    cgroups.sort_by(|a, b| a.path.cmp(&b.path));
    let mut kept: Vec<Cgroup> = Vec::new();
    for cgroup in cgroups {
        // What is below another one comes right after it.
        if !kept.last().is_some_and(|above| cgroup.path.starts_with(&above.path)) {
            kept.push(cgroup);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 30 0:22 / /sys rw - sysfs sysfs rw
31 25 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro
42 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
43 31 0:38 /kubepods /mnt/pods rw - cgroup2 cgroup2 rw
";

    fn workload(cgroup: &Path) -> StaticWorkload {
        StaticWorkload::plain(cgroup.to_path_buf(), "curl")
    }

    #[test]
    fn levels_count_from_the_root_of_the_hierarchy() {
        for (path, expected) in [
            ("/sys/fs/cgroup/unified", Some(0)),
            ("/sys/fs/cgroup/unified/web", Some(1)),
            ("/sys/fs/cgroup/unified/kubepods/pod1/c", Some(3)),
            ("/mnt/pods", Some(1)),
            ("/mnt/pods/pod1", Some(2)),
            ("/sys/fs/cgroup/memory", None),
            ("/home", None),
        ] {
            assert_eq!(Hierarchies::of(MOUNTS).level(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_may_become_a_cgroup_below_a_mount_and_nowhere_else() {
        let mount = mountinfo::read().into_iter().find(|mount| mount.kind == "cgroup2").unwrap().point;
        let elsewhere = tempfile::tempdir().unwrap();
        let text = |path: &Path| may_become_cgroup(path).map_err(|error| format!("{error:#}"));
        assert_eq!(text(&mount.join("enforcer-nobody/inner")), Ok(()));
        for (path, expected) in [
            (elsewhere.path().join("nobody"), "nobody is not there and can be no cgroup: /"),
            (elsewhere.path().to_path_buf(), "is not a directory of a cgroup2 hierarchy"),
            (mount.clone(), "is the root cgroup"),
        ] {
            let told = text(&path).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_look_that_fails_changes_nothing_and_a_directory_that_is_not_there_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let workload = workload(&path);
        let known = Cgroup { id: CgroupId::new(7), level: 1, path: path.clone() };
        let last = Roster {
            workloads: vec![Identified {
                workload: workload.clone(),
                cgroup: Some(known.clone()),
                proxy: None,
            }],
            ..Roster::default()
        };
        // The directory is there and is no cgroup: as good a failure as any.
        let now = Roster::look(&last, &[], std::slice::from_ref(&workload));
        assert_eq!(now.attach, [known]);
        drop(directory);
        let now = Roster::look(&now, &[], &[workload]);
        assert_eq!((now.attach.len(), now.workloads[0].cgroup.clone()), (0, None));
    }

    #[test]
    fn a_directory_above_workloads_is_nobodys_unless_it_is_in_one() {
        let cgroup = |id, path: &str, level| Cgroup { id: CgroupId::new(id), level, path: path.into() };
        let workload = |cgroup, proxy| Identified { workload: workload(Path::new("/c")), cgroup, proxy };
        let roster = Roster {
            roots: vec![cgroup(1, "/c/pods", 2), cgroup(2, "/c/pods/web/inner", 4), cgroup(3, "/c/other", 2)],
            workloads: vec![
                workload(Some(cgroup(4, "/c/pods/web", 3)), Some(cgroup(5, "/c/pods/web/a/b", 5))),
                workload(None, None),
                workload(Some(cgroup(3, "/c/other", 2)), None),
            ],
            ..Roster::default()
        };
        assert_eq!(roster.nobodys().map(|cgroup| cgroup.id.get()).collect::<Vec<_>>(), [1]);
        assert_eq!(roster.levels(), [5, 3, 2]);
    }

    #[test]
    fn only_the_topmost_cgroups_get_programs() {
        let cgroup = |path: &str| Cgroup { id: CgroupId::new(1), level: 1, path: path.into() };
        let kept = topmost(vec![cgroup("/c/b/x"), cgroup("/c/b"), cgroup("/c/a"), cgroup("/c/bb")]);
        let kept: Vec<_> = kept.iter().map(|cgroup| cgroup.path.to_str().unwrap()).collect();
        assert_eq!(kept, ["/c/a", "/c/b", "/c/bb"]);
    }
}

//! From a cgroup to the network namespace of its processes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::namespace::Namespace;

/// More namespaces of one workload are not looked into: whoever makes thousands must not keep the agent busy.
pub const MOST_NAMESPACES: usize = 32;

/// The network namespaces of the processes in the cgroup, and in those below it, that are not in `ours`: each once. A process may have
/// left for one of its own, and any may have taken an interface there. The cgroups `besides` are others'. And whether these
/// are all.
pub(super) fn namespaces_besides(
    ours: &Namespace,
    cgroup: &Path,
    besides: &BTreeSet<PathBuf>,
) -> Result<(Vec<Namespace>, bool)> {
    let mut all: Vec<Namespace> = Vec::new();
    let mut waiting = vec![cgroup.to_owned()];
    while let Some(directory) = waiting.pop() {
        for pid in processes(&directory)? {
            let found = present(Namespace::of_process(pid))
                .with_context(|| format!("cannot open the network namespace of process {pid}"))?;
            let is_new = |namespace: &Namespace| namespace != ours && !all.contains(namespace);
            let Some(namespace) = found.filter(is_new) else { continue };
            // Its number may have gone to a stranger between reading it and using it.
            if !processes(&directory)?.contains(&pid) {
                continue;
            }
            if all.len() == MOST_NAMESPACES {
                return Ok((all, false));
            }
            all.push(namespace);
        }
        let mut below = children(&directory)?;
        below.retain(|directory| !besides.contains(directory));
        below.sort_by(|a, b| b.cmp(a));
        waiting.extend(below);
    }
    Ok((all, true))
}

/// The same, as seen from the namespace of the calling thread.
pub fn namespaces_of_cgroup(cgroup: &Path) -> Result<Vec<Namespace>> {
    let (namespaces, _) = namespaces_besides(&Namespace::current()?, cgroup, &BTreeSet::new())?;
    Ok(namespaces)
}

fn processes(cgroup: &Path) -> Result<Vec<u32>> {
    let path = cgroup.join("cgroup.procs");
    let text = present(fs::read_to_string(&path))
        .with_context(|| format!("cannot read {}", path.display()))?
        .unwrap_or_default();
    // A process that our pid namespace does not see is listed as 0.
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect())
}

fn children(cgroup: &Path) -> Result<Vec<PathBuf>> {
    let entries = present(fs::read_dir(cgroup))
        .with_context(|| format!("cannot look into the cgroup {}", cgroup.display()))?;
    let directories = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

/// `None` for what has just gone, and for a threaded cgroup: the cgroup above lists its processes.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH | libc::ENODEV | libc::EOPNOTSUPP) => Ok(None),
            _ => Err(error),
        },
    }
}

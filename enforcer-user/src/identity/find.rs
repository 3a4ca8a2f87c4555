//! From a cgroup's id back to its directory, without anybody who knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use enforcer_common::key::CgroupId;

use crate::mountinfo;

/// Where the cgroups with these ids are, as far as they are found before `deadline`: a large node has many thousands.
pub fn paths(ids: &BTreeSet<CgroupId>, deadline: Instant) -> BTreeMap<CgroupId, PathBuf> {
    let mounts = mountinfo::read().into_iter().filter(|mount| mount.kind == "cgroup2");
    search(mounts.map(|mount| mount.point).collect(), ids, deadline)
}

/// The ids of the cgroup at `path` and of those below it, as far as they can be looked at.
pub fn below(path: &Path) -> BTreeSet<CgroupId> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![path.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
        found.insert(CgroupId::new(metadata.ino()));
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(directories.map(|entry| entry.path()));
    }
    found
}

fn search(
    mut waiting: Vec<PathBuf>,
    ids: &BTreeSet<CgroupId>,
    deadline: Instant,
) -> BTreeMap<CgroupId, PathBuf> {
    let mut found = BTreeMap::new();
    while let Some(directory) = waiting.pop() {
        if found.len() == ids.len() || Instant::now() > deadline {
            break;
        }
        let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(directories.map(|entry| entry.path()));
        let id = CgroupId::new(metadata.ino());
        if ids.contains(&id) {
            found.insert(id, directory);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_directory_is_found_by_its_inode_number_and_not_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("kubepods/burstable/pod1");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir_all(root.path().join("system/a")).unwrap();
        let id = CgroupId::new(fs::metadata(&deep).unwrap().ino());
        let ids = BTreeSet::from([id, CgroupId::new(u64::MAX)]);
        let soon = Instant::now() + Duration::from_mins(1);
        assert_eq!(search(vec![root.path().into()], &ids, soon), BTreeMap::from([(id, deep)]));
        let pods = root.path().join("kubepods");
        assert!(below(&pods).contains(&id) && below(&pods).len() == 3);
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(search(vec![root.path().into()], &ids, past).is_empty());
    }
}

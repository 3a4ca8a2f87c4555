//! What is mounted: `/proc/self/mountinfo`, as proc(5) describes it.

use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Which directory of the file system is seen here; `/` when all of it.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// `cgroup2`, `bpf`.
    pub kind: String,
    /// Options of this mount and of the file system: `rw`, `net_cls`.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether `option` is set, on the mount or on the file system.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|set| set == option)
    }
}

/// The mounts of this process; none when they cannot be read.
pub fn read() -> Vec<Mount> {
    parse(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// Every line that is one.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

/// The mount that `path` is in: the last of those with the longest mount point, which hides the others.
pub fn around<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let within = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    within.max_by_key(|mount| mount.point.components().count())
}

fn line(line: &str) -> Option<Mount> {
    // id parent major:minor root mount-point options optional-fields... - type source super-options
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point, options) = (mount.next()?, mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, of_file_system) = (file_system.next()?, file_system.nth(1).unwrap_or_default());
    let options = options.split(',').chain(of_file_system.split(','));
    Some(Mount {
        root: unescape(root).into(),
        point: unescape(point).into(),
        kind: kind.to_owned(),
        options: options.filter(|option| !option.is_empty()).map(str::to_owned).collect(),
    })
}

/// Space, tab, newline and backslash are written as `\\040` and the like.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_and_the_innermost_one_counts() {
        let mounts = parse(
            "25 30 0:22 / /sys rw shared:7 - sysfs sysfs rw\n\
             31 25 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n\
             42 31 0:38 /../.. /sys/fs/cgroup/a\\040b rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw\n\
             44 31 0:40 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls,net_prio\n\
             not a line\n",
        );
        assert_eq!(mounts.len(), 4);
        let kind = |path: &str| around(&mounts, Path::new(path)).map(|mount| mount.kind.as_str());
        assert_eq!(
            [kind("/sys/fs/cgroup/a b/x"), kind("/sys/fs/cgroup/x"), kind("/sys/fs/bpf"), kind("/etc")],
            [Some("cgroup2"), Some("tmpfs"), Some("sysfs"), None]
        );
        assert!(mounts[3].has("net_cls") && mounts[1].has("ro") && !mounts[3].has("cpu"));
        assert_eq!(mounts[2].root, Path::new("/../.."));
    }
}

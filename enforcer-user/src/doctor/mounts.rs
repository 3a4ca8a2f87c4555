//! Where the pins go: a bpffs, and one that can be written to.

use std::path::PathBuf;

use crate::doctor::{Area, Check};
use crate::mountinfo::{self, Mount};

const AREA: Area = Area("mounts");

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) all: Vec<Mount>,
    /// `--pin-dir`, or the nearest directory above it that is there.
    pub(super) nearest: PathBuf,
    /// What is wrong with its file system, if anything is.
    pub(super) fault: Option<String>,
    /// Why it cannot be written to, if it cannot.
    pub(super) denied: Option<String>,
    pub(super) root: bool,
}

pub(super) fn checks(place: &Place) -> Vec<Check> {
    if let Some(fault) = &place.fault {
        return vec![AREA.fail(
            "bpffs",
            fault,
            "mount it at every boot (systemd does at /sys/fs/bpf), and in a container with mountPropagation: \
             HostToContainer: what is pinned anywhere else is gone with the container",
        )];
    }
    let around = mountinfo::around(&place.all, &place.nearest).filter(|mount| mount.kind == "bpf");
    let bpffs = match around {
        Some(mount) => AREA.ok("bpffs", format!("mounted at {}", mount.point.display())),
        None => AREA.ok("bpffs", format!("{} is in one", place.nearest.display())),
    };
    vec![bpffs, writable(place, around)]
}

fn writable(place: &Place, around: Option<&Mount>) -> Check {
    let path = place.nearest.display();
    if around.is_some_and(|mount| mount.has("ro")) {
        return AREA.fail(
            "writable",
            format!("{path} is mounted read-only"),
            "mount -o remount,rw it; in a container, without readOnly: true",
        );
    }
    match &place.denied {
        None => AREA.ok("writable", path.to_string()),
        Some(why) if place.root => AREA.fail(
            "writable",
            format!("{path}: {why}"),
            "look at its owner and mode, and at what SELinux or AppArmor say",
        ),
        Some(why) => AREA.not_looked_at("writable", format!("{path}: {why}"), "run as root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Fail, Ok, Warn};
    use crate::doctor::told;

    #[test]
    fn pins_need_a_bpffs_that_can_be_written_to() {
        let mounts = |options: &str| Place {
            all: mountinfo::parse(&format!("30 20 0:25 / /sys/fs/bpf {options} - bpf bpf rw,mode=700")),
            nearest: "/sys/fs/bpf".into(),
            root: true,
            ..Place::default()
        };
        let results = |place: &Place| -> Vec<_> {
            told(&checks(place)).into_iter().map(|(_, result)| result).collect()
        };
        assert_eq!(results(&mounts("rw,nosuid")), [Ok, Ok]);
        assert_eq!(results(&mounts("ro,nosuid")), [Ok, Fail]);
        let denied = Place { denied: Some("Permission denied".to_owned()), ..mounts("rw") };
        assert_eq!(results(&denied), [Ok, Fail]);
        assert_eq!(results(&Place { root: false, ..denied }), [Ok, Warn]);
        let none = Place { fault: Some("no bpffs is mounted there".to_owned()), ..Place::default() };
        assert_eq!(results(&none), [Fail]);
    }
}

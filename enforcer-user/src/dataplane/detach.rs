//! Taking everything off the node, with or without a living agent.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use enforcer_common::names::map;

use crate::dataplane::attach::JUDGES_PACKETS;
use crate::dataplane::interface;
use crate::dataplane::pin::{Pins, directories, entries, is_abi};

/// What was taken off.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DetachReport {
    /// Links: attached programs.
    pub links: usize,
    /// Maps.
    pub maps: usize,
    /// Every pin that is gone.
    pub pins: Vec<PathBuf>,
}

/// Removes the pins of every ABI below `pin_dir`, links first: when a map goes, no program looks at it any more; but
/// before all what tells a living agent.
pub fn detach(pin_dir: &Path) -> Result<DetachReport> {
    let mut report = DetachReport::default();
    for abi in directories(pin_dir)?.into_iter().filter(|path| is_abi(path)) {
        detach_abi(&abi, &mut report)?;
    }
    Ok(report)
}

/// The pin that goes first, by which a living agent sees that it is not to put anything back. Nothing is lost with this map: a start
/// over what is left of the others makes it again.
const FIRST: &str = map::LOOKUPS;

/// Whether nobody has begun to take everything off.
pub(super) fn is_in_force(pins: &Pins) -> bool {
    pins.map(FIRST).exists()
}

/// Removes the pins of one ABI.
pub(super) fn detach_abi(abi: &Path, report: &mut DetachReport) -> Result<()> {
    let first = abi.join("maps").join(FIRST);
    if first.exists() {
        fs::remove_file(&first).with_context(|| format!("cannot remove {}", first.display()))?;
        report.maps += 1;
        report.pins.push(first);
    }
    for directory in directories(&abi.join("interfaces"))? {
        let pins = interface::take_off(&directory)?;
        report.links += pins.len();
        report.pins.extend(pins);
    }
    for cgroup in directories(&abi.join("links"))? {
        // What judges packets goes before what judges calls: else what a call may do now hangs for want of its packets.
        let packets = cgroup.join(JUDGES_PACKETS);
        if packets.exists() {
            fs::remove_file(&packets).with_context(|| format!("cannot remove {}", packets.display()))?;
            report.links += 1;
            report.pins.push(packets);
        }
        report.links += remove_files(&cgroup, &mut report.pins)?;
    }
    report.maps += remove_files(&abi.join("maps"), &mut report.pins)?;
    fs::remove_dir_all(abi).with_context(|| format!("cannot remove {}", abi.display()))
}

fn remove_files(directory: &Path, removed: &mut Vec<PathBuf>) -> Result<usize> {
    let paths = entries(directory)?;
    for path in &paths {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let count = paths.len();
    removed.extend(paths);
    Ok(count)
}

//! Taking everything off the node, with or without a living agent.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::dataplane::interface;
use crate::dataplane::pin::{directories, entries, is_abi};

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

/// Removes the pins of every ABI below `pin_dir`, links first: when a map goes, no program looks at it any more.
pub fn detach(pin_dir: &Path) -> Result<DetachReport> {
    let mut report = DetachReport::default();
    for abi in directories(pin_dir)?.into_iter().filter(|path| is_abi(path)) {
        detach_abi(&abi, &mut report)?;
    }
    Ok(report)
}

/// Removes the pins of one ABI.
pub(super) fn detach_abi(abi: &Path, report: &mut DetachReport) -> Result<()> {
    for cgroup in directories(&abi.join("links"))? {
        report.links += remove_files(&cgroup, &mut report.pins)?;
    }
    for directory in directories(&abi.join("interfaces"))? {
        let pins = interface::take_off(&directory)?;
        report.links += pins.len();
        report.pins.extend(pins);
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

//! Where registries come from. A source gives whole snapshots of its objects, and says how it is.

pub mod files;

use std::sync::Arc;

use enforcer_core::problem::Problem;
use enforcer_core::registry::object::Object;

/// All objects of one source, in order, after one of its changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which source: its position among the `--registry` flags.
    pub index: usize,
    /// Its objects.
    pub objects: Vec<Arc<Object>>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    /// Files that cannot be read now: their last good objects stay.
    pub stale_files: Vec<String>,
}

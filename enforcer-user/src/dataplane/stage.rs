//! Where tests of the real programs and maps are: fresh network and mount namespaces, with a bpffs of their own.

use std::path::Path;

use enforcer_core::policy::budget::Limits;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::links::stage::on_node;

/// Maps that are made at once.
pub(super) const SMALL: Limits = Limits {
    workloads: 4,
    exact: 16,
    prefixes: 16,
    class_rules: 16,
    any_rules: 16,
    backends: 16,
    rules: 16,
    flows: 16,
};

/// Runs a story there, with a directory to pin to.
pub(super) fn on_bpffs(story: impl FnOnce(&Path) + Send) {
    let directory = tempfile::tempdir().unwrap();
    on_node(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
        story(directory.path());
    });
}

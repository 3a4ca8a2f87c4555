//! `cargo xtask demo`: enforcer on this machine, without Kubernetes.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, setup, tree};

/// Builds the agent and the demo, and becomes the demo: its exit code is ours, and Ctrl-C reaches nobody but
/// the program that knows how to clean up.
pub(crate) fn run() -> Result<()> {
    setup::ensure(setup::Scope::Build)?;
    command::run(&mut command::cargo(["build", "-p", "enforcer-user", "-p", "enforcer-tests"]))?;
    let program = tree::target().join("debug/enforcer-demo");
    let error = Command::new(&program).current_dir(tree::root()).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

//! Debian packages.

use std::process::Command;

use anyhow::{Context, Result};

use super::progress;
use crate::command;

/// What installs packages. Nothing is removed for them: rust-web-clippy would take a packaged rustup with it.
pub(super) const INSTALL: &[&str] = &["apt-get", "install", "-y", "--no-install-recommends", "--no-remove"];

/// Whether this machine has apt.
pub(super) fn exists() -> bool {
    command::which("apt-get").is_some()
}

/// Installs packages; looks for newer package lists when one is unknown or gone.
pub(super) fn install(item: &str, packages: &[&str], otherwise: &str) -> Result<()> {
    let known = packages.iter().all(|package| knows(package));
    let first = if known {
        progress::run(item, &mut apt(INSTALL, packages))
    } else {
        update(item).and_then(|()| again(item, packages))
    };
    match first {
        Err(_) if known => update(item).and_then(|()| again(item, packages)),
        result => result,
    }
    .with_context(|| format!("apt-get does not install {}; without it: {otherwise}", packages.join(" ")))
}

fn update(item: &str) -> Result<()> {
    progress::run(&format!("package lists for {item}"), &mut apt(&["apt-get", "update"], &[]))
}

fn again(item: &str, packages: &[&str]) -> Result<()> {
    progress::run(item, &mut apt(INSTALL, packages))
}

fn knows(package: &str) -> bool {
    command::ask(Command::new("apt-cache").args(["show", "--no-all-versions", package])).is_some()
}

fn apt(line: &[&str], packages: &[&str]) -> Command {
    let mut apt = Command::new(line[0]);
    apt.args(&line[1..]).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

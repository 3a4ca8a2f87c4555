//! Where the repository is and which of its files are ours to check.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Directories that hold our crates, each with its own Cargo.toml.
pub(crate) const CRATES: &[&str] =
    &["enforcer-common", "enforcer-core", "enforcer-ebpf", "enforcer-user", "tests", "xtask"];

/// Generated sources: committed, but not written by hand.
const GENERATED: &[&str] = &["enforcer-user/src/proto/"];

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Path from the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// The repository's root: the parent of this crate.
pub(crate) fn root() -> PathBuf {
    let xtask =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), Path::to_path_buf)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Every file of our crates that is written by hand and ends in one of `extensions`, in path order.
pub(crate) fn files(extensions: &[&str]) -> Result<Vec<SourceFile>> {
    let root = root();
    let mut found = Vec::new();
    for dir in CRATES.iter().chain(&["proto", "deploy"]) {
        collect(&root, &root.join(dir), extensions, &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(root: &Path, dir: &Path, extensions: &[&str], found: &mut Vec<SourceFile>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry.with_context(|| format!("listing {}", dir.display()))?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, extensions, found)?;
        } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if !GENERATED.iter().any(|dir| name.starts_with(dir)) {
                let text = fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
                found.push(SourceFile { path: name, text });
            }
        }
    }
    Ok(())
}

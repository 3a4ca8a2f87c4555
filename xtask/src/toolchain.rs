//! The compiler for the kernel programs: any rustc that has the standard library's sources, because the BPF
//! targets come without a compiled `core`. The order is the one of enforcer-user/build.rs.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use crate::{command, tree};

/// A toolchain that can build `core` for a BPF target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// rustup's nightly with its rust-src component.
    Nightly,
    /// A rustc with sources beside it, such as Debian's rustc-web; driven by our own cargo.
    Rustc(PathBuf),
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nightly => f.write_str("rustup nightly with rust-src"),
            Self::Rustc(path) => write!(f, "{} with its sources", path.display()),
        }
    }
}

/// The kernel toolchain of this machine, if it has one.
pub(crate) fn find() -> Option<Kernel> {
    if let Some(chosen) = env::var_os("EBPF_RUSTC") {
        return Some(Kernel::Rustc(chosen.into())).filter(has_sources);
    }
    [Kernel::Nightly, Kernel::Rustc("rustc".into()), Kernel::Rustc("/usr/bin/rustc".into())]
        .into_iter()
        .find(has_sources)
}

/// A nightly without rust-src, which rustup installs by default, does not count.
fn has_sources(toolchain: &Kernel) -> bool {
    let mut rustc = match toolchain {
        Kernel::Nightly if command::which("rustup").is_none() => return false,
        Kernel::Nightly => Command::new("rustup"),
        Kernel::Rustc(path) => Command::new(path),
    };
    if *toolchain == Kernel::Nightly {
        rustc.args(["run", "nightly", "rustc"]).env_remove("RUSTUP_TOOLCHAIN");
    }
    command::ask(rustc.args(["--print", "sysroot"]).current_dir(tree::root())).is_some_and(|root| {
        PathBuf::from(root).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    })
}

impl Kernel {
    /// `cargo clippy` for the kernel programs; the caller adds arguments. Debian's clippy (package
    /// rust-web-clippy) is a program of its own that finds its driver beside itself and its cargo in CARGO.
    pub(crate) fn clippy(&self) -> Command {
        let mut clippy = match self {
            Self::Nightly => Command::new("rustup"),
            Self::Rustc(rustc) => Command::new(rustc.with_file_name("cargo-clippy")),
        };
        match self {
            Self::Nightly => {
                clippy.args(["run", "nightly", "cargo", "clippy"]).env_remove("RUSTUP_TOOLCHAIN")
            }
            Self::Rustc(rustc) => clippy.arg("clippy").env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1"),
        };
        command::as_typed(&mut clippy);
        clippy
    }

    /// Whether the linter belonging to this compiler is installed.
    pub(crate) fn has_clippy(&self) -> bool {
        command::ask(self.clippy().arg("--version").current_dir(tree::root())).is_some()
    }
}

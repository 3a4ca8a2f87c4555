//! What must be there: how to tell, and how to get it.

use std::process::Command;

use super::Scope;
use crate::command;
use crate::toolchain;

const BPF_LINKER: Version = Version { program: "bpf-linker", at_least: [0, 13, 0] };
const CARGO_DENY: Version = Version { program: "cargo-deny", at_least: [0, 20, 2] };
const CARGO_MACHETE: Version = Version { program: "cargo-machete", at_least: [0, 9, 2] };

/// Something that must be there.
pub(super) struct Item {
    pub(super) name: String,
    /// What was found, when it is there.
    pub(super) found: Option<String>,
    pub(super) check: fn() -> Option<String>,
    pub(super) fix: Fix,
}

/// How to get it.
pub(super) enum Fix {
    /// Debian packages; `otherwise` is the advice for machines without them.
    Apt { packages: &'static [&'static str], otherwise: &'static str },
    /// `cargo install --locked` with these arguments.
    Cargo { args: &'static [&'static str], env: &'static [(&'static str, &'static str)] },
    /// A command that changes the user's toolchain: theirs to run.
    ByHand(&'static str),
}

impl Fix {
    /// The Debian packages it takes.
    pub(super) fn packages(&self) -> &'static [&'static str] {
        match self {
            Self::Apt { packages, .. } => packages,
            Self::Cargo { .. } | Self::ByHand(_) => &[],
        }
    }
}

/// Everything that `scope` needs, in the order in which it is installed.
pub(super) fn list(scope: Scope) -> Vec<Item> {
    let mut items = vec![kernel_toolchain()];
    // Only building the linker needs LLVM's headers.
    if BPF_LINKER.found().is_none() {
        items.push(llvm());
    }
    items.extend([bpf_linker(), bpftool(), iproute2(), iptables(), curl()]);
    if scope == Scope::Ci {
        items.extend([rustfmt(), clippy(), kernel_clippy(), cargo_deny(), cargo_machete()]);
    }
    items
}

fn item(name: impl Into<String>, check: fn() -> Option<String>, fix: Fix) -> Item {
    Item { name: name.into(), found: check(), check, fix }
}

fn kernel_toolchain() -> Item {
    let fix = Fix::Apt {
        packages: &["rustc-web", "rust-web-src"],
        otherwise: "rustup toolchain install nightly --component rust-src",
    };
    item("kernel toolchain", || toolchain::find().map(|found| found.to_string()), fix)
}

/// Debian's clippy for Debian's compiler; rustup's nightly brings its own.
fn kernel_clippy() -> Item {
    let check = || toolchain::find().filter(toolchain::Kernel::has_clippy).map(|found| found.to_string());
    let fix = match toolchain::find() {
        Some(toolchain::Kernel::Nightly) => Fix::ByHand("rustup component add --toolchain nightly clippy"),
        _ => Fix::Apt {
            packages: &["rust-web-clippy"],
            otherwise: "rustup toolchain install nightly --component rust-src --component clippy",
        },
    };
    item("clippy of the kernel toolchain", check, fix)
}

fn llvm() -> Item {
    let fix = Fix::Apt {
        packages: &["llvm-22-dev"],
        otherwise: "LLVM 22 with headers below /usr/lib/llvm-22, or a bpf-linker 0.13 of your own on PATH",
    };
    item("LLVM 22", || command::ask(Command::new("/usr/lib/llvm-22/bin/llvm-config").arg("--version")), fix)
}

/// `LLVM_PREFIX`, or the build takes the newest LLVM it sees and fails to link.
fn bpf_linker() -> Item {
    let fix = Fix::Cargo {
        args: &["bpf-linker", "--version", "0.13.0", "--no-default-features", "--features", "llvm-22"],
        env: &[("LLVM_PREFIX", "/usr/lib/llvm-22")],
    };
    item(BPF_LINKER.program, || BPF_LINKER.found(), fix)
}

fn bpftool() -> Item {
    let check = || command::which("bpftool").map(|path| path.display().to_string());
    item("bpftool", check, Fix::Apt { packages: &["bpftool"], otherwise: "bpftool from your distribution" })
}

fn iproute2() -> Item {
    let check =
        || command::which("ip").and_then(|_| command::which("tc")).map(|path| path.display().to_string());
    item(
        "iproute2",
        check,
        Fix::Apt { packages: &["iproute2"], otherwise: "iproute2 from your distribution" },
    )
}

/// Redirects a pod's connections to its mesh proxy, in tests.
fn iptables() -> Item {
    let check = || command::which("iptables").map(|path| path.display().to_string());
    item(
        "iptables",
        check,
        Fix::Apt { packages: &["iptables"], otherwise: "iptables from your distribution" },
    )
}

fn curl() -> Item {
    let check = || command::which("curl").map(|path| path.display().to_string());
    item("curl", check, Fix::Apt { packages: &["curl"], otherwise: "curl from your distribution" })
}

fn rustfmt() -> Item {
    let check = || command::ask(&mut command::cargo(["fmt", "--version"]));
    item("rustfmt", check, Fix::ByHand("rustup component add rustfmt"))
}

fn clippy() -> Item {
    let check = || command::ask(&mut command::cargo(["clippy", "--version"]));
    item("clippy", check, Fix::ByHand("rustup component add clippy"))
}

fn cargo_deny() -> Item {
    let fix = Fix::Cargo { args: &["cargo-deny", "--version", "0.20.2"], env: &[] };
    item(CARGO_DENY.program, || CARGO_DENY.found(), fix)
}

fn cargo_machete() -> Item {
    let fix = Fix::Cargo { args: &["cargo-machete", "--version", "0.9.2"], env: &[] };
    item(CARGO_MACHETE.program, || CARGO_MACHETE.found(), fix)
}

/// A program and the oldest version that will do.
struct Version {
    program: &'static str,
    at_least: [u64; 3],
}

impl Version {
    /// The installed version, if it is new enough.
    fn found(&self) -> Option<String> {
        let said = command::ask(Command::new(command::which(self.program)?).arg("--version"))?;
        self.read(&said)
    }

    /// The version in what a program says of itself (`name 1.2.3` or `1.2.3`), if it is new enough.
    fn read(&self, said: &str) -> Option<String> {
        let version = said
            .lines()
            .next()?
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let numbers: Vec<u64> = version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
        (numbers.as_slice() >= self.at_least.as_slice()).then(|| version.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(BPF_LINKER.read("bpf-linker 0.13.0\n").as_deref(), Some("0.13.0"));
        assert_eq!(CARGO_MACHETE.read("0.10.0-rc1").as_deref(), Some("0.10.0-rc1"));
        assert_eq!(BPF_LINKER.read("bpf-linker 0.9.15"), None);
        assert_eq!(BPF_LINKER.read("error"), None);
    }
}

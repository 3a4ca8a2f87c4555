//! `cargo xtask layers`: who may import whom.
//!
//! Two scans: dependencies in each crate's Cargo.toml (`manifest`) and paths in each source file (`paths`),
//! both judged by the tables in `rules`. The scans read tokens, not types: a macro that hides an import escapes
//! them, an honest mistake does not.

mod manifest;
mod paths;
mod rules;

use std::fmt;

use anyhow::Result;

use crate::stop::Stop;
use crate::tree::{self, SourceFile};

/// A line that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: String,
    pub(crate) why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    why: {}", self.path, self.line, self.rule, self.why)
    }
}

/// Checks the repository, prints what is wrong, and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let files = tree::files(&["rs", "toml"])?;
    let violations = check(&files);
    for violation in &violations {
        println!("{violation}");
    }
    println!("layers: {} files, {} violations", files.len(), violations.len());
    if violations.is_empty() { Ok(()) } else { Err(Stop::Failed.into()) }
}

/// Every violation in `files`, in order of path and line.
fn check(files: &[SourceFile]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        if file.path.ends_with("Cargo.toml") {
            found.extend(manifest::check(file));
        } else if file.is_rust() {
            found.extend(rules::check_paths(file));
            found.extend(rules::check_peers(file));
            found.extend(rules::check_unsafe(file));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks one file and gives `line: rule` of each violation.
    fn check_one(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check(&[file]).into_iter().map(|v| format!("{}: {}", v.line, v.rule)).collect()
    }

    #[test]
    fn the_repository_keeps_its_layers() {
        let violations = check(&tree::files(&["rs", "toml"]).unwrap());
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn core_is_pure() {
        let path = "enforcer-core/src/dns.rs";
        assert_eq!(
            check_one(path, "use std::{fs, net::IpAddr};\nfn f() { std::time::Instant::now(); }\nuse tokio;"),
            [
                "1: `std::fs` may not be used here",
                "2: `*::Instant::now` may not be used here",
                "3: `tokio` may not be used here",
            ]
        );
        assert!(check_one(path, "use std::net::IpAddr;\n// std::fs\nlet s = \"tokio::spawn\";").is_empty());
        assert!(check_one(path, "#[cfg(test)]\nmod tests { use std::fs; }").is_empty());
    }

    #[test]
    fn aya_kube_and_the_protos_have_their_places() {
        let text = "use aya::Ebpf;\nuse kube::Client;\nuse crate::proto::X;";
        assert_eq!(check_one("enforcer-user/src/config.rs", text).len(), 3);
        assert!(check_one("enforcer-user/src/dataplane/load.rs", "use aya::Ebpf;").is_empty());
        assert!(check_one("enforcer-user/src/sources/kube/pods.rs", "use kube::Client;").is_empty());
        assert!(check_one("enforcer-user/src/admin/convert.rs", "use crate::proto::X;").is_empty());
        assert!(check_one("enforcer-user/src/sources.rs", "mod kube;\nfn f() { kube::run() }").is_empty());
    }

    #[test]
    fn netlink_has_its_places() {
        let text = "use netlink_sys::Socket;\nuse crate::netlink;";
        assert_eq!(check_one("enforcer-user/src/doctor/kernel.rs", text).len(), 2);
        assert!(check_one("enforcer-user/src/links/watch.rs", text).is_empty());
        assert!(check_one("enforcer-user/src/sockets.rs", text).is_empty());
    }

    #[test]
    fn parts_meet_only_in_app() {
        let text =
            "use super::Agent;\nuse crate::{dataplane::Maps, telemetry};\nfn f() { crate::app::run() }";
        assert_eq!(
            check_one("enforcer-user/src/admin/server.rs", text),
            ["2: `crate::admin` may not import `crate::dataplane`", "3: `crate::app` may not be used here"]
        );
        assert!(check_one("enforcer-user/src/app.rs", text).is_empty());
        assert!(check_one("enforcer-user/src/controller.rs", "use crate::dataplane::Dataplane;").is_empty());
        assert_eq!(check_one("enforcer-user/src/controller.rs", "use super::sources::files;").len(), 1);
        assert_eq!(check_one("enforcer-user/src/sources/kube.rs", "use super::istio::X;").len(), 1);
    }

    #[test]
    fn unsafe_has_its_two_files() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(check_one("enforcer-ebpf/src/connect.rs", text), ["1: `unsafe` may not be used here"]);
        assert_eq!(check_one("enforcer-ebpf/src/main.rs", text).len(), 1);
        assert!(check_one("enforcer-ebpf/src/ctx.rs", text).is_empty());
        assert!(check_one("enforcer-ebpf/src/main.rs", "#[unsafe(no_mangle)]\nstatic A: u8 = 0;").is_empty());
    }

    #[test]
    fn manifests_name_only_what_their_layer_may_use() {
        let common =
            "[dependencies]\naya = { workspace = true, optional = true }\n[lints]\nworkspace = true\n";
        assert!(check_one("enforcer-common/Cargo.toml", common).is_empty());
        assert_eq!(
            check_one(
                "enforcer-common/Cargo.toml",
                "[dependencies]\naya = \"1\"\nenforcer-core.workspace = true\n"
            ),
            [
                "2: `aya` must be optional in enforcer-common",
                "3: enforcer-common may not depend on `enforcer-core`",
            ]
        );
        assert_eq!(
            check_one("enforcer-core/Cargo.toml", "[dependencies.tokio]\nworkspace = true\n").len(),
            1
        );
        assert_eq!(
            check_one("enforcer-core/Cargo.toml", "[dependencies]\nx = { package = \"tokio\" }\n").len(),
            1
        );
        assert_eq!(check_one("xtask/Cargo.toml", "[dev-dependencies]\nenforcer-core = {}\n").len(), 1);
    }
}

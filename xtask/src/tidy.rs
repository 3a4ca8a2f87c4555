//! `cargo xtask tidy`: sizes, module documentation and lint tables.

mod functions;

use std::fmt;

use anyhow::Result;

use crate::stop::Stop;
use crate::tree::{self, SourceFile};

/// The longest file and function, in lines.
const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 70;

/// What is let pass: path, rule (the words after `file:line: ` up to the colon), and the reason.
const ALLOWED: &[(&str, &str, &str)] = &[];

/// Something untidy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    path: String,
    line: usize,
    rule: &'static str,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.text)
    }
}

/// Checks the repository, prints what is untidy, and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let files = tree::files(&["rs", "toml", "proto", "yaml"])?;
    let faults = check_all(&files);
    for fault in &faults {
        println!("{fault}");
    }
    println!("tidy: {} files, {} faults", files.len(), faults.len());
    if faults.is_empty() { Ok(()) } else { Err(Stop::Failed.into()) }
}

fn check_all(files: &[SourceFile]) -> Vec<Fault> {
    let all: Vec<_> = files.iter().flat_map(check).collect();
    let covers =
        |(path, rule, _): &(&str, &str, &str), fault: &Fault| fault.path == *path && fault.rule == *rule;
    let stale =
        ALLOWED.iter().filter(|row| !all.iter().any(|fault| covers(row, fault))).map(|(path, rule, _)| {
            Fault {
                path: (*path).to_owned(),
                line: 1,
                rule: "stale exception",
                text: format!(
                    "`{rule}` is no longer broken; remove the row from ALLOWED in xtask/src/tidy.rs"
                ),
            }
        });
    let kept = all.iter().filter(|fault| !ALLOWED.iter().any(|row| covers(row, fault)));
    kept.cloned().chain(stale).collect()
}

/// Everything untidy in one file.
fn check(file: &SourceFile) -> Vec<Fault> {
    let fault = |line, rule, text| Fault { path: file.path.clone(), line, rule, text };
    let mut found = Vec::new();
    if let Some(line) = file.text.lines().position(|line| line.contains('\t')) {
        found.push(fault(line + 1, "tab", "use spaces, and \\t in strings".to_owned()));
    }
    if file.path.ends_with("Cargo.toml") && !has_lints(&file.text) {
        found.push(fault(1, "lints", "add `[lints]` with `workspace = true`".to_owned()));
    }
    if !file.is_rust() {
        return found;
    }
    let lines = file.text.lines().count();
    if lines > MAX_FILE {
        found.push(fault(
            MAX_FILE + 1,
            "long file",
            format!("{lines} lines; at most {MAX_FILE}: look for the seam"),
        ));
    }
    if !has_module_doc(&file.text) {
        found.push(fault(
            1,
            "module doc",
            "start with `//!`: what is here, and what it may not touch".to_owned(),
        ));
    }
    if file.path.ends_with("/mod.rs") {
        found.push(fault(1, "mod.rs", "name it after its directory: foo.rs beside foo/".to_owned()));
    }
    for function in functions::scan(&file.text).into_iter().filter(|function| function.lines > MAX_FUNCTION) {
        let text = format!("`{}` has {} lines; at most {MAX_FUNCTION}", function.name, function.lines);
        found.push(fault(function.line, "long function", text));
    }
    found
}

/// A member of the workspace inherits its lints; a workspace of its own has a table of its own.
fn has_lints(manifest: &str) -> bool {
    if !manifest.contains("[package]") || manifest.contains("\n[workspace]") {
        return !manifest.contains("[package]") || manifest.contains("[lints");
    }
    let after = manifest.split("\n[lints]").nth(1).unwrap_or("");
    after
        .lines()
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.replace(' ', "") == "workspace=true")
}

/// The first thing in a file is its `//!`; inner attributes and a licence comment may come before it.
fn has_module_doc(text: &str) -> bool {
    let before = |line: &&str| {
        line.is_empty() || line.starts_with("#!") || (line.starts_with("//") && !line.starts_with("//!"))
    };
    text.lines().find(|line| !before(line)).is_some_and(|line| line.starts_with("//!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that a file breaks.
    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check(&file).iter().map(|fault| fault.rule).collect()
    }

    #[test]
    fn the_repository_is_tidy() {
        let faults = check_all(&tree::files(&["rs", "toml", "proto", "yaml"]).unwrap());
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn a_tidy_file_passes() {
        let body = "x();\n".repeat(MAX_FUNCTION - 2);
        assert!(
            rules("xtask/src/a.rs", &format!("#![no_std]\n\n//! What.\n\nfn f() {{\n{body}}}\n")).is_empty()
        );
    }

    #[test]
    fn sizes_docs_names_and_tabs_are_checked() {
        let body = "x();\n".repeat(MAX_FUNCTION - 1);
        assert_eq!(rules("a/src/a.rs", &format!("//! What.\nfn f() {{\n{body}}}\n")), ["long function"]);
        assert_eq!(rules("a/src/a.rs", &format!("//! What.\n{}", "\n".repeat(MAX_FILE))), ["long file"]);
        assert_eq!(rules("a/src/a.rs", "use std::fs;\n//! late\n"), ["module doc"]);
        assert_eq!(rules("a/src/a/mod.rs", "//! What.\n\tx\n"), ["tab", "mod.rs"]);
    }

    #[test]
    fn lints_are_inherited() {
        assert!(rules("a/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n").is_empty());
        assert!(rules("a/Cargo.toml", "[package]\n\n[lints.rust]\nx = \"deny\"\n\n[workspace]\n").is_empty());
        assert_eq!(rules("a/Cargo.toml", "[package]\nversion.workspace = true\n"), ["lints"]);
        assert_eq!(rules("a/Cargo.toml", "[package]\n\n[lints]\n[features]\nworkspace = true\n"), ["lints"]);
    }
}

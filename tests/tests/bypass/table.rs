//! What was measured, as rows: technique, where it was stopped, the reason, and what arrived instead.
//!
//! With the environment variable [`FOLDER`] a family writes its rows there for `cargo xtask test bypass`, which makes one table of
//! all of them. Without it they are compared with that table in README.md, so that it says what is true.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::events::Denial;

/// Where to write.
const FOLDER: &str = "ENFORCER_TEST_BYPASS";
/// As wide as a row may be.
const WIDTH: usize = 80;
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
/// The marks around the table there.
const MARKS: (&str, &str) = ("<!-- bypass -->", "<!-- /bypass -->");

/// One line.
#[derive(Clone, Default, Debug)]
pub(crate) struct Row {
    pub(crate) technique: String,
    pub(crate) stopped_at: BTreeSet<String>,
    pub(crate) reasons: BTreeSet<String>,
    pub(crate) control: String,
}

impl Row {
    /// Of a technique that was stopped like this.
    pub(crate) fn of(technique: &str, met: &[Denial], control: &str) -> Self {
        Self {
            technique: technique.to_owned(),
            stopped_at: met.iter().map(|denial| denial.hook.clone()).collect(),
            reasons: met.iter().map(|denial| denial.reason.clone()).collect(),
            control: control.to_owned(),
        }
    }

    fn markdown(&self) -> String {
        let joined = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (at, reasons) = (joined(&self.stopped_at), joined(&self.reasons));
        format!("| {} | {at} | {reasons} | {} |", self.technique, self.control)
    }
}

/// Publishes the rows of a family: a number, which gives it its place, and a name.
pub(crate) fn publish(family: &str, rows: &[Row]) -> Result<()> {
    let lines: Vec<String> = rows.iter().map(Row::markdown).collect();
    let long: Vec<&String> = lines.iter().filter(|line| line.chars().count() > WIDTH).collect();
    anyhow::ensure!(long.is_empty(), "longer than {WIDTH} columns: {long:#?}");
    println!("{}", lines.join("\n"));
    if let Some(folder) = env::var_os(FOLDER) {
        let file = Path::new(&folder).join(family);
        return fs::write(&file, lines.join("\n") + "\n")
            .with_context(|| format!("writing {}", file.display()));
    }
    let readme = fs::read_to_string(README).context("reading README.md")?;
    let table = readme.split_once(MARKS.0).and_then(|(_, rest)| rest.split_once(MARKS.1));
    let (table, _) = table.with_context(|| format!("README.md has no {} and {}", MARKS.0, MARKS.1))?;
    let there: BTreeSet<&str> = table.lines().collect();
    let missing: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !there.contains(line)).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "README.md does not say what was measured; run `cargo xtask test bypass --write`:\n{}",
        missing.join("\n")
    );
    Ok(())
}

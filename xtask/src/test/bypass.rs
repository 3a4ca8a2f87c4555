//! The table of the suite `bypass`: what stops which technique, as it was measured, on the screen and in README.md.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::tree;

/// Tells the suite where to write its rows.
pub(crate) const FOLDER: &str = "ENFORCER_TEST_BYPASS";
/// The suite.
pub(crate) const SUITE: &str = "bypass";
/// Around the table in README.md.
const MARKS: (&str, &str) = ("<!-- bypass -->", "<!-- /bypass -->");
const HEAD: &str = "| technique | stopped at | reason | control |\n|---|---|---|---|\n";

/// An empty folder for the rows.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = tree::target().join(SUITE);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Prints the table, and compares it with that of README.md or writes it there.
pub(crate) fn publish(folder: &Path, write: bool) -> Result<()> {
    let table = table(folder)?;
    println!("\n{table}");
    let readme = tree::root().join("README.md");
    let text = fs::read_to_string(&readme).context("reading README.md")?;
    let right = with_table(&text, &table)?;
    if text == right {
        return Ok(());
    }
    if !write {
        bail!("README.md does not say what was measured; run `cargo xtask test {SUITE} --write`");
    }
    fs::write(&readme, right).context("writing README.md")
}

/// The rows of all families, in the order of their names.
fn table(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .context("listing what was measured")?;
    files.sort();
    let mut table = HEAD.to_owned();
    for file in files {
        table += &fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(table)
}

/// The text with another table between the marks.
fn with_table(text: &str, table: &str) -> Result<String> {
    let parts =
        text.split_once(MARKS.0).and_then(|(before, rest)| Some((before, rest.split_once(MARKS.1)?.1)));
    let (before, after) = parts
        .with_context(|| format!("README.md has no place for the table: {} and {}", MARKS.0, MARKS.1))?;
    Ok(format!("{before}{}\n\n{table}\n{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_and_nothing_else() {
        let text = "one\n<!-- bypass -->\nold\n<!-- /bypass -->\ntwo\n";
        let new = with_table(text, "new\n").unwrap();
        assert_eq!(new, "one\n<!-- bypass -->\n\nnew\n\n<!-- /bypass -->\ntwo\n");
        assert_eq!(with_table(&new, "new\n").unwrap(), new);
        assert!(with_table("one\n", "new\n").is_err());
    }
}

//! `enforcer docs`, hidden: the files of docs/reference that are made of definitions. `cargo xtask codegen` writes them
//! down. Another one is a row in `REFERENCES`, and one in the table of xtask/src/codegen/generate.rs.

mod commands;
mod config;

use anyhow::Context as _;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::{Answer, output};

/// A file that can be printed.
struct Reference {
    /// Its name in docs/reference, without the ending.
    name: &'static str,
    make: fn() -> String,
}

const REFERENCES: &[Reference] = &[
    Reference { name: "cli", make: commands::markdown },
    Reference { name: "config", make: config::markdown },
    Reference { name: "reasons", make: enforcer_core::policy::reasons::reference },
    Reference { name: "metrics", make: crate::metrics::reference },
];

/// The flags of `enforcer docs`.
#[derive(Args, Debug)]
pub struct DocsArgs {
    /// Which file
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(REFERENCES.iter().map(|file| file.name)))]
    name: String,
}

pub(super) fn run(args: &DocsArgs) -> anyhow::Result<Answer> {
    let known = REFERENCES.iter().find(|file| file.name == args.name);
    let file = known.with_context(|| format!("no reference is called {}", args.name))?;
    output::print(&(file.make)())?;
    Ok(Answer::Yes)
}

/// What stands below the title of each file.
fn generated(name: &str) -> String {
    format!(
        "<!-- Written by `cargo xtask codegen` from `enforcer docs {name}`; edit what that prints instead. -->\n\n"
    )
}

/// A row of a table. A bar within a cell would end it, also between backticks.
fn row<S: AsRef<str>>(cells: &[S]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The first two lines of a table.
fn head(columns: &[&str]) -> String {
    format!("{}|{}\n", row(columns), "---|".repeat(columns.len()))
}

/// As code; nothing for nothing.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// The help of an argument, as a sentence. What looks like HTML is not.
fn help(arg: &clap::Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.replace('<', "&lt;").replace('*', "\\*")
}

/// The default of an argument, when it has one.
fn default(arg: &clap::Arg) -> String {
    if !takes_value(arg) {
        return String::new();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    code(&values.join(","))
}

fn takes_value(arg: &clap::Arg) -> bool {
    arg.get_num_args().is_none_or(|count| count.takes_values())
}

/// The variable of an argument, when it has one.
fn variable(arg: &clap::Arg) -> String {
    code(&arg.get_env().map(|name| name.to_string_lossy()).unwrap_or_default())
}

#[cfg(test)]
mod tests;

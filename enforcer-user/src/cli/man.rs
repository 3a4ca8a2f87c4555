//! `enforcer man`: manual pages, made of the same definitions as the help.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Answer, command, output, reference};

/// The flags of `enforcer man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Writes a page for every command to this directory: enforcer.1, enforcer-run.1, ...
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs) -> anyhow::Result<Answer> {
    let root = command();
    match &args.dir {
        None => output::print(&page(&root)?.1)?,
        Some(dir) => write(&root, dir)?,
    }
    Ok(Answer::Yes)
}

fn write(root: &Command, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the directory {}", dir.display()))?;
    for command in reference::all(root) {
        let (name, text) = page(command)?;
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        output::print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

/// The file name and the text of a command's page.
fn page(command: &Command) -> anyhow::Result<(String, String)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = concat!("enforcer ", env!("CARGO_PKG_VERSION"));
    let usage = command.clone().render_usage().to_string();
    // What stands behind the help has sections of its own here; `help` has no page.
    let shown = command
        .clone()
        .after_help(None::<&str>)
        .override_usage(usage.trim_start_matches("Usage: ").to_owned())
        .mut_subcommands(|below| if below.get_name() == "help" { below.hide(true) } else { below });
    let man = Man::new(shown).title(name.to_uppercase()).source(source).manual("enforcer");
    let mut text = Vec::new();
    let sections = |text: &mut Vec<u8>| {
        man.render(text)?;
        let mut roff = Roff::new();
        section(&mut roff, "EXIT STATUS", reference::exit_codes(command));
        environment(&mut roff, command);
        // The page of the whole names all files, that of a command those of its flags.
        let has = |flag: &str| reference::arguments(command).any(|arg| arg.get_long() == Some(flag));
        let files = reference::FILES.iter().filter(|(.., flag)| command.has_subcommands() || has(flag));
        let files: Vec<_> = files.map(|(path, says, flag)| (path, format!("{says}; --{flag}"))).collect();
        if !files.is_empty() {
            section(&mut roff, "FILES", files);
        }
        roff.to_writer(text)
    };
    sections(&mut text).with_context(|| format!("writing the manual page {name}"))?;
    Ok((format!("{name}.1"), String::from_utf8_lossy(&text).into_owned()))
}

fn environment(roff: &mut Roff, command: &Command) {
    let flags = reference::arguments(command).filter_map(|arg| {
        Some((arg.get_env()?.to_string_lossy().into_owned(), format!("as --{}", arg.get_long()?)))
    });
    let heeded =
        |only: Option<&str>| command.has_subcommands() || only.is_none_or(|only| only == command.get_name());
    let others = reference::VARIABLES.iter().filter(|(_, _, only)| heeded(*only));
    let others = others.map(|(name, says, _)| ((*name).to_owned(), (*says).to_owned()));
    section(roff, "ENVIRONMENT", flags.chain(others).collect());
    if command.get_name() == "run" {
        roff.control("PP", []).text([roman(reference::AS_VARIABLES)]);
    }
}

fn section<A: ToString, B: Into<String>>(roff: &mut Roff, heading: &str, rows: Vec<(A, B)>) {
    roff.control("SH", [heading]);
    for (name, says) in rows {
        roff.control("TP", []).text([bold(name.to_string())]).text([roman(says)]);
    }
}

#[cfg(test)]
mod tests;

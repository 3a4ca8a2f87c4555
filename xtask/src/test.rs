//! `cargo xtask test`: the unit tests of every crate, then the system tests, counted together.

mod bypass;
mod count;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command;
use crate::setup;
use crate::stop::Stop;

pub(crate) use count::Count;

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these system tests: names of files in tests/tests
    suites: Vec<String>,
    /// Writes what the suite `bypass` has measured into the table of README.md
    #[arg(long)]
    write: bool,
    /// Passed to every test program, such as a filter or --nocapture
    #[arg(last = true, value_name = "ARGS")]
    passed_on: Vec<String>,
}

/// Runs the tests; the last line says how many passed and failed.
pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(setup::Scope::Build)?;
    let (count, end) = all(args)?;
    println!("\n{count}");
    end.map_or(Ok(()), |stop| Err(stop.into()))
}

/// Runs everything, as CI does, without the final line.
pub(crate) fn all_suites() -> Result<(Count, Option<Stop>)> {
    all(&Args { suites: Vec::new(), write: false, passed_on: Vec::new() })
}

/// Runs what `args` asks for: the count, and why that is not a success.
fn all(args: &Args) -> Result<(Count, Option<Stop>)> {
    let mut count = Count::default();
    if args.suites.is_empty() {
        let unit = ["test", "--workspace", "--exclude", "enforcer-tests", "--no-fail-fast"];
        count.add(counted(command::cargo(unit), args)?);
    }
    if !command::is_root() {
        println!("\nThe system tests create network namespaces and load eBPF programs, which needs root:");
        println!("  sudo -E env \"PATH=$PATH\" cargo xtask test");
        println!("They were not run.");
        return Ok((count, Some(Stop::NeedsUser)));
    }
    // Some of them run the binaries: what they run must be what the sources say.
    command::run(&mut command::cargo(["build", "-p", "enforcer-user", "-p", "enforcer-tests"]))?;
    let mut system = command::cargo(["test", "-p", "enforcer-tests", "--no-fail-fast"]);
    for suite in &args.suites {
        system.args(["--test", suite]);
    }
    let folder = measures_bypasses(args).then(bypass::folder).transpose()?;
    if let Some(folder) = &folder {
        system.env(bypass::FOLDER, folder);
    }
    let tested = counted(system, args)?;
    let all_passed = tested.failed == 0;
    count.add(tested);
    // What failed has not published its rows.
    if let Some(folder) = folder.filter(|_| all_passed)
        && let Err(error) = bypass::publish(&folder, args.write)
    {
        eprintln!("{error:#}; counted as one failure");
        count.failed += 1;
    }
    if count.ignored > 0 {
        eprintln!("{} tests are ignored: run them or remove them", count.ignored);
    }
    Ok((count, (!count.is_success()).then_some(Stop::Failed)))
}

/// Whether all of the suite `bypass` runs.
fn measures_bypasses(args: &Args) -> bool {
    args.passed_on.is_empty()
        && (args.suites.is_empty() || args.suites.iter().any(|suite| suite == bypass::SUITE))
}

/// Runs one `cargo test`, passes its output through, and counts.
fn counted(mut cargo: Command, args: &Args) -> Result<Count> {
    if !args.passed_on.is_empty() {
        cargo.arg("--").args(&args.passed_on);
    }
    let line = command::show(&cargo);
    println!("\n$ {line}");
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("starting `{line}`"))?;
    let mut count = Count::default();
    for text in BufReader::new(child.stdout.take().context("reading the tests' output")?).split(b'\n') {
        let text = text.with_context(|| format!("reading the output of `{line}`"))?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        count.read_line(&text);
    }
    let status = child.wait().with_context(|| format!("waiting for `{line}`"))?;
    // A crate that does not compile or a test program that dies reports no result of its own.
    if !status.success() && count.failed == 0 {
        eprintln!("`{line}` failed with {status} before it could count; counted as one failure");
        count.failed = 1;
    }
    Ok(count)
}

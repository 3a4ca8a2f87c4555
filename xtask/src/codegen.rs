//! `cargo xtask codegen`: files that are generated and committed.
//!
//! The generators take a minute to compile, so they are behind the feature `codegen`, and this task starts cargo
//! again with it. Another generated file is another row in the table of `generate`.

#[cfg(feature = "codegen")]
mod generate;

use anyhow::Result;

/// What to do with the generated files.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only compares, and fails when a committed file differs
    #[arg(long)]
    pub(crate) check: bool,
}

/// Writes or compares every generated file.
#[cfg(feature = "codegen")]
pub(crate) fn run(args: &Args) -> Result<()> {
    generate::run(args.check)
}

/// Builds xtask with its generators and hands over to it.
#[cfg(not(feature = "codegen"))]
pub(crate) fn run(args: &Args) -> Result<()> {
    use crate::command;
    use crate::stop::Stop;

    let mut again =
        command::cargo(["run", "--quiet", "-p", "xtask", "--features", "codegen", "--", "codegen"]);
    if args.check {
        again.arg("--check");
    }
    // What went wrong is on the screen already.
    if again.status()?.success() { Ok(()) } else { Err(Stop::Failed.into()) }
}

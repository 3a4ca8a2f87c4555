//! `enforcer status`.

mod print;

use crate::cli::args::AdminArgs;
use crate::cli::output::{self, Format};
use crate::cli::{Answer, ask};

pub(super) fn run(args: &AdminArgs, format: Format) -> anyhow::Result<Answer> {
    let status = ask::agent(args, "", async |agent| agent.status().await)?;
    output::answer(format, &status, print::human)?;
    Ok(Answer::from_bool(status.ready))
}

//! `enforcer registry export`: JSON whatever the format, but for YAML.

use clap::ArgMatches;
use enforcer_core::registry::registryz;

use crate::cli::output::{self, Format};
use crate::cli::registry::ReadArgs;
use crate::cli::{Answer, ask};

pub(super) fn run(read: &ReadArgs, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    let value = match read.offline(matches)? {
        Some(offline) => registryz::export(&offline.registry),
        None => ask::agent(&read.admin, ask::OFFLINE, async |agent| agent.export().await)?,
    };
    let format = if format == Format::Table { Format::Json } else { format };
    output::answer(format, &value, |_, _| String::new())?;
    Ok(Answer::Yes)
}

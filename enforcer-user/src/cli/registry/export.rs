//! `enforcer registry export`: JSON whatever the format, but for YAML.

use anyhow::Context as _;
use clap::ArgMatches;
use enforcer_core::registry::registryz;
use serde_json::Value;

use crate::cli::output::{self, Format};
use crate::cli::registry::ReadArgs;
use crate::cli::{Answer, ask};

pub(super) fn run(read: &ReadArgs, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    let value: Value = if let Some(offline) = read.offline(matches)? {
        registryz::export(&offline.registry)
    } else {
        let json = ask::agent(&read.admin, ask::OFFLINE, async |agent| agent.export().await)?;
        serde_json::from_slice(&json).context("reading the registry that the agent sent")?
    };
    let format = if format == Format::Table { Format::Json } else { format };
    output::answer(format, &value, |_, _| String::new())?;
    Ok(Answer::Yes)
}

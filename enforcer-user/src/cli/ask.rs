//! Questions to the running agent.

use anyhow::{Context as _, anyhow, bail};
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::admin::client::{Client, ClientError};
use crate::cli::args::{AdminArgs, OFFLINE_ONLY};
use crate::cli::innermost;
use crate::config::resolve::{self, Faulty};

/// What to do when no agent answers, where something can be done.
pub(super) const OFFLINE: &str = " Offline: give --registry file:PATH";

/// Asks the agent. `instead` stands behind the message when none answers.
pub(super) fn agent<T>(
    args: &AdminArgs,
    instead: &str,
    question: impl AsyncFnOnce(&mut Client) -> Result<T, ClientError>,
) -> anyhow::Result<T> {
    let path = resolve::admin(args).map_err(Faulty)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime for the admin socket")?;
    let answer = runtime.block_on(async {
        let mut client = Client::connect(&path).await?;
        question(&mut client).await
    });
    answer.map_err(|error| match error {
        ClientError::NoAgent { .. } => anyhow!("{error}{instead}"),
        error => error.into(),
    })
}

/// Refuses flags that were typed and that only an answer from files would heed.
pub(super) fn nothing_offline(matches: &ArgMatches) -> anyhow::Result<()> {
    let innermost = innermost(matches);
    let typed = |id: &&&str| {
        matches!(innermost.try_contains_id(id), Ok(true))
            && innermost.value_source(id) == Some(ValueSource::CommandLine)
    };
    let flags: Vec<String> =
        OFFLINE_ONLY.iter().filter(typed).map(|id| format!("--{}", id.replace('_', "-"))).collect();
    if !flags.is_empty() {
        let flags = flags.join(", ");
        bail!(
            "the running agent has its own {flags}; give --registry file:PATH to ask files, or leave {flags} out"
        );
    }
    Ok(())
}

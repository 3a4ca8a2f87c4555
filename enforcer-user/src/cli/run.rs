//! `enforcer run`.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::Answer;
use crate::cli::args::run::RunArgs;
use crate::config::resolve::{self, Faulty};

/// Which log lines are written: `ENFORCER_LOG=debug`, `ENFORCER_LOG=enforcer_user::sources=trace`.
const LOG: &str = "ENFORCER_LOG";

/// Runs the agent until a signal ends it.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    let config = resolve::run(args).map_err(Faulty)?;
    let filter = match std::env::var(LOG) {
        Ok(text) => EnvFilter::try_new(&text)
            .with_context(|| format!("reading {LOG}={text:?}; set it to debug or info"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let colour =
        std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the agent's runtime")?.block_on(crate::app::run(config))?;
    Ok(Answer::Yes)
}

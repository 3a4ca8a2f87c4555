//! `enforcer run`.

use anyhow::Context as _;
use clap::ArgMatches;
use tracing_subscriber::EnvFilter;

use crate::cli::{Answer, innermost, output};
use crate::config::given::Given;
use crate::config::resolve::{self, Faulty};
use crate::config::show;

/// Which log lines are written: `ENFORCER_LOG=debug`, `ENFORCER_LOG=enforcer_user::sources=trace`.
pub(super) const LOG: &str = "ENFORCER_LOG";

/// Runs the agent until a signal ends it, or only says what it would run with.
pub(super) fn run(check_only: bool, matches: &ArgMatches) -> anyhow::Result<Answer> {
    let given =
        Given::read(innermost(matches)).context("reading the flags once more with the file's values")?;
    let config = resolve::run(&given).map_err(Faulty)?;
    if check_only {
        output::print(&show::yaml(&given))?;
        return Ok(Answer::Yes);
    }
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

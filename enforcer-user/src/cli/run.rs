//! `enforcer run`.

use anyhow::Context as _;
use clap::ArgMatches;

use crate::cli::{Answer, innermost, output};
use crate::config::LogFormat;
use crate::config::given::Given;
use crate::config::resolve::{self, Faulty};
use crate::config::show;
use crate::logging::{self, Logged};

/// Runs the agent until a signal ends it, or only says what it would run with.
pub(super) fn run(check_only: bool, matches: &ArgMatches) -> anyhow::Result<Answer> {
    let given =
        Given::read(innermost(matches)).context("reading the flags once more with the file's values")?;
    let config = resolve::run(&given).map_err(Faulty)?;
    if check_only {
        output::print(&show::yaml(&given))?;
        return Ok(Answer::Yes);
    }
    logging::init(&config.log)?;
    let format = config.log.format;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.context("starting the agent's runtime")?.block_on(crate::app::run(config));
    match ended {
        // Where errors are not logged, it is said the other way.
        Err(error) if format == LogFormat::Json && tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(error = format!("{error:#}"), "the agent failed");
            Err(Logged.into())
        }
        ended => ended.map(|()| Answer::Yes),
    }
}

//! `enforcer run`.

use anyhow::Context as _;

use crate::cli::Answer;
use crate::cli::args::run::RunArgs;
use crate::config::LogFormat;
use crate::config::resolve::{self, Faulty};
use crate::logging::{self, Logged};

/// Runs the agent until a signal ends it.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    let config = resolve::run(args).map_err(Faulty)?;
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

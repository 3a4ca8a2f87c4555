//! The agent's log, on standard error: one line per event, as text or JSON.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The agent failed, and the log's last line says why: nothing that is no JSON may stand behind it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the log says why")]
pub struct Logged;

/// Starts it, for the whole process.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.directives)
        .with_context(|| format!("reading the log's directives {:?}", config.directives))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        // https://no-color.org: any value but the empty one.
        LogFormat::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            log.with_ansi(std::io::stderr().is_terminal() && !plain).try_init()
        }
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("starting the log: {error}"))
}

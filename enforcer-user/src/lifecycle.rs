//! Living and ending: signals, and tasks that somebody watches.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Waits for SIGTERM or SIGINT. Both only stop the agent: enforcement stays as it is.
pub async fn stop_signal() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// The agent's tasks. Without any one of them it does not do what it says, so the first that ends, ends it.
#[derive(Default)]
pub struct Supervisor {
    tasks: JoinSet<(&'static str, Result<()>)>,
}

impl Supervisor {
    /// Starts a task that must not end.
    pub fn essential(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Waits for the first task that ends, and says why.
    pub async fn first_end(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok((name, result))) => {
                result.with_context(|| format!("the {name} failed"))?;
                anyhow::bail!("the {name} ended by itself")
            }
            Some(Err(error)) => Err(error).context("a task of the agent panicked"),
        }
    }
}

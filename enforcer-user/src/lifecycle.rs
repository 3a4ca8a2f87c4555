//! Living and ending: signals, and tasks that somebody watches.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
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

/// What a task is to the agent's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// Ends with the agent, wherever it is.
    Worker,
    /// Is told to stop, and given time.
    Server,
}

/// The agent's tasks. Without any one of them it does not do what it says, so the first that ends, ends it.
#[derive(Default)]
pub struct Supervisor {
    tasks: JoinSet<(&'static str, Role, Result<()>)>,
    servers: usize,
    stopping: watch::Sender<bool>,
}

impl Supervisor {
    /// Starts a task that must not end.
    pub fn essential(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, Role::Worker, task.await) });
    }

    /// Starts a task that answers somebody: it must not end until its `Stop` says so.
    pub fn server<F>(&mut self, name: &'static str, serve: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let task = serve(Stop(self.stopping.subscribe()));
        self.servers += 1;
        self.tasks.spawn(async move { (name, Role::Server, task.await) });
    }

    /// Waits for the first task that ends, and says why.
    pub async fn first_end(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok((name, role, result))) => {
                self.servers -= usize::from(role == Role::Server);
                result.with_context(|| format!("the {name} failed"))?;
                anyhow::bail!("the {name} ended by itself")
            }
            Some(Err(error)) => Err(error).context("a task of the agent panicked"),
        }
    }

    /// Tells the servers to stop and lets answers under way end, for as long as `deadline`.
    pub async fn drain(mut self, deadline: Duration) {
        self.stopping.send_replace(true);
        let all = async {
            while self.servers > 0
                && let Some(ended) = self.tasks.join_next().await
            {
                let server = ended.is_ok_and(|(_, role, _)| role == Role::Server);
                self.servers -= usize::from(server);
            }
        };
        let _ = tokio::time::timeout(deadline, all).await;
    }
}

/// Tells a server to stop.
#[derive(Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits until it is time; also when there is no supervisor any more.
    pub async fn told(mut self) {
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn the_first_task_that_ends_is_named() {
        for (result, expected) in [
            (Ok(()), "the clock ended by itself"),
            (Err(anyhow::anyhow!("no time")), "the clock failed: no time"),
        ] {
            let mut tasks = Supervisor::default();
            tasks.essential("watch", std::future::pending());
            tasks.essential("clock", async { result });
            assert_eq!(format!("{:#}", tasks.first_end().await.unwrap_err()), expected);
        }
    }

    #[tokio::test]
    async fn servers_end_their_answers_and_workers_are_not_waited_for() {
        let mut tasks = Supervisor::default();
        let (answered, answer) = oneshot::channel();
        tasks.essential("watch", std::future::pending());
        tasks.server("socket", |stop| async {
            stop.told().await;
            tokio::task::yield_now().await;
            let _ = answered.send(());
            Ok(())
        });
        tokio::time::timeout(LONG, tasks.drain(LONG * 2)).await.expect("it waits for the server alone");
        answer.await.expect("the server has answered");
    }

    #[tokio::test]
    async fn a_server_that_does_not_stop_is_left_behind() {
        let mut tasks = Supervisor::default();
        tasks.server("socket", |_| std::future::pending());
        tokio::time::timeout(LONG, tasks.drain(Duration::from_millis(10))).await.expect("the deadline holds");
    }
}

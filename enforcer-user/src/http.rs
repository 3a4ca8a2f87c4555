//! The HTTP endpoint beside the admin socket, for probes, scrapers and `curl`: `/metrics`, `/healthz`, `/readyz`,
//! `/debug/registryz`. It only reads, and what it reads never waits for the controller.
//!
//! Nobody is trusted to be quick: a connection has one exchange and a deadline, and no more than `CONNECTIONS` are open; others
//! wait in the kernel's queue.

mod answer;
mod body;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use enforcer_core::registry::Registry;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections that are open at a time.
const CONNECTIONS: usize = 32;
/// How long answers under way may take once the agent stops.
const DRAIN: Duration = Duration::from_secs(2);
/// How long to wait when no connection can be accepted: descriptors are used up, say, and others must give some back.
const BREATH: Duration = Duration::from_millis(100);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Until its request's head is there.
    head: Duration,
    /// Until it has read all of the answer.
    exchange: Duration,
}

const PATIENCE: Patience = Patience { head: Duration::from_secs(5), exchange: Duration::from_mins(1) };

/// Whether the agent does what it was told. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Readiness {
    /// It does.
    pub ready: bool,
    /// Why it does not.
    pub not_ready: Vec<String>,
    /// Counts the registries that reached the kernel.
    pub revision: u64,
}

/// A text and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// `Content-Type`
    pub content_type: &'static str,
    /// The text.
    pub text: String,
}

/// What answers are made of.
pub struct Parts {
    /// The metrics, in the form that suits the request's `Accept`.
    pub metrics: Box<dyn Fn(&str) -> Page + Send + Sync>,
    /// How the agent is.
    pub readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// The registry that the kernel holds.
    pub registry: watch::Receiver<Arc<Registry>>,
}

/// There once the first registry is in the kernel; until then the agent lives and is not ready.
pub type Later = Arc<OnceLock<Parts>>;

/// A listening socket that nobody answers at yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
    patience: Patience,
}

impl Endpoint {
    /// Listens at `address`.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen at {address} for /metrics and /healthz; if another agent or an Envoy does, give another \
                 address with --metrics, or none with --metrics off"
            )
        })?;
        let address = listener.local_addr().context("asking where /metrics is")?;
        Ok(Self { listener, address, patience: PATIENCE })
    }

    /// Where it listens: the port is known even if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, then lets answers under way end.
    pub async fn serve(self, parts: Later, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tracing::info!(address = %self.address, "answering over HTTP");
        let Self { listener, patience, .. } = self;
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut refused = false;
        tokio::pin!(stop);
        loop {
            let room = connections.len() < CONNECTIONS;
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = connections.join_next() => report(ended),
                accepted = listener.accept(), if room => match accepted {
                    Ok((stream, _)) => {
                        refused = false;
                        connections.spawn(exchange(stream, parts.clone(), patience, stopped.clone()));
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut refused, true) {
                            tracing::warn!(%error, "cannot accept a connection for /metrics; trying again");
                        }
                        tokio::time::sleep(BREATH).await;
                    }
                },
            }
        }
        // The place goes before the drain: a successor finds it free.
        drop(listener);
        stopping.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, all).await;
        Ok(())
    }
}

/// A connection that panicked takes nobody with it.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an answer over HTTP failed");
    }
}

/// One request and its answer. There is no second one: idle connections would use up what others wait for.
async fn exchange(stream: TcpStream, parts: Later, patience: Patience, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer::answer(&request, &parts).await));
    let connection = http1::Builder::new()
        .keep_alive(false)
        // `printf 'GET ...' | nc` closes its side before it reads.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let all = async {
        tokio::select! {
            ended = &mut connection => return ended,
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    match tokio::time::timeout(patience.exchange, all).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for /metrics broke off"),
        Err(_) => tracing::debug!("a client that reads too slowly was cut off"),
    }
}

#[cfg(test)]
mod tests;

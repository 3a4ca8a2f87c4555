//! The agent's side: answers from the last published status and registry; only `explain` and
//! `suggest` have to ask the controller.

mod flows;
mod service;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use enforcer_core::flow::filter::Filter;
use enforcer_core::flow::{DeniedList, FlowLine};
use enforcer_core::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::admin::{MESSAGE_BYTES, socket};
use crate::controller::Question;
use crate::proto::admin::admin_server::AdminServer;
use crate::status::Status;

/// How long answers under way may take once the agent stops.
const DRAIN: Duration = Duration::from_secs(2);

/// What answers are made of.
#[derive(Clone)]
pub struct Parts {
    /// To the controller.
    pub questions: mpsc::Sender<Question>,
    /// How the agent is.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// The registry that the kernel holds.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// The last flows that fit, so many at most; and whether more follow.
    pub observe: Arc<dyn Fn(Filter, usize, bool) -> anyhow::Result<FlowLines> + Send + Sync>,
    /// What was denied since the agent started.
    pub denied: Arc<dyn Fn() -> DeniedList + Send + Sync>,
}

/// A stream of flows.
pub type FlowLines = Pin<Box<dyn Stream<Item = FlowLine> + Send>>;

/// Answers at `path` until `shutdown`, then removes the socket. An error when another agent answers there.
pub async fn serve(path: PathBuf, parts: Parts, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let listener = socket::listen(&path).await?;
    tracing::info!(path = %path.display(), "answering at the admin socket");
    let (ending, ended) = watch::channel(());
    let service = AdminServer::new(service::Service::new(parts, ended))
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let (stopping, stopped) = oneshot::channel();
    let signal = async {
        shutdown.await;
        // The socket goes before the drain: a successor finds the place free.
        let _ = std::fs::remove_file(&path);
        // What would go on for ever ends here.
        drop(ending);
        let _ = stopping.send(());
    };
    let answers = Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), signal);
    tokio::select! {
        ended = answers => ended.with_context(|| format!("answering at the admin socket {}", path.display())),
        () = deadline(stopped) => Ok(()),
    }
}

/// [`DRAIN`] after the shutdown began.
async fn deadline(stopped: oneshot::Receiver<()>) {
    if stopped.await.is_ok() {
        tokio::time::sleep(DRAIN).await;
    } else {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;

//! Flows on the wire.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use enforcer_core::flow::FlowLine;
use enforcer_core::flow::filter::{Filter, FilterText};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Interval, interval};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use crate::admin::server::FlowLines;
use crate::admin::server::service::{Answers, json};
use crate::proto::admin::{FlowFilter, ObserveFlowsRequest, ObserveFlowsResponse};

/// How often one who follows gets a sign of life, also when nothing happens: less than a client waits.
const ALIVE: Duration = Duration::from_secs(1);

/// What somebody wants to observe.
pub(super) struct Question {
    pub(super) filter: Filter,
    pub(super) last: usize,
    pub(super) follow: bool,
}

#[allow(clippy::result_large_err)] // tonic's own
pub(super) fn question(request: ObserveFlowsRequest) -> Result<Question, Status> {
    let FlowFilter { verdicts, namespaces, workloads, reasons, to, protocols, since_ms } =
        request.filter.unwrap_or_default();
    let text = FilterText { verdicts, namespaces, workloads, reasons, to, protocols };
    let mut filter = text.parse().map_err(|error| Status::invalid_argument(error.to_string()))?;
    filter.since = since_ms.map(|ms| {
        let ago = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
        // Longer ago than there is time: everything.
        Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN)
    });
    let last = request.last.map_or(usize::MAX, |last| usize::try_from(last).unwrap_or(usize::MAX));
    Ok(Question { filter, last, follow: request.follow })
}

/// The answers to an observer; with `stop` they end when that closes.
pub(super) fn answers(lines: FlowLines, stop: Option<watch::Receiver<()>>) -> Answers<ObserveFlowsResponse> {
    let Some(mut stop) = stop else { return Box::pin(lines.map(|line| answer(&line))) };
    let stop = Box::pin(async move { while stop.changed().await.is_ok() {} });
    Box::pin(UntilStop { lines, stop: Some(stop), alive: interval(ALIVE) })
}

#[allow(clippy::result_large_err)] // tonic's own
fn answer(line: &FlowLine) -> Result<ObserveFlowsResponse, Status> {
    Ok(ObserveFlowsResponse { line: json(line)? })
}

/// Lines until the agent stops, which is told: whoever follows has to know that nobody looks any more.
struct UntilStop {
    lines: FlowLines,
    /// Gone once it has come.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    alive: Interval,
}

impl Stream for UntilStop {
    type Item = Result<ObserveFlowsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stop) = &mut self.stop else { return Poll::Ready(None) };
        if stop.as_mut().poll(context).is_ready() {
            self.stop = None;
            return Poll::Ready(Some(Err(Status::unavailable("the agent is stopping"))));
        }
        if let Poll::Ready(line) = self.lines.as_mut().poll_next(context) {
            return Poll::Ready(line.map(|line| answer(&line)));
        }
        self.alive.poll_tick(context).map(|_| Some(Ok(ObserveFlowsResponse::default())))
    }
}

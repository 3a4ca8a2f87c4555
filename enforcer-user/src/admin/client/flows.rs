//! Questions about flows.

use std::time::Duration;

use enforcer_core::flow::FlowLine;
use enforcer_core::flow::filter::FilterText;
use tokio::time::timeout;
use tonic::Streaming;

use crate::admin::client::{Client, ClientError};
use crate::proto::admin::{FlowFilter, ObserveFlowsRequest, ObserveFlowsResponse};

/// What to observe.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observe {
    /// Which flows.
    pub filter: FilterText,
    /// Only kept flows of so long ago at most.
    pub since: Option<Duration>,
    /// How many kept flows at most; `None`: all.
    pub last: Option<u64>,
    /// Whether more come as they happen.
    pub follow: bool,
}

/// Flows as they come.
pub struct FlowStream<'a> {
    client: &'a Client,
    lines: Streaming<ObserveFlowsResponse>,
}

impl Client {
    /// The flows that are kept, and those that come.
    pub async fn observe(&mut self, question: Observe) -> Result<FlowStream<'_>, ClientError> {
        let Observe { filter, since, last, follow } = question;
        let FilterText { verdicts, namespaces, workloads, reasons, to, protocols } = filter;
        let since_ms = since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let filter = FlowFilter { verdicts, namespaces, workloads, reasons, to, protocols, since_ms };
        let question = ObserveFlowsRequest { last, follow, filter: Some(filter) };
        let answer = timeout(self.patience, self.inner.observe_flows(question)).await;
        let lines = self.answered(answer)?.into_inner();
        Ok(FlowStream { client: self, lines })
    }
}

impl FlowStream<'_> {
    /// The next line; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<FlowLine>, ClientError> {
        while let Some(message) = self.client.next(&mut self.lines).await? {
            // A sign of life has no line.
            if !message.line.is_empty() {
                return self.client.read(&message.line).map(Some);
            }
        }
        Ok(None)
    }
}

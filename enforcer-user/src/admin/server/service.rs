//! One answer per method.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use enforcer_core::flow::DeniedList;
use enforcer_core::registry::{Registry, registryz};
use enforcer_core::suggest::Suggestions;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::admin::server::{Parts, flows};
use crate::cli::registry::views;
use crate::controller::Question;
use crate::proto::admin::admin_server::Admin;
use crate::proto::admin::{
    ExplainRequest, ExplainResponse, ExportRegistryRequest, ExportRegistryResponse, GetStatusRequest,
    GetStatusResponse, ListServicesRequest, ListServicesResponse, ObserveFlowsRequest, ObserveFlowsResponse,
    SuggestRequest, SuggestResponse,
};

/// Bytes of one message of an export.
const CHUNK_BYTES: usize = 256 << 10;

/// How long the controller may take for a question: less than the client waits, so that the message says who is slow.
const PATIENCE: Duration = Duration::from_secs(8);

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct Service {
    parts: Parts,
    /// Closed when the agent stops.
    stop: watch::Receiver<()>,
}

impl Service {
    pub(super) fn new(parts: Parts, stop: watch::Receiver<()>) -> Self {
        Self { parts, stop }
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.parts.registry.borrow())
    }

    /// Asks the controller.
    async fn ask<T>(&self, question: Question, answer: oneshot::Receiver<T>) -> Result<T, Status> {
        let asked = async {
            self.parts.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer
            .map_err(|_| Status::deadline_exceeded("the controller is busy with an update; ask again"))?;
        answer.ok_or_else(|| Status::unavailable("the agent is stopping"))
    }
}

#[tonic::async_trait]
impl Admin for Service {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let status = json(&(self.parts.status)())?;
        Ok(Response::new(GetStatusResponse { status }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let ExplainRequest { workload, destination } = request.into_inner();
        let (reply, answer) = oneshot::channel();
        let answer = self.ask(Question::Explain { workload, destination, reply }, answer).await?;
        let explanation = json(&answer.map_err(Status::invalid_argument)?)?;
        Ok(Response::new(ExplainResponse { explanation }))
    }

    type ExportRegistryStream = Answers<ExportRegistryResponse>;

    async fn export_registry(
        &self,
        _: Request<ExportRegistryRequest>,
    ) -> Result<Response<Self::ExportRegistryStream>, Status> {
        let registry = self.registry();
        let text = tokio::task::spawn_blocking(move || json(&registryz::export(&registry))).await;
        let text = text.map_err(|error| Status::internal(format!("exporting the registry: {error}")))??;
        let mut at = 0;
        let chunks = std::iter::from_fn(move || {
            let chunk =
                text.get(at..text.len().min(at + CHUNK_BYTES)).filter(|chunk| !chunk.is_empty())?.to_vec();
            at += chunk.len();
            Some(Ok(ExportRegistryResponse { chunk }))
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    type ListServicesStream = Answers<ListServicesResponse>;

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<Self::ListServicesStream>, Status> {
        let host = request.into_inner().host;
        let host = Some(host.as_str()).filter(|host| !host.is_empty());
        let services =
            views(self.registry(), host).map(|view| Ok(ListServicesResponse { service: json(&view)? }));
        Ok(Response::new(Box::pin(tokio_stream::iter(services))))
    }

    type ObserveFlowsStream = Answers<ObserveFlowsResponse>;

    async fn observe_flows(
        &self,
        request: Request<ObserveFlowsRequest>,
    ) -> Result<Response<Self::ObserveFlowsStream>, Status> {
        let question = flows::question(request.into_inner())?;
        let lines = (self.parts.observe)(question.filter, question.last, question.follow);
        let lines = lines.map_err(|error| Status::internal(format!("{error:#}")))?;
        let stop = question.follow.then(|| self.stop.clone());
        Ok(Response::new(flows::answers(lines, stop)))
    }

    async fn suggest(&self, request: Request<SuggestRequest>) -> Result<Response<SuggestResponse>, Status> {
        let namespace = request.into_inner().namespace;
        let DeniedList { mut denied, did_not_fit: not_kept } = (self.parts.denied)();
        if !namespace.is_empty() {
            denied.retain(|denied| denied.workload.as_ref().is_some_and(|who| who.namespace == namespace));
        }
        let (reply, answer) = oneshot::channel();
        let answer = self.ask(Question::Suggest { denied, reply }, answer).await?;
        let suggestions = answer.map_err(Status::failed_precondition)?;
        let suggestions = json(&Suggestions { not_kept, ..suggestions })?;
        Ok(Response::new(SuggestResponse { suggestions }))
    }
}

#[allow(clippy::result_large_err)] // tonic's own
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(value)
        .map_err(|error| Status::internal(format!("writing the answer as JSON: {error}")))
}

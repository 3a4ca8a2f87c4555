//! Agents that answer every question in one way. Every answer of the admin API is bytes in its first field, so that one message
//! type stands for all.

use std::convert::Infallible;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use enforcer_user::proto::admin::{GetStatusRequest, GetStatusResponse};
use enforcer_user::status::Status as AgentStatus;
use serde_json::{Value, json};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};

/// What it answers.
#[derive(Clone)]
pub(crate) enum Answers {
    /// These bytes to every question.
    All(Vec<u8>),
    /// That it knows no question.
    Unimplemented,
    /// That every question is wrong.
    Refused(String),
}

#[derive(Clone)]
struct Fake(Answers);

impl NamedService for Fake {
    const NAME: &'static str = "enforcer.admin.v1.Admin";
}

impl ServerStreamingService<GetStatusRequest> for Fake {
    type Response = GetStatusResponse;
    type ResponseStream = tokio_stream::Once<Result<GetStatusResponse, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<GetStatusRequest>) -> Self::Future {
        std::future::ready(match &self.0 {
            Answers::All(bytes) => {
                let answer = GetStatusResponse { status: bytes.clone() };
                Ok(Response::new(tokio_stream::once(Ok(answer))))
            }
            Answers::Unimplemented => Err(Status::unimplemented("")),
            Answers::Refused(why) => Err(Status::invalid_argument(why)),
        })
    }
}

impl<B> Service<http::Request<B>> for Fake
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let fake = self.clone();
        let codec = tonic_prost::ProstCodec::<GetStatusResponse, GetStatusRequest>::default();
        Box::pin(async move { Ok(Grpc::new(codec).server_streaming(fake, request).await) })
    }
}

/// Answers at `path` until the test ends.
pub(crate) fn serve(path: &Path, answers: Answers) {
    let own = path.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(own).unwrap();
            let server = tonic::transport::Server::builder().add_service(Fake(answers));
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
        });
    });
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn status() -> Value {
    let busy = json!({
        "sources": [{"source": "file:/etc/enforcer", "revision": 3, "age_seconds": 60, "objects": 9, "stale_files": ["a.yaml"]}],
        "attached": ["/sys/fs/cgroup/pods"],
        "workloads": [{
            "namespace": "shop", "name": "cart", "cgroup": "/sys/fs/cgroup/pods/1", "enforcement": "audit",
            "outbound_policy": "REGISTRY_ONLY", "events_suppressed": 0
        }],
        "maps": [{"map": "CLASS_RULES", "used": 12, "limit": 1_000_000}],
        "decisions": [{"reason": "not_registered", "enforced": 1, "audited": 20}],
        "denials": [{
            "age_seconds": 3, "workload": "shop/cart", "pid": 4711, "command": "curl", "destination": "192.0.2.99:443/tcp",
            "reason": "not_registered", "blocked": true, "hook": "connect4"
        }],
        "problems": [{
            "severity": "warning", "source": "file:a.yaml:1", "field": "spec.ports",
            "message": "no ports: nothing of it can be reached", "hint": "list the ports that are to be open"
        }]
    });
    let status = AgentStatus { version: "1".into(), ready: true, ..AgentStatus::default() };
    let mut status = serde_json::to_value(status).unwrap();
    for (field, value) in busy.as_object().unwrap() {
        status[field] = value.clone();
    }
    status
}

pub(crate) fn service() -> Value {
    json!({
        "host": "api.example.com", "namespace": "shop",
        "object": {"kind": "ServiceEntry", "namespace": "shop", "name": "api"},
        "source": "file:a.yaml:1", "provider": "External", "addresses": ["192.0.2.1", "2001:db8::1"],
        "auto_addresses": [], "cluster_vips": {}, "resolution": "STATIC", "location": "MESH_EXTERNAL",
        "ports": [{"name": "https", "number": 443, "protocol": "HTTPS", "target_port": null}],
        "export_to": ["*"], "created": null, "labels": {}, "selector": {}, "subject_alt_names": [],
        "endpoints": [{"address": "192.0.2.7", "ports": {}, "weight": 1, "ready": true}],
        "external_name": null
    })
}

pub(crate) fn flow() -> Value {
    json!({
        "time": "2026-11-20T10:00:00Z", "hook": "connect4", "verdict": "deny", "reason": "not_registered",
        "enforcement": "enforce", "workload": {"namespace": "shop", "name": "cart", "labels": {}}, "cgroup": 438,
        "process": {"id": 4711, "name": "curl"}, "protocol": "tcp", "source": null,
        "destination": {"host": null, "ip": "192.0.2.99", "port": 443}, "translated": null, "rule": null
    })
}

pub(crate) fn suggestions() -> Value {
    json!({
        "entries": [{
            "namespace": "shop", "name": "suggested", "hosts": ["a.example"], "addresses": ["192.0.2.1"],
            "ports": [{"number": 443, "protocol": "TCP"}], "count": 1,
            "yaml": "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        }],
        "notes": [], "not_kept": 0
    })
}

pub(crate) fn explanation() -> Value {
    json!({
        "verdict": "allow", "reason": "registered", "message": "registered by ServiceEntry shop/api",
        "workload": {"namespace": "shop", "name": "cart", "sidecar": null, "outbound_policy": "REGISTRY_ONLY"},
        "destination": {"host": null, "ip": "192.0.2.1", "port": 443, "protocol": "tcp"},
        "service": null, "rule": null, "backends": [], "warnings": [],
        "steps": [{"step": "exact_own", "found": "allow", "detail": "Exactly 192.0.2.1 in shop's own view: allowed by shop/api."}]
    })
}

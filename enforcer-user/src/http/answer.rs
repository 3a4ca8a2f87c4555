//! From a request to its answer.

use std::fmt::Write as _;
use std::sync::Arc;

use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::http::body::{Body, RegistryJson};
use crate::http::{Later, Page, Parts, Readiness};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What there is, in the order in which it is listed.
const PAGES: &[(&str, &str)] = &[
    ("/metrics", "metrics, for Prometheus"),
    ("/healthz", "whether the agent lives"),
    ("/readyz", "whether it does what it was told, and why not; ?o=json"),
    ("/debug/registryz", "the registry, as Istio shows its own; ?pretty"),
];

/// What the agent says before its first registry is in the kernel.
const STARTING: &str = "the agent is starting: its first registry is not in the kernel yet";

/// The answer. A body that comes with the request is not read.
pub(super) async fn answer<B>(request: &Request<B>, parts: &Later) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, format!("only GET and HEAD\n{}", page_list()));
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, page_list()),
        "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" => readiness(request, parts.get()),
        "/metrics" => metrics(request, parts).await,
        "/debug/registryz" => registry(request, parts.get()),
        path => text(StatusCode::NOT_FOUND, format!("there is no {path}\n{}", page_list())),
    }
}

fn page_list() -> String {
    PAGES.iter().fold(String::new(), |mut list, (path, what)| {
        let _ = writeln!(list, "{path:<18} {what}");
        list
    })
}

fn readiness<B>(request: &Request<B>, parts: Option<&Parts>) -> Response<Body> {
    let starting = || Readiness { not_ready: vec![STARTING.to_owned()], ..Readiness::default() };
    let readiness = parts.map_or_else(starting, |parts| (parts.readiness)());
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if accept(request).contains(JSON) || query(request, "o") == Some("json") {
        return match serde_json::to_string(&readiness) {
            Ok(json) => page(status, Page { content_type: JSON, text: json + "\n" }),
            Err(error) => failure(&error),
        };
    }
    if readiness.ready {
        return text(status, "ready\n".to_owned());
    }
    text(status, readiness.not_ready.iter().fold(String::new(), |lines, reason| lines + reason + "\n"))
}

/// Reading counters is system calls, thousands where there are thousands of workloads: on a thread that may block.
async fn metrics<B>(request: &Request<B>, parts: &Later) -> Response<Body> {
    let (accept, parts) = (accept(request).to_owned(), Arc::clone(parts));
    let read = tokio::task::spawn_blocking(move || Some((parts.get()?.metrics)(&accept)));
    match read.await {
        Ok(Some(metrics)) => page(StatusCode::OK, metrics),
        Ok(None) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{STARTING}\n")),
        Err(error) => failure(&error),
    }
}

fn registry<B>(request: &Request<B>, parts: Option<&Parts>) -> Response<Body> {
    let Some(parts) = parts else {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("{STARTING}\n"));
    };
    let registry = Arc::clone(&parts.registry.borrow());
    let pretty = query(request, "pretty").is_some();
    response(StatusCode::OK, JSON, Body::Registry(RegistryJson::new(registry, pretty)))
}

/// What the client would like, as it says it.
fn accept<B>(request: &Request<B>) -> &str {
    request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// The value of a key of the query; empty for a key without one.
fn query<'a, B>(request: &'a Request<B>, key: &str) -> Option<&'a str> {
    let mut pairs = request.uri().query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn failure(error: &dyn std::error::Error) -> Response<Body> {
    tracing::error!(%error, "an answer over HTTP failed");
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    page(status, Page { content_type: TEXT, text })
}

fn page(status: StatusCode, page: Page) -> Response<Body> {
    response(status, page.content_type, Body::Text(Some(page.text.into())))
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

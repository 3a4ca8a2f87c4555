//! Requests over real sockets, on ports of 127.0.0.1 that the system chooses.

use std::sync::Mutex;

use enforcer_core::registry::registryz;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::fixture;

/// How long a test waits for what must happen.
const LONG: Duration = Duration::from_secs(30);

fn registry(services: usize) -> Arc<Registry> {
    let entry = |number: usize| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a{number}, namespace: n}}\n\
             spec: {{hosts: [a{number}.example.com], ports: [{{number: 443, name: tls, protocol: TLS}}], resolution: DNS}}\n"
        )
    };
    fixture::registry(&(0..services).map(entry).collect::<Vec<_>>().join("---\n"))
}

/// A served endpoint.
struct Served {
    address: SocketAddr,
    readiness: Arc<Mutex<Readiness>>,
    registry: watch::Sender<Arc<Registry>>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

/// Serves; before the first registry when `started` is false.
async fn served(started: bool, patience: Patience) -> Served {
    let endpoint = Endpoint { patience, ..Endpoint::bind(([127, 0, 0, 1], 0).into()).await.unwrap() };
    let address = endpoint.address();
    let readiness = Arc::new(Mutex::new(Readiness { ready: true, revision: 1, ..Readiness::default() }));
    let (registry, of_registry) = watch::channel(Arc::default());
    let parts = Parts {
        metrics: Box::new(|accept| Page {
            content_type: "text/plain; version=0.0.4",
            text: format!("asked for {accept}\n"),
        }),
        readiness: Box::new({
            let readiness = Arc::clone(&readiness);
            move || readiness.lock().unwrap().clone()
        }),
        registry: of_registry,
    };
    let later = Later::default();
    if started {
        assert!(later.set(parts).is_ok());
    }
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(endpoint.serve(later, async { drop(stopped.await) }));
    Served { address, readiness, registry, stop, ended }
}

/// All that comes back for what is sent.
async fn talk(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A reset behind the answer does not take it away.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    tokio::time::timeout(LONG, exchange).await.expect("an answer")
}

/// Status, head and body of an answer; chunks put together.
async fn ask(address: SocketAddr, method: &str, target: &str, header: &str) -> (u16, String, String) {
    let answer = talk(address, &format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{header}\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (status, head, body.to_owned());
    }
    let (mut left, mut whole) = (body, String::new());
    while let Some((size, rest)) = left.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        left = rest[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            break;
        }
    }
    (status, head, whole)
}

async fn get(served: &Served, target: &str) -> (u16, String, String) {
    ask(served.address, "GET", target, "").await
}

#[tokio::test]
async fn pages_and_what_is_none() {
    let served = served(true, PATIENCE).await;
    let (status, head, list) = get(&served, "/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain") && head.contains("connection: close"), "{head}");
    for path in ["/metrics", "/healthz", "/readyz", "/debug/registryz"] {
        assert!(list.contains(path), "{list}");
        assert_eq!(get(&served, path).await.0, 200, "{path}");
        let (status, head, body) = ask(served.address, "HEAD", path, "").await;
        assert_eq!((status, body.as_str()), (200, ""), "{head}");
        let (status, head, _) = ask(served.address, "POST", path, "content-length: 3\r\n").await;
        assert_eq!(status, 405);
        assert!(head.contains("allow: get, head"), "{head}");
    }
    let (status, _, body) = get(&served, "/metricz?x").await;
    assert_eq!(status, 404);
    assert!(body.starts_with("there is no /metricz\n") && body.ends_with(&list), "{body}");
    let (_, _, body) =
        ask(served.address, "GET", "/metrics", "Accept: application/openmetrics-text\r\n").await;
    assert_eq!(body, "asked for application/openmetrics-text\n");
    assert!(talk(served.address, "what?\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn readiness_as_lines_and_as_json() {
    let served = served(true, PATIENCE).await;
    assert_eq!(get(&served, "/readyz").await.2, "ready\n");
    let not_ready = vec!["the policy is unknown".to_owned(), "a cgroup is gone".to_owned()];
    *served.readiness.lock().unwrap() = Readiness { ready: false, not_ready, revision: 3 };
    let (status, _, body) = get(&served, "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "the policy is unknown\na cgroup is gone\n"));
    let by_header = ask(served.address, "GET", "/readyz", "Accept: application/json\r\n").await;
    for (status, head, body) in [by_header, get(&served, "/readyz?o=json").await] {
        assert_eq!(status, 503);
        assert!(head.contains("content-type: application/json"), "{head}");
        let expected =
            r#"{"ready":false,"not_ready":["the policy is unknown","a cgroup is gone"],"revision":3}"#;
        assert_eq!(body.trim_end(), expected);
    }
    assert_eq!(get(&served, "/healthz").await.0, 200, "it lives all the same");
}

#[tokio::test]
async fn before_the_first_registry_the_agent_lives_and_is_not_ready() {
    let served = served(false, PATIENCE).await;
    assert_eq!(get(&served, "/healthz").await.0, 200);
    for path in ["/readyz", "/metrics", "/debug/registryz"] {
        let (status, _, body) = get(&served, path).await;
        assert_eq!(status, 503);
        assert!(body.starts_with("the agent is starting"), "{body}");
    }
}

#[tokio::test]
async fn the_registry_comes_in_pieces_and_is_the_export() {
    let served = served(true, PATIENCE).await;
    assert_eq!(get(&served, "/debug/registryz").await.2, "[]");
    assert_eq!(get(&served, "/debug/registryz?pretty").await.2, "[]");
    for services in [1, 1_000] {
        let registry = registry(services);
        served.registry.send_replace(Arc::clone(&registry));
        let (_, head, body) = get(&served, "/debug/registryz").await;
        assert!(head.contains("content-type: application/json") && head.contains("chunked"), "{head}");
        assert_eq!(body, registryz::export(&registry).to_string());
        let (_, _, pretty) = get(&served, "/debug/registryz?pretty").await;
        let start = "[\n    {\n        \"Attributes\": {\n            \"ServiceRegistry\": \"External\",\n";
        assert!(pretty.starts_with(start) && pretty.ends_with("\n    }\n]"), "{pretty}");
        let read: serde_json::Value = serde_json::from_str(&pretty).unwrap();
        assert_eq!(read, registryz::export(&registry));
    }
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_others_are_answered() {
    let short = Duration::from_millis(100);
    let served = served(true, Patience { head: short, exchange: short * 4 }).await;
    // More of them than there may be.
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS + 8 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /metrics HT").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(get(&served, "/healthz").await.0, 200);
    for stream in &mut slow {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "it was not cut off");
    }
    // One that asks for much and reads nothing.
    served.registry.send_replace(registry(20_000));
    let mut deaf = TcpStream::connect(served.address).await.unwrap();
    deaf.write_all(b"GET /debug/registryz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(short * 6).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, deaf.read_to_end(&mut answer)).await.expect("an end");
    assert!(!answer.ends_with(b"0\r\n\r\n"), "it got all of {} bytes", answer.len());
}

#[tokio::test]
async fn a_stop_frees_the_port_and_does_not_wait_for_the_idle() {
    let served = served(true, PATIENCE).await;
    let _idle = TcpStream::connect(served.address).await.unwrap();
    // It is accepted before this one.
    assert_eq!(get(&served, "/healthz").await.0, 200);
    served.stop.send(()).unwrap();
    let ended = tokio::time::timeout(DRAIN, served.ended).await.expect("sooner than the deadline");
    ended.unwrap().unwrap();
    Endpoint::bind(served.address).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_where_and_what_to_do() {
    let first = Endpoint::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let error = format!("{:#}", Endpoint::bind(first.address()).await.unwrap_err());
    for part in [&*first.address().to_string(), "another agent", "--metrics off", "Address already in use"] {
        assert!(error.contains(part), "{error}");
    }
}

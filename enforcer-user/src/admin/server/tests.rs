//! Both sides over a real socket.

mod flows;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use enforcer_core::flow::DeniedList;
use enforcer_core::policy::explain::Explanation;
use enforcer_core::suggest::Suggestions;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::admin::client::{Client, ClientError};
use crate::fixture;

/// A directory of the test's own.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("enforcer-admin-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn explanation() -> Explanation {
    serde_json::from_value(serde_json::json!({
        "verdict": "deny", "reason": "not_registered", "message": "m",
        "workload": {"namespace": "shop", "name": "cart", "sidecar": null, "outbound_policy": "REGISTRY_ONLY"},
        "destination": {"host": null, "ip": "192.0.2.1", "port": 443, "protocol": "tcp"},
        "service": null, "rule": null, "backends": [], "warnings": []
    }))
    .unwrap()
}

/// A controller that knows one workload, and one note for each denied flow.
async fn answer(mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        match question {
            Question::Explain { workload, reply, .. } if workload == "shop/cart" => {
                let _ = reply.send(Ok(explanation()));
            }
            Question::Explain { workload, reply, .. } => {
                let _ = reply.send(Err(format!("no workload {workload:?}")));
            }
            Question::Suggest { denied, reply } => {
                let notes = denied.iter().map(|denied| denied.destination.ip.to_string()).collect();
                let _ = reply.send(Ok(Suggestions { notes, ..Suggestions::default() }));
            }
        }
    }
}

/// What was denied: a destination of each of two namespaces, and one of nobody.
fn denied() -> DeniedList {
    let denied = |workload: Option<&str>, ip: &str| {
        let workload = workload.map(|namespace| serde_json::json!({"namespace": namespace, "name": "x"}));
        serde_json::from_value(serde_json::json!({
            "workload": workload, "protocol": "tcp", "destination": {"ip": ip, "port": 443},
            "reason": "not_registered", "rule": null, "count": 1,
            "first": "2026-11-20T10:00:00Z", "last": "2026-11-20T10:00:00Z"
        }))
        .unwrap()
    };
    let all = [(Some("shop"), "192.0.2.1"), (Some("bank"), "192.0.2.2"), (None, "192.0.2.3")];
    DeniedList { denied: all.map(|(workload, ip)| denied(workload, ip)).into(), did_not_fit: 5 }
}

fn registry() -> Arc<Registry> {
    fixture::registry(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com, www.example.com]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
",
    )
}

/// An agent that is ready and has kept no flow.
fn parts() -> Parts {
    let (questions, asked) = mpsc::channel(1);
    tokio::spawn(answer(asked));
    let (_, registry) = watch::channel(registry());
    let status = Arc::new(|| Status { revision: 7, ready: true, ..Status::default() });
    let observe: Arc<dyn Fn(Filter, usize, bool) -> anyhow::Result<FlowLines> + Send + Sync> =
        Arc::new(|_, _, _| Ok(Box::pin(tokio_stream::empty())));
    Parts { questions, status, registry, observe, denied: Arc::new(denied) }
}

/// A served socket, and what stops it.
async fn serving(path: &Path) -> (oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>) {
    serving_with(path, parts()).await
}

async fn serving_with(path: &Path, parts: Parts) -> (oneshot::Sender<()>, JoinHandle<anyhow::Result<()>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(serve(path.to_owned(), parts, shutdown));
    for _ in 0..500 {
        if path.exists() || served.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (stop, served)
}

#[tokio::test]
async fn every_question_is_answered() {
    let dir = Dir::new("answers");
    let (stop, served) = serving(&dir.socket()).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir.0), mode(&dir.socket())), (0o700, 0o600));
    let mut client = Client::connect(&dir.socket()).await.unwrap();
    assert_eq!(client.status().await.unwrap().revision, 7);
    assert_eq!(client.explain("shop/cart", "192.0.2.1:443").await.unwrap(), explanation());
    let refused = client.explain("x", "192.0.2.1:443").await.unwrap_err();
    assert_eq!(refused.to_string(), "no workload \"x\"");
    let hosts = |services: Vec<crate::cli::registry::ServiceView>| -> Vec<String> {
        services.into_iter().map(|service| service.host).collect()
    };
    assert_eq!(hosts(client.services(None).await.unwrap()), ["api.example.com", "www.example.com"]);
    assert_eq!(hosts(client.services(Some("www.example.com")).await.unwrap()), ["www.example.com"]);
    assert_eq!(hosts(client.services(Some("example.org")).await.unwrap()), [""; 0]);
    let export = client.export().await.unwrap();
    assert_eq!(export.as_array().unwrap().len(), 2);
    let suggestions = client.suggest(None).await.unwrap();
    assert_eq!((suggestions.notes.len(), suggestions.not_kept), (3, 5));
    assert_eq!(client.suggest(Some("shop")).await.unwrap().notes, ["192.0.2.1"]);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    assert!(!dir.socket().exists());
}

#[tokio::test]
async fn a_dead_agents_socket_is_replaced_and_a_living_ones_is_not() {
    let dir = Dir::new("stale");
    std::fs::create_dir_all(&dir.0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.socket()).unwrap());
    assert!(matches!(Client::connect(&dir.socket()).await, Err(ClientError::NoAgent { .. })));
    let (_stop, _served) = serving(&dir.socket()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Client::connect(&dir.socket()).await.unwrap().status().await.unwrap();
    let (_, second) = serving(&dir.socket()).await;
    let error = second.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("another agent answers at"), "{error}");
    Client::connect(&dir.socket()).await.unwrap().status().await.unwrap();
}

#[tokio::test]
async fn a_file_in_the_way_stays() {
    let dir = Dir::new("file");
    std::fs::create_dir_all(&dir.0).unwrap();
    std::fs::write(dir.socket(), "precious").unwrap();
    let (_, served) = serving(&dir.socket()).await;
    let error = served.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(dir.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn an_agent_that_hangs_is_named() {
    let dir = Dir::new("hung");
    std::fs::create_dir_all(&dir.0).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(dir.socket()).unwrap();
    let mut client = Client::patient(&dir.socket(), Duration::from_millis(100)).await.unwrap();
    let error = client.status().await.unwrap_err().to_string();
    assert!(error.contains("does not answer within"), "{error}");
}

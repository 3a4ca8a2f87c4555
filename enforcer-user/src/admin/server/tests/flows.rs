//! Streams of flows over a real socket.

use std::sync::Mutex;
use std::time::Instant;

use enforcer_core::flow::Flow;
use enforcer_core::flow::filter::FilterText;
use serde_json::json;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::admin::client::Observe;

fn flow(ip: &str) -> FlowLine {
    let flow: Flow = serde_json::from_value(json!({
        "time": "2025-03-01T12:00:00Z", "hook": "connect4", "verdict": "deny", "reason": "not_registered",
        "enforcement": "enforce", "workload": {"namespace": "shop", "name": "cart"}, "cgroup": 1,
        "process": {"id": 42, "name": "curl"}, "protocol": "tcp", "destination": {"ip": ip, "port": 443}
    }))
    .unwrap();
    FlowLine::Flow(Arc::new(flow))
}

/// What was asked, and a stream that never ends by itself: with the sender that is there as long as the stream is.
type Asked = Arc<Mutex<Vec<(Filter, usize, bool)>>>;

fn following() -> (Parts, Asked, mpsc::UnboundedSender<FlowLine>) {
    let asked = Asked::default();
    let (lines, stream) = mpsc::unbounded_channel();
    let (log, stream) = (Arc::clone(&asked), Mutex::new(Some(stream)));
    let observe = move |filter: Filter, last: usize, follow: bool| -> anyhow::Result<FlowLines> {
        log.lock().unwrap().push((filter, last, follow));
        let stream = stream.lock().unwrap().take().unwrap();
        Ok(Box::pin(UnboundedReceiverStream::new(stream)))
    };
    (Parts { observe: Arc::new(observe), ..parts() }, asked, lines)
}

fn follow() -> Observe {
    Observe { follow: true, last: Some(0), ..Observe::default() }
}

#[tokio::test]
async fn what_is_kept_ends_and_filters_go_to_the_agent() {
    let dir = Dir::new("kept");
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let observe = move |filter: Filter, last: usize, follow: bool| -> anyhow::Result<FlowLines> {
        log.lock().unwrap().push((filter, last, follow));
        Ok(Box::pin(tokio_stream::iter([flow("192.0.2.1"), flow("192.0.2.2")])))
    };
    let (_stop, _served) = serving_with(&dir.socket(), Parts { observe: Arc::new(observe), ..parts() }).await;
    let mut client = Client::connect(&dir.socket()).await.unwrap();
    let filter = FilterText {
        verdicts: vec!["denied".to_owned()],
        namespaces: vec!["shop".to_owned()],
        workloads: vec!["cart".to_owned()],
        reasons: vec!["not_registered".to_owned()],
        to: vec!["192.0.2.0/24".to_owned()],
        protocols: vec!["tcp".to_owned()],
    };
    let question = Observe { filter: filter.clone(), last: Some(5), ..Observe::default() };
    let mut stream = client.observe(question).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(flow("192.0.2.1")));
    assert_eq!(stream.next().await.unwrap(), Some(flow("192.0.2.2")));
    assert_eq!(stream.next().await.unwrap(), None);
    let since = Some(Duration::from_mins(10));
    client.observe(Observe { since, ..Observe::default() }).await.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0], (filter.parse().unwrap(), 5, false));
    let ago = jiff::Timestamp::now().duration_since(asked[1].0.since.unwrap()).as_secs();
    assert!((600..660).contains(&ago), "{ago}");
    assert_eq!(asked[1].1, usize::MAX);
}

#[tokio::test]
async fn a_bad_filter_is_refused() {
    let dir = Dir::new("filter");
    let (_stop, _served) = serving(&dir.socket()).await;
    let mut client = Client::connect(&dir.socket()).await.unwrap();
    let filter = FilterText { verdicts: vec!["no".to_owned()], ..FilterText::default() };
    let refused = client.observe(Observe { filter, ..Observe::default() }).await.err().unwrap();
    assert!(
        matches!(&refused, ClientError::Refused(what) if what.contains("no verdict is called")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_stream_ends_when_the_client_goes() {
    let dir = Dir::new("client-goes");
    let (parts, _, lines) = following();
    let (_stop, _served) = serving_with(&dir.socket(), parts).await;
    let mut client = Client::connect(&dir.socket()).await.unwrap();
    let mut stream = client.observe(follow()).await.unwrap();
    lines.send(flow("192.0.2.1")).unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(flow("192.0.2.1")));
    drop(stream);
    // The agent's end of the stream, and whatever is counted by it, goes without a further flow.
    tokio::time::timeout(Duration::from_secs(5), lines.closed()).await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_when_the_agent_stops() {
    let dir = Dir::new("agent-stops");
    let (parts, asked, lines) = following();
    let (stop, served) = serving_with(&dir.socket(), parts).await;
    let mut client = Client::connect(&dir.socket()).await.unwrap();
    let mut stream = client.observe(follow()).await.unwrap();
    assert_eq!(asked.lock().unwrap()[0], (Filter::default(), 0, true));
    let begun = Instant::now();
    stop.send(()).unwrap();
    let ended = stream.next().await.unwrap_err().to_string();
    assert!(ended.ends_with("the agent is stopping"), "{ended}");
    drop(client);
    served.await.unwrap().unwrap();
    assert!(begun.elapsed() < DRAIN, "it is not waited for");
    assert!(lines.is_closed());
}

#[tokio::test]
async fn an_agent_that_has_nothing_to_tell_lives() {
    let dir = Dir::new("quiet");
    let (parts, _, lines) = following();
    let (_stop, _served) = serving_with(&dir.socket(), parts).await;
    let mut client = Client::patient(&dir.socket(), Duration::from_secs(3)).await.unwrap();
    let mut stream = client.observe(follow()).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        lines.send(flow("192.0.2.1")).unwrap();
    });
    assert_eq!(stream.next().await.unwrap(), Some(flow("192.0.2.1")));
    assert_eq!(stream.next().await.unwrap(), None);
}

/// An agent whose every thread is stuck, after it has begun to answer.
#[tokio::test]
async fn an_agent_that_hangs_while_one_follows_is_named() {
    let dir = Dir::new("hung-stream");
    let (parts, _, lines) = following();
    let (path, (release, released)) = (dir.socket(), std::sync::mpsc::channel::<()>());
    let (met, is_met) = watch::channel(false);
    let agent = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_stop, _served) = serving_with(&path, parts).await;
            while !*is_met.borrow() {
                lines.send(flow("192.0.2.1")).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let _ = released.recv();
        });
    });
    while !dir.socket().exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut client = Client::patient(&dir.socket(), Duration::from_secs(2)).await.unwrap();
    let mut stream = client.observe(follow()).await.unwrap();
    let error = loop {
        match stream.next().await {
            Ok(line) => {
                assert_eq!(line, Some(flow("192.0.2.1")));
                met.send(true).unwrap();
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::Hung { .. }), "{error}");
    drop(release);
    agent.join().unwrap();
}

//! Pods that stay: connections that others have made to them last, and what they ask for is answered, the whole time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::Node;
use enforcer_tests::probe::Probe;

use crate::STEADY;

/// How long a line may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two rounds: a capture must keep up with them.
const PAUSE: Duration = Duration::from_millis(2);
const PORT: u16 = 7000;

/// All of their traffic.
pub(crate) struct Steady(Vec<Talking>);

/// What goes on between somebody outside and a pod, until it is ended.
pub(crate) struct Talking {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counts>>,
}

/// How much there was.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) lines: usize,
    dials: usize,
    slowest: Duration,
}

/// A connection from outside to a pod.
struct Talk {
    server: Probe,
    client: Probe,
    name: String,
    /// What the pod asks for between two lines.
    dials: &'static [&'static str],
}

impl Steady {
    /// Connects to every steady pod, and lets them talk.
    pub(crate) fn start(node: &Node) -> Result<Self> {
        let talks =
            STEADY.map(|name| Talking::start(node, name, &["tcp 192.0.2.10:443", "udp 192.0.2.10:53"]));
        Ok(Self(talks.into_iter().collect::<Result<_>>()?))
    }

    /// Ends it; fails if a line was lost, a connection broken, or a dial not answered.
    pub(crate) fn end(self) -> Result<String> {
        let mut told = Vec::new();
        for talk in self.0 {
            let counts = talk.end()?;
            anyhow::ensure!(counts.lines > 20 && counts.dials > 10, "hardly anything was said");
            let Counts { lines, dials, slowest } = counts;
            told.push(format!("{lines} lines, {dials} dials, the slowest round {slowest:.0?}"));
        }
        Ok(told.join("; "))
    }
}

impl Talking {
    /// Somebody outside connects to a new server in the pod, and both talk; the pod also dials.
    pub(crate) fn start(node: &Node, name: &str, dials: &'static [&'static str]) -> Result<Self> {
        let pod = node.world().pod(name)?;
        let mut talk = Talk {
            server: Probe::start_in_pod(node.world(), &pod)?,
            client: Probe::start_outside(node.world())?,
            name: name.to_owned(),
            dials,
        };
        said(&mut talk.server, &format!("keep server listen {PORT}"))?;
        said(&mut talk.client, "keep one tcp4")?;
        let connected = said(&mut talk.client, &format!("on one connect {}:{PORT}", pod.ipv4()))?;
        anyhow::ensure!(connected == "connected", "{name}: {connected}");
        said(&mut talk.server, "on server accept one")?;
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        Ok(Self { enough, thread: thread::spawn(move || talk.run(&until)) })
    }

    /// Ends it; fails if a line was lost, the connection broken, or a dial not answered.
    pub(crate) fn end(self) -> Result<Counts> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("a talk panicked"))?
    }
}

impl Talk {
    fn run(mut self, enough: &AtomicBool) -> Result<Counts> {
        let mut counts = Counts::default();
        while !enough.load(Ordering::Relaxed) {
            let since = Instant::now();
            let name = &self.name;
            line(&mut self.client, &mut self.server).with_context(|| format!("a line to {name}"))?;
            line(&mut self.server, &mut self.client).with_context(|| format!("a line of {name}"))?;
            counts.lines += 2;
            for command in self.dials {
                let outcome = self.server.dial(command)?.to_string();
                let (_, to) = command.split_once(' ').unwrap_or_default();
                anyhow::ensure!(outcome == format!("reached {to}"), "{name}: {command}: {outcome}");
                counts.dials += 1;
            }
            counts.slowest = counts.slowest.max(since.elapsed());
            sleep(PAUSE);
        }
        Ok(counts)
    }
}

fn line(from: &mut Probe, to: &mut Probe) -> Result<()> {
    let marker = Marker::fresh();
    let sent = from.ask(&format!("on one send {marker}"))?;
    anyhow::ensure!(sent["sent"] == 16, "sending: {sent}");
    let since = Instant::now();
    loop {
        match &*said(to, "on one receive")? {
            "silence" if since.elapsed() < PATIENCE => {}
            heard if heard == marker.to_string() => return Ok(()),
            other => anyhow::bail!("instead of a line: {other}"),
        }
    }
}

fn said(probe: &mut Probe, command: &str) -> Result<String> {
    let answer = probe.ask(command)?;
    let text = answer["said"].as_str().or(answer["errno"].as_str());
    Ok(text.map_or_else(|| answer.to_string(), str::to_owned))
}

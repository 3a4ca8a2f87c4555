//! Pods come and go, and from the first moment of each nothing leaves it that should not; those that stay notice nothing.
//!
//! Root is needed, bpftool, and a kernel with cgroup v2 and BTF; a test whose needs are missing fails and says what is missing.

#[path = "churn/leaks.rs"]
mod leaks;
#[path = "churn/steady.rs"]
mod steady;
#[path = "churn/unknown.rs"]
mod unknown;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_tests::agent::Until;
use enforcer_tests::capture::Capture;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::Node;
use enforcer_tests::probe::Probe;
use serde_json::Value;

use crate::leaks::Footprint;
use crate::steady::{Steady, Talking};

const REGISTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: web}
spec:
  hosts: [payments.example.com]
  addresses: [192.0.2.10]
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 53, name: dns, protocol: UDP}]
";

/// Registered nowhere, and tried by every pod.
const FORBIDDEN: &str = "203.0.113.7:9000";
/// The same, of the other family.
const FORBIDDEN6: &str = "[2001:db8:7::7]:9000";
/// What the steady pods send to all the time.
const REGISTERED: &str = "192.0.2.10";
/// Those that stay.
const STEADY: [&str; 2] = ["steady-1", "steady-2"];
/// How many of the others are there at a time.
const AT_A_TIME: usize = 4;
/// How long the agent may take to be there.
const SOON: Duration = Duration::from_secs(5);
/// How long it may take while it has much else to do.
const AT_LAST: Duration = Duration::from_secs(30);
/// Of so many of the others one is a server.
const SERVER: usize = 10;
/// How often it is looked whether something got out: after so many pods.
const LOOK: usize = 10;

/// A pod that tries.
struct Trying {
    name: String,
    probe: Probe,
    /// The connection that somebody has made to it.
    talk: Option<Talking>,
}

/// Pods that come and go.
struct Churn {
    node: Node,
    outside: Capture,
    marker: Marker,
    alive: VecDeque<Trying>,
    outcomes: BTreeMap<String, u64>,
    /// Lines that servers among them have taken and said.
    lines: usize,
}

impl Churn {
    /// With the steady pods, and workloads that the agent knows before they are there: of some not even the cgroup is.
    fn new(count: usize) -> Result<Self> {
        let builder = Node::new().pods().registry(REGISTRY).flag("--cgroup", "{cgroup}/pods");
        let mut builder = builder.flag("--interface", "pod-*").flag("--uplink", "uplink0");
        for name in STEADY {
            builder = builder.workload("web", name);
        }
        for index in (0..count).filter(|index| kind(*index) != Kind::Unknown) {
            let name = name(index);
            let workload = format!("cgroup={{cgroup}}/pods/{name},namespace=web,name={name}");
            builder = builder.flag("--workload", &workload);
        }
        let mut node = builder.prepare()?;
        let cgroup = |index| format!("pods/{}", name(index));
        for index in (0..count).filter(|index| kind(*index) != Kind::Unknown) {
            node.world().make_cgroup(&cgroup(index))?;
        }
        node.start_agent(Until::Ready)?;
        for index in (0..count).filter(|index| kind(*index) == Kind::Announced) {
            fs::remove_dir(node.world().cgroup().join(cgroup(index))).context("removing a cgroup")?;
        }
        let outside = node.world().capture_outside()?;
        let (alive, outcomes) = (VecDeque::new(), BTreeMap::new());
        Ok(Self { node, outside, marker: Marker::fresh(), alive, outcomes, lines: 0 })
    }

    /// One more pod, which tries before it has an interface, by every plain way and by frames.
    fn come(&mut self, index: usize) -> Result<()> {
        let (name, world) = (name(index), self.node.world());
        let storm = format!("storm {} {FORBIDDEN} {FORBIDDEN6} packets", self.marker);
        let (_, probe) = world.add_pod_while(&name, |pod| {
            let mut probe = Probe::start_in_pod(world, pod)?;
            probe.tell(&storm)?;
            Ok(probe)
        })?;
        self.alive.push_back(Trying { name, probe, talk: None });
        Ok(())
    }

    /// Somebody connects to the newest as soon as its programs are there.
    fn serve(&mut self) -> Result<()> {
        let newest = self.alive.back_mut().context("there is no pod")?;
        let pin = format!("/interfaces/{}/enforcer_tc_in", self.node.world().host_index(&newest.name)?);
        let since = Instant::now();
        while !self.node.world().pins().iter().any(|it| it.ends_with(&pin)) {
            anyhow::ensure!(since.elapsed() < AT_LAST, "no programs on the interface of {}", newest.name);
        }
        newest.talk = Some(Talking::start(&self.node, &newest.name, &[])?);
        Ok(())
    }

    /// The oldest goes, trying to the end.
    fn go(&mut self) -> Result<()> {
        let Some(Trying { name, mut probe, talk }) = self.alive.pop_front() else { return Ok(()) };
        if let Some(talk) = talk {
            let lines = talk.end().with_context(|| format!("{name}:\n{}", self.node.log()))?.lines;
            anyhow::ensure!(lines > 0, "{name} said nothing");
            self.lines += lines;
        }
        probe.tell("enough of it")?;
        let counts: BTreeMap<String, u64> = serde_json::from_value(probe.answer()?).context(name.clone())?;
        for (outcome, count) in counts {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        drop(probe);
        self.node.world().remove_pod(&name)
    }

    /// These pods, one after the other.
    fn run(&mut self, indexes: Range<usize>) -> Result<()> {
        for index in indexes {
            self.come(index)?;
            if index % SERVER == 0 {
                self.serve()?;
            }
            if self.alive.len() > AT_A_TIME {
                self.go()?;
            }
            if index % LOOK == LOOK - 1 {
                self.nothing_left()?;
            }
        }
        while !self.alive.is_empty() {
            self.go()?;
        }
        self.nothing_left()
    }

    /// Nothing came since the last look but what may: so far the wire is heard.
    fn nothing_left(&self) -> Result<()> {
        let heard = self.outside.saw_to(REGISTERED.parse()?)?;
        assert!(!heard.is_empty(), "not even what the steady pods send is heard");
        let marked = self.outside.saw(&self.marker)?;
        assert!(marked.is_empty(), "{} left, first {:02x?}", marked.len(), marked[0]);
        for forbidden in [FORBIDDEN, FORBIDDEN6] {
            let there = self.outside.saw_to(forbidden.parse::<SocketAddr>()?.ip())?;
            assert!(there.is_empty(), "{} left, first {:02x?}", there.len(), there[0]);
        }
        self.outside.clear()
    }

    /// How many interfaces are judged.
    fn programs(&self) -> usize {
        self.node.world().pins().iter().filter(|pin| pin.ends_with("/enforcer_tc_in")).count()
    }

    /// How often a way ended like this.
    fn outcome(&self, way: &str) -> u64 {
        self.outcomes.get(way).copied().unwrap_or(0)
    }
}

/// What the agent knows of a pod before it comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its cgroup, and whose it is.
    Prepared,
    /// Where its cgroup will be, and whose.
    Announced,
    /// Nothing.
    Unknown,
}

fn kind(index: usize) -> Kind {
    [Kind::Prepared, Kind::Announced, Kind::Unknown][index % 3]
}

fn name(index: usize) -> String {
    format!("brief-{index}")
}

#[test]
fn two_hundred_pods_come_and_go_and_nothing_leaks() -> Result<()> {
    const PODS: usize = 200;
    let mut churn = Churn::new(PODS)?;
    let steady = Steady::start(&churn.node)?;
    let since = Instant::now();
    churn.run(0..PODS / 2)?;
    // What is made once is made by now.
    let before = Footprint::of(&churn.node)?;
    churn.run(PODS / 2..PODS)?;
    println!("{PODS} pods took {:.1?}: {:?}", since.elapsed(), churn.outcomes);
    println!("steady: {}", steady.end()?);
    println!("{} lines with servers that came and went", churn.lines);
    for (family, without_a_route) in [('4', "ENETUNREACH"), ('6', "EADDRNOTAVAIL")] {
        let outcome = |way: &str, end: &str| churn.outcome(&format!("{way}{family} {end}"));
        // They got as far as they could: a raw socket asks nobody before there is a route, and its packets are dropped on their way.
        for (way, end) in [
            ("tcp", "EPERM"),
            ("udp", "EPERM"),
            ("connected", "EPERM"),
            ("raw", without_a_route),
            ("raw", "EPERM"),
            ("raw", "sent"),
            ("packet", "sent"),
        ] {
            assert!(outcome(way, end) > 200, "{way}{family} {end}: {:?}", churn.outcomes);
        }
        for way in ["tcp", "udp", "connected"] {
            assert_eq!(outcome(way, "sent"), 0, "{way}{family}");
        }
    }
    before.is_that_of(&churn.node)
}

/// Frames of a pod's own are met by the programs of its interface, and until those are there by the program of the uplink.
#[test]
fn frames_of_a_pod_do_not_get_out_at_any_time() -> Result<()> {
    const PODS: usize = 40;
    let mut churn = Churn::new(PODS)?;
    let (mut longest, steady) = (Duration::ZERO, Steady::start(&churn.node)?);
    for index in 0..PODS {
        churn.come(index)?;
        let since = Instant::now();
        while churn.programs() < STEADY.len() + churn.alive.len() {
            anyhow::ensure!(since.elapsed() < SOON, "no programs on the interface of {}", name(index));
        }
        longest = longest.max(since.elapsed());
        churn.nothing_left()?;
        sleep(Duration::from_millis(20));
        if churn.alive.len() > AT_A_TIME {
            churn.go()?;
        }
    }
    churn.run(0..0)?;
    println!("programs at the latest {longest:.0?} after a pod's interface was up: {:?}", churn.outcomes);
    println!("steady: {}", steady.end()?);
    for way in ["packet4 sent", "packet6 sent"] {
        assert!(churn.outcome(way) > 200, "{way}: {:?}", churn.outcomes);
    }
    Ok(())
}

/// Nobody attaches to its interface; the uplink's program is there all the same.
#[test]
fn frames_of_a_pod_do_not_get_out_while_no_agent_runs() -> Result<()> {
    const PODS: usize = 10;
    let mut churn = Churn::new(PODS)?;
    let steady = Steady::start(&churn.node)?;
    churn.node.kill_agent()?;
    // What was heard before says nothing of now.
    churn.outside.clear()?;
    for index in 0..PODS {
        churn.come(index)?;
    }
    sleep(Duration::from_millis(500));
    assert_eq!(churn.programs(), STEADY.len());
    churn.nothing_left()?;
    churn.node.start_agent(Until::Ready)?;
    println!("steady: {}", steady.end()?);
    churn.run(0..0)?;
    for way in ["packet4 sent", "packet6 sent"] {
        assert!(churn.outcome(way) > 200, "{way}: {:?}", churn.outcomes);
    }
    Ok(())
}

/// A field of the agent's status, by its name.
fn field<'a>(status: &'a Value, list: &str, key: &str, name: &str) -> Option<&'a Value> {
    status[list].as_array()?.iter().find(|it| it[key] == name)
}

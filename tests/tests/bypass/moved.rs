//! A workload that may configure its own network: addresses that it takes, and its interface in a namespace within.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::agent::Until;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::Node;
use enforcer_tests::pod::Pod;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::{Spot, World, finish};
use serde_json::{Value, json};

use crate::events::{Denial, Events};
use crate::stage::{Stage, builder};
use crate::table::{self, Row};

/// Longer than the addresses of an interface may take to be complete.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a process may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than the agent takes to look again where a workload is.
pub(crate) const LOOK: Duration = Duration::from_secs(32);

/// What `sh` does in a network, as a process of the pod.
pub(crate) fn shell(world: &World, pod: &Pod, network: &Path, script: &str) -> Result<()> {
    run(world, Spot { cgroup: Some(pod.cgroup()), network: Some(network), ..Spot::default() }, script)
}

/// The same as a process of nobody.
pub(crate) fn shell_in(world: &World, network: &Path, script: &str) -> Result<()> {
    run(world, Spot { network: Some(network), ..Spot::default() }, script)
}

fn run(world: &World, spot: Spot<'_>, script: &str) -> Result<()> {
    let done = finish(world.command(Path::new("sh"), spot)?.args(["-ec", script]))?;
    ensure!(done.code == Some(0), "{script}: {}", done.stderr);
    Ok(())
}

/// A process of a workload in a network namespace of its own.
pub(crate) struct Within(Child);

impl Within {
    fn new(world: &World, pod: &Pod, cgroup: &Path) -> Result<Self> {
        Self::at(world, cgroup, &pod.network())
    }

    /// Made in that network namespace.
    pub(crate) fn at(world: &World, cgroup: &Path, network: &Path) -> Result<Self> {
        let spot = Spot { cgroup: Some(cgroup), network: Some(network), ..Spot::default() };
        Self::unshared(world, spot, "-n")
    }

    /// Made in the node's, as anybody can who may make a user namespace.
    pub(crate) fn of_user(world: &World, cgroup: &Path) -> Result<Self> {
        Self::unshared(world, Spot { cgroup: Some(cgroup), ..Spot::default() }, "-Urn")
    }

    fn unshared(world: &World, spot: Spot<'_>, flags: &str) -> Result<Self> {
        let mut command = world.command(Path::new("unshare"), spot)?;
        let child = command.args([flags, "sleep", "600"]).stdin(Stdio::null()).spawn().context("unshare")?;
        let mut within = Self(child);
        let since = Instant::now();
        let comm = format!("/proc/{}/comm", within.0.id());
        // Then it has left.
        while fs::read_to_string(&comm).context("the process within")?.trim() != "sleep" {
            let ended = within.0.try_wait().context("unshare")?;
            ensure!(ended.is_none() && since.elapsed() < PATIENCE, "unshare {flags}: {ended:?}");
            sleep(Duration::from_millis(5));
        }
        Ok(within)
    }

    /// Its network namespace.
    pub(crate) fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `eth0` as the pod had it, with these addresses.
fn configured(v4: IpAddr, v6: IpAddr) -> String {
    let gateway = "ee:ee:ee:ee:ee:ee";
    format!(
        "ip link set lo up; ip link set eth0 up; ip addr add {v4}/32 dev eth0; ip addr add {v6}/128 dev eth0 nodad
         ip neigh replace 169.254.1.1 lladdr {gateway} dev eth0 nud permanent
         ip neigh replace fe80::1 lladdr {gateway} dev eth0 nud permanent
         ip route replace 169.254.1.1/32 dev eth0 scope link
         ip route replace default via 169.254.1.1 dev eth0; ip route replace default via fe80::1 dev eth0"
    )
}

#[test]
fn addresses_that_a_workload_gives_itself_are_not_its_own() -> Result<()> {
    let mut stage = Stage::new()?;
    // What comes while a pod is set up is its own.
    sleep(SETTLED);
    let pod = stage.node.world().pod("curl")?;
    let script = "ip addr add 10.244.0.2/32 dev eth0; ip addr add fd00:244::2/128 dev eth0 nodad
                  ip addr add 198.51.100.77/32 dev eth0";
    shell(stage.node.world(), &pod, &pod.network(), script)?;
    sleep(LOOK);
    let mut met = Vec::new();
    for command in [
        "packet-raw {ok4} source=10.244.0.2:4000",
        "packet-raw {ok6} source=[fd00:244::2]:4000",
        "udp-transparent {ok4} source=198.51.100.77:4000",
    ] {
        met.push(stage.stopped(command).context(command)?);
    }
    assert!(met.iter().all(|denial| denial.reason == "spoofed_source"), "{met:?}");
    stage.arrives("udp {4} source=10.244.0.1:4000")?;
    table::publish("95 taken", &[Row::of("Addresses that a pod gives itself", &met, "own address")])
}

/// Who tries, and who is told.
struct Watched<'a> {
    world: &'a World,
    events: Events,
    probe: Probe,
}

impl<'a> Watched<'a> {
    fn new(world: &'a World, cgroup: &Path, network: &Path) -> Result<Self> {
        let spot = Spot { cgroup: Some(cgroup), network: Some(network), ..Spot::default() };
        Ok(Self { world, events: Events::follow(world)?, probe: Probe::start_at(world, spot)? })
    }

    /// Tries `NAME ADDR:PORT ...`: how many frames arrive outside.
    fn attempt(&mut self, command: &str) -> Result<usize> {
        self.events.drain(&mut self.probe)?;
        let (outside, marker) = (self.world.capture_outside()?, Marker::fresh());
        let (name, rest) = command.split_once(' ').context("no target")?;
        let answer = self.probe.ask(&format!("try {name} {marker} {rest}"))?;
        ensure!(answer["sent"].as_u64() > Some(0), "{command} is not sent: {answer}");
        Ok(outside.saw(&marker)?.len())
    }

    /// Who stops it.
    fn stopped(&mut self, command: &str) -> Result<Denial> {
        let seen = self.attempt(command)?;
        ensure!(seen == 0, "{command} PASSES");
        let to: SocketAddr = command.split(' ').nth(1).context("no target")?.parse().context("no target")?;
        self.events
            .first_of("curl", |it| it == Some(to.ip()))?
            .with_context(|| format!("nobody denied {command}"))
    }

    /// Who stops what is denied, while what is allowed arrives.
    fn is_held(&mut self) -> Result<Denial> {
        let denial = self.stopped("packet-raw 203.0.113.7:9000")?;
        assert_eq!((&*denial.hook, &*denial.reason), ("interface", "not_registered"));
        ensure!(self.attempt("packet-raw 192.0.2.10:9000")? > 0, "the control does not arrive");
        Ok(denial)
    }
}

/// Within it may be out of sight; it is the same interface of the node's for all that.
#[test]
fn an_interface_is_moved_into_a_namespace_within() -> Result<()> {
    let node = builder().start()?;
    let (world, pod) = (node.world(), node.world().pod("curl")?);
    let within = Within::new(world, &pod, pod.cgroup())?;
    shell(world, &pod, &pod.network(), &format!("ip link set eth0 netns {}", within.0.id()))?;
    shell(world, &pod, &within.network(), &configured(pod.ipv4().into(), pod.ipv6().into()))?;
    let mut watched = Watched::new(world, pod.cgroup(), &within.network())?;
    watched.is_held().context("at once")?;
    sleep(LOOK);
    let met = watched.is_held().context("later")?;
    table::publish("96 moved", &[Row::of("eth0 in a namespace within", &[met], "itself")])
}

/// Nobody is in that namespace while the agent starts again.
#[test]
fn an_interface_is_out_of_sight_when_the_agent_starts_again() -> Result<()> {
    let mut node = builder().start()?;
    let (pod, at) = (node.world().pod("curl")?, |status: &Value| status["workloads"][0].clone());
    let before = node.status_soon(|status| Some(at(status)).filter(|told| told["covered"] == true))?;
    let within = Within::new(node.world(), &pod, pod.cgroup())?;
    shell(node.world(), &pod, &pod.network(), &format!("ip link set eth0 netns {}", within.0.id()))?;
    let held = File::open(within.network()).context("holding the namespace")?;
    let hidden = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd()));
    drop(within);
    node.kill_agent()?;
    node.start_agent(Until::Ready)?;
    let after = at(&node.status()?);
    for told in ["name", "interfaces", "addresses", "covered"] {
        assert_eq!(before[told], after[told], "{after:#}");
    }
    assert_eq!((&after["name"], &after["interfaces"]), (&json!("curl"), &json!([pod.interface()])));
    let world = node.world();
    shell(world, &pod, &hidden, &configured(pod.ipv4().into(), pod.ipv6().into()))?;
    let mut watched = Watched::new(world, pod.cgroup(), &hidden)?;
    let met = watched.is_held()?;
    table::publish("96 restart", &[Row::of("eth0 out of sight at a restart", &[met], "itself")])
}

/// It comes back without an address, and gets the neighbour's a little later.
#[test]
fn an_interface_was_in_a_namespace_within() -> Result<()> {
    let node = builder().start()?;
    let world = node.world();
    let (pod, other) = (world.pod("curl")?, world.pod("other")?);
    let within = Within::new(world, &pod, pod.cgroup())?;
    shell(world, &pod, &pod.network(), &format!("ip link set eth0 netns {}", within.0.id()))?;
    sleep(LOOK);
    shell(world, &pod, &within.network(), &format!("ip link set eth0 netns {}", pod.pid()))?;
    shell(world, &pod, &pod.network(), "ip link set eth0 addrgenmode none; ip link set eth0 up")?;
    sleep(Duration::from_secs(1));
    let script = configured(other.ipv4().into(), other.ipv6().into());
    shell(world, &pod, &pod.network(), &format!("{script}; ip addr add fe80::77/64 dev eth0 nodad"))?;
    sleep(LOOK);
    let mut watched = Watched::new(world, pod.cgroup(), &pod.network())?;
    let met = [
        watched.stopped("packet-raw 192.0.2.10:9000 source=10.244.0.2:4000")?,
        watched.stopped("packet-raw [2001:db8::10]:9000 source=[fd00:244::2]:4000")?,
    ];
    assert!(met.iter().all(|denial| denial.reason == "spoofed_source"), "{met:?}");
    let own = watched.attempt("packet-raw 192.0.2.10:9000 source=10.244.0.1:4000")?;
    ensure!(own > 0, "the control does not arrive");
    table::publish("97 back", &[Row::of("Other addresses when it is back", &met, "own address")])
}

/// A pod of two containers, the first of which leaves the pod's network namespace.
struct Split {
    node: Node,
    app: PathBuf,
    pause: PathBuf,
}

impl Split {
    fn new() -> Result<Self> {
        let node = builder().prepare()?;
        let make = |name: &str| node.world().make_cgroup(&format!("pods/curl/{name}"));
        let (app, pause) = (make("a-app")?, make("b-pause")?);
        let pod = node.world().pod("curl")?;
        fs::write(pause.join("cgroup.procs"), pod.pid().to_string()).context("moving the pause container")?;
        Ok(Self { node, app, pause })
    }

    /// The first container's only process goes.
    fn leave(&self) -> Result<Within> {
        Within::new(self.node.world(), &self.node.world().pod("curl")?, &self.app)
    }

    /// The second container.
    fn second(&self) -> Result<Watched<'_>> {
        Watched::new(self.node.world(), &self.pause, &self.node.world().pod("curl")?.network())
    }
}

#[test]
fn the_first_process_leaves_the_namespace_of_its_pod() -> Result<()> {
    let mut split = Split::new()?;
    split.node.start_agent(Until::Ready)?;
    split.second()?.is_held().context("before")?;
    let _within = split.leave()?;
    sleep(LOOK);
    let met = split.second()?.is_held()?;
    table::publish("98 left", &[Row::of("A container leaves the namespace", &[met], "itself")])
}

#[test]
fn the_first_process_has_left_when_the_agent_starts() -> Result<()> {
    let mut split = Split::new()?;
    let _within = split.leave()?;
    split.node.start_agent(Until::Ready)?;
    let met = split.second()?.is_held()?;
    table::publish("99 gone", &[Row::of("A container left it before the agent", &[met], "itself")])
}

//! A workload that may configure its own network: addresses that it takes, and its interface in a namespace within.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::pod::Pod;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::{Spot, World, finish};

use crate::stage::Stage;
use crate::table::{self, Row};

/// Longer than the agent takes to look again where a workload is.
const LOOK: Duration = Duration::from_secs(40);

/// What `sh` does in a network, as a process of the pod.
fn shell(world: &World, pod: &Pod, network: &Path, script: &str) -> Result<()> {
    let spot = Spot { cgroup: Some(pod.cgroup()), network: Some(network), ..Spot::default() };
    let done = finish(world.command(Path::new("sh"), spot)?.args(["-ec", script]))?;
    ensure!(done.code == Some(0), "{script}: {}", done.stderr);
    Ok(())
}

/// A process of the pod in a network namespace of its own.
struct Within(Child);

impl Within {
    fn new(world: &World, pod: &Pod) -> Result<Self> {
        let network = pod.network();
        let spot = Spot { cgroup: Some(pod.cgroup()), network: Some(&network), ..Spot::default() };
        let mut command = world.command(Path::new("unshare"), spot)?;
        let child = command.args(["-n", "sleep", "600"]).stdin(Stdio::null()).spawn().context("unshare")?;
        let within = Self(child);
        let outer = std::fs::read_link(&network).context("the pod's namespace")?;
        while std::fs::read_link(within.network()).context("the namespace within")? == outer {
            sleep(Duration::from_millis(5));
        }
        Ok(within)
    }

    fn network(&self) -> PathBuf {
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

#[test]
fn an_interface_is_moved_into_a_namespace_within() -> Result<()> {
    let mut stage = Stage::new()?;
    let (pod, other) = (stage.node.world().pod("curl")?, stage.node.world().pod("other")?);
    let within = Within::new(stage.node.world(), &pod)?;
    let world = stage.node.world();
    shell(world, &pod, &pod.network(), &format!("ip link set eth0 netns {}", within.0.id()))?;
    shell(world, &pod, &within.network(), &configured(pod.ipv4().into(), pod.ipv6().into()))?;
    let network = within.network();
    let spot = Spot { cgroup: Some(pod.cgroup()), network: Some(&network), ..Spot::default() };
    let mut probe = Probe::start_at(world, spot)?;
    sleep(LOOK);
    let outside = world.capture_outside()?;
    let mut faults = Vec::new();
    let mut attack = |probe: &mut Probe, when: &str, command: &str| -> Result<()> {
        let marker = enforcer_tests::marker::Marker::fresh();
        let answer = probe.ask(&format!("try {}", command.replace("MARKER", &marker.to_string())))?;
        let seen = outside.saw(&marker)?.len();
        println!("{when}: {command}: {answer}, {seen} outside");
        if seen > 0 {
            faults.push(format!("{when}: {command} passes"));
        }
        Ok(())
    };
    for command in ["packet-raw MARKER 203.0.113.7:9000", "udp MARKER 203.0.113.7:9000", "raw4 MARKER 203.0.113.7:9000"] {
        attack(&mut probe, "while it is within", command)?;
    }
    // Back again, with the neighbour's addresses.
    let back = format!("ip link set eth0 netns {}", pod.pid());
    shell(world, &pod, &within.network(), &back)?;
    shell(world, &pod, &pod.network(), &configured(other.ipv4().into(), other.ipv6().into()))?;
    sleep(LOOK);
    let mut probe = Probe::start_in_pod(world, &pod)?;
    for command in ["packet-raw MARKER 192.0.2.10:9000 source=10.244.0.2:4000", "packet-raw MARKER 203.0.113.7:9000"] {
        attack(&mut probe, "when it is back", command)?;
    }
    println!("{:#}", stage.node.status()?["workloads"]);
    let _ = stage.begin();
    ensure!(faults.is_empty(), "{}\n{}", faults.join("\n"), stage.node.log());
    Ok(())
}

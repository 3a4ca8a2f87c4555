//! Where workloads are in the network: when the agent hears of it, and what it makes of what cannot be told.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::agent::Until;
use enforcer_tests::node::{Node, PODS};
use enforcer_tests::pod::Pod;
use enforcer_tests::world::Spot;
use serde_json::json;

/// From the first process of a pod to the programs of its interface; a look that is due once a second comes later, half of the time.
const SOON: Duration = Duration::from_millis(400);
/// Of so many pods some may be late: the machine has other things to do.
const PODS_SET_UP: usize = 9;
const LATE: usize = 2;
/// So often that is tried, for the same reason.
const TRIES: usize = 3;

/// How long the interface of a pod has no programs after the first process has come into the cgroup of its workload.
fn without_programs(node: &Node, pod: &Pod, name: &str, number: usize) -> Result<Duration> {
    let index = node.world().host_index(name)?;
    let workload = node.world().cgroup().join(format!("{PODS}/late{number}/cgroup.procs"));
    let begun = Instant::now();
    fs::write(workload, pod.pid().to_string()).context("moving the first process")?;
    let program = format!("/interfaces/{index}/enforcer_tc_in");
    while !node.world().pins().iter().any(|pin| pin.ends_with(&program)) {
        ensure!(begun.elapsed() < Duration::from_secs(10), "{name} gets no programs: {}", node.log());
        sleep(Duration::from_millis(1));
    }
    Ok(begun.elapsed())
}

/// As containerd does it: the network first, then a process.
#[test]
fn a_pod_whose_interface_is_older_than_its_first_process_has_programs_soon() -> Result<()> {
    let numbers = 0..TRIES * PODS_SET_UP;
    let mut node = numbers.clone().fold(Node::new().pods(), |node, number| {
        node.flag(
            "--workload",
            &format!("cgroup={{cgroup}}/{PODS}/late{number},namespace=web,name=late{number}"),
        )
    });
    node = node.workload("web", "curl");
    let mut node = node.prepare()?;
    for number in numbers.clone() {
        node.world().make_cgroup(&format!("{PODS}/late{number}"))?;
    }
    node.start_agent(Until::Ready)?;
    let mut took = Vec::new();
    let is_late = |took: &&Duration| **took > SOON;
    for number in numbers {
        if number % PODS_SET_UP == 0 {
            took.clear();
        }
        let name = format!("network{number}");
        let pod = node.world().add_pod(&name)?;
        sleep(Duration::from_millis(500));
        took.push(without_programs(&node, &pod, &name, number)?);
        if took.len() == PODS_SET_UP && took.iter().filter(is_late).count() <= LATE {
            println!("from the first process to the programs: {took:?}");
            return Ok(());
        }
    }
    panic!("from the first process to the programs, at last: {took:?}")
}

/// Both in one network namespace, as `--network container:` makes it.
#[test]
fn who_joins_a_workload_in_its_network_is_judged_at_its_sockets_and_both_are_named() -> Result<()> {
    let builder = Node::new().pods().workload("web", "curl");
    let builder =
        builder.flag("--workload", &format!("cgroup={{cgroup}}/{PODS}/guest,namespace=web,name=guest"));
    let mut node = builder.prepare()?;
    let guest = node.world().make_cgroup(&format!("{PODS}/guest"))?;
    node.start_agent(Until::Ready)?;
    let pod = node.world().pod("curl")?;
    let network = pod.network();
    let spot = Spot { cgroup: Some(&guest), network: Some(&network), ..Spot::default() };
    let mut sleeper = node.world().command(Path::new("sleep"), spot)?;
    let mut sleeper = sleeper.arg("600").stdin(Stdio::null()).spawn().context("sleep")?;
    let told = node.status_soon(|status| (status["ready"] == false).then(|| status.clone()));
    let denied = node.dial("curl", "tcp 203.0.113.7:9000");
    sleeper.kill().and_then(|()| sleeper.wait()).context("ending the guest")?;
    let told = told?;
    for (name, expected) in [("curl", true), ("guest", false)] {
        let workloads = told["workloads"].as_array().context("no workloads")?;
        let workload = workloads.iter().find(|workload| workload["name"] == name);
        assert_eq!(workload.context("no workload")?["covered"], expected, "{name}: {told:#}");
    }
    let reason = told["not_ready"][0].as_str().context("no reason")?;
    assert!(
        reason.contains("web/curl and web/guest") || reason.contains("web/guest and web/curl"),
        "{reason}"
    );
    assert!(reason.contains(&pod.interface()), "{reason}");
    assert_eq!(denied?.to_string(), "EPERM");
    // The guest has gone, and the pod has its interface for itself again.
    node.status_soon(|status| (status["ready"] == true).then_some(()))
}

/// The map of own addresses has room for all workloads together.
#[test]
fn a_pod_with_a_thousand_addresses_is_nobody_elses_trouble() -> Result<()> {
    let mut node = Node::new().pods().workload("web", "curl").workload("web", "other").prepare()?;
    let network = node.world().pod("curl")?.network();
    let spot = Spot { network: Some(&network), ..Spot::default() };
    let mut ip = node.world().command(Path::new("ip"), spot)?;
    let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("ip")?;
    let line = |n: usize| format!("addr add 10.1.{}.{}/32 dev eth0", n / 250, n % 250);
    let lines: Vec<String> = (0..1_000).map(line).collect();
    std::io::Write::write_all(&mut ip.stdin.take().context("no input")?, lines.join("\n").as_bytes())
        .context("telling ip")?;
    ensure!(ip.wait().context("ip")?.success(), "ip fails");
    node.start_agent(Until::Answers)?;
    let told =
        node.status_soon(|status| status["workloads"][1]["covered"].as_bool().map(|_| status.clone()))?;
    let [curl, other] = [0, 1].map(|at| told["workloads"][at]["addresses"].as_array());
    assert_eq!(curl.map(Vec::len), Some(256), "{told:#}");
    let own = json!(node.world().pod("other")?.ipv4());
    assert!(other.is_some_and(|other| other.contains(&own)), "{told:#}");
    let reasons = told["not_ready"].as_array().context("no reasons")?;
    let expected = "web/curl has more addresses than 256, and what it sends from the others is denied: name its own with address=";
    assert_eq!(reasons, &[json!(expected)], "{reasons:?}");
    Ok(())
}

//! What the agent says of how far it sees, and that it looks whether it does.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::node::{Node, OUTSIDE, decisions};
use enforcer_tests::world::{Spot, finish};
use serde_json::{Value, json};

/// The one workload of a status.
fn workload(status: &Value) -> &Value {
    &status["workloads"][0]
}

#[test]
fn a_pod_is_judged_at_its_interface_and_a_plain_cgroup_at_its_sockets() -> Result<()> {
    let node = Node::new().workload("web", "curl").pods().start()?;
    let (status, pod) = (node.status()?, node.world().pod("curl")?);
    let told = workload(&status);
    assert_eq!(
        (&told["covered"], &told["interfaces"]),
        (&json!(true), &json!([pod.interface()])),
        "{told:#}"
    );
    let addresses = told["addresses"].as_array().context("no addresses")?;
    assert!(addresses.contains(&json!(pod.ipv4())) && addresses.contains(&json!(pod.ipv6())), "{told:#}");
    assert_eq!((&told["uncovered"], &told["notes"]), (&json!([]), &json!([])));
    let interface = json!({
        "name": pod.interface(), "side": "workload", "workload": "web/curl", "order": "first", "before": []
    });
    assert_eq!(status["interfaces"], json!([interface]));

    let node = Node::new().workload("web", "curl").start()?;
    let status = node.status()?;
    let told = workload(&status);
    assert_eq!(
        (&told["covered"], &told["interfaces"], &status["interfaces"]),
        (&json!(false), &json!([]), &json!([]))
    );
    assert_eq!(told["notes"], json!(["packets of AF_PACKET sockets are not seen: --uplink"]));
    Ok(())
}

#[test]
fn a_program_that_came_before_ours_comes_behind_it_and_is_named() -> Result<()> {
    let node = Node::new().workload("web", "curl").pods().start()?;
    let _wall = node.world().wall_before_all("curl")?;
    // Something happens to the interface, as when another agent works on it.
    let mut rename = node.world().command(Path::new("ip"), Spot::default())?;
    rename.args(["link", "set", &node.world().pod("curl")?.interface(), "alias", "walled"]);
    assert_eq!(finish(&mut rename)?.code, Some(0));
    let order = node.status_soon(|status| {
        (status["order_lost"] == 1).then(|| status["interfaces"][0]["order"].clone())
    })?;
    assert_eq!(order, "first");
    let log = node.log();
    assert!(log.contains("other programs came before ours; ours is first again"), "{log}");
    Ok(())
}

#[test]
fn canaries_are_noticed_and_nobody_hears_of_them() -> Result<()> {
    let node = Node::new()
        .workload("web", "curl")
        .flag("--cgroup", "{cgroup}/pods")
        .workload_with("strict", "namespace=web,name=strict")
        .start()?;
    let status = node.status()?;
    let root = node.world().cgroup().join("pods");
    assert_eq!(
        status["canary"],
        json!({
            "rounds": 1, "failures": 0,
            "places": [{"cgroup": root, "result": "passed", "why": null}],
            "decisions": [{"reason": "unknown_workload", "enforced": 1, "audited": 0}]
        })
    );
    assert_eq!((decisions(&status, "unknown_workload"), &status["denials"]), ((0, 0), &json!([])));
    assert!(!root.join("enforcer-canary").exists(), "it goes when it is not used");
    // Everybody else who asks for the same is told of.
    node.dial("curl", "udp 192.0.2.1:9")?;
    node.status_soon(|status| (status["denials"][0]["destination"] == "192.0.2.1:9/udp").then_some(()))
}

#[test]
fn a_canary_sings_by_its_exit_code() -> Result<()> {
    let node = Node::new().workload("web", "curl").start()?;
    for (who, expected) in [("curl", Some(0)), (OUTSIDE, Some(1)), ("nobody", Some(3))] {
        let cgroup = node.cgroup(who);
        let sung = node.world().enforcer(&["canary", &cgroup.to_string_lossy()])?;
        assert_eq!((sung.code, &*sung.stdout, &*sung.stderr), (expected, "", ""), "{who}");
    }
    Ok(())
}

#[test]
fn a_canary_that_was_left_behind_goes_with_detach() -> Result<()> {
    let mut node = Node::new().workload("web", "curl").start()?;
    node.kill_agent()?;
    let left = node.cgroup("curl").join("enforcer-canary");
    fs::create_dir(&left).context("leaving a canary's cgroup behind")?;
    assert_eq!(node.detach()?.code, Some(0));
    assert!(!left.exists(), "{} is there still", left.display());
    Ok(())
}

/// Takes one of the programs at a workload's cgroup off.
fn take_off(node: &Node, who: &str, program: &str) -> Result<()> {
    let id = fs::metadata(node.cgroup(who))?.ino();
    let pin = node.world().pins().into_iter().find(|pin| pin.ends_with(&format!("{id}/{program}")));
    let pin = pin.with_context(|| format!("no link of {id}: {:?}", node.world().pins()))?;
    let mut remove = node.world().command(Path::new("rm"), Spot::default())?;
    remove.arg(node.world().pin_dir().join(pin));
    assert_eq!(finish(&mut remove)?.code, Some(0));
    Ok(())
}

/// Nothing is blocked under audit, so a canary tells nothing by what it meets.
#[test]
fn under_audit_what_others_do_does_not_vouch_for_a_canary() -> Result<()> {
    let node = Node::new()
        .workload("web", "curl")
        .workload("web", "cart")
        .flag("--enforcement", "audit")
        .flag("--event-rate", "100000")
        .start()?;
    take_off(&node, "curl", "enforcer_conn4")?;
    let begun = Instant::now();
    loop {
        for _ in 0..100 {
            node.dial("cart", "udp 192.0.2.2:9")?;
        }
        let canary = node.status()?["canary"].clone();
        if canary["failures"] == 1 {
            let result = |who: &str| {
                let cgroup = node.cgroup(who);
                let mut places = canary["places"].as_array().into_iter().flatten();
                places.find(|place| place["cgroup"] == json!(cgroup)).map(|place| place["result"].clone())
            };
            assert_eq!((result("curl"), result("cart")), (Some(json!("failed")), Some(json!("passed"))));
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(75), "nobody has noticed: {canary:#}");
    }
}

#[test]
fn programs_that_notice_nothing_are_noticed() -> Result<()> {
    let node = Node::new().workload("web", "curl").start()?;
    take_off(&node, "curl", "enforcer_conn4")?;
    // The next one is due within a minute.
    let begun = Instant::now();
    let told = loop {
        let status = node.status()?;
        let reasons = status["not_ready"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(reason) = reasons.first() {
            break reason.as_str().unwrap_or_default().to_owned();
        }
        ensure!(begun.elapsed() < Duration::from_secs(75), "nobody has noticed: {:#}", status["canary"]);
        sleep(Duration::from_millis(500));
    };
    let curl = node.cgroup("curl");
    assert_eq!(
        told,
        format!(
            "a process below {} asked for 192.0.2.1:9/udp, which is to be denied (not_registered), and was not denied: look for \
             other programs with `enforcer doctor`, and start the agent again",
            curl.display()
        )
    );
    Ok(())
}

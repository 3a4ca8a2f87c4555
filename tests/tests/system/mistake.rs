//! The life of one mistake: somebody forgot a ServiceEntry, and everything from there to enforcing goes by the command line.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::node::Node;
use enforcer_tests::world::Finished;
use serde_json::Value;

const REGISTERED: &str = r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: warehouse, namespace: shop}
spec:
  hosts: [warehouse.example.com]
  addresses: [192.0.2.10]
  resolution: NONE
  ports: [{number: 5432, name: tcp, protocol: TCP}]
";
const FORGOTTEN: &str = "203.0.113.9:8080";

/// Asks the node's agent.
fn ask(node: &Node, arguments: &[&str]) -> Result<Finished> {
    let admin = node.world().admin().to_string_lossy().into_owned();
    node.world().enforcer(&[arguments, &["--admin", &admin]].concat())
}

/// `enforcer mode`, by the pins alone.
fn mode(node: &Node, arguments: &[&str]) -> Result<Value> {
    let (pins, admin) = (node.world().pin_dir(), node.world().admin());
    let places = ["--pin-dir", &*pins.to_string_lossy(), "--admin", &*admin.to_string_lossy(), "-o", "json"]
        .map(str::to_owned);
    let all: Vec<&str> = ["mode"]
        .into_iter()
        .chain(arguments.iter().copied())
        .chain(places.iter().map(String::as_str))
        .collect();
    let finished = node.world().enforcer(&all)?;
    ensure!(finished.code == Some(0), "mode {arguments:?}: {}", finished.stderr);
    Ok(serde_json::from_str(&finished.stdout)?)
}

/// The recorded denials, as soon as there are any.
fn recorded(node: &Node) -> Result<String> {
    let since = Instant::now();
    loop {
        let observed = ask(node, &["observe", "--last", "100", "--verdict", "denied", "-o", "json"])?;
        ensure!(observed.code == Some(0), "{}", observed.stderr);
        if !observed.stdout.is_empty() || since.elapsed() > Duration::from_secs(5) {
            return Ok(observed.stdout);
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_forgotten_service_entry_from_audit_to_enforce() -> Result<()> {
    let node = Node::new()
        .file("shop.yaml", REGISTERED)
        .workload_with("curl", "namespace=web,name=curl,labels=app=curl")
        .flag("--enforcement", "audit")
        .start()?;
    // Audit: the program works, and somebody watches.
    node.expect("curl", &[(&format!("tcp {FORGOTTEN}"), &format!("reached {FORGOTTEN}"))]);
    let flows = recorded(&node)?;
    let flow: Value = serde_json::from_str(flows.lines().next().context("nothing was observed")?)?;
    assert_eq!(
        (&flow["verdict"], &flow["reason"], &flow["enforcement"], &flow["hook"], &flow["protocol"]),
        (&"deny".into(), &"not_registered".into(), &"audit".into(), &"connect4".into(), &"tcp".into())
    );
    assert_eq!(flow["destination"]["ip"], "203.0.113.9");
    assert_eq!(flow["workload"]["labels"]["app"], "curl");
    assert_eq!(flow["process"]["name"], "enforcer-probe");
    assert_eq!(flow["process"]["id"], node.probe("curl")?.pid());
    let people = ask(&node, &["observe", "--last", "1"])?;
    assert!(
        people.stdout.contains("would be denied") && people.stdout.contains(FORGOTTEN),
        "{}",
        people.stdout
    );

    // Why, and what would allow it.
    let explained = node.explain("web/curl", FORGOTTEN)?;
    assert_eq!((&explained["verdict"], &explained["reason"]), (&"deny".into(), &"not_registered".into()));
    assert!(
        explained["fix"]["yaml"].as_str().is_some_and(|yaml| yaml.contains("203.0.113.9")),
        "{explained:#}"
    );

    // The flows that were recorded would be denied by the registry as it is, and not with what is suggested.
    let suggested = ask(&node, &["suggest"])?;
    assert_eq!(suggested.code, Some(0), "{}", suggested.stderr);
    let (file, proposed) =
        (node.world().directory().join("flows.jsonl"), node.world().directory().join("proposed"));
    fs::write(&file, &flows)?;
    fs::create_dir(&proposed)?;
    fs::write(proposed.join("shop.yaml"), REGISTERED)?;
    let simulate = || {
        let source = format!("file:{}", proposed.display());
        let flows = file.to_string_lossy();
        let policy = ["--outbound-traffic-policy", "REGISTRY_ONLY"];
        node.world()
            .enforcer(&[&["simulate", "--registry", &source, "--flows", &flows][..], &policy].concat())
    };
    assert_eq!(simulate()?.code, Some(1), "the gate is open before anything was added");
    fs::write(proposed.join("suggested.yaml"), &suggested.stdout)?;
    let simulated = simulate()?;
    assert_eq!(simulated.code, Some(0), "{}{}", simulated.stdout, simulated.stderr);

    // Applied, and switched on.
    node.write("suggested.yaml", &suggested.stdout)?;
    node.status_soon(|status| (status["services"] == 2).then_some(()))?;
    assert_eq!(mode(&node, &["enforce"])?["enforcement"], "enforce");
    node.expect(
        "curl",
        &[
            (&format!("tcp {FORGOTTEN}"), &format!("reached {FORGOTTEN}")),
            ("tcp 203.0.113.9:80", "EPERM"),
            ("tcp 203.0.113.10:8080", "EPERM"),
            ("udp 203.0.113.9:8080", "EPERM"),
        ],
    );
    Ok(())
}

#[test]
fn break_glass_without_an_agent_ends_by_itself_and_outlives_a_restart() -> Result<()> {
    let mut node = Node::new().file("shop.yaml", REGISTERED).workload("web", "curl").start()?;
    let (denied, passes) =
        (("tcp 203.0.113.9:8080", "EPERM"), ("tcp 203.0.113.9:8080", "reached 203.0.113.9:8080"));
    node.expect("curl", &[denied]);
    node.kill_agent()?;
    let switched = mode(&node, &["off", "--for", "3s"])?;
    assert_eq!((&switched["enforcement"], &switched["then"]), (&"off".into(), &"enforce".into()));
    node.expect("curl", &[passes]);
    // Nobody writes anything; the kernel looks at the clock.
    node.expect_within(Duration::from_secs(5), "curl", &[denied]);
    assert_eq!(mode(&node, &[])?["enforcement"], "enforce");

    assert_eq!(mode(&node, &["audit"])?["overridden"], true);
    node.start_agent(enforcer_tests::agent::Until::Ready)?;
    node.expect("curl", &[passes]);
    let status = node.status()?;
    assert_eq!((&status["enforcement"], &status["enforcement_from"]), (&"audit".into(), &"mode".into()));
    assert_eq!(mode(&node, &["enforce"])?["overridden"], false);
    node.expect("curl", &[denied]);
    Ok(())
}

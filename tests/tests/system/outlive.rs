//! Enforcement outlives the agent, however it ends, and only `detach` lifts it.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use enforcer_tests::agent::Until;
use enforcer_tests::entry::{entry, entry_at};
use enforcer_tests::node::Node;
use enforcer_tests::probe::Probe;

const IN_FORCE: [(&str, &str); 2] =
    [("tcp 192.0.2.10:443", "reached 192.0.2.10:443"), ("tcp 192.0.2.11:443", "EPERM")];

#[test]
fn killed_stopped_and_started_again_it_stays_until_detached() -> Result<()> {
    let mut node = Node::new().registry(&entry("one", "192.0.2.10")).workload("web", "curl").start()?;
    node.expect("curl", &IN_FORCE);
    let pins = node.world().pins();
    assert!(pins.iter().any(|pin| pin.ends_with("maps/EXACT")), "{pins:?}");

    node.kill_agent()?;
    node.expect("curl", &IN_FORCE);
    // A process that is born while no agent lives is under the same rules.
    let mut born = Probe::start(node.world(), &node.cgroup("curl"))?;
    assert_eq!(born.dial("tcp 192.0.2.11:443")?.to_string(), "EPERM");

    node.start_agent(Until::Ready)?;
    assert_eq!(node.world().pins(), pins, "what was pinned is adopted");
    node.expect("curl", &IN_FORCE);

    assert_eq!(node.stop_agent()?, Some(0));
    node.expect("curl", &IN_FORCE);
    assert_eq!(node.world().pins(), pins);

    // Nobody is there to be asked, and it works.
    let detached = node.detach()?;
    assert_eq!(detached.code, Some(0), "{}", detached.stderr);
    assert!(detached.stdout.contains("11 links"), "{}", detached.stdout);
    assert_eq!(node.world().pins(), Vec::<String>::new());
    node.expect("curl", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    let again = node.detach()?;
    assert_eq!(again.code, Some(0), "detaching nothing is no failure: {}", again.stderr);

    // And on again.
    node.start_agent(Until::Ready)?;
    node.expect("curl", &IN_FORCE);
    Ok(())
}

#[test]
fn what_changed_while_it_was_dead_is_in_force_after_the_start() -> Result<()> {
    let mut node = Node::new()
        .file("one.yaml", &entry("one", "192.0.2.10"))
        .file("two.yaml", &entry("two", "192.0.2.12"))
        .workload("web", "curl")
        .start()?;
    node.kill_agent()?;
    node.remove("two.yaml")?;
    node.write("three.yaml", &entry("three", "192.0.2.13"))?;
    node.expect("curl", &[("tcp 192.0.2.12:443", "reached 192.0.2.12:443"), ("tcp 192.0.2.13:443", "EPERM")]);
    node.start_agent(Until::Ready)?;
    node.expect("curl", &[("tcp 192.0.2.12:443", "EPERM"), ("tcp 192.0.2.13:443", "reached 192.0.2.13:443")]);
    node.expect("curl", &IN_FORCE);
    Ok(())
}

#[test]
fn detach_under_a_living_agent_lifts_enforcement() -> Result<()> {
    let node = Node::new().registry(&entry("one", "192.0.2.10")).workload("web", "curl").start()?;
    node.probe("curl")?.tell("load 192.0.2.10:443 192.0.2.11:443")?;
    assert_eq!(node.detach()?.code, Some(0));
    node.add_probe("beside", Probe::start(node.world(), &node.cgroup("curl"))?);
    node.expect_soon("beside", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    // Time for a dial or two more.
    sleep(Duration::from_secs(1));
    node.probe("curl")?.tell("stop")?;
    let [_, bad]: [BTreeMap<String, u64>; 2] = serde_json::from_value(node.probe("curl")?.answer()?)?;
    assert!(bad.contains_key("reached 192.0.2.11:443"), "{bad:?}");
    node.expect("curl", &[("tcp 192.0.2.11:443", "reached 192.0.2.11:443")]);
    // And the agent does not claim to enforce.
    node.status_soon(|status| (status["ready"] == false).then_some(()))?;
    Ok(())
}

/// Two workloads dial all the while, one destination that is registered and one that is not. Whatever happens to the agent and to
/// the registry: never is the first denied or the second open.
#[test]
fn no_connection_is_lost_and_none_leaks_while_agents_come_and_go() -> Result<()> {
    let good = |ports: &[u16]| entry_at("one", "192.0.2.10", ports);
    let mut node = Node::new()
        .file("one.yaml", &good(&[443]))
        .workload("web", "curl")
        .workload("shop", "cart")
        .start()?;
    for who in ["curl", "cart"] {
        node.probe(who)?.tell("load 192.0.2.10:443 192.0.2.11:443")?;
    }
    let a_moment = || sleep(Duration::from_millis(100));
    for round in 0_u8..5 {
        a_moment();
        node.kill_agent()?;
        a_moment();
        // The agent comes back to another registry, which has the same destination in other company.
        node.write("one.yaml", &good(if round % 2 == 0 { &[80, 443] } else { &[443] }))?;
        node.write(
            &format!("more-{round}.yaml"),
            &entry_at("more", &format!("198.51.100.{round}"), &[443, 8080]),
        )?;
        node.start_agent(Until::Ready)?;
        a_moment();
        node.write("one.yaml", &good(&[443, 8080, 9000]))?;
        node.remove(&format!("more-{round}.yaml"))?;
        a_moment();
        if round == 2 {
            assert_eq!(node.stop_agent()?, Some(0));
            a_moment();
            node.start_agent(Until::Ready)?;
        }
    }
    for who in ["curl", "cart"] {
        let mut probe = node.probe(who)?;
        probe.tell("stop")?;
        let [good, bad]: [BTreeMap<String, u64>; 2] = serde_json::from_value(probe.answer()?)?;
        println!("{who}: registered {good:?}, unregistered {bad:?}");
        assert_eq!(good.keys().collect::<Vec<_>>(), ["reached 192.0.2.10:443"], "{good:?}");
        assert_eq!(bad.keys().collect::<Vec<_>>(), ["EPERM"], "{bad:?}");
        assert!(bad["EPERM"] > 1_000, "too little load to tell: {bad:?}");
    }
    Ok(())
}

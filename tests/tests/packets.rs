//! Generated frames through the programs of a workload's interface, beside a slow judge that was written apart from them.
//!
//! Time is that of the machine: 50,000 frames end before the 30 seconds of echo requests and fragments do; a million take about
//! a minute and meet those, eight million the minute of TCP that is over. The three minutes of UDP, the ten of neighbours and the day of
//! a silent TCP flow are not met here: the slow judge's own tests and those of `enforcer_common::flow` have them.
//!
//! `ENFORCER_TEST_PACKETS` says how many; 50,000 without it.

#[path = "packets/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use enforcer_common::ABI_VERSION;
use enforcer_tests::node::Node;
use enforcer_tests::packets::{self, BothWays, Comparison, Passing};
use enforcer_tests::reference::{Model, Protocol};
use enforcer_tests::sys::testrun::{Program, Runner};

/// How many frames are tried when nobody says.
const FRAMES: usize = 50_000;

fn count() -> Result<usize> {
    match std::env::var("ENFORCER_TEST_PACKETS") {
        Ok(count) => count.parse().context("ENFORCER_TEST_PACKETS is no number"),
        Err(_) => Ok(FRAMES),
    }
}

fn node(model: &Model) -> Result<Node> {
    let own: Vec<String> = model.own.iter().map(ToString::to_string).collect();
    let fields = format!("namespace=web,name=curl,address={}", own.join(";"));
    // Room for every flow that begins: what is pushed out of the table is denied, and would be a difference.
    let node = Node::new().pods().flag("--map-entries", "flows=1048576");
    let mut node = node.registry(&packets::registry_yaml(model)).workload_with("curl", &fields);
    for range in packets::allow_flags(model) {
        node = node.flag("--allow", &range);
    }
    node.start()
}

/// Where a program of the workload's interface is pinned.
fn program(node: &Node, name: &str) -> Result<PathBuf> {
    let index = node.world().host_index("curl")?;
    let pin = format!("v{ABI_VERSION}/interfaces/{index}/{name}");
    Ok(node.world().outside(&node.world().pin_dir().join(pin)))
}

/// What the program of the workload's interface does with each frame, twice.
fn compare(node: &Node, model: &Model, seed: u64, count: usize) -> Result<Comparison> {
    let (index, pin) = (node.world().host_index("curl")?, program(node, "enforcer_tc_in")?);
    node.world().on_node(|| {
        let runner = Runner::new(Program::pinned(&pin)?, index)?;
        Ok(packets::compare(model, seed, count, &mut |frame| {
            let passed = runner.passes_twice(frame);
            let passed = passed.unwrap_or_else(|error| panic!("{}: {error:#}", packets::describe(frame)));
            // Those are for the wire.
            assert!(passed.is_some() != packets::is_too_short(frame), "{}", packets::describe(frame));
            passed
        }))
    })
}

/// What the programs of the workload's interface do with frames in both directions: one half before the registry loses what is there by
/// UDP, one after it.
fn compare_both_ways(node: &Node, model: &Model, seed: u64, count: usize) -> Result<Comparison> {
    let index = node.world().host_index("curl")?;
    let (out, into) = (program(node, "enforcer_tc_in")?, program(node, "enforcer_tc_out")?);
    let mut both_ways = BothWays::new(model, seed);
    let mut go_on = |model: &Model, count| {
        node.world().on_node(|| {
            let out = Runner::new(Program::pinned(&out)?, index)?;
            let into = Runner::new(Program::pinned(&into)?, index)?;
            both_ways.go_on(model, count, &mut |passing| {
                let runner = if matches!(passing, Passing::Leaves(_)) { &out } else { &into };
                let passed = runner.passes(passing.frame());
                passed.unwrap_or_else(|error| panic!("{}: {error:#}", packets::describe(passing.frame())))
            });
            Ok(())
        })
    };
    go_on(model, count / 2)?;
    let narrow = without_udp(model);
    node.write("registry.yaml", &packets::registry_yaml(&narrow))?;
    let nets: BTreeSet<_> = narrow.registered.iter().map(|row| row.net).collect();
    node.status_soon(|status| (status["services"] == nets.len()).then_some(()))?;
    go_on(&narrow, count - count / 2)?;
    Ok(both_ways.comparison().clone())
}

/// What comes from there now is still no question: the workload had asked before.
fn without_udp(model: &Model) -> Model {
    let mut narrow = model.clone();
    narrow.registered.retain(|row| row.protocol == Protocol::Tcp);
    narrow
}

#[test]
fn what_came_in_is_answered_and_nothing_more() -> Result<()> {
    let model = packets::model();
    let node = node(&model)?;
    let count = count()?;
    let comparison = compare_both_ways(&node, &model, 3, count)?;
    println!("{comparison}");
    assert!(comparison.agrees(), "{comparison}\n{}", node.log());
    assert!(comparison.at_the_end <= count / 10_000, "{comparison}");
    assert!(comparison.tried * 2 > count && comparison.arrived * 3 > count, "{comparison}");
    // Every rule was met, on both sides of it.
    let met: Vec<&str> = comparison.by_reason.keys().copied().collect();
    assert_eq!(met, packets::reasons_of_both_ways(), "{comparison}");
    assert!(comparison.by_reason.values().all(|met| *met >= count / 5_000), "{comparison}");
    let (no_flow, not_registered) = (comparison.by_reason["no_flow"], comparison.by_reason["not_registered"]);
    assert!(no_flow >= count / 20 && not_registered >= count / 10, "{comparison}");
    let answers = &comparison.answers;
    assert!(answers["inbound"] >= count / 10 && answers["related"] >= count / 100, "{comparison}");
    assert!(answers["link_control"] >= count / 500, "{comparison}");
    assert!(answers["fragment_of_allowed"] >= count / 500, "{comparison}");
    Ok(())
}

#[test]
fn nothing_passes_that_the_slow_judge_denies() -> Result<()> {
    let model = packets::model();
    let node = node(&model)?;
    let count = count()?;
    let comparison = compare(&node, &model, 1, count)?;
    println!("{comparison}");
    assert!(comparison.agrees(), "{comparison}\n{}", node.log());
    assert!(comparison.at_the_end <= count / 10_000, "{comparison}");
    assert!(comparison.tried * 10 > count * 9, "{comparison}");
    // Every rule was met.
    let met: Vec<&str> = comparison.by_reason.keys().copied().collect();
    assert_eq!(met, packets::REASONS, "{comparison}");
    assert!(comparison.by_reason.values().all(|met| *met >= count / 1_000), "{comparison}");
    Ok(())
}

//! Generated frames through the program of a workload's interface, beside a slow judge that was written apart from it.
//!
//! `ENFORCER_TEST_PACKETS` says how many; 50,000 without it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use enforcer_common::ABI_VERSION;
use enforcer_tests::node::Node;
use enforcer_tests::packets::{self, Comparison};
use enforcer_tests::reference::Model;
use enforcer_tests::sys::testrun::{Program, Runner};

/// How many frames are tried when nobody says.
const FRAMES: usize = 50_000;

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

/// What the program of the workload's interface does with each frame; frames that no test run takes go over the interface itself.
fn compare(node: &Node, model: &Model, seed: u64, count: usize) -> Result<Comparison> {
    let world = node.world();
    let index = world.host_index("curl")?;
    let pin = format!("v{ABI_VERSION}/interfaces/{index}/enforcer_tc_in");
    let pin = world.outside(&world.pin_dir().join(pin));
    let (capture, sender) = (world.capture_past_programs("curl")?, world.sender("curl")?);
    let (comparison, short) = world.on_node(|| {
        let runner = Runner::new(Program::pinned(&pin)?, index)?;
        let mut short = Vec::new();
        let comparison = packets::compare(model, seed, count, &mut |frame| {
            let passed = runner.passes(frame).unwrap_or_else(|error| panic!("{error:#}"));
            if passed.is_none() {
                short.push(frame.to_vec());
            }
            passed
        });
        Ok((comparison, short))
    })?;
    // All of these are shorter than their headers: nothing of them may pass.
    for frame in short.iter().filter(|frame| frame.len() >= 14) {
        sender.send(frame)?;
    }
    let passed = capture.all()?;
    let shown: Vec<String> = passed.iter().map(|frame| packets::describe(frame)).take(5).collect();
    assert!(passed.is_empty(), "{} of {} short frames passed: {shown:#?}", passed.len(), short.len());
    Ok(comparison)
}

#[test]
fn nothing_passes_that_the_slow_judge_denies() -> Result<()> {
    let model = packets::model();
    let node = node(&model)?;
    let count = match std::env::var("ENFORCER_TEST_PACKETS") {
        Ok(count) => count.parse().context("ENFORCER_TEST_PACKETS is no number")?,
        Err(_) => FRAMES,
    };
    let comparison = compare(&node, &model, 1, count)?;
    println!("{comparison}");
    assert_eq!(comparison.admitted, 0, "{comparison}\n{}", node.log());
    if count <= FRAMES {
        assert!(comparison.agrees(), "{comparison}\n{}", node.log());
    }
    // In a longer run a later fragment may come when its first one has been pushed out of the table.
    let mut lost = comparison.denied_though_admitted.iter();
    assert!(comparison.denied <= count / 10_000, "{comparison}");
    assert!(lost.all(|lost| lost.reason == "fragment_of_allowed"), "{comparison}");
    assert!(comparison.tried * 10 > count * 9, "{comparison}");
    // Every rule was met.
    let met: BTreeMap<&str, usize> = comparison.by_reason.clone();
    for reason in ["registered", "exempt", "malformed", "fragment", "fragment_of_allowed", "spoofed_source"] {
        assert!(met.get(reason).is_some_and(|count| *count > 100), "{reason}: {met:?}");
    }
    Ok(())
}

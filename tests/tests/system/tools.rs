//! What an operator sees with the kernel's own tools.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use enforcer_common::names::{CGROUP_PROGRAMS, MEMORY, map};
use enforcer_tests::needs;
use enforcer_tests::node::Node;
use serde_json::Value;

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let output = needs::tool("bpftool")
        .arg("-j")
        .args(arguments)
        .output()
        .context("running bpftool: apt install bpftool")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("bpftool {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))
    })
}

/// The names of objects that bpftool lists.
fn names(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|object| object["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn bpftool_shows_programs_and_maps_by_name() -> Result<()> {
    let node = Node::new()
        .registry("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")
        .workload("web", "curl")
        .start()?;
    let attached = bpftool(&["cgroup", "show", &node.cgroup("curl").to_string_lossy()])?;
    let expected: BTreeSet<String> = CGROUP_PROGRAMS.iter().map(|program| program.name.to_owned()).collect();
    assert_eq!(names(&attached), expected, "{attached:#}");

    let mut maps = BTreeSet::new();
    for program in attached.as_array().context("a list")? {
        let program = bpftool(&["prog", "show", "id", &program["id"].to_string()])?;
        for id in program["map_ids"].as_array().context("maps of a program")? {
            let map = bpftool(&["map", "show", "id", &id.to_string()])?;
            maps.extend(map["name"].as_str().map(str::to_owned));
        }
    }
    // Which interface is whose, only the programs of interfaces ask.
    let asked = map::ALL.iter().filter(|name| **name != map::INTERFACES);
    let expected: BTreeSet<String> =
        asked.map(|name| if *name == map::GENERATIONS { MEMORY } else { name }.to_owned()).collect();
    assert!(expected.is_subset(&maps), "{:?} are missing", expected.difference(&maps));
    let elsewhere = bpftool(&["cgroup", "show", &node.world().cgroup().to_string_lossy()]);
    assert!(elsewhere.map_or(true, |list| names(&list).is_empty()), "nothing is attached above");
    Ok(())
}

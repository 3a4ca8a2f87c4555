//! The registry changes while the agent runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::Result;
use enforcer_tests::agent::Until;
use enforcer_tests::entry::entry;
use enforcer_tests::node::Node;
use serde_json::Value;

fn open(address: &str) -> (String, String) {
    (format!("tcp {address}:443"), format!("reached {address}:443"))
}

/// Checks within two seconds which of the addresses are reachable.
#[track_caller]
fn reachable(node: &Node, addresses: &[(&str, bool)]) {
    let rows: Vec<(String, String)> = addresses
        .iter()
        .map(|(address, is_open)| {
            let (command, reached) = open(address);
            (command, if *is_open { reached } else { "EPERM".to_owned() })
        })
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(command, outcome)| (&**command, &**outcome)).collect();
    node.expect_soon("curl", &rows);
}

/// The problems that the agent tells of: source without directory and line, object, field.
fn problems(status: &Value) -> Vec<String> {
    let all = status["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .map(|problem| {
            let source = problem["source"].as_str().unwrap_or_default();
            let file = source.rsplit_once('/').map_or(source, |(_, file)| file);
            let name = problem["object"]["name"].as_str().unwrap_or("-");
            let text = |field: &str| problem[field].as_str().unwrap_or_default();
            assert!(!text("hint").is_empty() && !text("message").is_empty(), "{problem:#}");
            format!("{} {file} {name} {}", text("severity"), text("field"))
        })
        .collect()
}

/// Waits until these are the problems.
fn problems_soon(node: &Node, expected: &[&str]) -> Result<()> {
    node.status_soon(|status| (problems(status) == expected).then_some(()))
}

#[test]
fn files_come_and_go() -> Result<()> {
    let node = Node::new().file("one.yaml", &entry("one", "192.0.2.1")).workload("web", "curl").start()?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false)]);
    node.write("two.yaml", &entry("two", "192.0.2.2"))?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", true)]);
    // The entry moves: the old address is closed, the new one open.
    node.write("two.yaml", &entry("two", "192.0.2.3"))?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false), ("192.0.2.3", true)]);
    node.remove("two.yaml")?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.3", false)]);
    // Nothing registered is nothing reachable.
    node.remove("one.yaml")?;
    reachable(&node, &[("192.0.2.1", false)]);
    node.status_soon(|status| (status["services"] == 0).then_some(()))?;
    Ok(())
}

#[test]
fn a_file_that_cannot_be_parsed_keeps_its_last_good_objects() -> Result<()> {
    let node = Node::new()
        .file("one.yaml", &entry("one", "192.0.2.1"))
        .file("two.yaml", &entry("two", "192.0.2.2"))
        .workload("web", "curl")
        .start()?;
    node.write("one.yaml", "spec: [this, is: not {yaml")?;
    let stale = node.status_soon(|status| {
        status["sources"][0]["stale_files"].as_array().filter(|files| !files.is_empty()).cloned()
    })?;
    assert!(stale.len() == 1 && stale[0].as_str().is_some_and(|file| file.contains("one.yaml")), "{stale:?}");
    problems_soon(&node, &["error one.yaml - "])?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", true)]);
    // Other files are read as before.
    node.write("two.yaml", &entry("two", "192.0.2.3"))?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false), ("192.0.2.3", true)]);
    // It is corrected, and counts again.
    node.write("one.yaml", &entry("one", "192.0.2.4"))?;
    reachable(&node, &[("192.0.2.1", false), ("192.0.2.4", true)]);
    problems_soon(&node, &[])?;
    Ok(())
}

#[test]
fn an_object_that_becomes_invalid_goes_away_and_its_neighbours_stay() -> Result<()> {
    let both = |first: &str| format!("{}---\n{}", entry("one", first), entry("two", "192.0.2.2"));
    let node = Node::new().registry(&both("192.0.2.1")).workload("web", "curl").start()?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", true)]);
    node.write("registry.yaml", &both("192.0.2.300"))?;
    reachable(&node, &[("192.0.2.1", false), ("192.0.2.2", true)]);
    problems_soon(&node, &["error registry.yaml:1 one spec.addresses[0]"])?;
    Ok(())
}

#[test]
fn of_two_objects_with_one_name_the_first_stays() -> Result<()> {
    let node = Node::new()
        .file("a.yaml", &entry("one", "192.0.2.1"))
        .file("b.yaml", &entry("one", "192.0.2.2"))
        .workload("web", "curl")
        .start()?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false)]);
    problems_soon(&node, &["error b.yaml:1 one "])?;
    node.remove("a.yaml")?;
    reachable(&node, &[("192.0.2.1", false), ("192.0.2.2", true)]);
    problems_soon(&node, &[])?;
    Ok(())
}

#[test]
fn a_registry_that_does_not_fit_is_refused_and_the_last_good_one_stays() -> Result<()> {
    let node = Node::new()
        .file("one.yaml", &entry("one", "192.0.2.1"))
        .workload("web", "curl")
        .flag("--map-entries", "EXACT=10")
        .start()?;
    let many: Vec<String> =
        (0..50).map(|number| entry(&format!("many-{number}"), &format!("198.51.100.{number}"))).collect();
    node.write("many.yaml", &many.join("---\n"))?;
    let why = node.status_soon(|status| status["not_ready"][0].as_str().map(str::to_owned))?;
    assert!(why.contains("EXACT") && why.contains("10") && why.contains("51"), "{why}");
    reachable(&node, &[("192.0.2.1", true), ("198.51.100.7", false), ("192.0.2.9", false)]);
    // It fits again.
    node.write("many.yaml", &many[..5].join("---\n"))?;
    node.status_soon(|status| (status["ready"] == true).then_some(()))?;
    reachable(&node, &[("192.0.2.1", true), ("198.51.100.4", true), ("198.51.100.7", false)]);
    Ok(())
}

/// As the kubelet does it: the files are links into a directory that is replaced at once.
#[test]
fn a_config_map_volume_is_swapped() -> Result<()> {
    let node = Node::new().workload("web", "curl").prepare()?;
    let directory = node.file("");
    let version = |name: &str, text: &str| -> Result<()> {
        fs::create_dir(directory.join(name))?;
        fs::write(directory.join(name).join("one.yaml"), text)?;
        symlink(name, directory.join("..new"))?;
        Ok(fs::rename(directory.join("..new"), directory.join("..data"))?)
    };
    version("..2026_01_01", &entry("one", "192.0.2.1"))?;
    symlink("..data/one.yaml", directory.join("one.yaml"))?;
    let mut node = node;
    node.start_agent(Until::Ready)?;
    // Once, not once for every link.
    node.status_soon(|status| (status["services"] == 1).then_some(()))?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false)]);
    version("..2026_01_02", &entry("one", "192.0.2.2"))?;
    fs::remove_dir_all(directory.join("..2026_01_01"))?;
    reachable(&node, &[("192.0.2.1", false), ("192.0.2.2", true)]);
    version("..2026_01_03", &entry("one", "192.0.2.3"))?;
    fs::remove_dir_all(directory.join("..2026_01_02"))?;
    reachable(&node, &[("192.0.2.2", false), ("192.0.2.3", true)]);
    problems_soon(&node, &[])?;
    Ok(())
}

/// The directory goes: what was good stays. It comes again, and counts.
#[test]
fn a_registry_that_vanishes_keeps_what_was_good() -> Result<()> {
    let node = Node::new().file("one.yaml", &entry("one", "192.0.2.1")).workload("web", "curl").start()?;
    let directory = node.file("");
    let aside = node.world().directory().join("aside");
    fs::rename(&directory, &aside)?;
    node.status_soon(|status| {
        let told = status["problems"].as_array().is_some_and(|problems| !problems.is_empty());
        (told || status["ready"] == false).then_some(())
    })?;
    reachable(&node, &[("192.0.2.1", true), ("192.0.2.2", false)]);
    fs::create_dir(&directory)?;
    node.write("two.yaml", &entry("two", "192.0.2.2"))?;
    // Nothing tells of a directory that comes again: it is looked for now and then.
    node.expect_within(
        Duration::from_secs(10),
        "curl",
        &[("tcp 192.0.2.1:443", "EPERM"), ("tcp 192.0.2.2:443", "reached 192.0.2.2:443")],
    );
    node.status_soon(|status| (problems(status).is_empty() && status["ready"] == true).then_some(()))?;
    Ok(())
}

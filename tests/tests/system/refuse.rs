//! What the agent refuses: one message that says what, where and what to do, and nothing is half loaded.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use enforcer_tests::agent::{RunningAgent, Until, own_arguments};
use enforcer_tests::cgroup;
use enforcer_tests::entry::entry;
use enforcer_tests::needs;
use enforcer_tests::node::{Builder, Node};
use enforcer_tests::world::{Finished, Spot, finish};

/// Checks that the agent ended with a failure and one message that has all these words.
#[track_caller]
fn refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let message = finished
        .stderr
        .lines()
        .skip_while(|line| !line.starts_with("error: "))
        .collect::<Vec<_>>()
        .join("\n");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in the message:\n{}", finished.stderr);
    }
    assert!(message.lines().count() <= 5, "nobody reads that:\n{message}");
}

/// Runs the agent of a node that nothing else runs on, which should be refused and leave nothing behind.
#[track_caller]
fn check(builder: Builder, words: &[&str]) {
    let node = builder.prepare().expect("a node");
    let finished = run(&node, node.arguments(), &own_arguments(node.world())).expect("the agent ends");
    refused(&finished, words);
    assert_eq!(node.world().pins(), Vec::<String>::new(), "nothing is pinned");
}

fn run(node: &Node, arguments: &[String], own: &[String]) -> Result<Finished> {
    let all: Vec<&str> = ["run"].into_iter().chain(arguments.iter().chain(own).map(String::as_str)).collect();
    node.world().enforcer(&all)
}

fn one() -> Builder {
    Node::new().registry(&entry("one", "192.0.2.1")).workload("web", "curl")
}

#[test]
fn a_registry_that_is_not_there() {
    check(
        one().flag("--registry", "file:/nowhere/registry"),
        &["/nowhere/registry", "No such file", "give a file"],
    );
}

#[test]
fn no_registry_at_all() -> Result<()> {
    let node = one().prepare()?;
    let at = node.arguments().iter().position(|argument| argument == "--registry").context("a registry")?;
    let without = [&node.arguments()[..at], &node.arguments()[at + 2..]].concat();
    let finished = run(&node, &without, &own_arguments(node.world()))?;
    refused(&finished, &["--registry", "no source given", "file:PATH"]);
    assert_eq!(node.world().pins(), Vec::<String>::new());
    Ok(())
}

#[test]
fn cgroups_that_are_none() -> Result<()> {
    let workload = |path: &str| format!("cgroup={path},namespace=web");
    check(
        Node::new().registry(&entry("one", "192.0.2.1")).flag("--cgroup", "{cgroup}/pods/nobody"),
        &["pods/nobody", "cannot be read", "make it first"],
    );
    check(
        one().flag("--workload", &workload("/tmp/nobody")),
        &["/tmp/nobody is not there", "/tmp is not a directory of a cgroup2 hierarchy"],
    );
    check(one().flag("--workload", &workload("/tmp")), &["/tmp is not a directory of a cgroup2 hierarchy"]);
    let root = cgroup::mount()?.to_string_lossy().into_owned();
    check(one().flag("--workload", &workload(&root)), &[&root, "root cgroup", "cut off the host"]);
    check(one().flag("--cgroup", &root), &[&root, "root cgroup"]);
    Ok(())
}

#[test]
fn nothing_to_enforce() {
    check(Node::new().registry(&entry("one", "192.0.2.1")), &["nothing to enforce", "--workload"]);
}

#[test]
fn every_fault_of_the_command_line_at_once() {
    check(
        one().flag("--allow", "10.0.0.1/8").flag("--map-entries", "EXACT=none").flag("--event-rate", "0"),
        &["3 faults", "--allow \"10.0.0.1/8\"", "write 10.0.0.0/8", "--map-entries", "--event-rate"],
    );
}

#[test]
fn a_pin_directory_without_a_bpffs() -> Result<()> {
    let node = one().prepare()?;
    let plain = node.world().directory().join("plain");
    let own = ["--pin-dir".to_owned(), plain.to_string_lossy().into_owned()];
    let finished = run(&node, node.arguments(), &own)?;
    refused(&finished, &["--pin-dir", &plain.to_string_lossy(), "no bpffs", "mount -t bpf"]);
    assert!(!plain.exists(), "nothing is made there");
    Ok(())
}

#[test]
fn a_second_agent_over_the_same_pins() -> Result<()> {
    let node = one().start()?;
    let pins = node.world().pins();
    let admin = node.world().directory().join("second.sock");
    let own = ["--pin-dir", &node.world().pin_dir().to_string_lossy(), "--admin", &admin.to_string_lossy()]
        .map(str::to_owned);
    let finished = run(&node, node.arguments(), &own)?;
    refused(&finished, &["another agent", &node.world().pin_dir().to_string_lossy(), "stop it first"]);
    assert_eq!(node.world().pins(), pins);
    node.expect("curl", &[("tcp 192.0.2.1:443", "reached 192.0.2.1:443"), ("tcp 192.0.2.2:443", "EPERM")]);
    assert_eq!(node.status()?["ready"], true);
    Ok(())
}

/// The agent's program where everybody may run it: the build directory may be closed to others. Another process copies it: if we
/// did, a probe that another test starts meanwhile would have it open for writing for a moment, and it could not be run.
fn for_everybody(node: &Node) -> Result<PathBuf> {
    let program = node.world().directory().join("enforcer");
    let copied =
        needs::tool("cp").arg(needs::binary("enforcer")?).arg(&program).status().context("running cp")?;
    anyhow::ensure!(copied.success(), "cp ended with {copied}");
    fs::set_permissions(node.world().directory(), fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

#[test]
fn a_user_who_is_not_root() -> Result<()> {
    let node = one().prepare()?;
    let program = for_everybody(&node)?;
    let mut command = node.world().command(&program, Spot { nobody: true, ..Spot::default() })?;
    command.arg("run").args(node.arguments()).args(own_arguments(node.world()));
    refused(&finish(&mut command)?, &["not root", "sudo"]);
    assert_eq!(node.world().pins(), Vec::<String>::new());
    Ok(())
}

/// Reading needs no privileges.
#[test]
fn anybody_may_ask_offline() -> Result<()> {
    let node = one().prepare()?;
    let program = for_everybody(&node)?;
    let registry = format!("file:{}", node.file("registry.yaml").display());
    for (destination, code, verdict) in [("192.0.2.1:443", 0, "allow"), ("192.0.2.2:443", 1, "deny")] {
        let mut command = node.world().command(&program, Spot { nobody: true, ..Spot::default() })?;
        command.args([
            "explain",
            "-o",
            "json",
            "--outbound-traffic-policy",
            "REGISTRY_ONLY",
            "--registry",
            &registry,
        ]);
        let finished = finish(command.args(["--workload", "namespace=web", destination]))?;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        let answer: serde_json::Value = serde_json::from_str(&finished.stdout)?;
        assert_eq!(answer["verdict"], verdict, "{answer:#}");
    }
    Ok(())
}

#[test]
fn a_registry_larger_than_the_maps() -> Result<()> {
    let many: Vec<String> =
        (0..50).map(|number| entry(&format!("n{number}"), &format!("192.0.2.{number}"))).collect();
    let node = Node::new().registry(&many.join("---\n")).workload("web", "curl").prepare()?;
    let with = |entries: &str| [node.arguments(), &["--map-entries".to_owned(), entries.to_owned()]].concat();
    let finished = run(&node, &with("EXACT=10"), &own_arguments(node.world()))?;
    refused(&finished, &["EXACT", "10", "50", "--map-entries"]);
    assert_eq!(node.world().pins(), Vec::<String>::new(), "nothing is pinned");
    // What the message advises works.
    let agent = RunningAgent::start(node.world(), &with("EXACT=64"), Until::Ready)?;
    node.expect("curl", &[("tcp 192.0.2.49:443", "reached 192.0.2.49:443"), ("tcp 192.0.2.50:443", "EPERM")]);
    agent.kill()
}

/// A map that is in force cannot be resized under its readers.
#[test]
fn another_map_size_than_the_one_in_force() -> Result<()> {
    let mut node = one().start()?;
    node.stop_agent()?;
    let pins = node.world().pins();
    let arguments = [node.arguments(), &["--map-entries".to_owned(), "EXACT=10".to_owned()]].concat();
    let finished = run(&node, &arguments, &own_arguments(node.world()))?;
    refused(&finished, &["EXACT", "10", "--map-entries", "enforcer detach"]);
    assert_eq!(node.world().pins(), pins);
    node.expect("curl", &[("tcp 192.0.2.1:443", "reached 192.0.2.1:443"), ("tcp 192.0.2.2:443", "EPERM")]);
    Ok(())
}

#[test]
fn an_agent_that_is_not_there_cannot_be_asked() -> Result<()> {
    let node = one().prepare()?;
    let admin = node.world().admin();
    let finished = node.world().enforcer(&["status", "--admin", &admin.to_string_lossy()])?;
    refused(&finished, &[&admin.to_string_lossy(), "enforcer run"]);
    Ok(())
}

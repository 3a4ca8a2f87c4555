//! The registry's directory is watched: whoever changes a file meets the change in the kernel at once, however the file is
//! changed, and never half of it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use enforcer_tests::agent::Until;
use enforcer_tests::node::Node;

/// From a change of a file to the kernel, on an idle machine.
const AT_ONCE: Duration = Duration::from_millis(200);
/// Longer than any pause that is waited for before a file is read.
const PAUSE: Duration = Duration::from_millis(300);
/// For the tests that ask what happens and not how soon.
const SOON: Duration = Duration::from_secs(2);

fn entry(name: &str, address: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: web}}\nspec:\n  \
         hosts: [{name}.example.com]\n  addresses: [{address}]\n  resolution: NONE\n  \
         ports: [{{number: 443, name: tls, protocol: TLS}}]\n"
    )
}

/// The address of the `number`th object: of the network for benchmarks (RFC 2544).
fn address(number: usize) -> String {
    format!("198.{}.{}.{}", 18 + number / 62_500, number / 250 % 250, number % 250 + 1)
}

/// A file of a thousand objects, and the address of the last.
fn thousand(first: usize) -> (String, String) {
    let one = |number: usize| entry(&format!("many-{number}"), &address(number));
    let all: Vec<String> = (first..first + 1_000).map(one).collect();
    (all.join("---\n"), address(first + 999))
}

fn is_open(node: &Node, address: &str) -> Result<bool> {
    let outcome = node.dial("curl", &format!("tcp {address}:443"))?.to_string();
    assert!(outcome == "EPERM" || outcome == format!("reached {address}:443"), "{address}: {outcome}");
    Ok(outcome != "EPERM")
}

/// Dials until the address is open, or closed; how long that took since `begun`.
#[track_caller]
fn until(node: &Node, address: &str, open: bool, begun: Instant) -> Result<Duration> {
    while is_open(node, address)? != open {
        let waited = begun.elapsed();
        assert!(waited < 5 * SOON, "{address} should be open={open} after {waited:?}:\n{}", node.log());
        sleep(Duration::from_millis(1));
    }
    Ok(begun.elapsed())
}

/// Checks for a while that the address is open at every moment.
#[track_caller]
fn stays_open(node: &Node, address: &str, period: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < period {
        assert!(is_open(node, address)?, "{address} closed after {:?}:\n{}", begun.elapsed(), node.log());
    }
    Ok(())
}

/// The best of three: other tests run beside this one, and the promise is made for an idle machine.
#[track_caller]
fn at_once(what: &str, mut change: impl FnMut(usize) -> Result<Duration>) -> Result<()> {
    let tries: Vec<Duration> = (0..3).map(&mut change).collect::<Result<_>>()?;
    println!("{what}: {tries:.1?}");
    assert!(tries.iter().any(|took| *took <= AT_ONCE), "{what} should take {AT_ONCE:?}: {tries:.1?}");
    Ok(())
}

/// As vim saves: it tries whether it may write, keeps the old file under another name, and writes a new one.
fn save_as_vim(file: &Path, text: &str) -> Result<()> {
    let beside = |name: &str| file.with_file_name(name);
    fs::write(beside(".one.yaml.swp"), "b0VIM")?;
    fs::write(beside("4913"), "")?;
    fs::remove_file(beside("4913"))?;
    fs::rename(file, beside("one.yaml~"))?;
    fs::write(file, text)?;
    fs::remove_file(beside("one.yaml~"))?;
    Ok(fs::remove_file(beside(".one.yaml.swp"))?)
}

#[test]
fn a_thousand_objects_are_in_force_at_once_and_gone_at_once() -> Result<()> {
    let node = Node::new().file("one.yaml", &entry("one", "192.0.2.1")).workload("web", "curl").start()?;
    at_once("a new file of 1000 objects", |round| {
        let (text, last) = thousand(round * 1_000);
        assert!(!is_open(&node, &last)?);
        let begun = Instant::now();
        fs::write(node.file(&format!("many-{round}.yaml")), text)?;
        until(&node, &last, true, begun)
    })?;
    at_once("1000 objects for 1000 others", |round| {
        let (text, last) = thousand(10_000 + round * 1_000);
        let begun = Instant::now();
        fs::write(node.file("many-0.yaml"), text)?;
        until(&node, &last, true, begun)
    })?;
    at_once("one address of 1000", |round| {
        let (text, last) = thousand(12_000);
        let moved = format!("192.0.2.{}", 100 + round);
        let begun = Instant::now();
        fs::write(node.file("many-0.yaml"), text.replace(&format!("[{last}]"), &format!("[{moved}]")))?;
        until(&node, &moved, true, begun)
    })?;
    at_once("1000 objects removed", |round| {
        let (text, last) = thousand(20_000 + round * 1_000);
        fs::write(node.file("many-1.yaml"), text)?;
        until(&node, &last, true, Instant::now())?;
        let begun = Instant::now();
        node.remove("many-1.yaml")?;
        until(&node, &last, false, begun)
    })?;
    assert!(is_open(&node, "192.0.2.1")?);
    Ok(())
}

#[test]
fn one_file_among_ten_thousand_is_in_force_at_once() -> Result<()> {
    let node = Node::new().workload("web", "curl").prepare()?;
    for number in 0..10_000 {
        fs::write(node.file(&format!("{number:05}.yaml")), entry(&format!("n-{number}"), &address(number)))?;
    }
    let mut node = node;
    node.start_agent(Until::Ready)?;
    until(&node, &address(9_999), true, Instant::now())?;
    at_once("one more file beside 10000", |round| {
        let more = format!("192.0.2.{}", 1 + round);
        let begun = Instant::now();
        fs::write(node.file(&format!("more-{round}.yaml")), entry(&format!("more-{round}"), &more))?;
        until(&node, &more, true, begun)
    })?;
    at_once("one file of 10000 changed", |round| {
        let moved = format!("192.0.2.{}", 100 + round);
        let begun = Instant::now();
        node.write("05000.yaml", &entry("n-5000", &moved))?;
        until(&node, &moved, true, begun)
    })?;
    at_once("one file of 10000 removed", |round| {
        let begun = Instant::now();
        node.remove(&format!("0700{round}.yaml"))?;
        until(&node, &address(7_000 + round), false, begun)
    })?;
    assert!(!is_open(&node, &address(5_000))? && is_open(&node, &address(9_999))?);
    Ok(())
}

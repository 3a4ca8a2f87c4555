//! `enforcer explain` from files, as typed by people in a hurry.

#[path = "asking/run.rs"]
#[allow(dead_code)] // other tests use the rest
mod run;

use run::{Finished, run, run_unread};

const REGISTRY: &str = concat!("file:", env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/registry");

fn explain(workload: &str, destination: &str, more: &[&str]) -> Vec<String> {
    let line = ["explain", "--registry", REGISTRY, "--workload", workload, destination];
    line.iter().chain(more).map(ToString::to_string).collect()
}

#[test]
fn destinations() {
    for (destination, code, expected) in [
        ("warehouse.shop.example:5432", 0, "ALLOW  registered"),
        ("WAREHOUSE.shop.example.:5432/TCP", 0, "ALLOW  registered"),
        ("192.0.2.10:5432", 0, "spec.addresses[0], spec.ports[0]"),
        ("[2001:db8::10]:5432", 0, "spec.addresses[1], spec.ports[0]"),
        ("[::ffff:192.0.2.10]:5432", 0, "is judged as 192.0.2.10"),
        ("postgres://me:secret@192.0.2.10:5432/x", 0, "of the URL only this counts: 192.0.2.10:5432/tcp"),
        ("orders.shop.example:80", 0, "TRANSLATE  registered"),
        ("127.0.0.1:1", 0, "ALLOW  loopback"),
        ("192.0.2.10:5433", 1, "ServiceEntry shop/warehouse has"),
        ("192.0.2.99:5432", 1, "  - \"192.0.2.99\"\n"),
        ("192.0.2.10/31:5432", 1, "MIXED"),
        ("203.0.113.0/24:5432", 1, "- \"203.0.113.0/24\"\n"),
        ("ledger.bank.example:5432", 1, "add \"shop\" or \"*\" to its spec.exportTo"),
        ("warehouse.shop.example", 2, "registered there: 5432/tcp"),
        ("192.0.2.10", 2, "registered there: 5432/tcp"),
        ("2001:db8::10:5432", 2, "write [2001:db8::10]:5432 or"),
        ("", 2, "it is empty"),
    ] {
        let Finished { code: met, stdout, stderr } = run(&explain("shop/cart", destination, &[]));
        assert_eq!(met, Some(code), "{destination}: {stdout}{stderr}");
        let text = if code == 2 { &stderr } else { &stdout };
        let (text, expected) = (words(text), words(expected));
        assert!(text.contains(&expected), "{destination}: {expected:?} is not in: {stdout}{stderr}");
        assert!(!stdout.contains("secret") && !stderr.contains("secret"));
    }
}

/// Without the breaks of lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn workloads() {
    for (workload, code, expected) in [
        ("shop/cart", 0, "namespace shop, cart"),
        ("namespace=shop", 0, "namespace shop, (no name)"),
        ("namespace=shop,name=cart,labels=app=cart;v=1", 0, "namespace shop, cart"),
        ("cart", 2, "write namespace/name or namespace=NS"),
        ("", 2, "write namespace/name or namespace=NS"),
        ("cgroup=/sys/fs/cgroup/x", 2, "a cgroup is known to the running agent only"),
        ("pid=1", 2, "a pid is known to the running agent only"),
        ("Shop/cart", 2, "\"Shop\" is not the name of a namespace"),
    ] {
        let Finished { code: met, stdout, stderr } = run(&explain(workload, "192.0.2.10:5432", &[]));
        assert_eq!(met, Some(code), "{workload}: {stderr}");
        assert!(format!("{stdout}{stderr}").contains(expected), "{workload}: {stdout}{stderr}");
    }
}

#[test]
fn a_process_that_is_not_there_is_told_before_the_agent_is_asked() {
    let line = ["explain", "--admin", "/nowhere", "--workload", "pid=4294967295", "192.0.2.1:1"];
    let Finished { code, stderr, .. } = run(&line.map(str::to_owned));
    assert_eq!((code, stderr.contains("there is no process 4294967295")), (Some(2), true), "{stderr}");
}

#[test]
fn json_is_whole_and_a_reader_may_leave() {
    let line = explain("shop/cart", "192.0.2.99:443", &["-o", "json"]);
    let Finished { code, stdout, .. } = run(&line);
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let steps: Vec<&str> =
        answer["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(code, Some(1));
    assert_eq!(steps[..5], ["workload", "enforcement", "view", "policy", "exempt"]);
    assert_eq!(steps[5..8], ["exact_own", "exact_public", "prefix_own"]);
    assert!(answer["fix"]["yaml"].as_str().unwrap().starts_with("apiVersion: networking.istio.io/v1\n"));
    for line in [line, ["registry", "list", "--registry", REGISTRY].map(str::to_owned).to_vec()] {
        assert_eq!(run_unread(&line).code, Some(0));
    }
}

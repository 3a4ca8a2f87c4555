//! A workload that dials all day costs itself its events, and nobody a verdict.

use std::time::Instant;

use anyhow::Result;
use enforcer_tests::node::{Node, decisions};
use serde_json::json;

#[test]
fn ten_thousand_denials_are_all_counted_and_few_are_told() -> Result<()> {
    let node = Node::new()
        .registry("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")
        .workload("web", "curl")
        .workload("shop", "cart")
        .flag("--event-rate", "100")
        .start()?;
    let since = Instant::now();
    let counts = node.probe("curl")?.ask("repeat 10000 tcp 192.0.2.1:443")?;
    let seconds = since.elapsed().as_secs() + 1;
    assert_eq!(counts, json!({ "EPERM": 10_000 }));
    // Another workload's events are its own.
    node.expect("cart", &[("tcp 192.0.2.2:443", "EPERM")]);
    let status = node.status_soon(|status| {
        let told = status["denials"].as_array()?.iter().any(|denial| denial["workload"] == "shop/cart");
        told.then(|| status.clone())
    })?;
    assert_eq!(decisions(&status, "not_registered"), (10_001, 0), "every decision counts");
    let suppressed = status["events_suppressed"].as_u64().unwrap_or(0);
    let told = 10_000 - suppressed;
    println!("10,000 denials within {seconds} s: {told} told, {suppressed} suppressed");
    // The agent's own canary may have had one.
    assert!((99..=100 * (seconds + 1)).contains(&told), "{told} events told within {seconds} s");
    let of = |name: &str| {
        status["workloads"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name).cloned())
    };
    let suppressed_of = |name: &str| of(name).map(|workload| workload["events_suppressed"].clone());
    assert_eq!(suppressed_of("curl"), Some(suppressed.into()));
    assert_eq!(suppressed_of("cart"), Some(0.into()));
    let kept = status["denials"].as_array().map_or(0, Vec::len);
    assert!(kept <= 1_000, "{kept} denials are kept");
    Ok(())
}

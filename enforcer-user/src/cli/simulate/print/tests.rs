//! Simulations as they are printed.

use enforcer_core::simulate::Outcome;
use serde_json::json;

use super::*;

fn outcome(value: &serde_json::Value) -> Outcome {
    let mut outcome = json!({
        "workload": {"namespace": "shop", "name": "cart", "labels": {}}, "protocol": "tcp",
        "destination": {"host": null, "ip": "203.0.113.9", "port": 443}, "ip": "203.0.113.9",
        "verdict": "deny", "reason": "not_registered",
        "message": "no service that namespace shop can see has this address, protocol and port",
        "warnings": [], "recorded_verdict": "allow", "recorded_reason": "registered", "count": 12,
        "first": "2026-11-20T10:00:00Z", "last": "2026-11-20T10:00:00Z"
    });
    for (field, value) in value.as_object().unwrap() {
        outcome[field] = value.clone();
    }
    serde_json::from_value(outcome).unwrap()
}

fn report() -> Report {
    Report {
        flows: 30,
        denied: 15,
        not_judged: 1,
        lost: 4,
        junk: 1,
        outcomes: vec![
            outcome(&json!({})),
            outcome(&json!({
                "destination": {"host": "x.example.com", "ip": "2001:db8::1", "port": 443}, "ip": "2001:db8::1",
                "recorded_verdict": "deny", "recorded_reason": "needs_name", "count": 3,
                "workload": {"namespace": "shop", "name": "web\u{1b}[2J", "labels": {}}
            })),
            outcome(&json!({
                "workload": null, "verdict": "not_judged", "reason": "", "message": "the process had no identity", "count": 1
            })),
            outcome(&json!({"verdict": "allow", "reason": "registered", "count": 10})),
            outcome(&json!({
                "verdict": "translate", "reason": "registered", "count": 4, "recorded_verdict": "deny",
                "destination": {"host": null, "ip": "203.0.113.8", "port": 443}
            })),
        ],
    }
}

#[test]
fn what_would_be_denied_comes_first_and_the_count_last() {
    assert_eq!(
        human(&report(), Look::default()),
        "\
DENY  not_registered
  to        203.0.113.9:443/tcp, [2001:db8::1]:443/tcp [x.example.com]
  from      shop/cart, shop/web?[2J
  flows     15 flows
  recorded  12 allow (registered), 3 deny (needs_name)
  why       no service that namespace shop can see has this address, protocol
            and port

NOT JUDGED
  to        203.0.113.9:443/tcp
  from      no identity
  flows     1 flow
  recorded  allow (registered)
  why       the process had no identity

ALLOW
  registered  14 flows to 2 destinations; 4 denied when recorded

4 flows lost when recording
1 line no flow
1 flow not judged
30 flows, 15 would be denied
"
    );
}

#[test]
fn it_fits_forty_columns() {
    let text = human(&report(), Look { width: Some(40), colour: false });
    for line in text.lines() {
        assert!(line.chars().count() <= 40, "{line}");
    }
    assert!(text.ends_with("30 flows, 15 would be denied\n"));
}

#[test]
fn nothing_denied_is_one_block() {
    let allowed = outcome(&json!({"verdict": "allow", "reason": "registered", "count": 1}));
    let report = Report { flows: 1, denied: 0, not_judged: 0, lost: 0, junk: 0, outcomes: vec![allowed] };
    assert_eq!(
        human(&report, Look::default()),
        "ALLOW\n  registered  1 flow to 1 destination\n\n1 flow, 0 would be denied\n"
    );
}

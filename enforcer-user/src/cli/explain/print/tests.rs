//! Explanations as they are printed.

use enforcer_core::policy::explain::Explanation;
use serde_json::json;

use super::*;

fn explanation(value: serde_json::Value) -> Explanation {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_denial() {
    let denied = explanation(json!({
        "verdict": "deny", "reason": "not_registered",
        "message": "no service that namespace shop can see has this address, protocol and port",
        "workload": {"namespace": "shop", "name": "", "sidecar": null, "outbound_policy": "REGISTRY_ONLY"},
        "destination": {"host": "api.example.com", "ip": null, "port": 443, "protocol": "tcp"},
        "service": null, "rule": null, "backends": [],
        "warnings": ["ServiceEntry bank/api (api.example.com) has this destination, but is exported to bank only, not to shop"]
    }));
    assert_eq!(
        human(&denied, Look::default()),
        "\
DENY  not_registered

  workload     namespace shop, (no name)
  policy       REGISTRY_ONLY
  destination  api.example.com:443/tcp, which has no known address
  why          no service that namespace shop can see has this address, protocol
               and port
  warning      ServiceEntry bank/api (api.example.com) has this destination, but
               is exported to bank only, not to shop
"
    );
}

#[test]
fn a_translation() {
    let translated = explanation(json!({
        "verdict": "translate", "reason": "registered", "message": "a VIP",
        "workload": {
            "namespace": "shop", "name": "cart", "sidecar": "Sidecar shop/default", "outbound_policy": "REGISTRY_ONLY"
        },
        "destination": {"host": null, "ip": "2001:db8::1", "port": 443, "protocol": "tcp"},
        "service": {
            "host": "api.example.com", "object": {"kind": "ServiceEntry", "namespace": "shop", "name": "api"},
            "source": "file:a.yaml:3"
        },
        "rule": {"id": 7, "port": 443, "protocol": "tcp", "action": "translate"},
        "backends": ["192.0.2.7:443", "192.0.2.8:443"], "warnings": []
    }));
    assert_eq!(
        human(&translated, Look { width: Some(200), colour: true }),
        "\
\u{1b}[1;32mTRANSLATE\u{1b}[0m  registered

  workload     namespace shop, cart
  policy       REGISTRY_ONLY, Sidecar shop/default
  destination  [2001:db8::1]:443/tcp
  service      api.example.com, ServiceEntry shop/api at a.yaml:3
  rule         translate of port 443/tcp (rule 7)
  backends     192.0.2.7:443, 192.0.2.8:443
  why          a VIP
"
    );
}

const YAML: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n";

fn whole() -> Explanation {
    explanation(json!({
        "verdict": "deny", "reason": "not_registered", "message": "nothing is there",
        "workload": {"namespace": "shop", "name": "cart", "sidecar": null, "outbound_policy": "REGISTRY_ONLY"},
        "destination": {"host": null, "ip": "192.0.2.1", "port": 443, "protocol": "tcp"},
        "service": null, "rule": null, "backends": [], "warnings": [],
        "steps": [
            {"step": "workload", "found": "given", "detail": "The workload is as the question has it."},
            {"step": "exact_own", "found": "nothing", "detail": "Exactly 192.0.2.1 in shop's own view: nothing."}
        ],
        "fix": {"text": "Apply this ServiceEntry in namespace shop.", "yaml": YAML}
    }))
}

#[test]
fn the_chain_is_numbered_and_the_yaml_can_be_copied() {
    assert_eq!(
        human(&whole(), Look { width: Some(80), colour: false }),
        "\
DENY  not_registered

  workload     namespace shop, cart
  policy       REGISTRY_ONLY
  destination  192.0.2.1:443/tcp
  why          nothing is there

how it was decided:
  1.  The workload is as the question has it.
  2.  Exactly 192.0.2.1 in shop's own view: nothing.

to allow it:
  Apply this ServiceEntry in namespace shop.

apiVersion: networking.istio.io/v1
kind: ServiceEntry
"
    );
}

#[test]
fn fits_forty_columns() {
    assert_eq!(
        human(&whole(), Look { width: Some(40), colour: false }),
        "\
DENY  not_registered

  workload     namespace shop, cart
  policy       REGISTRY_ONLY
  destination  192.0.2.1:443/tcp
  why          nothing is there

how it was decided:
  1.  The workload is as the question
      has it.
  2.  Exactly 192.0.2.1 in shop's own
      view: nothing.

to allow it:
  Apply this ServiceEntry in namespace
  shop.

apiVersion: networking.istio.io/v1
kind: ServiceEntry
"
    );
}

#[test]
fn a_mixed_network() {
    let mut mixed = whole();
    mixed.verdict = "mixed".to_owned();
    mixed.steps.clear();
    mixed.fix = None;
    mixed.destination.ip = None;
    mixed.destination.network = Some("2001:db8::/64".to_owned());
    let part = |first: &str, verdict: &str| json!({"first": first, "last": first, "verdict": verdict, "reason": "r", "object": null});
    let parts = [part("2001:db8::", "deny"), part("2001:db8::1", "allow")];
    mixed.range = serde_json::from_value(json!({"uniform": false, "parts": parts, "more": 3})).unwrap();
    let text = human(&mixed, Look::default());
    assert!(text.contains("destination  [2001:db8::/64]:443/tcp\n"), "{text}");
    assert!(
        text.ends_with(
            "
  FROM         TO           VERDICT  REASON  OBJECT
  2001:db8::   2001:db8::   deny     r       -
  2001:db8::1  2001:db8::1  allow    r       -
  and 3 more
"
        ),
        "{text}"
    );
}

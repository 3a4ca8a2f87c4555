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

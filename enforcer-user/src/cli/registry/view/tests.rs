//! One service for the tests of its printers, and the grouping.

use super::*;
use crate::fixture;

/// A service as its JSON has it.
pub(in crate::cli) fn service(host: &str) -> ServiceView {
    serde_json::from_value(serde_json::json!({
        "host": host,
        "namespace": "shop",
        "object": {"kind": "ServiceEntry", "namespace": "shop", "name": "api"},
        "source": "file:registry/a.yaml:12",
        "provider": "External",
        "addresses": ["192.0.2.1"],
        "auto_addresses": [],
        "cluster_vips": {},
        "ports": [
            {"name": "https", "number": 443, "protocol": "HTTPS", "target_port": null},
            {"name": "web", "number": 8080, "protocol": "HTTP", "target_port": 80}
        ],
        "resolution": "STATIC",
        "location": "MESH_EXTERNAL",
        "export_to": ["*"],
        "created": null,
        "endpoints": [{"address": "192.0.2.7", "ports": {"https": 44}, "weight": 1, "ready": true}],
        "labels": {},
        "selector": {},
        "subject_alt_names": [],
        "external_name": null
    }))
    .unwrap()
}

fn registry() -> Arc<Registry> {
    fixture::registry(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com, '*.example.com']
  addresses: [192.0.2.1, 198.51.100.0/24]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: NONE
",
    )
}

#[test]
fn addresses_of_one_host_are_one_view() {
    for (asked, expected) in [
        (None, vec!["*.example.com", "api.example.com"]),
        (Some("API.example.com."), vec!["api.example.com"]),
        (Some("www.example.com"), vec!["*.example.com"]),
        (Some("example.org"), vec![]),
    ] {
        let found: Vec<ServiceView> = views(registry(), asked).collect();
        let hosts: Vec<&str> = found.iter().map(|view| view.host.as_str()).collect();
        assert_eq!(hosts, expected, "{asked:?}");
        assert!(found.iter().all(|view| view.addresses == ["192.0.2.1", "198.51.100.0/24"]), "{found:?}");
    }
}

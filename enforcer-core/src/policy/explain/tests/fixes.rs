//! What is advised helps.

use super::*;

const SIDECAR: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: [istio-system/*]}]}
";

/// The advised `ServiceEntry` allows exactly what was denied, and nothing beside it.
#[test]
fn the_yaml_allows_what_was_denied() {
    for (destination, beside) in [
        ("192.0.2.99:443", "192.0.2.99:444"),
        ("192.0.2.99:53/udp", "192.0.2.99:53"),
        ("192.0.2.10:443", "192.0.2.10:444"),
        ("[2001:db8::99]:5432", "[2001:db8::98]:5432"),
        ("[2001:db8::99]:53/udp", "[2001:db8::99]:53"),
        ("192.0.2.128/25:8080", "192.0.2.127:8080"),
        ("[2001:db8:9::/48]:8443/udp", "[2001:db8:a::]:8443/udp"),
        ("warehouse.example.com:80", "warehouse.example.com:81"),
    ] {
        let text = [MESH, SHOP].concat();
        let denied = ask(&compiled(&text, settings()), destination);
        assert_eq!((&*denied.verdict, &*denied.reason), ("deny", "not_registered"), "{destination}");
        let yaml = denied.fix.unwrap().yaml.unwrap();
        let compiler = compiled(&format!("{text}---\n{yaml}"), settings());
        let allowed = ask(&compiler, destination);
        assert_eq!((&*allowed.verdict, &*allowed.reason), ("allow", "registered"), "{destination}:\n{yaml}");
        assert_eq!(allowed.service.unwrap().object.namespace.as_str(), "shop");
        assert_eq!(ask(&compiler, beside).verdict, "deny", "{beside}");
        let stranger = WorkloadSpec { namespace: Namespace::new("bank"), ..shopper() };
        let elsewhere = compiler.explain(compiler.image(), &stranger, &destination.parse().unwrap());
        assert_eq!(elsewhere.verdict, "deny", "{destination} is open to namespace bank");
    }
}

#[test]
fn a_name_alone_is_registered_as_a_name() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    for (destination, resolution) in [("api.example.org:443", "DNS"), ("*.example.org:443", "NONE")] {
        let fix = ask(&compiler, destination).fix.unwrap();
        assert!(fix.text.contains("spec.addresses") && fix.text.contains("--dns"), "{}", fix.text);
        assert!(fix.yaml.unwrap().contains(&format!("resolution: {resolution}\n")), "{destination}");
    }
    let fix = ask(&compiler, "my_service:443").fix.unwrap();
    assert_eq!(fix.yaml, None, "no ServiceEntry can have an underscore");
}

#[test]
fn at_a_vip_the_port_is_missing_and_not_the_service() {
    let kubernetes = "---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{port: 80, name: http}]}
";
    let compiler = compiled(&[MESH, SHOP, kubernetes].concat(), settings());
    for (destination, expected) in [
        (
            "orders.example.com:81",
            "This is the VIP of ServiceEntry shop/orders (file:a.yaml:23): add port 81/tcp to its spec.ports.",
        ),
        (
            "10.96.0.7:80/udp",
            "This is the VIP of Service shop/web (file:a.yaml:32): add port 80/udp to its spec.ports.",
        ),
    ] {
        let fix = ask(&compiler, destination).fix.unwrap();
        assert_eq!((&*fix.text, fix.yaml), (expected, None));
    }
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let first = ask(&compiled(MESH, settings()), "192.0.2.99:443").fix.unwrap().yaml.unwrap();
    let changed = first.replace("192.0.2.99", "192.0.2.98");
    let second = ask(&compiled(&[MESH, "---\n", &changed].concat(), settings()), "192.0.2.99:443");
    assert!(second.fix.unwrap().yaml.unwrap().contains("name: allow-192-0-2-99-443-tcp-2\n"));
}

#[test]
fn where_no_service_entry_helps_the_text_says_what_does() {
    let entry = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{hosts: [{name}.example.com], ports: [{{number: 80, name: http, protocol: HTTP}}], {spec}}}\n"
        )
    };
    let dns = entry("dns", "resolution: DNS");
    let unix = entry("unix", "resolution: STATIC, endpoints: [{address: 'unix:///run/x'}]");
    let empty = entry("empty", "resolution: STATIC, endpoints: []");
    let six =
        entry("six", "addresses: [192.0.2.66], resolution: STATIC, endpoints: [{address: '2001:db8::6'}]");
    let blind = entry("blind", "resolution: NONE");
    for (text, destination, reason, expected) in [
        (
            BANK,
            "192.0.2.20:5432",
            "not_registered",
            "Let ServiceEntry bank/ledger (file:a.yaml:4) be seen: add \"shop\"",
        ),
        (BANK, "ledger.example.com:5432", "not_registered", "be seen: add \"shop\""),
        (
            &[SIDECAR, SHOP].concat(),
            "192.0.2.10:5432",
            "not_registered",
            "add \"./warehouse.example.com\" to its spec.egress[].hosts",
        ),
        ("", "169.254.169.254:80", "not_registered", "the agent's --allow 169.254.169.254:80/tcp opens it"),
        ("", "[ff02::fb]:5353/udp", "not_registered", "--allow [ff02::fb]:5353/udp"),
        (
            "",
            "192.0.2.1/icmp",
            "not_registered",
            "register it with any port, or open it and everything on it with the agent's --allow 192.0.2.1.",
        ),
        (BANK, "192.0.2.20/icmp", "not_registered", "Let ServiceEntry bank/ledger (file:a.yaml:4) be seen"),
        ("", "192.0.2.1:9/sctp", "protocol", "nothing allows other protocols"),
        (
            &dns,
            "dns.example.com:80",
            "no_backend",
            "are names (dns.example.com) whose addresses nobody knows here",
        ),
        (&unix, "unix.example.com:80", "no_backend", "the Unix socket /run/x, which only a proxy reaches"),
        (&empty, "empty.example.com:80", "no_backend", "has no endpoints: list them in spec.endpoints"),
        (&six, "192.0.2.66:80", "wrong_family", "Add an endpoint of that family"),
        (
            &blind,
            "blind.example.com:80",
            "needs_name",
            "List the addresses of ServiceEntry shop/blind (file:a.yaml:4) in its spec.addresses",
        ),
    ] {
        let explanation = ask(&compiled(&[MESH, text].concat(), settings()), destination);
        let fix = explanation.fix.unwrap();
        assert_eq!((&*explanation.reason, fix.yaml), (reason, None), "{destination}");
        assert!(fix.text.contains(expected), "{destination}: {}", fix.text);
    }
}

/// What only needs a name stands at every address of its port; an address that was asked for may be somebody else's.
#[test]
fn an_address_that_somebody_could_have_by_name_can_be_registered_for_itself() {
    let blind = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: blind, namespace: shop}
spec: {hosts: ['*.example.com'], ports: [{number: 443, name: tls, protocol: TLS}]}
";
    let text = [MESH, blind, BANK].concat();
    let explanation = ask(&compiled(&text, settings()), "192.0.2.77:443");
    let fix = explanation.fix.unwrap();
    assert_eq!(explanation.reason, "needs_name");
    assert!(
        fix.text.contains("Or, if the address belongs to a name that is registered: List"),
        "{}",
        fix.text
    );
    let compiler = compiled(&format!("{text}---\n{}", fix.yaml.unwrap()), settings());
    assert_eq!(ask(&compiler, "192.0.2.77:443").verdict, "allow");
    let hidden = compiled(&text.replace("number: 5432", "number: 443"), settings());
    let fix = ask(&hidden, "192.0.2.20:443").fix.unwrap();
    assert!(fix.text.starts_with("Let ServiceEntry bank/ledger"), "{}", fix.text);
}

#[test]
fn a_sidecar_has_to_import_what_is_advised() {
    let text = [MESH, SIDECAR].concat();
    let fix = ask(&compiled(&text, settings()), "192.0.2.99:443").fix.unwrap();
    let line = "./ip-192-0-2-99.invalid";
    assert!(fix.text.contains(&format!("add \"{line}\" to its spec.egress[].hosts")), "{}", fix.text);
    let imported = text.replace("istio-system/*", line);
    let compiler = compiled(&format!("{imported}---\n{}", fix.yaml.unwrap()), settings());
    assert_eq!(ask(&compiler, "192.0.2.99:443").verdict, "allow");
}

#[test]
fn an_exporter_that_is_not_trusted_is_named() {
    let trusted = Settings { trusted_exporters: Some(BTreeSet::new()), ..settings() };
    let open = BANK.replace("['.']", "['*']");
    let fix = ask(&compiled(&[MESH, &open].concat(), trusted), "192.0.2.20:5432").fix.unwrap();
    assert!(fix.text.contains("add bank to the agent's --trusted-exporters"), "{}", fix.text);
}

#[test]
fn without_a_policy_both_the_policy_and_the_entry_are_missing() {
    let fix = ask(&compiled(SHOP, settings()), "192.0.2.99:443").fix.unwrap();
    assert!(fix.text.starts_with("Add the MeshConfig to a source"), "{}", fix.text);
    assert!(fix.yaml.is_some());
}

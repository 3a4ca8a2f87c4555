//! Stories of on-call engineers.

mod fixes;
mod mesh;

use std::collections::BTreeSet;
use std::time::Duration;

use enforcer_common::key::CgroupId;
use enforcer_common::verdict::Role;

use super::*;
use crate::fixture::registry;
use crate::name::Namespace;
use crate::policy::budget::Limits;
use crate::policy::{DirectEndpoints, ExemptRange, NodePolicy, Settings};

const MESH: &str = "---\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";

const SHOP: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: warehouse, namespace: shop}
spec:
  hosts: [warehouse.example.com]
  addresses: [192.0.2.10, 2001:db8::10]
  resolution: NONE
  ports: [{number: 5432, name: tcp-db, protocol: TCP}, {number: 53, name: udp-dns, protocol: UDP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: net, namespace: shop}
spec:
  hosts: [net.example.com]
  addresses: [198.51.100.0/25]
  exportTo: ['.']
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 203.0.113.1}, {address: 203.0.113.2}]
";

const BANK: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger, namespace: bank}
spec:
  hosts: [ledger.example.com]
  addresses: [192.0.2.20]
  exportTo: ['.']
  resolution: NONE
  ports: [{number: 5432, name: tcp-db, protocol: TCP}]
";

fn settings() -> Settings {
    Settings { direct_endpoints: DirectEndpoints::All, ..Settings::default() }
}

fn shopper() -> WorkloadSpec {
    WorkloadSpec::new(CgroupId::new(1), Namespace::new("shop"), "cart")
}

fn compiled(text: &str, settings: Settings) -> Compiler {
    let mut compiler = Compiler::new(settings, Limits::default());
    compiler.update(&registry(text), &[shopper()], Duration::ZERO).unwrap();
    compiler
}

fn ask(compiler: &Compiler, destination: &str) -> Explanation {
    compiler.explain(compiler.image(), &shopper(), &destination.parse().unwrap())
}

/// The steps behind those that are the same for every destination.
fn looked(explanation: &Explanation) -> Vec<String> {
    let about = ["workload", "enforcement", "view", "policy"];
    let steps = explanation.steps.iter().filter(|step| !about.contains(&&*step.step));
    steps.map(|step| format!("{} {}: {}", step.step, step.found, step.detail)).collect()
}

#[test]
fn the_chain_begins_with_who_asks() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    let spec = shopper();
    let asker = Asker {
        spec: &spec,
        recognised: Some("The process is in the cgroup of shop/cart.".into()),
        enforcement: Some(Enforcement::Audit),
    };
    let explanation = compiler.explain_to(compiler.image(), &asker, &"192.0.2.10:5432".parse().unwrap());
    let told: Vec<&str> = explanation.steps.iter().map(|step| &*step.detail).collect();
    assert_eq!(
        told,
        [
            "The process is in the cgroup of shop/cart.",
            "Enforcement is audit (the node's switch): a denial is recorded, and nothing is stopped.",
            "It sees what is exported to namespace shop, then the public part; no Sidecar narrows it.",
            "Its outbound policy is REGISTRY_ONLY, from the MeshConfig (file:a.yaml:2).",
            "No --allow range is set.",
            "Exactly 192.0.2.10 in shop's own view: nothing.",
            "Exactly 192.0.2.10 in the public part: allowed by ServiceEntry shop/warehouse (file:a.yaml:4), \
             spec.addresses[0], spec.ports[0].",
        ]
    );
    assert_eq!(explanation.rule.unwrap().fields, ["spec.addresses[0]", "spec.ports[0]"]);
    assert_eq!(explanation.fix, None);
}

#[test]
fn a_port_that_is_not_there_is_told_with_those_that_are() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    assert_eq!(
        looked(&ask(&compiler, "192.0.2.10:443")),
        [
            "exempt nothing: No --allow range is set.",
            "exact_own nothing: Exactly 192.0.2.10 in shop's own view: nothing.",
            "exact_public other_ports: Exactly 192.0.2.10 in the public part: ServiceEntry shop/warehouse has this \
             address, with 5432/tcp, 53/udp only.",
            "prefix_own nothing: A network around 192.0.2.10 in shop's own view: nothing.",
            "prefix_public nothing: A network around 192.0.2.10 in the public part: nothing.",
            "any_own nothing: Port 443/tcp at any address in shop's own view: nothing.",
            "any_public nothing: Port 443/tcp at any address in the public part: nothing.",
            "default deny: No rule allows it; the policy REGISTRY_ONLY denies it.",
        ]
    );
    let fix = ask(&compiler, "192.0.2.10:443").fix.unwrap();
    let expected = "or add port 443 to ServiceEntry shop/warehouse (file:a.yaml:4)";
    assert!(fix.text.contains(expected), "{}", fix.text);
}

#[test]
fn an_icmp_echo_asks_for_the_address_alone() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    let registered = ask(&compiler, "192.0.2.10/icmp");
    assert_eq!(
        (&*registered.verdict, &*registered.reason, registered.rule.clone(), registered.fix.clone()),
        ("allow", "registered", None, None)
    );
    assert_eq!(
        looked(&registered).last().map(String::as_str),
        Some(
            "exact_public allow: Exactly 192.0.2.10 in the public part: of ServiceEntry shop/warehouse; an ICMP echo asks \
             for the address alone, whatever its ports."
        )
    );
    assert_eq!(registered.message, "the address is registered, which is all that an ICMP echo asks for");
    let network = ask(&compiler, "198.51.100.7/icmp");
    assert!(looked(&network).last().unwrap().starts_with("prefix_own allow: The longest network around"));
    let denied = ask(&compiler, "192.0.2.1/icmp");
    assert_eq!((&*denied.verdict, &*denied.reason), ("deny", "not_registered"));
    assert_eq!(
        denied.message,
        "no service that namespace shop can see has this address, which is all that an ICMP echo asks for"
    );
    assert!(looked(&denied).iter().all(|step| !step.starts_with("any")), "{:?}", looked(&denied));
}

#[test]
fn networks_endpoints_and_vips_name_their_lines() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    for (destination, expected) in [
        (
            "198.51.100.7:443",
            "prefix_own allow: The longest network around 198.51.100.7, 198.51.100.0/25, in shop's own view: allowed by \
             ServiceEntry shop/net (file:a.yaml:13), spec.addresses[0], spec.ports[0].",
        ),
        (
            "203.0.113.2:8080",
            "exact_public allow: Exactly 203.0.113.2 in the public part: allowed by ServiceEntry shop/orders \
             (file:a.yaml:23), spec.endpoints[1], spec.ports[0].",
        ),
        (
            "[2001:db8::10]:53/udp",
            "exact_public allow: Exactly 2001:db8::10 in the public part: allowed by ServiceEntry shop/warehouse \
             (file:a.yaml:4), spec.addresses[1], spec.ports[1].",
        ),
        ("orders.example.com:80", "backend translate: It goes to one of 203.0.113.1:8080, 203.0.113.2:8080."),
        ("127.0.0.1:80", "loopback allow: 127.0.0.1 is loopback, which is always allowed."),
    ] {
        assert_eq!(
            looked(&ask(&compiler, destination)).last().map(String::as_str),
            Some(expected),
            "{destination}"
        );
    }
    let named = looked(&ask(&compiler, "orders.example.com:80"));
    assert!(named[0].starts_with("name address: orders.example.com stands for 240.240."), "{named:?}");
    assert!(named[0].contains("auto-allocated"), "{named:?}");
}

#[test]
fn allowed_ranges_say_what_they_hold() {
    let prefix = |text: &str| {
        let net: ipnet::IpNet = text.parse().unwrap();
        enforcer_common::addr::Prefix::of_ip(net.addr(), net.prefix_len())
    };
    let exempt = vec![
        ExemptRange { prefix: prefix("10.0.0.0/8"), port: Some(443), protocol: None },
        ExemptRange { prefix: prefix("10.0.0.1/32"), port: None, protocol: None },
    ];
    let compiler = compiled(&[MESH, SHOP].concat(), Settings { exempt, ..settings() });
    for (destination, expected) in [
        ("10.0.0.1:22", "exempt allow: --allow 10.0.0.1/32 holds it."),
        ("10.0.0.2:443", "exempt allow: --allow 10.0.0.0/8:443 holds it."),
        ("10.0.0.2:80", "exempt other_ports: --allow 10.0.0.0/8:443 holds 10.0.0.2, but not 80/tcp."),
        ("192.0.2.1:80", "exempt nothing: No --allow range holds 192.0.2.1."),
    ] {
        assert_eq!(looked(&ask(&compiler, destination))[0], expected);
    }
}

#[test]
fn who_says_the_policy() {
    let sidecar = |mode: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: default, namespace: shop}}\n\
             spec: {{outboundTrafficPolicy: {{mode: {mode}}}, egress: [{{hosts: [./*]}}]}}\n"
        )
    };
    let (strict, loose) = (sidecar("REGISTRY_ONLY"), sidecar("ALLOW_ANY"));
    let fixed = Settings {
        outbound_policy: NodePolicy::Fixed(crate::registry::model::OutboundMode::AllowAny),
        ..settings()
    };
    for (text, settings, expected) in [
        (MESH, fixed, "ALLOW_ANY, from --outbound-traffic-policy, which is final."),
        ("", settings(), "unknown, because it is the mesh's, and no source has a MeshConfig."),
        (&*strict, settings(), "REGISTRY_ONLY, from Sidecar shop/default (file:a.yaml:2)."),
        (
            &[MESH, &loose].concat(),
            settings(),
            "REGISTRY_ONLY, from the MeshConfig (file:a.yaml:2); Sidecar shop/default may not loosen it without --allow-override.",
        ),
        (
            &[MESH, &loose].concat(),
            Settings { allow_override: true, ..settings() },
            "ALLOW_ANY, from Sidecar shop/default (file:a.yaml:4).",
        ),
    ] {
        let explanation = ask(&compiled(text, settings), "192.0.2.1:1");
        let policy = explanation.steps.iter().find(|step| step.step == "policy").unwrap();
        assert_eq!(policy.detail, format!("Its outbound policy is {expected}"));
    }
}

#[test]
fn a_network_has_one_answer_or_says_where_it_differs() {
    let compiler = compiled(&[MESH, SHOP].concat(), settings());
    let shown = |explanation: &Explanation| -> Vec<String> {
        let parts = &explanation.range.as_ref().unwrap().parts;
        parts
            .iter()
            .map(|part| format!("{} {} {} {}", part.first, part.last, part.verdict, part.reason))
            .collect()
    };
    let whole = ask(&compiler, "198.51.100.0/25:443");
    assert_eq!((&*whole.verdict, whole.destination.network.as_deref()), ("allow", Some("198.51.100.0/25")));
    assert_eq!(whole.service.as_ref().map(|service| &*service.object.name), Some("net"));
    assert_eq!(shown(&whole), ["198.51.100.0 198.51.100.127 allow registered"]);
    let half = ask(&compiler, "198.51.100.0/24:443");
    assert_eq!((&*half.verdict, half.fix.clone(), half.rule.clone()), ("mixed", None, None));
    assert_eq!(
        shown(&half),
        ["198.51.100.0 198.51.100.127 allow registered", "198.51.100.128 198.51.100.255 deny not_registered"]
    );
    let one = ask(&compiler, "192.0.2.8/30:5432");
    assert_eq!(
        shown(&one),
        [
            "192.0.2.8 192.0.2.9 deny not_registered",
            "192.0.2.10 192.0.2.10 allow registered",
            "192.0.2.11 192.0.2.11 deny not_registered"
        ]
    );
    let all = ask(&compiler, "0.0.0.0/0:5432");
    assert_eq!(
        shown(&all)[..4],
        [
            "0.0.0.0 0.0.0.0 allow loopback",
            "0.0.0.1 126.255.255.255 deny not_registered",
            "127.0.0.0 127.255.255.255 allow loopback",
            "128.0.0.0 192.0.2.9 deny not_registered"
        ]
    );
    let none = ask(&compiler, "[2001:db8:1::/48]:443");
    assert_eq!((&*none.verdict, none.range.unwrap().uniform), ("deny", true));
}

/// What is said of a network is what would be said of each of its addresses.
#[test]
fn a_network_says_the_same_as_its_addresses() {
    let nested = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nested, namespace: shop}
spec:
  hosts: [nested.example.com]
  addresses: [198.51.100.64/28, 198.51.100.77, 198.51.100.129/32, 198.51.100.254]
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 444, name: tls2, protocol: TLS}]
";
    let compiler = compiled(&[MESH, SHOP, nested].concat(), settings());
    for port in [443, 444, 445] {
        let whole = ask(&compiler, &format!("198.51.100.0/24:{port}"));
        let range = whole.range.unwrap();
        for last in 0..=255_u8 {
            let ip: IpAddr = [198, 51, 100, last].into();
            let one = ask(&compiler, &format!("{ip}:{port}"));
            let part = range.parts.iter().find(|part| part.first <= ip && ip <= part.last).unwrap();
            let object = one.service.map(|service| service.object.to_string());
            let said = (&part.verdict, &part.reason, &part.object);
            assert_eq!(said, (&one.verdict, &one.reason, &object), "{ip}:{port}");
        }
    }
}

#[test]
fn an_address_with_another_answer_than_the_first_is_warned_of() {
    let text = SHOP.replace("2001:db8::10]", "127.0.0.9]");
    let explanation = ask(&compiled(&[MESH, &text].concat(), settings()), "warehouse.example.com:1");
    assert_eq!(
        explanation.warnings,
        ["warehouse.example.com is also 127.0.0.9, and there the answer is allow (loopback)"]
    );
}

#[test]
fn a_destination_without_a_port_is_told_the_ports_there() {
    let compiler = compiled(&[MESH, SHOP, BANK].concat(), settings());
    for (text, expected) in [
        ("warehouse.example.com", Some("; registered there: 53/udp, 5432/tcp")),
        ("192.0.2.10", Some("; registered there: 53/udp, 5432/tcp")),
        ("198.51.100.1", Some("; registered there: 443/tcp")),
        ("orders.example.com", Some("; registered there: 80/tcp")),
        ("ledger.example.com", None),
        ("nobody.example.com", None),
    ] {
        let error = compiler.destination(&shopper(), text).unwrap_err();
        assert_eq!(
            error.split_once("; registered").map(|(_, ports)| format!("; registered{ports}")).as_deref(),
            expected
        );
        assert!(error.contains("the port is missing"), "{error}");
    }
}

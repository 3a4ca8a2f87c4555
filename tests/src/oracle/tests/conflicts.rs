//! Conflict, level, protection.

use enforcer_core::policy::{DirectEndpoints, Settings};
use enforcer_core::registry::model::{AppProtocol, Registry, Resolution};

use super::stories::{Story, check, entry, kubernetes, registry, settings, sidecar};

/// A service at 10.0.0.1:80 that is told apart by where it translates to.
fn rival(name: &str) -> Story {
    entry(name, "10.0.0.1", Resolution::None).port(80, AppProtocol::Tcp)
}

#[test]
fn of_rivals_kubernetes_then_home_then_age_then_name_wins() {
    let to = "10.0.0.1:80";
    let young = rival("a").in_namespace("north").created(9);
    let old = rival("b").in_namespace("south").created(3);
    let ageless = rival("0").in_namespace("east");
    let cluster = kubernetes("z", "10.0.0.1", Resolution::Static).port(80, AppProtocol::Tcp);

    let entries = registry([young.clone(), old.clone(), ageless.clone()]);
    check(&entries, &settings(), "north", &[(to, "allow registered by north/a")]);
    check(&entries, &settings(), "east", &[(to, "allow registered by east/0")]);
    check(&entries, &settings(), "west", &[(to, "allow registered by south/b")]);

    let all = registry([young, old, ageless, cluster]);
    check(&all, &settings(), "north", &[(to, "allow registered by shop/z")]);

    let same_age = registry([
        rival("b").in_namespace("east").created(1),
        rival("a").in_namespace("south").created(1),
        rival("c").in_namespace("east").created(1),
    ]);
    check(&same_age, &settings(), "west", &[(to, "allow registered by east/b")]);
    let hosts = registry([rival("a").host("z.example.com"), rival("a").host("b.example.com")]);
    let ruling = super::stories::ask(&hosts, &settings(), &super::stories::workload("west"), to);
    assert_eq!(ruling.service.map(|key| key.host.to_string()).as_deref(), Some("b.example.com"));
    assert_eq!(ruling.port, Some(80));
}

#[test]
fn the_first_port_of_a_service_speaks_for_it() {
    let registry = registry([kubernetes("db", "", Resolution::None)
        .port(81, AppProtocol::Tcp)
        .target(80)
        .port(80, AppProtocol::Tcp)
        .endpoint("10.1.0.1")]);
    let ruling =
        super::stories::ask(&registry, &settings(), &super::stories::workload("shop"), "10.1.0.1:80");
    assert_eq!(ruling.port, Some(81));
}

#[test]
fn levels_fall_through_by_port_and_the_longest_network_goes_first() {
    let net = |name: &str, net: &str, port| {
        entry(name, net, Resolution::None).port(port, AppProtocol::Tcp).port(7, AppProtocol::Tcp)
    };
    let registry = registry([
        net("wide", "10.0.0.0/8", 80),
        net("mid", "10.1.0.0/16", 81),
        net("narrow", "10.1.2.0/24", 82),
        entry("host", "10.1.2.3", Resolution::None).port(83, AppProtocol::Tcp),
        entry("any", "", Resolution::None).port(80, AppProtocol::Tcp).port(84, AppProtocol::Tcp),
    ]);
    let open = Settings { permit_any_address: true, ..settings() };
    let table = [
        ("10.1.2.3:80", "allow registered by shop/wide"),
        ("10.1.2.3:81", "allow registered by shop/mid"),
        ("10.1.2.3:82", "allow registered by shop/narrow"),
        ("10.1.2.3:83", "allow registered by shop/host"),
        ("10.1.2.3:84", "allow registered by shop/any"),
        ("10.1.2.3:7", "allow registered by shop/narrow"),
        ("10.1.3.3:7", "allow registered by shop/mid"),
        ("10.2.0.0:7", "allow registered by shop/wide"),
        ("10.2.0.0:82", "deny not_registered"),
        ("11.0.0.0:80", "allow registered by shop/any"),
    ];
    check(&registry, &open, "shop", &table);
}

#[test]
fn a_workloads_own_level_goes_before_the_public_one() {
    let registry = registry([
        entry("secret", "10.0.0.0/8", Resolution::None).port(80, AppProtocol::Tcp).export(&["."]),
        entry("public", "10.1.0.0/16", Resolution::None)
            .in_namespace("north")
            .port(80, AppProtocol::Tcp)
            .port(81, AppProtocol::Tcp),
    ]);
    let inheriting = [
        ("10.1.0.1:80", "allow registered by shop/secret"),
        ("10.1.0.1:81", "allow registered by north/public"),
    ];
    check(&registry, &settings(), "shop", &inheriting);
    check(&registry, &settings(), "north", &[("10.1.0.1:80", "allow registered by north/public")]);
    // A narrowed view is one level, in which the longest network of all goes first.
    let everything = sidecar("shop", "default", &["*/*.com"]);
    let narrowed = Registry { sidecars: vec![everything.into()], ..registry };
    check(&narrowed, &settings(), "shop", &[("10.1.0.1:80", "allow registered by north/public")]);
}

#[test]
fn a_rule_that_needs_a_name_loses_to_its_rivals() {
    let name_of_shop =
        || entry("name", "", Resolution::Dns).port(80, AppProtocol::Http).auto("240.240.0.1", "2001:2::1");
    let raw = || entry("raw", "", Resolution::None).in_namespace("north").port(80, AppProtocol::Tcp);
    let open = Settings { permit_any_address: true, ..settings() };
    let to = "198.51.100.1:80";

    let both_public = registry([name_of_shop().created(1), raw().created(2)]);
    check(&both_public, &open, "west", &[(to, "allow registered by north/raw")]);
    let raw_is_older = registry([name_of_shop().created(2), raw().created(1)]);
    check(&raw_is_older, &open, "west", &[(to, "allow registered by north/raw")]);
    // At home, too: the own namespace comes after what allows at all.
    check(&raw_is_older, &open, "shop", &[(to, "allow registered by north/raw")]);

    let vip = registry([
        entry("dynamic", "", Resolution::DynamicDns)
            .port(80, AppProtocol::Http)
            .auto("240.240.0.1", "2001:2::1"),
        entry("net", "240.240.0.0/16", Resolution::None).port(80, AppProtocol::Tcp),
    ]);
    check(&vip, &settings(), "shop", &[("240.240.0.1:80", "allow registered by shop/net")]);
}

#[test]
fn a_service_entry_never_translates_a_protected_address() {
    let settings = Settings { node_addresses: ["10.3.0.1".parse().unwrap()].into(), ..settings() };
    let registry = registry([
        kubernetes("web", "10.3.0.2", Resolution::Static).port(443, AppProtocol::Tcp).endpoint("10.3.0.3"),
        // Seen by nobody, and protected all the same.
        kubernetes("hidden", "10.3.0.4", Resolution::Static).port(443, AppProtocol::Tcp).export(&["~"]),
        entry("thief", "10.3.0.0/16", Resolution::Static).port(80, AppProtocol::Tcp).endpoint("192.0.2.6"),
        entry("shift", "10.3.0.4", Resolution::None).port(80, AppProtocol::Tcp).target(81),
        entry("wide", "10.0.0.0/8", Resolution::None).port(80, AppProtocol::Tcp),
        entry("late", "10.3.0.2", Resolution::Static)
            .port(443, AppProtocol::Tcp)
            .created(1)
            .port(82, AppProtocol::Tcp)
            .endpoint("192.0.2.6"),
        entry("plain", "10.3.0.2", Resolution::None).port(82, AppProtocol::Tcp).created(2),
    ]);
    let table = [
        ("10.3.0.9:80", "translate to 192.0.2.6@80 by shop/thief"),
        ("10.3.0.1:80", "allow registered by shop/wide"),
        ("10.3.0.2:80", "allow registered by shop/wide"),
        ("10.3.0.3:80", "allow registered by shop/wide"),
        ("10.3.0.4:80", "allow registered by shop/wide"),
        ("10.3.0.4:443", "deny not_registered"),
        ("10.3.0.2:443", "allow registered by shop/web"),
        // What is void does not win, either.
        ("10.3.0.2:82", "allow registered by shop/plain"),
    ];
    check(&registry, &settings, "shop", &table);
}

#[test]
fn a_void_network_rule_still_beats_its_rivals_at_the_same_network() {
    let net = |name: &str, resolution| entry(name, "10.3.0.0/16", resolution).port(80, AppProtocol::Tcp);
    let settings = Settings { node_addresses: ["10.3.0.1".parse().unwrap()].into(), ..settings() };
    let registry = registry([
        net("first", Resolution::Static).created(1).endpoint("192.0.2.6"),
        net("second", Resolution::None).created(2),
    ]);
    let table =
        [("10.3.0.1:80", "deny not_registered"), ("10.3.0.2:80", "translate to 192.0.2.6@80 by shop/first")];
    check(&registry, &settings, "shop", &table);
}

#[test]
fn the_own_address_of_a_service_goes_before_its_endpoint_there() {
    let registry = registry([entry("loop", "10.0.0.1", Resolution::Static)
        .port(80, AppProtocol::Tcp)
        .endpoint("10.0.0.1")
        .endpoint("10.0.0.2")]);
    let direct = Settings { direct_endpoints: DirectEndpoints::All, ..settings() };
    let table = [("10.0.0.1:80", "translate to 10.0.0.1@80 10.0.0.2@80 by shop/loop")];
    check(&registry, &direct, "shop", &table);
}

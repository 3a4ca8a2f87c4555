//! Visibility: exportTo, trusted exporters, Sidecars.

use enforcer_core::name::Namespace;
use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::model::{AppProtocol, OutboundMode, Registry, Resolution, Sidecar};
use jiff::Timestamp;

use super::stories::{
    Story, check, check_for, entry, kubernetes, labels, listener, mesh, registry, settings, sidecar, workload,
};

const NO: &str = "deny not_registered";

fn at(name: &str, ip: &str) -> Story {
    entry(name, ip, Resolution::None).port(80, AppProtocol::Tcp)
}

#[test]
fn export_to_names_who_sees() {
    let registry = registry([
        at("default", "10.0.0.1"),
        at("star", "10.0.0.2").export(&["*", "~"]),
        at("own", "10.0.0.3").export(&["."]),
        at("named", "10.0.0.4").export(&["north", "west"]),
        at("hidden", "10.0.0.5").export(&["~", "shop", "."]),
    ]);
    let to = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"];
    let (default, star) = ("allow registered by shop/default", "allow registered by shop/star");
    let (own, named) = ("allow registered by shop/own", "allow registered by shop/named");
    let rows = |row: [&'static str; 5]| -> Vec<(&str, &str)> { to.into_iter().zip(row).collect() };

    check(&registry, &settings(), "shop", &rows([default, star, own, NO, NO]));
    check(&registry, &settings(), "north", &rows([default, star, NO, named, NO]));
    let no_mesh = Registry { mesh: None, ..registry.clone() };
    check(
        &no_mesh,
        &settings(),
        "north",
        &rows([default, star, "deny policy_unknown", named, "deny policy_unknown"]),
    );
    let closed = Registry { mesh: Some(mesh(OutboundMode::RegistryOnly, &["."])), ..registry };
    check(&closed, &settings(), "shop", &rows([default, star, own, NO, NO]));
    check(&closed, &settings(), "north", &rows([NO, star, NO, named, NO]));
}

#[test]
fn who_is_not_trusted_is_seen_at_home_only() {
    let registry = registry([
        at("star", "10.0.0.1").export(&["*"]),
        at("away", "10.0.0.2").export(&["north"]),
        at("good", "10.0.0.3").in_namespace("north").export(&["*"]),
        kubernetes("cluster", "10.0.0.4", Resolution::Static).port(80, AppProtocol::Tcp),
    ]);
    let settings = Settings { trusted_exporters: Some([Namespace::new("north")].into()), ..settings() };
    let good = ("10.0.0.3:80", "allow registered by north/good");
    let cluster = ("10.0.0.4:80", "allow registered by shop/cluster");
    let star = ("10.0.0.1:80", "allow registered by shop/star");
    check(&registry, &settings, "shop", &[star, ("10.0.0.2:80", NO), good, cluster]);
    check(&registry, &settings, "north", &[("10.0.0.1:80", NO), ("10.0.0.2:80", NO), good, cluster]);
}

#[test]
fn the_sidecar_that_fits_best_governs() {
    let services =
        [at("one", "10.0.0.1"), at("two", "10.0.0.2"), at("three", "10.0.0.3"), at("four", "10.0.0.4")];
    let created = |second| Timestamp::from_second(second).ok();
    let select = |pairs: &[(&str, &str)], age, sidecar: Sidecar| Sidecar {
        selector: Some(labels(pairs)),
        created: age,
        ..sidecar
    };
    let sidecars = [
        sidecar("istio-system", "mesh", &["*/one.example.com"]),
        sidecar("shop", "default", &["*/two.example.com"]),
        select(&[("app", "client")], None, sidecar("shop", "a", &["*/one.example.com"])),
        select(&[("app", "client")], created(5), sidecar("shop", "b", &["*/three.example.com"])),
        select(&[("app", "client")], created(4), sidecar("shop", "c", &["*/four.example.com"])),
        select(&[("app", "client")], created(4), sidecar("shop", "d", &["*/one.example.com"])),
        select(&[("app", "client"), ("tier", "x")], created(1), sidecar("shop", "e", &["*/one.example.com"])),
        select(&[], created(1), sidecar("istio-system", "f", &["*/two.example.com"])),
    ];
    let registry = Registry { sidecars: sidecars.map(Into::into).into(), ..registry(services) };
    let sees = |workload: &WorkloadSpec, name: &str| {
        for (service, to) in [
            ("one", "10.0.0.1:80"),
            ("two", "10.0.0.2:80"),
            ("three", "10.0.0.3:80"),
            ("four", "10.0.0.4:80"),
        ] {
            let expected =
                if service == name { format!("allow registered by shop/{name}") } else { NO.to_owned() };
            check_for(&registry, &settings(), workload, &[(to, &expected)]);
        }
    };
    sees(&workload("shop"), "four");
    sees(&WorkloadSpec { labels: labels(&[("app", "other")]), ..workload("shop") }, "two");
    sees(&workload("north"), "one");
}

#[test]
fn egress_lines_name_namespace_host_and_port() {
    let services = [
        at("own", "10.0.0.1").host("api.corp"),
        at("north", "10.0.0.2").in_namespace("north").host("api.corp"),
        at("wild", "10.0.0.3").in_namespace("north").host("*.sub.corp"),
        at("exact", "10.0.0.4").in_namespace("east").host("corp"),
        at("wider", "10.0.0.5").in_namespace("east").host("*.corp"),
    ];
    let registry = registry(services);
    let sees = |lines: &[&str], port: Option<u16>, expected: &[&str]| {
        let governs = Sidecar { egress: Some(vec![listener(port, lines)]), ..sidecar("shop", "s", &[]) };
        let registry = Registry { sidecars: vec![governs.into()], ..registry.clone() };
        let seen: Vec<&str> = [("own", 1), ("north", 2), ("wild", 3), ("exact", 4), ("wider", 5)]
            .into_iter()
            .filter(|(_, last)| {
                let to = format!("10.0.0.{last}:80");
                super::stories::ask(&registry, &settings(), &workload("shop"), &to).service.is_some()
            })
            .map(|(name, _)| name)
            .collect();
        assert_eq!(seen, expected, "{lines:?}");
    };
    sees(&["*/*"], None, &["own", "north", "wild", "exact", "wider"]);
    sees(&["./*"], None, &["own"]);
    sees(&["north/*"], None, &["north", "wild"]);
    sees(&["*/api.corp"], None, &["own", "north"]);
    sees(&["*/*.corp"], None, &["own", "north", "wild", "wider"]);
    sees(&["*/*.sub.corp"], None, &["wild"]);
    sees(&["*/*", "~north/*"], None, &["own", "exact", "wider"]);
    sees(&["*/*", "~*/*.sub.corp"], None, &["own", "north", "exact", "wider"]);
    sees(&["*/*", "~./*"], None, &["north", "wild", "exact", "wider"]);
    sees(&["~/*"], None, &[]);
    sees(&["*/*", "~/*"], None, &["own", "north", "wild", "exact", "wider"]);
    sees(&["*/*"], Some(80), &["own", "north", "wild", "exact", "wider"]);
    sees(&["*/*"], Some(81), &[]);
    sees(&[], None, &[]);
}

#[test]
fn a_listener_that_imports_everything_leaves_the_view_inheriting() {
    // Inheriting or not shows in the order of the levels: see `a_workloads_own_level_goes_before_the_public_one`.
    let registry = registry([
        entry("secret", "10.0.0.0/8", Resolution::None).port(80, AppProtocol::Tcp).export(&["."]),
        entry("public", "10.1.0.0/16", Resolution::None).port(80, AppProtocol::Tcp),
    ]);
    let inherits = |egress| {
        let governs = Sidecar { egress, ..sidecar("shop", "s", &[]) };
        let registry = Registry { sidecars: vec![governs.into()], ..registry.clone() };
        let ruling = super::stories::ask(&registry, &settings(), &workload("shop"), "10.1.0.1:80");
        ruling.service.is_some_and(|key| &*key.object.name == "secret")
    };
    let all = || listener(None, &["*/*"]);
    assert!(inherits(None));
    assert!(inherits(Some(vec![listener(Some(81), &["./x"]), all()])));
    assert!(inherits(Some(vec![listener(None, &["*/*", "~north/*"]), all()])));
    assert!(!inherits(Some(vec![listener(None, &["*/*", "~north/*"])])));
    assert!(!inherits(Some(vec![listener(Some(80), &["*/*"])])));
    assert!(!inherits(Some(vec![listener(None, &["./*", "shop/*"])])));
    assert!(!inherits(Some(Vec::new())));
}

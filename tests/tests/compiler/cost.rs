//! Property 3 by numbers: what one changed `ServiceEntry` costs does not grow with the registry.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::key::CgroupId;
use enforcer_core::name::Namespace;
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::{Compiler, Cost};
use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::{BuildOptions, Registry, build, parse};

/// `entries` ServiceEntries: networks that nest, VIPs, names without an address, some of them private.
fn registry(entries: usize, changed: &str) -> Arc<Registry> {
    let mut text = String::new();
    for index in 0..entries {
        let (high, low) = (index / 250, index % 250);
        let spec = match index % 4 {
            0 => format!("addresses: [10.{high}.{low}.0/24], resolution: NONE"),
            1 => format!("addresses: [172.16.{high}.{low}], resolution: NONE"),
            2 => "resolution: STATIC, endpoints: [{address: 192.0.2.1}]".to_owned(),
            _ => "resolution: DNS".to_owned(),
        };
        entry(&mut text, &format!("entry-{index}"), &spec, if index % 3 == 0 { "." } else { "*" });
    }
    entry(&mut text, "changed", changed, "*");
    let parsed = parse("test", &text).expect("valid YAML");
    let (registry, problems) = build(&parsed.objects, &BuildOptions::default());
    assert!(parsed.problems.is_empty() && problems.is_empty(), "{:?} {problems:?}", parsed.problems);
    Arc::new(registry)
}

fn entry(text: &mut String, name: &str, spec: &str, export_to: &str) {
    // The changed one is the youngest, so that its auto-allocated address moves nobody else's.
    let year = if name == "changed" { 2030 } else { 2024 };
    writeln!(
        text,
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
         metadata: {{name: {name}, namespace: shop, creationTimestamp: \"{year}-01-01T00:00:00Z\"}}\n\
         spec: {{hosts: [{name}.example.com], exportTo: [\"{export_to}\"], {spec}, \
         ports: [{{number: 443, name: tls, protocol: TLS}}]}}"
    )
    .expect("writing to a string");
}

fn cost(entries: usize, before: &str, after: &str) -> Cost {
    let (mut compiler, workloads) = compiler();
    compiler.update(&registry(entries, before), &workloads, Duration::ZERO).expect("it fits");
    compiler.update(&registry(entries, after), &workloads, Duration::ZERO).expect("it fits");
    compiler.cost()
}

fn compiler() -> (Compiler, [WorkloadSpec; 3]) {
    let workloads = ["shop", "web", "db"].map(|namespace| {
        let cgroup = CgroupId::new(namespace.len() as u64 * 1_000 + u64::from(namespace.as_bytes()[0]));
        WorkloadSpec::new(cgroup, Namespace::new(namespace), namespace)
    });
    (Compiler::new(Settings::default(), Limits::default()), workloads)
}

#[test]
fn one_changed_entry_costs_the_same_in_a_small_and_a_large_registry() {
    for (before, after) in [
        ("addresses: [198.51.100.1], resolution: NONE", "addresses: [198.51.100.2], resolution: NONE"),
        ("addresses: [198.51.100.0/28], resolution: NONE", "addresses: [198.51.100.0/27], resolution: NONE"),
        (
            "resolution: STATIC, endpoints: [{address: 192.0.2.8}]",
            "resolution: STATIC, endpoints: [{address: 192.0.2.9}]",
        ),
        ("resolution: DNS", "resolution: NONE"),
    ] {
        let (small, large) = (cost(400, before, after), cost(8_000, before, after));
        assert_eq!((small.offers, small.cells), (large.offers, large.cells), "{before} to {after}");
        assert!(large.offers <= 8 && large.cells <= 24, "{large:?}");
    }
}

#[test]
fn a_network_costs_what_lies_below_it() {
    let before = "addresses: [10.0.0.0/16], resolution: NONE";
    let after = "addresses: [10.0.0.0/17], resolution: NONE";
    let cost = cost(8_000, before, after);
    // 250 entries share 10.0.0.0/16, every fourth of them a network: what is below it, in four views.
    assert!((64..=4 * 2 * (63 + 2)).contains(&cost.cells), "{cost:?}");
}

#[test]
fn workloads_that_come_over_the_same_registry_cost_no_look_at_its_services() {
    let (mut compiler, workloads) = compiler();
    let registry = registry(400, "resolution: DNS");
    compiler.update(&registry, &workloads[..1], Duration::ZERO).expect("it fits");
    assert_eq!(compiler.cost().services, registry.services.len());
    compiler.update(&registry, &workloads, Duration::ZERO).expect("it fits");
    assert_eq!(compiler.cost().services, 0);
    assert_eq!(compiler.image().workloads.len(), workloads.len());
}

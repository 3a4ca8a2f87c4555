//! What counts as registered, and what is decided before and after it.

use enforcer_common::addr::{Prefix, Protocol};
use enforcer_core::policy::{DirectEndpoints, ExemptRange, NodePolicy, Settings};
use enforcer_core::registry::model::{AppProtocol, EndpointAddress, OutboundMode, Registry, Resolution};

use super::stories::{check, entry, ip_endpoint, kubernetes, mesh, registry, settings, sidecar};

#[test]
fn loopback_and_exempt_ranges_come_before_everything() {
    let range = |net: &str, length, port, protocol| ExemptRange {
        prefix: Prefix::of_ip(net.parse().unwrap(), length),
        port,
        protocol,
    };
    let settings = Settings {
        exempt: vec![
            range("192.0.2.0", 24, None, None),
            range("198.51.100.7", 32, Some(53), None),
            range("198.51.100.8", 32, Some(53), Some(Protocol::UDP)),
            range("::", 0, Some(9), None),
        ],
        ..settings()
    };
    let table = [
        ("127.1.2.3:80", "allow loopback"),
        ("[::1]:80/udp", "allow loopback"),
        ("0.0.0.0:80", "allow loopback"),
        ("[::]:80", "allow loopback"),
        ("[::ffff:127.0.0.1]:80/132", "deny protocol"),
        ("[::ffff:0.0.0.0]:80", "allow loopback"),
        ("192.0.2.255:1/1", "allow exempt"),
        ("[::ffff:192.0.2.1]:1", "allow exempt"),
        ("192.0.3.0:1", "deny not_registered"),
        ("198.51.100.7:53", "allow exempt"),
        ("198.51.100.7:53/udp", "allow exempt"),
        ("198.51.100.7:53/1", "deny not_registered"),
        ("198.51.100.7:54", "deny not_registered"),
        ("198.51.100.8:53/udp", "allow exempt"),
        ("198.51.100.8:53", "deny not_registered"),
        ("[2001:db8::1]:9", "allow exempt"),
        ("192.0.3.0:9", "deny not_registered"),
    ];
    check(&registry([]), &settings, "shop", &table);
}

#[test]
fn the_policy_decides_what_nobody_named() {
    let policy = |mesh_mode: Option<OutboundMode>, sidecar_mode, fixed, allow_override| {
        let governs = enforcer_core::registry::model::Sidecar {
            egress: None,
            outbound_policy: sidecar_mode,
            ..sidecar("shop", "default", &[])
        };
        let registry = Registry {
            sidecars: vec![governs.into()],
            mesh: mesh_mode.map(|mode| mesh(mode, &[])),
            ..registry([])
        };
        let outbound_policy = if let Some(mode) = fixed { NodePolicy::Fixed(mode) } else { NodePolicy::Mesh };
        (registry, Settings { outbound_policy, allow_override, ..settings() })
    };
    let (only, any) = (Some(OutboundMode::RegistryOnly), Some(OutboundMode::AllowAny));
    for (mesh, sidecar, fixed, allow_override, expected) in [
        (only, None, None, false, "deny not_registered"),
        (any, None, None, false, "allow allow_any"),
        (None, None, None, false, "deny policy_unknown"),
        (any, only, None, false, "deny not_registered"),
        (None, only, None, false, "deny not_registered"),
        (only, any, None, false, "deny not_registered"),
        (only, any, None, true, "allow allow_any"),
        (None, any, None, false, "deny policy_unknown"),
        (any, only, any, false, "allow allow_any"),
        (None, any, only, true, "deny not_registered"),
    ] {
        let (registry, settings) = policy(mesh, sidecar, fixed, allow_override);
        check(&registry, &settings, "shop", &[("192.0.2.1:80", expected)]);
    }
}

#[test]
fn kubernetes_services_answer_at_their_vips() {
    let registry = registry([
        kubernetes("web", "10.96.0.1", Resolution::Static)
            .port(80, AppProtocol::Http)
            .port(53, AppProtocol::Udp)
            .endpoint_at(ip_endpoint("10.1.0.1"), &[("p80", 8080)], true)
            .endpoint_at(ip_endpoint("10.1.0.2"), &[("p80", 8080)], false),
        kubernetes("far", "10.96.0.2", Resolution::Static)
            .port(80, AppProtocol::Http)
            .vip("Kubernetes", "10.96.0.3")
            .vip("other", "10.96.0.4"),
        kubernetes("gone", "", Resolution::Alias).port(80, AppProtocol::Http).endpoint("10.1.0.9"),
    ]);
    let table = [
        ("10.96.0.1:80", "allow registered by shop/web"),
        ("[::ffff:10.96.0.1]:80", "allow registered by shop/web"),
        ("10.96.0.1:80/udp", "deny not_registered"),
        ("10.96.0.1:53/udp", "allow registered by shop/web"),
        ("10.96.0.1:53", "deny not_registered"),
        ("10.96.0.1:80/1", "allow registered"),
        ("10.96.0.2:80", "deny not_registered"),
        ("10.96.0.3:80", "allow registered by shop/far"),
        ("10.96.0.4:80", "deny not_registered"),
        ("10.1.0.9:80", "deny not_registered"),
        ("10.1.0.1:8080", "deny not_registered"),
    ];
    check(&registry, &settings(), "shop", &table);
    let direct = Settings { direct_endpoints: DirectEndpoints::Kubernetes, ..settings() };
    let table = [
        ("10.1.0.1:8080", "allow registered by shop/web"),
        ("10.1.0.2:8080", "allow registered by shop/web"),
        ("10.1.0.1:80", "deny not_registered"),
        ("10.1.0.1:53/udp", "allow registered by shop/web"),
        ("10.1.0.9:80", "deny not_registered"),
    ];
    check(&registry, &direct, "shop", &table);
}

#[test]
fn headless_services_answer_at_all_endpoints_on_both_ports() {
    let registry = registry([kubernetes("db", "", Resolution::None)
        .port(5432, AppProtocol::Tcp)
        .endpoint_at(ip_endpoint("10.1.0.1"), &[("p5432", 15432)], true)
        .endpoint_at(ip_endpoint("10.1.0.2"), &[], false)]);
    let table = [
        ("10.1.0.1:5432", "allow registered by shop/db"),
        ("10.1.0.1:15432", "allow registered by shop/db"),
        ("10.1.0.2:5432", "allow registered by shop/db"),
        ("10.1.0.2:15432", "deny not_registered"),
        ("10.1.0.3:5432", "deny not_registered"),
    ];
    for direct_endpoints in [DirectEndpoints::None, DirectEndpoints::All] {
        check(&registry, &Settings { direct_endpoints, ..settings() }, "shop", &table);
    }
}

#[test]
fn addresses_without_resolution_pass_and_change_only_the_port() {
    let registry = registry([
        entry("one", "203.0.113.1", Resolution::None)
            .port(443, AppProtocol::Tls)
            .port(80, AppProtocol::Http)
            .target(8080)
            .port(53, AppProtocol::Udp)
            .target(5353)
            .port(9000, AppProtocol::Tcp)
            .target(9000),
        entry("net", "2001:db8::/32", Resolution::None).port(443, AppProtocol::Tls).target(8443),
        entry("all", "::/0", Resolution::None).port(7, AppProtocol::Tcp),
    ]);
    let table = [
        ("203.0.113.1:443", "allow registered by shop/one"),
        ("203.0.113.1:80", "translate to 203.0.113.1@8080 by shop/one"),
        ("203.0.113.1:8080", "deny not_registered"),
        ("203.0.113.1:53/udp", "translate to 203.0.113.1@5353 by shop/one"),
        ("203.0.113.1:9000", "allow registered by shop/one"),
        ("[2001:db8:ffff::1]:443", "translate to 2001:db8:ffff::1@8443 by shop/net"),
        ("[2001:db9::1]:443", "deny not_registered"),
        ("[2001:db9::1]:7", "allow registered by shop/all"),
        ("203.0.113.1:7", "deny not_registered"),
        ("[::ffff:203.0.113.1]:7", "deny not_registered"),
    ];
    check(&registry, &settings(), "shop", &table);
}

#[test]
fn translation_knows_ports_readiness_and_families() {
    let story = |name: &str, address: &str| {
        entry(name, address, Resolution::Static).port(80, AppProtocol::Http).target(8080)
    };
    let unix = || EndpointAddress::Unix("/run/x.sock".into());
    let registry = registry([
        story("two", "10.0.0.1")
            .endpoint("192.0.2.1")
            .endpoint_at(ip_endpoint("192.0.2.2"), &[("p80", 9)], true)
            .endpoint_at(ip_endpoint("192.0.2.3"), &[], false)
            .endpoint("2001:db8::5"),
        story("six", "2001:db8::1").endpoint("192.0.2.1").endpoint("2001:db8::5"),
        story("four", "2001:db8::2").endpoint("192.0.2.1"),
        story("wrong", "10.0.0.2").endpoint("2001:db8::5"),
        story("none", "10.0.0.3").endpoint_at(unix(), &[], true).endpoint_at(
            ip_endpoint("192.0.2.3"),
            &[],
            false,
        ),
        entry("udp", "10.0.0.4", Resolution::Static).port(80, AppProtocol::Udp),
    ]);
    let table = [
        ("10.0.0.1:80", "translate to 192.0.2.1@8080 192.0.2.2@9 by shop/two"),
        ("[::ffff:10.0.0.1]:80", "translate to 192.0.2.1@8080 192.0.2.2@9 by shop/two"),
        ("[2001:db8::1]:80", "translate to 2001:db8::5@8080 by shop/six"),
        ("[2001:db8::2]:80", "translate to 192.0.2.1@8080 by shop/four"),
        ("10.0.0.2:80", "deny wrong_family by shop/wrong"),
        ("10.0.0.3:80", "deny no_backend by shop/none"),
        ("10.0.0.4:80/udp", "deny no_backend by shop/udp"),
        ("192.0.2.1:8080", "deny not_registered"),
    ];
    check(&registry, &settings(), "shop", &table);
    let direct = Settings { direct_endpoints: DirectEndpoints::All, ..settings() };
    let table = [
        ("192.0.2.1:8080", "allow registered by shop/four"),
        ("192.0.2.2:9", "allow registered by shop/two"),
        ("192.0.2.3:8080", "allow registered by shop/none"),
        ("10.0.0.1:80", "translate to 192.0.2.1@8080 192.0.2.2@9 by shop/two"),
    ];
    check(&registry, &direct, "shop", &table);
}

#[test]
fn services_without_addresses_have_vips_or_need_a_name() {
    let story = |name: &str, resolution, port, protocol| entry(name, "", resolution).port(port, protocol);
    let registry = registry([
        story("dns", Resolution::Dns, 443, AppProtocol::Tls)
            .endpoint("192.0.2.1")
            .auto("240.240.0.1", "2001:2::1"),
        story("static", Resolution::Static, 80, AppProtocol::Http)
            .endpoint("192.0.2.1")
            .auto("240.240.0.2", "2001:2::2"),
        story("dynamic", Resolution::DynamicDns, 81, AppProtocol::Http).auto("240.240.0.3", "2001:2::3"),
        story("sni", Resolution::None, 82, AppProtocol::Tls),
        story("raw", Resolution::None, 83, AppProtocol::Tcp),
    ]);
    let fixed = [
        ("240.240.0.1:443", "translate to 192.0.2.1@443 by shop/dns"),
        ("[2001:2::1]:443", "translate to 192.0.2.1@443 by shop/dns"),
        ("198.51.100.1:443", "deny needs_name by shop/dns"),
        ("240.240.0.2:80", "translate to 192.0.2.1@80 by shop/static"),
        ("198.51.100.1:80", "deny not_registered"),
        ("240.240.0.3:81", "deny needs_name by shop/dynamic"),
        ("198.51.100.1:81", "deny needs_name by shop/dynamic"),
        ("198.51.100.1:82", "deny needs_name by shop/sni"),
    ];
    check(&registry, &settings(), "shop", &fixed);
    check(&registry, &settings(), "shop", &[("198.51.100.1:83", "deny needs_name by shop/raw")]);
    let open = Settings { permit_any_address: true, ..settings() };
    check(&registry, &open, "shop", &fixed);
    check(&registry, &open, "shop", &[("198.51.100.1:83", "allow registered by shop/raw")]);
    let lenient = Registry { mesh: Some(mesh(OutboundMode::AllowAny, &[])), ..registry };
    check(&lenient, &settings(), "shop", &[("198.51.100.1:82", "allow allow_any")]);
}

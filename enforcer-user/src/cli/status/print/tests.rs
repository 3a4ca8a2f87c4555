//! A status as it is printed at 80 columns.

use enforcer_core::problem::Severity;

use super::*;
use crate::status::interfaces::UnattachedInterface;

fn problem(severity: Severity, message: &str) -> Problem {
    Problem {
        severity,
        source: "file:a.yaml:1".into(),
        object: None,
        field: "spec.hosts[0]".to_owned(),
        message: message.to_owned(),
        hint: "write a DNS name".to_owned(),
    }
}

fn interfaces() -> Vec<InterfaceStatus> {
    vec![
        InterfaceStatus {
            name: "veth1".to_owned(),
            side: "workload".to_owned(),
            workload: Some("shop/cart".to_owned()),
            order: "behind".to_owned(),
            before: vec![ProgramStatus { id: 12, name: "cil_from_contai".to_owned() }],
        },
        InterfaceStatus {
            name: "eth0".to_owned(),
            side: "uplink".to_owned(),
            order: "first".to_owned(),
            ..InterfaceStatus::default()
        },
    ]
}

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        enforcement: "audit".to_owned(),
        enforcement_from: "flag".to_owned(),
        enforcement_flag: "audit".to_owned(),
        outbound_policy: "REGISTRY_ONLY".to_owned(),
        outbound_policy_from: "mesh".to_owned(),
        revision: 3,
        services: 2,
        sources: vec![SourceStatus {
            source: "file:/etc/enforcer/registry".to_owned(),
            revision: 3,
            age_seconds: 200,
            objects: 2,
            stale_files: vec!["bad.yaml".to_owned()],
        }],
        attached: vec!["/sys/fs/cgroup/apps".to_owned()],
        workloads: vec![WorkloadStatus {
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
            cgroup: "/sys/fs/cgroup/apps/a-rather-long-name/cart".to_owned(),
            enforcement: "audit".to_owned(),
            outbound_policy: "REGISTRY_ONLY".to_owned(),
            covered: true,
            interfaces: vec!["veth1".to_owned()],
            ..WorkloadStatus::default()
        }],
        interfaces: interfaces(),
        unattached_interfaces: vec![UnattachedInterface {
            name: "veth2".to_owned(),
            why: "No such device".to_owned(),
        }],
        unknown_interfaces: vec!["veth9".to_owned()],
        unreadable_interfaces: vec!["tun0".to_owned(), "wg0".to_owned()],
        maps: vec![MapStatus { map: "EXACT".to_owned(), used: 3, limit: 524_288 }],
        decisions: vec![DecisionCount { reason: "not_registered".to_owned(), enforced: 0, audited: 7 }],
        denials: vec![Denial {
            age_seconds: 5,
            workload: "shop/cart".to_owned(),
            pid: 4711,
            command: "cu\u{1b}rl".to_owned(),
            destination: "[2001:db8::aaaa:bbbb]:443/tcp".to_owned(),
            reason: "not_registered".to_owned(),
            blocked: false,
            hook: "connect6".to_owned(),
        }],
        problems: (0..6)
            .map(|n| problem(Severity::Warning, &format!("warning {n}")))
            .chain([problem(
                Severity::Error,
                "\"a b\" is no host name, and this message is long enough to be wrapped",
            )])
            .collect(),
        ready: false,
        not_ready: vec!["no registry has reached the kernel".to_owned()],
        ..Status::default()
    }
}

#[test]
fn everything_in_eighty_columns() {
    let text = human(&status(), Look { width: Some(80), colour: false });
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(text, include_str!("golden.txt"), "{text}");
}

#[test]
fn a_switch_turned_at_run_time_is_seen_at_once() {
    let turned = Status {
        enforcement: "off".to_owned(),
        enforcement_from: "mode".to_owned(),
        enforcement_flag: "enforce".to_owned(),
        enforcement_until: Some("2026-11-20T10:15:00Z".to_owned()),
        enforcement_then: Some("enforce".to_owned()),
        ready: true,
        ..Status::default()
    };
    let text = human(&turned, Look { width: Some(80), colour: false });
    assert!(
        text.contains(
            "  enforcement  off, by `enforcer mode`; --enforcement is enforce\n               \
             until 2026-11-20T10:15:00Z, then enforce\n"
        ),
        "{text}"
    );
}

#[test]
fn what_is_said_of_many_workloads_is_said_once() {
    let blind = |name: &str| WorkloadStatus {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        notes: vec!["not seen".to_owned()],
        ..WorkloadStatus::default()
    };
    for (names, expected) in [
        (["a", "b"].as_slice(), "shop/a, shop/b: not seen"),
        (&["a", "b", "c", "d"], "4 workloads: not seen"),
    ] {
        let workloads = names.iter().map(|name| blind(name)).collect();
        let text = human(&Status { workloads, ..Status::default() }, Look::default());
        assert_eq!(text.matches("not seen").count(), 1, "{text}");
        assert!(text.contains(&format!("  note         {expected}\n")), "{text}");
    }
}

#[test]
fn nothing_known_is_short() {
    let text =
        human(&Status { version: "0.1.0".to_owned(), ready: true, ..Status::default() }, Look::default());
    assert!(text.starts_with("enforcer 0.1.0: ready\n"), "{text}");
    assert!(!text.contains("PROBLEMS") && !text.contains("SOURCES"), "{text}");
}

//! What a scraper sees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use enforcer_common::reason::Reason;
use enforcer_core::problem::{Problem, Severity};

use super::instrument::{Instrument, Kind};
use super::table::INSTRUMENTS;
use super::*;
use crate::status::interfaces::InterfaceStatus;
use crate::status::updates::{Outcome, Updates};
use crate::status::{MapStatus, SourceStatus, Status, WorkloadStatus};

fn problem(severity: Severity, source: &str) -> Problem {
    let text = String::new;
    Problem { severity, source: source.into(), object: None, field: text(), message: text(), hint: text() }
}

fn scrape() -> Scrape {
    let source = |source: &str| SourceStatus { source: source.into(), objects: 3, ..SourceStatus::default() };
    let status = Status {
        outbound_policy: "REGISTRY_ONLY".into(),
        ready: true,
        revision: 7,
        workloads: [true, false, false]
            .map(|covered| WorkloadStatus { covered, ..WorkloadStatus::default() })
            .to_vec(),
        interfaces: vec![InterfaceStatus { side: "workload".into(), ..InterfaceStatus::default() }],
        order_lost: 4,
        sources: vec![source("file:/r"), source("file:/r/\"odd\"\nname")],
        maps: vec![MapStatus { map: "EXACT".into(), used: 10, limit: 100 }],
        problems: vec![
            problem(Severity::Error, "file:/r/a.yaml:3"),
            problem(Severity::Warning, "file:/r/b.yaml:1"),
            problem(Severity::Error, "file:/rest.yaml:1"),
            problem(Severity::Error, "compiler"),
        ],
        ..Status::default()
    };
    let mut updates = Updates::default();
    updates.count(Duration::from_millis(3), Outcome::Applied);
    updates.count(Duration::from_mins(1), Outcome::Refused);
    Scrape {
        applied: Arc::new(Applied { status, updates, ..Applied::default() }),
        enforcement: "audit".into(),
        decisions: vec![DecisionCount { reason: "not_registered".into(), enforced: 2, audited: 5 }],
        ..Scrape::default()
    }
}

/// Every sample by its name and labels as written; names and their types as described. Panics at a line that is neither.
fn parse(text: &str) -> (BTreeMap<&str, f64>, BTreeMap<&str, &str>) {
    let (mut samples, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, what) = help.split_once(' ').unwrap();
            assert!(helped.insert(name) && !what.is_empty(), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name) && types.insert(name, kind).is_none(), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.contains('{'), name.ends_with("\"}"), "{line}");
            assert!(samples.insert(name, value.parse().expect(line)).is_none(), "twice: {line}");
        }
    }
    (samples, types)
}

#[test]
fn every_instrument_is_described_and_has_a_sample_in_both_formats() {
    for format in [Format::OpenMetrics, Format::Prometheus] {
        let text = scrape().text(format);
        assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
        let (samples, types) = parse(&text);
        assert_eq!(types.len(), INSTRUMENTS.len());
        for instrument in INSTRUMENTS {
            let described =
                if format == Format::OpenMetrics { instrument.family() } else { instrument.name() };
            assert_eq!(types.get(&*described).copied(), Some(&*instrument.kind.to_string()), "{described}");
            let suffix = if instrument.kind == Kind::Histogram { "_count" } else { "" };
            let name = format!("{}{suffix}", instrument.name());
            let has = samples.keys().any(|key| key.split('{').next() == Some(&name));
            // None of the scrape's workloads has an enforcement; all else has something to say.
            assert!(has, "{name} has no sample");
        }
    }
}

#[test]
fn names_are_in_base_units_and_helps_are_one_line() {
    let mut names = BTreeSet::new();
    for instrument in INSTRUMENTS {
        let name = instrument.name();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(instrument.help.len() > 10 && !instrument.help.contains(['\n', '\\', '|']), "{name}");
        assert!(!instrument.help.ends_with('.'), "{name}");
        assert!(names.insert(name), "twice");
    }
}

#[test]
fn every_decision_counter_is_there_from_the_start() {
    let text = Scrape::default().text(Format::Prometheus);
    let (samples, _) = parse(&text);
    let decisions: Vec<_> =
        samples.iter().filter(|(name, _)| name.starts_with("enforcer_decisions_total{")).collect();
    assert_eq!(decisions.len(), 2 * Reason::ALL.len());
    assert!(decisions.iter().all(|(_, value)| **value == 0.0));
}

#[test]
fn values_are_what_was_read() {
    let text = scrape().text(Format::Prometheus);
    let (samples, _) = parse(&text);
    for (name, expected) in [
        ("enforcer_agent_ready", 1.0),
        ("enforcer_registry_revision", 7.0),
        ("enforcer_workloads_covered{covered=\"true\"}", 1.0),
        ("enforcer_workloads_covered{covered=\"false\"}", 2.0),
        ("enforcer_attached_interfaces{side=\"workload\"}", 1.0),
        ("enforcer_attached_interfaces{side=\"uplink\"}", 0.0),
        ("enforcer_interface_order_lost_total", 4.0),
        ("enforcer_enforcement_mode{mode=\"audit\"}", 1.0),
        ("enforcer_enforcement_mode{mode=\"enforce\"}", 0.0),
        ("enforcer_outbound_policy{policy=\"REGISTRY_ONLY\"}", 1.0),
        ("enforcer_decisions_total{verdict=\"deny\",reason=\"not_registered\",enforcement=\"enforce\"}", 2.0),
        ("enforcer_decisions_total{verdict=\"deny\",reason=\"not_registered\",enforcement=\"audit\"}", 5.0),
        ("enforcer_source_objects{source=\"file:/r\"}", 3.0),
        ("enforcer_source_objects{source=\"file:/r/\\\"odd\\\"\\nname\"}", 3.0),
        ("enforcer_source_problems{source=\"file:/r\",severity=\"error\"}", 1.0),
        ("enforcer_source_problems{source=\"file:/r\",severity=\"warning\"}", 1.0),
        ("enforcer_source_problems{source=\"other\",severity=\"error\"}", 2.0),
        ("enforcer_map_entries{map=\"EXACT\"}", 10.0),
        ("enforcer_map_memory_bytes{map=\"EXACT\"}", 800.0),
        ("enforcer_update_duration_seconds_bucket{le=\"0.005\"}", 1.0),
        ("enforcer_update_duration_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("enforcer_update_duration_seconds_count", 2.0),
        ("enforcer_update_failures_total{cause=\"refused\"}", 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&expected), "{name}\n{text}");
    }
}

#[test]
fn a_sum_does_not_fall_when_a_counter_goes() {
    let mut sum = NeverFalling::default();
    for (now, expected) in [
        (vec![("a", 5), ("b", 1)], 6),
        (vec![("a", 7)], 8),
        (vec![("a", 7), ("b", 0)], 8),
        // Gone and come again between two looks.
        (vec![("a", 2), ("b", 4)], 14),
        (vec![], 14),
    ] {
        assert_eq!(sum.sum(now.into_iter().collect()), expected);
    }
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let text = reference();
    let names: BTreeSet<String> = INSTRUMENTS.iter().map(Instrument::name).collect();
    let asked = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for name in asked.filter(|word| word.starts_with("enforcer_")) {
        assert!(names.contains(name.trim_end_matches("_bucket")), "{name}");
    }
}

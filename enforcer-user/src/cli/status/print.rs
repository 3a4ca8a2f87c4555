//! The agent's status for people, in sections that fit 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use enforcer_core::problem::Problem;

use crate::cli::offline::tally;
use crate::cli::output::{Look, Tone};
use crate::cli::text::{Column, age, count, fields, or_dash, printable, table, wrap};
use crate::status::interfaces::{InterfaceStatus, ProgramStatus};
use crate::status::terminated::TerminatedStatus;
use crate::status::{DecisionCount, Denial, MapStatus, SourceStatus, Status, WorkloadStatus};

/// How many problems are shown; JSON has all.
const SHOWN: usize = 5;
/// How many workloads are named with a note; JSON has all.
const NAMED: usize = 3;

pub(super) fn human(status: &Status, look: Look) -> String {
    let sections = [
        head(status, look),
        section("SOURCES", SOURCES, &status.sources, source, look),
        section("WORKLOADS", WORKLOADS, &status.workloads, workload, look),
        section("INTERFACES", INTERFACES, &status.interfaces, interface, look),
        section("MAPS", MAPS, &status.maps, map, look),
        section("DECISIONS", DECISIONS, &status.decisions, decision, look),
        section("LAST DENIALS", DENIALS, &status.denials, denial, look),
        problems(&status.problems, look),
    ];
    let said: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    said.join("\n")
}

fn head(status: &Status, look: Look) -> String {
    let readiness =
        if status.ready { look.paint("ready", Tone::Good) } else { look.paint("not ready", Tone::Bad) };
    let mut lines: Vec<(&str, String)> =
        status.not_ready.iter().map(|why| ("because", why.clone())).collect();
    lines.push(("enforcement", enforcement(status)));
    lines.push(("policy", format!("{} (from {})", status.outbound_policy, status.outbound_policy_from)));
    lines.push(("registry", format!("revision {}, {}", status.revision, count(status.services, "service"))));
    lines.extend(status.attached.iter().map(|cgroup| ("attached to", cgroup.clone())));
    if status.attached.is_empty() {
        lines.push(("attached to", "nothing".to_owned()));
    }
    lines.extend(missing_interfaces(status));
    if status.terminated != TerminatedStatus::default() {
        lines.push(("closed", closed(&status.terminated)));
    }
    if status.events_suppressed > 0 {
        lines.push(("events", format!("{} suppressed; by workload: -o json", status.events_suppressed)));
    }
    format!("enforcer {}: {readiness}\n{}", status.version, fields(&lines, 2, look.width))
}

fn closed(terminated: &TerminatedStatus) -> String {
    let mut text = count(terminated.total.try_into().unwrap_or(usize::MAX), "connection");
    if let Some(last) = &terminated.last {
        let _ = write!(text, "; at the last narrowing {} of {}", last.closed, last.looked_at);
        if last.failed + last.spared > 0 {
            let _ = write!(text, ", {} that may not stay do", last.failed + last.spared);
        }
    }
    text
}

/// Interfaces that have no programs, or belong to nobody, and what is not seen.
fn missing_interfaces(status: &Status) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let unattached = status.unattached_interfaces.iter();
    lines.extend(unattached.map(|interface| ("not at", format!("{}: {}", interface.name, interface.why))));
    if !status.unreadable_interfaces.is_empty() {
        lines.push(("not at", format!("{}: no Ethernet", status.unreadable_interfaces.join(", "))));
    }
    let skipped = status.canary.places.iter().filter(|place| place.result == "skipped");
    lines.extend(skipped.map(|place| {
        ("no canary", format!("{}: {}", place.cgroup, place.why.as_deref().unwrap_or_default()))
    }));
    if !status.unknown_interfaces.is_empty() {
        lines.push(("unknown", format!("the workloads behind {}", status.unknown_interfaces.join(", "))));
    }
    let mut notes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for workload in &status.workloads {
        for note in &workload.notes {
            notes.entry(note).or_default().push(format!("{}/{}", workload.namespace, workload.name));
        }
    }
    lines.extend(notes.into_iter().map(|(note, who)| {
        let who = if who.len() > NAMED { count(who.len(), "workload") } else { who.join(", ") };
        ("note", format!("{who}: {note}"))
    }));
    lines
}

/// What is in force, and why that is not what the agent was told.
fn enforcement(status: &Status) -> String {
    let mut text = status.enforcement.clone();
    if status.enforcement_from == "mode" {
        let _ = write!(text, ", by `enforcer mode`; --enforcement is {}", status.enforcement_flag);
    }
    if let (Some(until), Some(then)) = (&status.enforcement_until, &status.enforcement_then) {
        let _ = write!(text, "\nuntil {until}, then {then}");
    }
    text
}

/// A heading and a table; nothing when there are no rows.
fn section<T>(title: &str, columns: &[Column], rows: &[T], row: fn(&T) -> Vec<String>, look: Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    format!("{title}\n{}", table(columns, &rows, 2, look.width))
}

const SOURCES: &[Column] = &[
    Column::left("SOURCE").shrinks(16).keeps_end(),
    Column::right("REVISION"),
    Column::right("AGE"),
    Column::right("OBJECTS"),
    Column::left("STALE FILES").shrinks(11).keeps_end(),
];

fn source(source: &SourceStatus) -> Vec<String> {
    vec![
        source.source.clone(),
        source.revision.to_string(),
        age(source.age_seconds),
        source.objects.to_string(),
        or_dash(source.stale_files.join(",")),
    ]
}

const WORKLOADS: &[Column] = &[
    Column::left("WORKLOAD").shrinks(12),
    Column::left("ENFORCEMENT"),
    Column::left("POLICY"),
    Column::left("JUDGED AT"),
    Column::left("CGROUP").shrinks(12).keeps_end(),
];

fn workload(workload: &WorkloadStatus) -> Vec<String> {
    vec![
        format!("{}/{}", workload.namespace, workload.name),
        workload.enforcement.clone(),
        workload.outbound_policy.clone(),
        if workload.covered { "interfaces" } else { "sockets" }.to_owned(),
        workload.cgroup.clone(),
    ]
}

const INTERFACES: &[Column] = &[
    Column::left("INTERFACE"),
    Column::left("SIDE"),
    Column::left("WORKLOAD").shrinks(12),
    Column::left("ORDER").shrinks(12),
];

fn interface(interface: &InterfaceStatus) -> Vec<String> {
    let named = |program: &ProgramStatus| {
        format!("{} {}", program.id, printable(&program.name)).trim_end().to_owned()
    };
    let before: Vec<String> = interface.before.iter().map(named).collect();
    vec![
        interface.name.clone(),
        interface.side.clone(),
        or_dash(interface.workload.clone().unwrap_or_default()),
        format!("{} {}", interface.order, before.join(", ")).trim_end().to_owned(),
    ]
}

const MAPS: &[Column] =
    &[Column::left("MAP"), Column::right("USED"), Column::right("LIMIT"), Column::right("FULL")];

fn map(map: &MapStatus) -> Vec<String> {
    // Rounded up: what is in use is never 0%, and 100% is the limit.
    let percent = (map.used * 100).div_ceil(map.limit.max(1));
    vec![map.map.clone(), map.used.to_string(), map.limit.to_string(), format!("{percent}%")]
}

const DECISIONS: &[Column] = &[Column::left("REASON"), Column::right("ENFORCED"), Column::right("AUDITED")];

fn decision(decision: &DecisionCount) -> Vec<String> {
    vec![decision.reason.clone(), decision.enforced.to_string(), decision.audited.to_string()]
}

const DENIALS: &[Column] = &[
    Column::right("AGE"),
    Column::left("WORKLOAD").shrinks(10),
    Column::left("PROCESS").shrinks(8),
    // Cut in front: the port is worth more than the beginning of a long address.
    Column::left("DESTINATION").shrinks(20).keeps_end(),
    Column::left("REASON"),
    Column::left("BLOCKED"),
];

fn denial(denial: &Denial) -> Vec<String> {
    vec![
        age(denial.age_seconds),
        denial.workload.clone(),
        format!("{}[{}]", printable(&denial.command), denial.pid),
        denial.destination.clone(),
        denial.reason.clone(),
        if denial.blocked { "yes" } else { "no" }.to_owned(),
    ]
}

/// Errors first, a few, and how to see the rest.
fn problems(problems: &[Problem], look: Look) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let (errors, warnings) = tally(problems);
    let mut text = format!("PROBLEMS  {}, {}\n", count(errors, "error"), count(warnings, "warning"));
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    for problem in sorted.iter().take(SHOWN) {
        for (at, line) in
            wrap(&problem.to_string(), look.width.map(|width| width.saturating_sub(4))).iter().enumerate()
        {
            let line = format!("{}{line}", if at == 0 { "  " } else { "    " });
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    if let Some(more @ 1..) = problems.len().checked_sub(SHOWN) {
        let _ = writeln!(text, "  {more} more: enforcer status -o json");
    }
    text
}

#[cfg(test)]
mod tests;

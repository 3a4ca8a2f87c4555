//! A simulation for people: what would be denied, one block for what has one reason, then the rest in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use enforcer_core::simulate::{NOT_JUDGED, Outcome};

use crate::cli::output::{Look, Tone};
use crate::cli::simulate::Report;
use crate::cli::text::{count, fields};

/// Prose is easier to read in lines that are not longer.
const PROSE: usize = 80;

/// How many destinations or workloads a block names.
const NAMED: usize = 8;

pub(super) fn human(report: &Report, look: Look) -> String {
    let width = Some(look.width.unwrap_or(PROSE).min(PROSE));
    let (mut text, mut rest) = (String::new(), BTreeMap::new());
    for (group, outcomes) in groups(&report.outcomes) {
        let heading = match group.verdict {
            "deny" => format!("{}  {}", look.paint("DENY", Tone::Bad), group.reason),
            NOT_JUDGED => look.paint("NOT JUDGED", Tone::Doubtful),
            _ => {
                add(rest.entry(group.reason).or_insert((0, 0, 0)), &outcomes);
                continue;
            }
        };
        let _ = writeln!(text, "{heading}\n{}", fields(&block(group, &outcomes), 2, width));
    }
    if !rest.is_empty() {
        let line = |(reason, (flows, destinations, denied)): (&str, (u64, usize, u64))| {
            let was = if denied == 0 { String::new() } else { format!("; {denied} denied when recorded") };
            let to = count(destinations, "destination");
            (reason.to_owned(), format!("{} to {to}{was}", flows_of(flows)))
        };
        let lines: Vec<_> = rest.into_iter().map(line).collect();
        let _ = writeln!(text, "{}\n{}", look.paint("ALLOW", Tone::Good), fields(&lines, 2, width));
    }
    text + &summary(report, look)
}

/// What one block is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    rank: u8,
    verdict: &'a str,
    reason: &'a str,
    message: &'a str,
    warnings: &'a [String],
}

fn groups(outcomes: &[Outcome]) -> BTreeMap<Group<'_>, Vec<&Outcome>> {
    let mut groups: BTreeMap<Group, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let (rank, message, warnings) = match outcome.verdict.as_str() {
            "deny" => (0, outcome.message.as_str(), &outcome.warnings[..]),
            NOT_JUDGED => (1, outcome.message.as_str(), &[][..]),
            // Only counted, by their reason.
            _ => (2, "", &[][..]),
        };
        let group = Group { rank, verdict: &outcome.verdict, reason: &outcome.reason, message, warnings };
        groups.entry(group).or_default().push(outcome);
    }
    groups
}

fn block(group: Group<'_>, outcomes: &[&Outcome]) -> Vec<(&'static str, String)> {
    let flows = outcomes.iter().map(|outcome| outcome.count).sum();
    let mut recorded: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for outcome in outcomes {
        *recorded.entry((&outcome.recorded_verdict, &outcome.recorded_reason)).or_default() += outcome.count;
    }
    let recorded = recorded.iter().map(|((verdict, reason), count)| match recorded.len() {
        1 => format!("{verdict} ({reason})"),
        _ => format!("{count} {verdict} ({reason})"),
    });
    let mut lines = vec![
        ("to", some(outcomes.iter().map(|outcome| destination(outcome)).collect())),
        ("from", some(outcomes.iter().map(|outcome| workload(outcome)).collect())),
        ("flows", flows_of(flows)),
        ("recorded", some(recorded.collect())),
        ("why", group.message.to_owned()),
    ];
    lines.extend(group.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines
}

fn add((flows, destinations, denied): &mut (u64, usize, u64), outcomes: &[&Outcome]) {
    *flows += outcomes.iter().map(|outcome| outcome.count).sum::<u64>();
    let places = outcomes.iter().map(|outcome| (&outcome.destination, &outcome.protocol));
    *destinations += places.collect::<BTreeSet<_>>().len();
    let were_denied = outcomes.iter().filter(|outcome| outcome.recorded_verdict == "deny");
    *denied += were_denied.map(|outcome| outcome.count).sum::<u64>();
}

/// `N flows, M would be denied`, and before it what is missing in these numbers.
fn summary(report: &Report, look: Look) -> String {
    let mut text = String::new();
    if report.lost > 0 {
        let _ = writeln!(text, "{} lost when recording", flows_of(report.lost));
    }
    if report.junk > 0 {
        let _ =
            writeln!(text, "{} no flow", count(usize::try_from(report.junk).unwrap_or(usize::MAX), "line"));
    }
    if report.not_judged > 0 {
        let _ = writeln!(text, "{} not judged", flows_of(report.not_judged));
    }
    let tone = match (report.denied, text.is_empty()) {
        (0, true) => Tone::Good,
        (0, false) => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let last = format!("{}, {} would be denied", flows_of(report.flows), report.denied);
    text + &look.paint(&last, tone) + "\n"
}

fn flows_of(flows: u64) -> String {
    count(usize::try_from(flows).unwrap_or(usize::MAX), "flow")
}

/// `203.0.113.9:443/tcp`, with the name behind it when one is known.
fn destination(outcome: &Outcome) -> String {
    let to = &outcome.destination;
    let place = SocketAddr::new(to.ip, to.port);
    let host = to.host.as_ref().map(|host| format!(" [{host}]")).unwrap_or_default();
    let now = if outcome.ip == to.ip { String::new() } else { format!(", now {}", outcome.ip) };
    format!("{place}/{}{host}{now}", outcome.protocol)
}

fn workload(outcome: &Outcome) -> String {
    let workload = outcome.workload.as_ref();
    workload.map_or_else(
        || "no identity".to_owned(),
        |workload| format!("{}/{}", workload.namespace, workload.name),
    )
}

/// The first few, and how many more there are. What a record says must not reach the terminal as more than text.
fn some(all: BTreeSet<String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let named: Vec<String> = all.into_iter().take(NAMED).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (named.join(", ") + &more).chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

#[cfg(test)]
mod tests;

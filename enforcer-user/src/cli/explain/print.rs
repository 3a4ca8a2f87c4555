//! An explanation for people: the verdict first, then who, where, by which object, and why; how it was decided; and what would allow
//! it, ready to be copied.

use std::fmt::Write as _;
use std::net::IpAddr;

use enforcer_core::policy::explain::{
    DestinationAnswer, Explanation, Fix, RangeAnswer, RangePart, RuleAnswer, ServiceAnswer, Step,
};

use crate::cli::output::{Look, Tone};
use crate::cli::text::{Column, fields, or_dash, table, wrap};

/// Prose is easier to read in lines that are not longer.
const PROSE: usize = 80;

pub(super) fn human(explanation: &Explanation, look: Look) -> String {
    let tone = match explanation.verdict.as_str() {
        "deny" => Tone::Bad,
        "mixed" => Tone::Doubtful,
        _ => Tone::Good,
    };
    let verdict = look.paint(&explanation.verdict.to_uppercase(), tone);
    let width = look.width.unwrap_or(PROSE).min(PROSE);
    let mut text =
        format!("{verdict}  {}\n\n{}", explanation.reason, fields(&facts(explanation), 2, Some(width)));
    if let Some(range) = explanation.range.as_ref().filter(|range| range.parts.len() > 1) {
        text.push_str(&parts(range, width));
    }
    if !explanation.steps.is_empty() {
        text.push_str("\nhow it was decided:\n");
        text.push_str(&chain(&explanation.steps, width));
    }
    if let Some(fix) = &explanation.fix {
        text.push_str(&advice(fix, width));
    }
    text
}

fn facts(explanation: &Explanation) -> Vec<(&'static str, String)> {
    let workload = &explanation.workload;
    let name = if workload.name.is_empty() { "(no name)" } else { &workload.name };
    let mut lines = vec![("workload", format!("namespace {}, {name}", workload.namespace))];
    let sidecar = workload.sidecar.as_ref().map(|sidecar| format!(", {sidecar}")).unwrap_or_default();
    lines.push(("policy", format!("{}{sidecar}", workload.outbound_policy)));
    lines.push(("destination", destination(&explanation.destination)));
    lines.extend(explanation.service.as_ref().map(|answer| ("service", service(answer))));
    lines.extend(explanation.rule.as_ref().map(|answer| ("rule", rule(answer))));
    if !explanation.backends.is_empty() {
        lines.push(("backends", explanation.backends.join(", ")));
    }
    lines.push(("why", explanation.message.clone()));
    lines.extend(explanation.warnings.iter().map(|warning| ("warning", warning.clone())));
    lines
}

fn destination(to: &DestinationAnswer) -> String {
    let place = match (&to.host, &to.network, to.ip) {
        (Some(host), _, _) => host.clone(),
        (None, Some(network), _) if network.contains(':') => format!("[{network}]"),
        (None, Some(network), _) => network.clone(),
        (None, None, Some(IpAddr::V6(ip))) => format!("[{ip}]"),
        (None, None, Some(IpAddr::V4(ip))) => ip.to_string(),
        (None, None, None) => "?".to_owned(),
    };
    let judged = match (&to.host, to.ip) {
        (Some(_), Some(ip)) => format!(", judged by its address {ip}"),
        (Some(_), None) => ", which has no known address".to_owned(),
        (None, _) => String::new(),
    };
    let port = if to.port == 0 { String::new() } else { format!(":{}", to.port) };
    format!("{place}{port}/{}{judged}", to.protocol)
}

fn service(answer: &ServiceAnswer) -> String {
    let source = answer.source.strip_prefix("file:").unwrap_or(&answer.source);
    let source = if source.is_empty() { String::new() } else { format!(" at {source}") };
    let host = if answer.host.is_empty() { String::new() } else { format!("{}, ", answer.host) };
    let object = &answer.object;
    if object.namespace.as_str().is_empty() {
        return format!("{host}{} {}{source}", object.kind, object.name);
    }
    format!("{host}{object}{source}")
}

fn rule(answer: &RuleAnswer) -> String {
    let port = if answer.port == 0 { "every port".to_owned() } else { format!("port {}", answer.port) };
    let flows = answer.flows.map(|flows| format!(", {flows} flows")).unwrap_or_default();
    format!("{} of {port}/{} (rule {}{flows})", answer.action, answer.protocol, answer.id)
}

/// Where the answers within a network differ.
fn parts(range: &RangeAnswer, width: usize) -> String {
    let columns = [
        Column::left("FROM"),
        Column::left("TO"),
        Column::left("VERDICT"),
        Column::left("REASON"),
        Column::left("OBJECT").shrinks(12),
    ];
    let row = |part: &RangePart| {
        vec![
            part.first.to_string(),
            part.last.to_string(),
            part.verdict.clone(),
            part.reason.clone(),
            or_dash(part.object.clone().unwrap_or_default()),
        ]
    };
    let rows: Vec<Vec<String>> = range.parts.iter().map(row).collect();
    let mut text = format!("\n{}", table(&columns, &rows, 2, Some(width)));
    if range.more > 0 {
        let _ = writeln!(text, "  and {} more", range.more);
    }
    text
}

/// Numbered sentences.
fn chain(steps: &[Step], width: usize) -> String {
    let numbered = steps.iter().enumerate();
    let lines: Vec<(String, String)> =
        numbered.map(|(at, step)| (format!("{:>2}.", at + 1), step.detail.clone())).collect();
    fields(&lines, 1, Some(width))
}

/// The YAML begins at the margin, so that it can be copied as it is.
fn advice(fix: &Fix, width: usize) -> String {
    let mut text = String::from("\nto allow it:\n");
    for line in wrap(&fix.text, Some(width - 2)) {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(yaml) = &fix.yaml {
        text.push('\n');
        text.push_str(yaml);
    }
    text
}

#[cfg(test)]
mod tests;

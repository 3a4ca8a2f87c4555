//! An explanation for people: the verdict first, then who, where, by which object, and why.

use std::net::IpAddr;

use enforcer_core::policy::explain::{DestinationAnswer, Explanation, RuleAnswer, ServiceAnswer};

use crate::cli::output::{Look, Tone};
use crate::cli::text::fields;

/// Prose is easier to read in lines that are not longer.
const PROSE: usize = 80;

pub(super) fn human(explanation: &Explanation, look: Look) -> String {
    let tone = if explanation.verdict == "deny" { Tone::Bad } else { Tone::Good };
    let verdict = look.paint(&explanation.verdict.to_uppercase(), tone);
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
    let width = look.width.unwrap_or(PROSE).min(PROSE);
    format!("{verdict}  {}\n\n{}", explanation.reason, fields(&lines, 2, Some(width)))
}

fn destination(to: &DestinationAnswer) -> String {
    let place = match (&to.host, to.ip) {
        (Some(host), _) => host.clone(),
        (None, Some(IpAddr::V6(ip))) => format!("[{ip}]"),
        (None, Some(IpAddr::V4(ip))) => ip.to_string(),
        (None, None) => "?".to_owned(),
    };
    let judged = match (&to.host, to.ip) {
        (Some(_), Some(ip)) => format!(", judged by its address {ip}"),
        (Some(_), None) => ", which has no known address".to_owned(),
        (None, _) => String::new(),
    };
    format!("{place}:{}/{}{judged}", to.port, to.protocol)
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

#[cfg(test)]
mod tests;

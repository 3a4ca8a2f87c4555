//! A flow for people: a line, or a few on a narrow terminal.

use std::net::SocketAddr;

use enforcer_core::flow::{Flow, FlowLine, FlowWorkload, Lost};
use jiff::Timestamp;

use crate::cli::output::{Look, Tone};
use crate::cli::text::{count, printable, wrap};

/// Between two parts of a line.
const GAP: usize = 2;

/// The second line of a flow and those after it.
const INDENT: usize = 4;

/// Terminals from this width on get the verdicts in a column.
const WIDE: usize = 70;

/// What a verdict is called, and how wide the widest is.
const WOULD_BE: &str = "would be denied";

pub(super) fn human(line: &FlowLine, look: Look) -> String {
    match line {
        FlowLine::Flow(flow) => lines(&parts(flow, look), look.width),
        FlowLine::Lost { lost } => {
            let inner = look.width.map(|width| width.saturating_sub(INDENT));
            wrap(&self::lost(lost), inner).join(&format!("\n{}", " ".repeat(INDENT))) + "\n"
        }
    }
}

fn lost(lost: &Lost) -> String {
    let time = clock(lost.time);
    let events = count(usize::try_from(lost.events).unwrap_or(usize::MAX), "flow");
    let of =
        lost.workload.as_ref().map(|workload| format!(" of {}", printable(workload))).unwrap_or_default();
    format!("-- {time} {events}{of} not shown ({})", printable(&lost.why))
}

/// A part that is not broken, and what it looks like.
struct Part {
    text: String,
    painted: Option<String>,
}

impl Part {
    fn plain(text: &str) -> Self {
        Self { text: printable(text), painted: None }
    }
}

fn parts(flow: &Flow, look: Look) -> Vec<Part> {
    let workload = flow.workload.as_ref().map(FlowWorkload::full_name);
    let to = SocketAddr::new(flow.destination.ip, flow.destination.port);
    let mut parts = vec![
        Part::plain(&clock(flow.time)),
        verdict(flow, look),
        Part::plain(&workload.unwrap_or_else(|| format!("cgroup {}", flow.cgroup))),
        Part::plain(&format!("{}[{}]", flow.process.name, flow.process.id)),
        Part::plain(&format!("-> {to}/{}", flow.protocol)),
    ];
    parts.extend(flow.destination.host.as_ref().map(|host| Part::plain(&format!("({host})"))));
    parts.push(Part::plain(&flow.reason));
    parts.extend(flow.translated.map(|to| Part::plain(&format!("translated to {to}"))));
    parts
}

fn verdict(flow: &Flow, look: Look) -> Part {
    let (word, tone) = match flow.verdict.as_str() {
        "deny" if flow.is_blocked() => ("DENIED", Tone::Bad),
        "deny" => (WOULD_BE, Tone::Doubtful),
        "allow" => ("allowed", Tone::Good),
        "translate" => ("translated", Tone::Good),
        other => (other, Tone::Doubtful),
    };
    let word = printable(word);
    let least = if look.width.is_none_or(|width| width >= WIDE) { WOULD_BE.len() } else { 0 };
    let room = " ".repeat(least.saturating_sub(word.len()));
    Part { painted: Some(look.paint(&word, tone) + &room), text: word + &room }
}

/// `12:03:04.567`, UTC.
fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S%.3f").to_string()
}

/// The parts side by side, in as many lines as `width` asks for.
fn lines(parts: &[Part], width: Option<usize>) -> String {
    let mut text = String::new();
    let mut column = 0;
    for part in parts {
        let (size, full) = (part.text.chars().count(), width.unwrap_or(usize::MAX));
        if column > 0 && column + GAP + size > full {
            text.truncate(text.trim_end().len());
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else if column > 0 {
            text.push_str(&" ".repeat(GAP));
            column += GAP;
        }
        text.push_str(part.painted.as_ref().unwrap_or(&part.text));
        column += size;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;

//! Files of recorded flows, as `enforcer observe -o json` writes them: one JSON object in a line.
//!
//! A line that is no flow is told with its number and goes by; whether the answer counts all the same is the caller's to
//! say. A file is read line by line, and what it takes in memory is what differs in it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};

use anyhow::{Context as _, bail};
use enforcer_core::flow::Flow;
use enforcer_core::simulate::Recording;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::args::JunkArgs;
use crate::cli::output::note;
use crate::cli::progress;
use crate::cli::text::count;

/// The longest line: a flow with more labels than Kubernetes lets an object have.
const LINE_BYTES: u64 = 1 << 20;

/// How many lines that are no flow are told.
const TOLD: usize = 10;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) recording: Recording,
    /// Flows that the recorder had lost.
    pub(super) lost: u64,
    /// Lines that are no flow.
    pub(super) junk: u64,
    /// The first of them, with what is wrong.
    told: Vec<String>,
}

/// What `observe` writes when it had to leave flows out.
#[derive(Deserialize)]
struct Lost {
    lost: Value,
}

/// Reads the file at `path`; `-` is standard input.
pub(super) fn read(path: &str) -> anyhow::Result<Recorded> {
    let recorded = progress::during("reading the flows", || {
        if path == "-" {
            return lines(io::stdin().lock());
        }
        let file = File::open(path).with_context(|| format!("opening the flows at {path}"))?;
        lines(BufReader::new(file))
    });
    let name = if path == "-" { "standard input" } else { path };
    let recorded = recorded.with_context(|| format!("reading the flows at {name}"))?;
    recorded.tell(name);
    if recorded.recording.flows() == 0 {
        bail!("there is no flow at {name}; record some with `enforcer observe -o json`");
    }
    Ok(recorded)
}

impl Recorded {
    /// Tells of what is not a flow, and of what is not there.
    fn tell(&self, name: &str) {
        for line in &self.told {
            note(&format!("{name}:{line}"));
        }
        let more = self.junk.saturating_sub(self.told.len() as u64);
        if more > 0 {
            note(&format!("{name}: and {more} more lines that are no flow"));
        }
    }

    /// The end of a command whose file has lines that are no flow: an answer over half a file must not pass for one.
    pub(super) fn check(&self, args: &JunkArgs) -> anyhow::Result<()> {
        if self.junk == 0 || args.skip_junk {
            return Ok(());
        }
        let lines = count(usize::try_from(self.junk).unwrap_or(usize::MAX), "line");
        bail!("{lines} of the file could not be read as a flow; correct the file, or give --skip-junk")
    }

    fn take(&mut self, number: u64, line: &[u8]) -> anyhow::Result<()> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        // Serde would take an array for the fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            self.junk(number, "not a JSON object");
            return Ok(());
        }
        match serde_json::from_slice::<Flow>(line) {
            Ok(flow) => self.recording.add(&flow)?,
            Err(error) => match serde_json::from_slice::<Lost>(line) {
                Ok(Lost { lost }) => self.lost += how_many(&lost),
                Err(_) => self.junk(number, &plain(&error)),
            },
        }
        Ok(())
    }

    fn junk(&mut self, number: u64, what: &str) {
        self.junk += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{number}: no flow: {what}"));
        }
    }
}

/// Its `events`. A line without a number says that something is missing, all the same.
fn how_many(lost: &Value) -> u64 {
    lost.get("events").and_then(Value::as_u64).unwrap_or(1)
}

/// The error without the place in a text of one line, but with the column.
fn plain(error: &serde_json::Error) -> String {
    let column = error.column();
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default().to_owned();
    if column == 0 { text } else { format!("{text} (column {column})") }
}

/// Every line of `reader`, at most [`LINE_BYTES`] of it at once.
fn lines(mut reader: impl BufRead) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 == LINE_BYTES && line.last() != Some(&b'\n') {
            recorded.junk(number, &format!("longer than {LINE_BYTES} bytes"));
            reader.skip_until(b'\n')?;
            continue;
        }
        recorded.take(number, &line)?;
    }
    Ok(recorded)
}

#[cfg(test)]
pub(super) mod tests;

//! Holding somebody's judgement of frames against the reference's.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use super::{Generator, describe, hex};
use crate::reference::{History, Model, judge};

/// How many disagreements of each kind are kept.
const SHOWN: usize = 10;

/// What came out of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Frames that both have judged.
    pub tried: usize,
    /// Frames that could not be run.
    pub not_runnable: usize,
    /// How many frames passed that should not.
    pub admitted: usize,
    /// How many frames did not pass that should.
    pub denied: usize,
    /// The first of those that passed.
    pub admitted_though_denied: Vec<Disagreement>,
    /// The first of those that did not.
    pub denied_though_admitted: Vec<Disagreement>,
    /// How many frames the reference decided for each of its reasons.
    pub by_reason: BTreeMap<&'static str, usize>,
}

/// A frame that two judge differently.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// Which frame of the seed's it was, from 0.
    pub number: usize,
    /// The reference's reason.
    pub reason: &'static str,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Judges `count` generated frames and has `run` do the same: whether it lets a frame pass, or `None` where a frame cannot
/// be run, which the reference then does not see either.
pub fn compare(
    model: &Model,
    seed: u64,
    count: usize,
    run: &mut dyn FnMut(&[u8]) -> Option<bool>,
) -> Comparison {
    let mut generator = Generator::new(model, seed);
    let mut history = History::default();
    let mut comparison = Comparison::default();
    let beginning = Instant::now();
    for number in 0..count {
        let frame = generator.next_frame();
        let Some(passed) = run(&frame) else {
            comparison.not_runnable += 1;
            continue;
        };
        history.set_time(beginning.elapsed());
        let ruling = judge(model, &mut history, &frame);
        comparison.tried += 1;
        *comparison.by_reason.entry(ruling.reason).or_default() += 1;
        let disagreement = Disagreement { number, reason: ruling.reason, frame };
        match (passed, ruling.allowed) {
            (true, false) => {
                comparison.admitted += 1;
                keep(&mut comparison.admitted_though_denied, disagreement);
            }
            (false, true) => {
                comparison.denied += 1;
                keep(&mut comparison.denied_though_admitted, disagreement);
            }
            (true, true) | (false, false) => {}
        }
    }
    comparison
}

fn keep(list: &mut Vec<Disagreement>, disagreement: Disagreement) {
    if list.len() < SHOWN {
        list.push(disagreement);
    }
}

impl Comparison {
    /// Whether both judged every frame alike.
    pub fn agrees(&self) -> bool {
        self.admitted == 0 && self.denied == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, not_runnable, admitted, denied, .. } = self;
        writeln!(
            f,
            "{tried} frames, {not_runnable} more not runnable, {admitted} admitted though denied, {denied} denied though admitted"
        )?;
        for (reason, count) in &self.by_reason {
            writeln!(f, "  {count:>8} {reason}")?;
        }
        for (what, list) in [
            ("admitted though denied", &self.admitted_though_denied),
            ("denied though admitted", &self.denied_though_admitted),
        ] {
            for Disagreement { number, reason, frame } in list {
                writeln!(f, "{what}, {reason}, frame {number}: {}", describe(frame))?;
                writeln!(f, "  {}", hex(frame))?;
            }
        }
        Ok(())
    }
}

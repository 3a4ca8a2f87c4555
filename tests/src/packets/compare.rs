//! Holding somebody's judgement of frames against the reference's.

mod both_ways;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

pub use both_ways::BothWays;

use super::{Generator, Passing, describe, hex};
use crate::reference::{History, Model, Ruling, judge};

/// How many disagreements of each kind are kept.
const SHOWN: usize = 10;
/// Whole seconds are counted: who may pass for 30 may be stopped so much earlier.
const EARLY: Duration = Duration::from_secs(1);
/// ... and who answers a datagram that came in, whose time is written anew from time to time only.
const EARLY_ANSWER: Duration = Duration::from_secs(9);

/// What came out of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Frames that both have judged.
    pub tried: usize,
    /// Frames that could not be run.
    pub not_runnable: usize,
    /// Frames that came in.
    pub arrived: usize,
    /// How many of those did not pass: each of them should.
    pub held: usize,
    /// How many frames passed that should not.
    pub admitted: usize,
    /// How many frames did not pass that should.
    pub denied: usize,
    /// How many frames did not pass that should, but for a moment only.
    pub at_the_end: usize,
    /// The first of those that passed.
    pub admitted_though_denied: Vec<Disagreement>,
    /// The first of those that did not.
    pub denied_though_admitted: Vec<Disagreement>,
    /// How many frames the reference decided for each of its reasons.
    pub by_reason: BTreeMap<&'static str, usize>,
    /// How many of those it allows only because of what was before, where both directions are compared.
    pub answers: BTreeMap<&'static str, usize>,
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
    /// What has passed to and from there before it, where both directions are compared.
    pub before: Vec<Passing>,
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
        let now = beginning.elapsed();
        history.set_time(now);
        let ruling = judge(model, &mut history, &frame);
        comparison.count(ruling);
        if !passed && ruling.allowed && ends(model, &mut history, &frame, ruling, now) {
            comparison.at_the_end += 1;
            continue;
        }
        let before = Vec::new();
        comparison.note(passed, ruling, || Disagreement { number, reason: ruling.reason, frame, before });
    }
    comparison
}

/// Whether the reference would deny it a moment later, and for no other reason than time.
fn ends(model: &Model, history: &mut History, frame: &[u8], ruling: Ruling, now: Duration) -> bool {
    let early = if ruling.reason == "inbound" { EARLY_ANSWER } else { EARLY };
    let mut allowed_at = |time| {
        history.set_time(time);
        judge(model, history, frame).allowed
    };
    allowed_at(now) && !allowed_at(now + early)
}

fn keep(list: &mut Vec<Disagreement>, disagreement: impl FnOnce() -> Disagreement) {
    if list.len() < SHOWN {
        list.push(disagreement());
    }
}

impl Comparison {
    /// Whether both judged every frame alike.
    pub fn agrees(&self) -> bool {
        self.admitted == 0 && self.denied == 0 && self.held == 0
    }

    fn count(&mut self, ruling: Ruling) {
        self.tried += 1;
        *self.by_reason.entry(ruling.reason).or_default() += 1;
    }

    fn note(&mut self, passed: bool, ruling: Ruling, disagreement: impl FnOnce() -> Disagreement) {
        match (passed, ruling.allowed) {
            (true, false) => {
                self.admitted += 1;
                keep(&mut self.admitted_though_denied, disagreement);
            }
            (false, true) => {
                self.denied += 1;
                keep(&mut self.denied_though_admitted, disagreement);
            }
            (true, true) | (false, false) => {}
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, not_runnable, arrived, held, admitted, denied, at_the_end, .. } = self;
        writeln!(
            f,
            "{tried} frames, {not_runnable} more not runnable, {arrived} came in ({held} were held), \
             {admitted} admitted though denied, {denied} denied though admitted, \
             {at_the_end} a moment before their time"
        )?;
        for (reason, count) in &self.by_reason {
            let answers =
                self.answers.get(reason).map(|count| format!(", {count} of them for what was before"));
            writeln!(f, "  {count:>8} {reason}{}", answers.unwrap_or_default())?;
        }
        for (what, list) in [
            ("admitted though denied", &self.admitted_though_denied),
            ("denied though admitted", &self.denied_though_admitted),
        ] {
            for Disagreement { number, reason, frame, before } in list {
                for passing in before {
                    let way = if matches!(passing, Passing::Arrives(_)) { "came" } else { "left" };
                    writeln!(f, "    {way} {}", describe(passing.frame()))?;
                }
                writeln!(f, "{what}, {reason}, frame {number}: {}", describe(frame))?;
                writeln!(f, "  {}", hex(frame))?;
            }
        }
        Ok(())
    }
}

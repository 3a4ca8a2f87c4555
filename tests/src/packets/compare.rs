//! Holding somebody's judgement of frames against the reference's.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use super::{Conversations, Generator, Passing, describe, hex};
use crate::reference::{History, Model, Ruling, arrive, judge};

/// How many disagreements of each kind are kept.
const SHOWN: usize = 10;
/// Whole seconds are counted: who may pass for 30 may be stopped so much earlier.
const EARLY: Duration = Duration::from_secs(1);
/// ... and who answers a datagram that came in, whose time is written anew from time to time only.
const EARLY_ANSWER: Duration = Duration::from_secs(9);
/// Among how many frames before each those are looked for that belong to it.
const BEFORE: usize = 10_000;

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

/// The same of frames in both directions. What leaves does so twice, for a second packet like the first has an answer of its
/// own: after a RST it may be another.
pub fn compare_both_ways(
    model: &Model,
    seed: u64,
    count: usize,
    run: &mut dyn FnMut(&Passing) -> Option<bool>,
) -> Comparison {
    let mut conversations = Conversations::new(model, seed);
    let (mut history, mut before) = (History::default(), VecDeque::new());
    let mut comparison = Comparison::default();
    let beginning = Instant::now();
    for number in 0..count {
        let passing = conversations.next_passing();
        let times = if matches!(passing, Passing::Leaves(_)) { 2 } else { 1 };
        for time in 0..times {
            let Some(passed) = run(&passing) else {
                comparison.not_runnable += 1;
                break;
            };
            let now = beginning.elapsed();
            history.set_time(now);
            let Passing::Leaves(frame) = &passing else {
                arrive(model, &mut history, passing.frame());
                comparison.arrived += 1;
                comparison.held += usize::from(!passed);
                continue;
            };
            let ruling = judge(model, &mut history, frame);
            if time == 0 {
                comparison.count(ruling);
                let alone = judge(model, &mut History::default(), frame);
                *comparison.answers.entry(ruling.reason).or_default() +=
                    usize::from(ruling.allowed && !alone.allowed);
            }
            if !passed && ruling.allowed && ends(model, &mut history, frame, ruling, now) {
                comparison.at_the_end += 1;
                continue;
            }
            comparison.note(passed, ruling, || Disagreement {
                number,
                reason: ruling.reason,
                frame: frame.clone(),
                before: of_the_same(&before, frame),
            });
        }
        before.push_back(passing);
        if before.len() > BEFORE {
            before.pop_front();
        }
    }
    comparison
}

/// Whether the reference would deny it a moment later.
fn ends(model: &Model, history: &mut History, frame: &[u8], ruling: Ruling, now: Duration) -> bool {
    history.set_time(now + if ruling.reason == "inbound" { EARLY_ANSWER } else { EARLY });
    !judge(model, history, frame).allowed
}

/// Those among them that have the address where this one goes.
fn of_the_same(before: &VecDeque<Passing>, frame: &[u8]) -> Vec<Passing> {
    let address = match frame.get(12..14) {
        Some([0x08, 0]) => frame.get(30..34),
        Some([0x86, 0xdd]) => frame.get(38..54),
        _ => None,
    };
    let Some(address) = address else { return Vec::new() };
    let has = |passing: &&Passing| passing.frame().windows(address.len()).any(|bytes| bytes == address);
    before.iter().filter(has).cloned().collect()
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
            let answers = self.answers.get(reason).copied().unwrap_or_default();
            writeln!(f, "  {count:>8} {reason}, {answers} of them for what was before")?;
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

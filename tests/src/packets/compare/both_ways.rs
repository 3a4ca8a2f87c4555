//! Frames in both directions, and what each leaves behind.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Comparison, Disagreement, ends};
use crate::packets::{Conversations, Passing};
use crate::reference::{History, Model, arrive, judge};

/// Among how many frames before a disagreement those are looked for that belong to it.
const BEFORE: usize = 10_000;

/// A comparison that goes on, also when the model changes.
#[derive(Debug)]
pub struct BothWays {
    conversations: Conversations,
    beginning: Instant,
    history: History,
    number: usize,
    before: VecDeque<Passing>,
    comparison: Comparison,
}

impl BothWays {
    /// Conversations as of this model, whatever is true later.
    pub fn new(model: &Model, seed: u64) -> Self {
        Self {
            conversations: Conversations::new(model, seed),
            beginning: Instant::now(),
            history: History::default(),
            number: 0,
            before: VecDeque::new(),
            comparison: Comparison::default(),
        }
    }

    /// What has come out so far.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Judges the next `count` frames by this model and has `run` do the same: whether it lets a frame pass, or `None` where a frame
    /// cannot be run, which the reference then does not see either.
    ///
    /// What leaves does so twice, for a second packet like the first has an answer of its own: after a RST it may be another.
    pub fn go_on(&mut self, model: &Model, count: usize, run: &mut dyn FnMut(&Passing) -> Option<bool>) {
        for _ in 0..count {
            let passing = self.conversations.next_passing();
            let is_runnable = match &passing {
                Passing::Arrives(frame) => run(&passing).map(|passed| self.arrives(model, frame, passed)),
                Passing::Leaves(frame) => run(&passing).and_then(|passed| {
                    self.leaves(model, frame, passed, true);
                    run(&passing).map(|passed| self.leaves(model, frame, passed, false))
                }),
            };
            self.comparison.not_runnable += usize::from(is_runnable.is_none());
            self.number += 1;
            self.before.push_back(passing);
            if self.before.len() > BEFORE {
                self.before.pop_front();
            }
        }
    }

    fn arrives(&mut self, model: &Model, frame: &[u8], passed: bool) {
        self.history.set_time(self.beginning.elapsed());
        arrive(model, &mut self.history, frame);
        self.comparison.arrived += 1;
        self.comparison.held += usize::from(!passed);
    }

    fn leaves(&mut self, model: &Model, frame: &[u8], passed: bool, is_first: bool) {
        let (now, comparison) = (self.beginning.elapsed(), &mut self.comparison);
        self.history.set_time(now);
        let ruling = judge(model, &mut self.history, frame);
        if is_first {
            comparison.count(ruling);
            let alone = judge(model, &mut History::default(), frame);
            let answers = comparison.answers.entry(ruling.reason).or_default();
            *answers += usize::from(ruling.allowed && !alone.allowed);
        }
        if !passed && ruling.allowed && ends(model, &mut self.history, frame, ruling, now) {
            comparison.at_the_end += 1;
            return;
        }
        let (number, before) = (self.number, &self.before);
        comparison.note(passed, ruling, || Disagreement {
            number,
            reason: ruling.reason,
            frame: frame.to_vec(),
            before: of_the_same(before, frame),
        });
    }
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

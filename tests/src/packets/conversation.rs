//! Frames in both directions: conversations that others begin with a workload, several at a time.

use std::collections::VecDeque;

use super::address::Places;
use super::dice::Dice;
use super::{disguise, exchange, kinds, mutate};
use crate::reference::Model;

/// So many conversations are under way at a time.
const AT_A_TIME: usize = 3;

/// A frame, and which way it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passing {
    /// To the workload.
    Arrives(Vec<u8>),
    /// From the workload.
    Leaves(Vec<u8>),
}

impl Passing {
    /// The frame.
    pub fn frame(&self) -> &[u8] {
        match self {
            Self::Arrives(frame) | Self::Leaves(frame) => frame,
        }
    }

    fn frame_mut(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Arrives(frame) | Self::Leaves(frame) => frame,
        }
    }
}

/// Frames in both directions without end.
#[derive(Clone, Debug)]
pub struct Conversations {
    dice: Dice,
    places: Places,
    /// How many conversations have begun.
    begun: usize,
    waiting: [VecDeque<Passing>; AT_A_TIME],
}

impl Conversations {
    /// Conversations with a workload for which this model is true.
    pub fn new(model: &Model, seed: u64) -> Self {
        Self { dice: Dice::new(seed), places: Places::of(model), begun: 0, waiting: Default::default() }
    }

    /// The next frame of one of them.
    pub fn next_passing(&mut self) -> Passing {
        let which = self.dice.below(AT_A_TIME);
        loop {
            if let Some(next) = self.waiting[which].pop_front() {
                return next;
            }
            self.waiting[which] = self.story().into();
        }
    }

    fn story(&mut self) -> Vec<Passing> {
        self.begun += 1;
        let (dice, places) = (&mut self.dice, &self.places);
        let mut story =
            if dice.one_in(6) { any(dice, places) } else { exchange::story(dice, places, self.begun) };
        for passing in &mut story {
            let frame = passing.frame_mut();
            if dice.one_in(4) {
                *frame = disguise(dice, frame);
            }
            if dice.one_in(12) {
                mutate::mutate(dice, places, frame);
            }
        }
        story
    }
}

/// A frame of those that nobody has to have asked for, whichever way it goes.
fn any(dice: &mut Dice, places: &Places) -> Vec<Passing> {
    let frames = kinds::frames(dice, places);
    let arrives = dice.one_in(3);
    frames.into_iter().map(if arrives { Passing::Arrives } else { Passing::Leaves }).collect()
}

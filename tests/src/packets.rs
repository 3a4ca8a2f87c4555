//! Generated frames: well-formed packets of every kind that `docs/packets.md` speaks of, nearly right ones, and noise.
//!
//! A [`Generator`] of the same seed makes the same frames, [`Conversations`] the same in both directions. [`compare`] and
//! [`BothWays`] hold whoever judges frames against [`crate::reference`].

mod address;
mod compare;
mod conversation;
mod describe;
mod dice;
mod exchange;
mod ip;
mod kinds;
mod model;
mod mutate;
mod pieces;
mod quote;
mod sequence;
mod wire;

use std::collections::VecDeque;

pub use compare::{BothWays, Comparison, Disagreement, compare};
pub use conversation::{Conversations, Passing};
pub use describe::{describe, hex};
pub use model::{allow_flags, model, registry_yaml};
pub use wire::{is_too_short, number_of, numbered, tags};

use crate::reference::Model;
use crate::reference::frames::tagged;
use address::Places;
use dice::Dice;

/// Every reason that is possible where nothing comes in.
pub const REASONS: [&str; 16] = [
    "exempt",
    "extension_headers",
    "fragment",
    "fragment_of_allowed",
    "icmp_type",
    "link_control",
    "malformed",
    "martian",
    "no_flow",
    "not_ip",
    "not_registered",
    "protocol",
    "registered",
    "related",
    "source_route",
    "spoofed_source",
];

/// ... and where something does.
pub fn reasons_of_both_ways() -> Vec<&'static str> {
    let mut reasons: Vec<_> = REASONS.into_iter().chain(["inbound"]).collect();
    reasons.sort_unstable();
    reasons
}

/// Frames without end.
#[derive(Clone, Debug)]
pub struct Generator {
    dice: Dice,
    places: Places,
    /// What was begun and is not yet sent: later fragments.
    waiting: VecDeque<Vec<u8>>,
}

impl Generator {
    /// Frames of a workload for which this model is true.
    pub fn new(model: &Model, seed: u64) -> Self {
        Self { dice: Dice::new(seed), places: Places::of(model), waiting: VecDeque::new() }
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> Vec<u8> {
        if !self.waiting.is_empty() && !self.dice.one_in(3) {
            return self.waiting.pop_front().unwrap_or_default();
        }
        let mut made = kinds::frames(&mut self.dice, &self.places);
        for frame in &mut made {
            *frame = disguise(&mut self.dice, frame);
            if self.dice.one_in(4) {
                mutate::mutate(&mut self.dice, &self.places, frame);
            }
        }
        self.waiting.extend(made);
        self.waiting.pop_front().unwrap_or_default()
    }
}

/// Puts tags before it and padding behind it, sometimes.
fn disguise(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if dice.one_in(10) && frame.len() >= 14 {
        let tags = dice.below(4);
        let tags: Vec<u16> = (0..tags).map(|_| dice.pick(&[0x8100, 0x88a8])).collect();
        let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
        frame = tagged(&tags, ethertype, &frame[14..]);
    }
    if dice.one_in(8) {
        let padding = dice.pick(&[1, 2, 4, 18, 32, 33, 46]);
        frame.extend(dice.bytes(padding));
    }
    frame
}

#[cfg(test)]
mod tests;

//! What an instrument is: its name, what it means, and how it is read.

use std::fmt;

use crate::metrics::Scrape;

/// What every name begins with.
const PREFIX: &str = "enforcer";

/// What a scraper does with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Only grows, until the agent or (what the programs count) the maps start anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by size.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// Base units only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Bytes,
}

impl Unit {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

/// One number.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    /// Of a histogram: the sum, and each bucket's bound with its own count.
    Spread(f64, Vec<(f64, u64)>),
}

/// A value and the labels' values, in the order of the instrument's labels.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

/// A sample without labels.
pub(super) fn whole(value: u64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Whole(value) }]
}

/// A sample without labels.
pub(super) fn real(value: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Real(value) }]
}

/// How many there are of something in memory.
pub(super) fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How an instrument is read off a scrape.
type Read = fn(&Scrape) -> Vec<Sample>;

/// One instrument. Made by [`counter`], [`gauge`] and [`histogram`] only.
pub(super) struct Instrument {
    /// The name between `enforcer_` and the unit.
    stem: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    pub(super) labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub(super) help: &'static str,
    pub(super) read: Read,
}

const fn instrument(kind: Kind, stem: &'static str, help: &'static str, read: Read) -> Instrument {
    Instrument { stem, kind, unit: None, labels: &[], help, read }
}

pub(super) const fn counter(stem: &'static str, help: &'static str, read: Read) -> Instrument {
    instrument(Kind::Counter, stem, help, read)
}

pub(super) const fn gauge(stem: &'static str, help: &'static str, read: Read) -> Instrument {
    instrument(Kind::Gauge, stem, help, read)
}

pub(super) const fn histogram(stem: &'static str, help: &'static str, read: Read) -> Instrument {
    instrument(Kind::Histogram, stem, help, read)
}

impl Instrument {
    pub(super) const fn in_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// Labels are small enums, but for the sources, of which there are as many as were typed.
    pub(super) const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// The name as the encoder takes it, which adds unit and `_total`.
    pub(super) fn base(&self) -> String {
        format!("{PREFIX}_{}", self.stem)
    }

    /// The name of the family: without `_total`.
    pub(super) fn family(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        self.base() + &unit
    }

    /// The name as it is asked for.
    pub(super) fn name(&self) -> String {
        self.family() + if self.kind == Kind::Counter { "_total" } else { "" }
    }
}

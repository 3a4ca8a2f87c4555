//! How much fits, and how much is told.

use enforcer_common::limits::HEADROOM;
use enforcer_common::names::map;
use enforcer_core::policy::budget::Limits;

use crate::config::resolve::{Faults, Wrong, either, wrong};

/// The maps whose entries grow with registry and node, and the flows of each workload.
const MAPS: [&str; 8] = [
    map::WORKLOADS,
    map::EXACT,
    map::PREFIXES,
    map::CLASS_RULES,
    map::ANY_RULES,
    map::BACKENDS,
    map::RULE_HITS,
    map::FLOWS,
];

/// The most entries that can be asked for: the map has [`HEADROOM`] times as many, and the kernel counts in 32 bits.
const MOST: u32 = u32::MAX / HEADROOM;

/// How many flows of each workload can be asked for: every workload has a table of its own, whose memory is taken when the
/// workload comes.
const MOST_FLOWS: u32 = 1 << 20;
/// Fewer than these would forget flows that are in use.
const LEAST_FLOWS: u32 = 256;

/// The most events per second that can be asked for: one a microsecond.
const MOST_EVENTS: u64 = 1_000_000;

pub(super) fn limits(values: &[String], faults: &mut Faults) -> Limits {
    let mut limits = Limits::default();
    let mut set: Vec<&str> = Vec::new();
    for (at, (map, entries)) in faults.take_each("--map-entries", values, entries) {
        if set.contains(&map) {
            let twice = wrong("the map is there twice", "keep one");
            faults.add("--map-entries", Some(at), &format!("{map}={entries}"), twice);
        }
        set.push(map);
        let limit = match map {
            map::WORKLOADS => &mut limits.workloads,
            map::EXACT => &mut limits.exact,
            map::PREFIXES => &mut limits.prefixes,
            map::CLASS_RULES => &mut limits.class_rules,
            map::ANY_RULES => &mut limits.any_rules,
            map::BACKENDS => &mut limits.backends,
            map::RULE_HITS => &mut limits.rules,
            _ => &mut limits.flows,
        };
        *limit = entries;
    }
    limits
}

/// `EXACT=1000000`.
fn entries(text: &str) -> Result<(&'static str, usize), Wrong> {
    let (name, number) =
        text.split_once('=').ok_or_else(|| wrong("no number", "write MAP=N, as in EXACT=1000000"))?;
    let Some(map) = MAPS.into_iter().find(|map| map.eq_ignore_ascii_case(name)) else {
        return Err(wrong(format!("no map is called {name:?}"), format!("use {}", either(&MAPS))));
    };
    let (least, most) = if map == map::FLOWS { (LEAST_FLOWS, MOST_FLOWS) } else { (1, MOST) };
    match number.replace('_', "").parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok((map, number as usize)),
        _ => Err(wrong(
            format!("{number:?} is no number of entries"),
            format!("use a number from {least} to {most}"),
        )),
    }
}

pub(super) fn event_rate(text: &str) -> Result<u64, Wrong> {
    match text.parse() {
        Ok(rate @ 1..=MOST_EVENTS) => Ok(rate),
        _ => Err(wrong("not a rate", format!("use a number of events per second from 1 to {MOST_EVENTS}"))),
    }
}

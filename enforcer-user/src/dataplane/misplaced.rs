//! Programs of interfaces that are not where they belong any more: found, and put right.

use anyhow::Result;

use crate::dataplane::interface::{self, Order, Target};
use crate::dataplane::load::Programs;
use crate::dataplane::pin::Pins;
use crate::dataplane::probe::attached::program_names;

/// An interface where ours did not come first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misplaced {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// How ours was found.
    pub trouble: Trouble,
    /// Why it is so still.
    pub fault: Option<String>,
}

/// What can happen to ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Others come before it: their ids and names.
    Behind(Vec<(u32, String)>),
    /// It has gone.
    Missing,
    /// It cannot be told.
    Unknown,
}

/// Looks at one interface; `between` as in [`interface::attach`]. An interface that is there no more lacks nothing.
pub(super) fn put_right(
    pins: &Pins,
    target: &Target,
    programs: &mut Programs,
    between: &mut dyn FnMut() -> Result<()>,
) -> Option<Misplaced> {
    let (trouble, done) = match interface::order(pins, target) {
        Ok(Order::First) => return None,
        _ if interface::is_gone(target.index) => return None,
        Ok(Order::Behind(ids)) => {
            (Trouble::Behind(named(ids)), interface::restore_order(pins, target, programs))
        }
        Ok(Order::Missing) => (Trouble::Missing, interface::attach(pins, target, programs, between)),
        Err(error) => (Trouble::Unknown, Err(error)),
    };
    let fault = done.err().map(|error| format!("{error:#}"));
    if fault.is_some() && interface::is_gone(target.index) {
        return None;
    }
    Some(Misplaced { index: target.index, name: target.name.clone(), trouble, fault })
}

/// What the programs are called, each once; an empty name for one that has gone.
fn named(mut ids: Vec<u32>) -> Vec<(u32, String)> {
    ids.sort_unstable();
    ids.dedup();
    let names = program_names().unwrap_or_default();
    ids.into_iter().map(|id| (id, names.get(&id).cloned().unwrap_or_default())).collect()
}

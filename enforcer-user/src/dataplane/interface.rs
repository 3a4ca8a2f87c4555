//! Programs on network interfaces: pinned, replaced in place, before all others.
//!
//! By links where the kernel has them for interfaces (`tcx`), else by filters (`clsact`).
//! The interfaces are those of the network namespace that the calling thread is in.

mod clsact;
mod order;
mod presence;
mod tcx;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use enforcer_common::names::{Direction, INTERFACE_PROGRAMS, InterfaceProgram, Side};

use crate::dataplane::load::Programs;
use crate::dataplane::pin::{Pins, directories, entries};
use crate::dataplane::sys::{self, PinnedObject};

pub use order::{Order, order, restore_order};
pub use presence::is_gone;

/// An interface that gets programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Which programs it gets.
    pub side: Side,
}

/// Attaches to an interface what belongs there, or replaces in place what an earlier agent has attached.
///
/// `between` is called after the program that records what a workload receives is there and before the one that judges what it
/// sends, unless that was there before: what was allowed until now must be recorded before it is judged. When it fails, the
/// interface has no judge.
pub fn attach(
    pins: &Pins,
    target: &Target,
    programs: &mut Programs,
    between: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let directory = pins.interface(target.index);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    for program in of_side(target.side) {
        let pin = directory.join(program.name);
        let failed = || format!("cannot attach {} to the interface {}", program.name, target.name);
        let was_there = match programs.mechanism {
            Mechanism::Tcx => tcx::living(&pin, target.index, program).map(|link| link.is_some()),
            Mechanism::Clsact => clsact::is_attached(&pin, target.index, program.direction),
        };
        if !was_there.with_context(failed)? && program.direction == Direction::Ingress {
            between()?;
        }
        match programs.mechanism {
            Mechanism::Tcx => {
                let loaded = programs.interface(program)?;
                tcx::attach(&pin, target.index, program, loaded).with_context(failed)?;
            }
            Mechanism::Clsact => {
                clsact::attach(&pin, target.index, program, programs).with_context(failed)?;
            }
        }
    }
    Ok(())
}

/// What keeps a program on an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// Links, from kernel 6.6.
    Tcx,
    /// Filters of traffic control.
    Clsact,
}

impl Mechanism {
    /// Asks the kernel which it has.
    pub(super) fn of_kernel() -> Result<Self> {
        let knows_tcx = tcx::is_known().context("cannot tell whether the kernel has TCX links")?;
        Ok(if knows_tcx { Self::Tcx } else { Self::Clsact })
    }
}

/// Takes the programs off all interfaces but these. Returns the numbers of those that had some.
pub fn detach_others(pins: &Pins, keep: &[u32]) -> Result<Vec<u32>> {
    let mut others = Vec::new();
    for directory in directories(&pins.all_interfaces())? {
        let index = index(&directory);
        if index.is_some_and(|index| keep.contains(&index)) {
            continue;
        }
        take_off(&directory)?;
        match fs::remove_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.with_context(|| format!("cannot remove {}", directory.display()))?,
        }
        others.extend(index);
    }
    Ok(others)
}

/// Takes off what is pinned for the interface of this directory. Returns the pins that are gone.
pub(super) fn take_off(directory: &Path) -> Result<Vec<PathBuf>> {
    let pins = entries(directory)?;
    for pin in &pins {
        match take_off_one(pin, index(directory)).and_then(|()| fs::remove_file(pin)) {
            // An agent and `enforcer detach` may do so at the same time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            taken => taken.with_context(|| format!("cannot take off {}", pin.display()))?,
        }
    }
    Ok(pins)
}

fn take_off_one(pin: &Path, index: Option<u32>) -> io::Result<()> {
    let object = sys::get(pin)?;
    match (sys::identify(object.as_fd())?, index) {
        (PinnedObject::Link(_), _) => sys::link_detach(object.as_fd()),
        (PinnedObject::Program(id), Some(index)) => clsact::take_off(id, index),
        (PinnedObject::Program(_), None) | (PinnedObject::Other, _) => Ok(()),
    }
}

/// The programs of this build that are missing where some of a side are.
pub(super) fn missing(names: &[String]) -> Vec<&'static str> {
    let is_there = |program: &InterfaceProgram| names.iter().any(|name| name == program.name);
    let sides = [Side::Workload, Side::Uplink].into_iter().filter(|side| of_side(*side).any(is_there));
    sides.flat_map(of_side).filter(|program| !is_there(program)).map(|program| program.name).collect()
}

/// The programs of a side, in the order in which they are attached.
fn of_side(side: Side) -> impl Iterator<Item = &'static InterfaceProgram> {
    INTERFACE_PROGRAMS.iter().filter(move |program| program.side == side)
}

/// The interface that a directory is named after.
fn index(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.parse().ok()
}

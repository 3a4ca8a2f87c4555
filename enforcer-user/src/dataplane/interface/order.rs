//! Whether our programs are the first on an interface, and making them so again.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};

use super::{Target, clsact, of_side, tcx};
use crate::dataplane::load::Programs;
use crate::dataplane::pin::Pins;
use crate::dataplane::sys;

/// Where our programs are among those of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Before all others; or there by filters, of which only the presence is known.
    First,
    /// Behind these, by their ids.
    Behind(Vec<u32>),
    /// At least one is not there.
    Missing,
}

/// Where ours are on an interface.
pub fn order(pins: &Pins, target: &Target) -> Result<Order> {
    let mut before = Vec::new();
    for program in of_side(target.side) {
        let pin = pins.interface(target.index).join(program.name);
        let failed = || format!("cannot tell what is attached to the interface {}", target.name);
        if clsact::is_attached(&pin, target.index, program.direction).with_context(failed)? {
            continue;
        }
        let Some(link) = tcx::living(&pin, target.index, program).with_context(failed)? else {
            return Ok(Order::Missing);
        };
        let attached = tcx::attached(target.index, program).with_context(failed)?;
        let others = attached.iter().take_while(|attached| attached.link != link.id);
        before.extend(others.map(|attached| attached.program));
    }
    Ok(if before.is_empty() { Order::First } else { Order::Behind(before) })
}

/// Puts ours before all others again, each by a new link before its old one goes: no packet passes without. What is missing stays so.
pub fn restore_order(pins: &Pins, target: &Target, programs: &mut Programs) -> Result<()> {
    for program in of_side(target.side) {
        let pin = pins.interface(target.index).join(program.name);
        let failed = || format!("cannot put {} first on the interface {}", program.name, target.name);
        let Some(link) = tcx::living(&pin, target.index, program).with_context(failed)? else { continue };
        let attached = tcx::attached(target.index, program).with_context(failed)?;
        if attached.first().is_some_and(|first| first.link == link.id) {
            continue;
        }
        let again = tcx::attach_first(&pin, target.index, program, programs.interface(program)?);
        match again {
            // Is behind, by the old link.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                programs.load_again(program)?;
                tcx::attach_first(&pin, target.index, program, programs.interface(program)?)
            }
            done => done,
        }
        .and_then(|()| sys::link_detach(link.fd.as_fd()))
        .with_context(failed)?;
    }
    Ok(())
}

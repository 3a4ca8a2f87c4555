//! TCX links, from kernel 6.6: pinned like those of cgroups, and with an order.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use enforcer_common::names::{Direction, InterfaceProgram};

use crate::dataplane::sys::{self, Attached, PinnedObject};

/// `BPF_TCX_INGRESS`
const TCX_INGRESS: u32 = 46;
/// `BPF_TCX_EGRESS`
const TCX_EGRESS: u32 = 47;

/// Whether the kernel has such links.
pub(super) fn is_known() -> io::Result<bool> {
    sys::knows_link(sys::load_trivial(sys::PROG_TYPE_SCHED_CLS, 0)?.as_fd(), TCX_INGRESS)
}

/// A pinned link and what it is called.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) fd: OwnedFd,
    pub(super) id: u32,
}

/// The link that is pinned there, if the interface that has this number now is the one that it is attached to.
pub(super) fn living(pin: &Path, index: u32, program: &InterfaceProgram) -> io::Result<Option<Link>> {
    let fd = match sys::get(pin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        fd => fd?,
    };
    let PinnedObject::Link(id) = sys::identify(fd.as_fd())? else { return Ok(None) };
    // A link does not tell: an interface keeps its number when it moves into another namespace.
    let is_there = attached(index, program)?.iter().any(|attached| attached.link == id);
    Ok(is_there.then_some(Link { fd, id }))
}

/// What is attached to an interface where this program belongs, in order.
pub(super) fn attached(index: u32, program: &InterfaceProgram) -> io::Result<Vec<Attached>> {
    sys::attached_to_interface(index, hook(program))
}

/// Puts the program into the living link, or into a new one before all others.
pub(super) fn attach(
    pin: &Path,
    index: u32,
    program: &InterfaceProgram,
    loaded: BorrowedFd<'_>,
) -> io::Result<()> {
    if let Some(link) = living(pin, index, program)? {
        match sys::link_update(link.fd.as_fd(), loaded) {
            // The interface has gone this instant.
            Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
            done => return done,
        }
    }
    attach_first(pin, index, program, loaded)
}

/// Attaches the program before all others by a new link, which takes the place of the one that is pinned.
pub(super) fn attach_first(
    pin: &Path,
    index: u32,
    program: &InterfaceProgram,
    loaded: BorrowedFd<'_>,
) -> io::Result<()> {
    let link = sys::link_create_first(loaded, index, hook(program))?;
    pin_over(link.as_fd(), pin)
}

/// Pins an object at `pin`, whatever is there.
pub(super) fn pin_over(object: BorrowedFd<'_>, pin: &Path) -> io::Result<()> {
    // A bpffs allows no dots in names.
    let name = pin.file_name().unwrap_or_default().to_string_lossy();
    let beside = pin.with_file_name(format!("{name}_new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    sys::pin(object, &beside)?;
    fs::rename(&beside, pin)
}

/// `enum bpf_attach_type` of where a program belongs.
pub(super) fn hook(program: &InterfaceProgram) -> u32 {
    match program.direction {
        Direction::Ingress => TCX_INGRESS,
        Direction::Egress => TCX_EGRESS,
    }
}

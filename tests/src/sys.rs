//! The calls that the compiler cannot check: what happens between fork and exec, signals, and socket calls with pointers.

mod area;
mod calls;
mod classifier;
pub(crate) mod ethtool;
mod flip;
pub(crate) mod packet;
mod splice;
pub mod testrun;
mod tun;
pub(crate) mod xdp;

pub(crate) use calls::{By, disconnect, sendmmsg, uring_connect, uring_send, uring_send_zc};
pub use classifier::Classifier;
pub(crate) use classifier::{bystander, redirect_peer, wall};
pub(crate) use flip::Flip;
pub(crate) use splice::splice_flip;
use tun::request;
pub(crate) use tun::{passed, tun, tun_of_guest};

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Gid, Uid, chdir, setgid, setgroups, setuid, write};

/// The user and group `nobody`.
const NOBODY: u32 = 65_534;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Where a child process starts its life.
#[derive(Debug, Default)]
pub struct Birthplace {
    /// `cgroup.procs` of the cgroup that it joins, open for writing.
    pub cgroup: Option<File>,
    /// Namespaces that it joins, open files of `/proc/PID/ns`: network, then mounts.
    pub namespaces: Vec<(File, CloneFlags)>,
    /// Its working directory, which joining a mount namespace forgets.
    pub directory: CString,
    /// Whether it gives up being root.
    pub nobody: bool,
}

/// Makes `command` start there, and die with the thread that started it.
pub fn born(command: &mut Command, place: Birthplace) {
    let join = move || -> io::Result<()> {
        set_pdeathsig(Signal::SIGKILL)?;
        if let Some(procs) = &place.cgroup {
            write(procs, b"0")?;
        }
        for (namespace, kind) in &place.namespaces {
            setns(namespace.as_fd(), *kind)?;
        }
        chdir(place.directory.as_c_str())?;
        if place.nobody {
            setgroups(&[])?;
            setgid(Gid::from_raw(NOBODY))?;
            setuid(Uid::from_raw(NOBODY))?;
            set_pdeathsig(Signal::SIGKILL)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes system calls only, with memory and descriptors that were there before:
    // it allocates nothing, takes no lock, and so cannot meet one that another thread held at the fork.
    unsafe { command.pre_exec(join) };
}

/// Lets SIGINT and SIGTERM pass: a process that cleans up goes when its parent has gone.
pub fn ignore_signals() -> nix::Result<()> {
    handle(SigHandler::SigIgn)
}

/// From now on SIGINT, SIGTERM and SIGHUP only make [`interrupted`] true.
pub fn catch_signals() -> nix::Result<()> {
    handle(SigHandler::Handler(remember))
}

/// Whether somebody wants us to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn remember(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

fn handle(handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler, if any, stores into an atomic and does nothing else.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

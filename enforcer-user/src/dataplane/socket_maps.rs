//! The maps of what programs remember with sockets, for those who list sockets.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use aya::maps::MapInfo;
use enforcer_common::names::map;

use crate::dataplane::pin::Pins;
use crate::dataplane::sys;

/// A map and the id by which the kernel names it.
#[derive(Debug)]
pub struct SocketMap {
    fd: OwnedFd,
    /// Its id.
    pub id: u32,
}

impl SocketMap {
    /// What was asked for, where it was translated.
    pub fn peers(pins: &Pins) -> Result<Self> {
        Self::open(pins, map::PEERS)
    }

    /// What was decided.
    pub fn judged(pins: &Pins) -> Result<Self> {
        Self::open(pins, map::JUDGED)
    }

    fn open(pins: &Pins, name: &str) -> Result<Self> {
        let path = pins.map(name);
        let failed = || format!("cannot open {}", path.display());
        let id = MapInfo::from_pin(&path).with_context(failed)?.id();
        Ok(Self { fd: sys::get(&path).with_context(failed)?, id })
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

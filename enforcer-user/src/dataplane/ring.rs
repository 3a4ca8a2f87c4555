//! Flow events from the kernel.

use std::io;

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use enforcer_common::event::FlowEvent;
use enforcer_common::names::map;
use tokio::io::unix::AsyncFd;

use crate::dataplane::maps::open;
use crate::dataplane::pin::Pins;

/// The reading end of the ring. One agent at a time has it.
pub struct EventRing {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl EventRing {
    /// Opens it.
    pub fn open(pins: &Pins) -> Result<Self> {
        let ring = open(pins, map::EVENTS)?;
        // SAFETY: a RingBuf owns its descriptor, the same one for as long as it lives, and the AsyncFd owns the RingBuf.
        let ring = unsafe { AsyncFd::register(ring) };
        Ok(Self { ring: ring.map_err(io::Error::from).context("cannot wait for events")? })
    }

    /// Waits for events and gives each to `sink`; `None` is a record of another size than this ABI's event, which no program
    /// of ours sends.
    pub async fn drain(&mut self, mut sink: impl FnMut(Option<FlowEvent>)) -> io::Result<()> {
        let mut guard = self.ring.readable_mut().await?;
        let ring = guard.get_inner_mut();
        while let Some(record) = ring.next() {
            sink(FlowEvent::from_bytes(&record));
        }
        guard.clear_ready();
        Ok(())
    }
}

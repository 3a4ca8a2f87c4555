//! Those who look whether what is in force is so: canaries, and what becomes of connections that may not be.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;
use enforcer_common::event::FlowEvent;
use tokio::sync::{mpsc, watch};

use crate::app::terminate::{self, Existing};
use crate::app::workloads::Located;
use crate::canary::{self, Ear, Senses};
use crate::controller::{Applied, Event};
use crate::dataplane::counters::Counters;
use crate::dataplane::judge::Judge;
use crate::dataplane::pin::Pins;
use crate::lifecycle::Supervisor;

/// What they read, each for itself.
pub(super) struct Watchers {
    canary: (Judge, Counters),
    /// With `--terminate-existing`.
    existing: Option<Existing>,
}

/// What they are told and tell.
pub(super) struct Wires {
    pub(super) applied: watch::Receiver<Arc<Applied>>,
    pub(super) located: watch::Receiver<Located>,
    /// Denied packets whose programs would wait in vain.
    pub(super) hanging: mpsc::Receiver<FlowEvent>,
    /// How many of their sockets were closed.
    pub(super) closed: Arc<AtomicU64>,
    /// Hears of canaries.
    pub(super) ear: Arc<Ear>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Watchers {
    /// Opens the maps: what fails, fails before anything is in force.
    pub(super) fn open(pins: &Pins, terminate_existing: bool) -> Result<Self> {
        let existing = terminate_existing.then(|| Existing::open(pins)).transpose()?;
        Ok(Self { canary: (Judge::open(pins)?, Counters::open(pins)?), existing })
    }

    pub(super) fn start(self, tasks: &mut Supervisor, wires: Wires) {
        let Wires { applied, located, hanging, closed, ear, events } = wires;
        let (judge, counters) = self.canary;
        let senses = Senses { judge, counters, ear };
        tasks.essential("canary", canary::watch(applied.clone(), senses, events.clone()));
        tasks.essential("closing of sockets", terminate::close_denied(hanging, located.clone(), closed));
        if let Some(existing) = self.existing {
            let watch = terminate::watch(existing, located, applied, events);
            tasks.essential("closing of connections", watch);
        }
    }
}

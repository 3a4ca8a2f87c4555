//! What the agent shows of itself: what the controller published, joined with what is counted at this moment.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use enforcer_common::event::FlowEvent;
use enforcer_common::key::CgroupId;
use tokio::sync::{mpsc, watch};

use crate::app::terminate;
use crate::canary::{self, Ear};
use crate::clock;
use crate::controller::{Applied, Pulse};
use crate::dataplane::counters::Counters;
use crate::dataplane::object_hash;
use crate::flows::{self, FlowStore};
use crate::http::{Page, Readiness};
use crate::metrics::{Build, Format, NeverFalling, Process, Scrape};
use crate::status::Status;

/// Where it is all read. Nobody who looks waits for the controller, or makes it wait.
pub(super) struct View {
    applied: watch::Receiver<Arc<Applied>>,
    /// Whether somebody publishes at all.
    pulse: Pulse,
    pub(super) counters: Counters,
    pub(super) flows: FlowStore,
    build: Build,
    received: AtomicU64,
    lost: AtomicU64,
    suppressed: Mutex<NeverFalling<CgroupId>>,
    /// Takes denied packets whose programs would wait in vain.
    hanging: mpsc::Sender<FlowEvent>,
    /// How many of their sockets were closed.
    pub(super) closed: Arc<AtomicU64>,
    /// Is told of canaries.
    pub(super) ear: Arc<Ear>,
}

impl View {
    pub(super) fn new(
        (applied, pulse): (watch::Receiver<Arc<Applied>>, Pulse),
        counters: Counters,
        hanging: mpsc::Sender<FlowEvent>,
    ) -> Self {
        Self {
            applied,
            pulse,
            counters,
            flows: FlowStore::default(),
            build: build(),
            received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            suppressed: Mutex::default(),
            hanging,
            closed: Arc::default(),
            ear: Arc::default(),
        }
    }

    /// Takes in what came out of the ring.
    pub(super) fn record(&self, event: Option<FlowEvent>) {
        let count = if event.is_some() { &self.received } else { &self.lost };
        count.fetch_add(1, Ordering::Relaxed);
        let Some(event) = event else { return };
        if canary::is_canary(&event) {
            self.ear.hear(&event);
        } else {
            self.flows.record(&event, &*self.applied());
            if terminate::hangs(&event) {
                // The program sends the packet again when this one has no room.
                let _ = self.hanging.try_send(event);
            }
        }
    }

    /// What the controller published last.
    pub(super) fn applied(&self) -> Arc<Applied> {
        Arc::clone(&self.applied.borrow())
    }

    /// The same, as it is to be taken now.
    fn checked(&self) -> Arc<Applied> {
        self.pulse.check(self.applied(), Instant::now())
    }

    /// The cgroups that have programs.
    pub(super) fn attached(&self) -> Vec<PathBuf> {
        self.applied.borrow().status.attached.iter().map(PathBuf::from).collect()
    }

    /// For `enforcer status`.
    pub(super) fn status(&self) -> Status {
        let applied = self.checked();
        let suppressed = self.counters.suppressed();
        let mut status = applied.status.clone();
        self.follow_switch(&mut status);
        status.decisions = self.counters.decisions();
        status.events_suppressed = suppressed.values().sum();
        for source in &mut status.sources {
            source.age_seconds += applied.age_seconds();
        }
        for workload in &mut status.workloads {
            let id = applied
                .workloads
                .iter()
                .find(|(_, known)| (&known.namespace, &known.name) == (&workload.namespace, &workload.name));
            workload.events_suppressed = id.and_then(|(id, _)| suppressed.get(id)).copied().unwrap_or(0);
        }
        status.denials = self.flows.denials();
        status.terminated.denied = self.closed.load(Ordering::Relaxed);
        status.terminated.total += status.terminated.denied;
        status
    }

    /// For `/metrics`, as `accept` would like it.
    pub(super) fn metrics(&self, accept: &str) -> Page {
        let applied = self.checked();
        let mut suppressed = self.suppressed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut status = applied.status.clone();
        self.follow_switch(&mut status);
        let scrape = Scrape {
            enforcement: status.enforcement,
            decisions: self.counters.decisions(),
            events_received: self.received.load(Ordering::Relaxed),
            closed_for_packets: self.closed.load(Ordering::Relaxed),
            events_lost: self.lost.load(Ordering::Relaxed),
            events_suppressed: suppressed.sum(self.counters.suppressed()),
            flows: self.flows.kept(),
            flows_limit: flows::ROOM,
            process: Process::now(),
            build: self.build.clone(),
            applied,
        };
        let format = Format::accepted(accept);
        Page { content_type: format.content_type(), text: scrape.text(format) }
    }

    /// For `/readyz`.
    pub(super) fn readiness(&self) -> Readiness {
        let applied = self.checked();
        let Status { ready, not_ready, revision, .. } = &applied.status;
        Readiness { ready: *ready, not_ready: not_ready.clone(), revision: *revision }
    }

    /// What the kernel holds, while there are programs that read it.
    fn follow_switch(&self, status: &mut Status) {
        if !status.attached.is_empty() {
            status.follow(self.counters.switch(), clock::since_boot());
        }
    }
}

/// What this binary is.
pub(super) fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("ENFORCER_COMMIT"),
        abi: enforcer_common::ABI_VERSION,
        kernel_object: object_hash(),
    }
}

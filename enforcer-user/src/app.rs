//! The composition root: builds the parts of the agent and connects them. Decides nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::server::{self, Parts};
use crate::config::{Config, RegistrySource, StaticWorkload};
use crate::controller::{Applied, Controller, Event, QUEUE};
use crate::dataplane::Kernel;
use crate::dataplane::counters::Counters;
use crate::dataplane::ring::EventRing;
use crate::flows::FlowStore;
use crate::identity::{self, Roster};
use crate::lifecycle::{Supervisor, stop_signal};
use crate::sources::files::FileSource;
use crate::status::Status;

/// How often cgroups are looked at, and classes reaped.
const TICK: Duration = Duration::from_secs(1);
/// How long answers may take when the agent ends.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the agent until a signal ends it. Whatever fails before the end of [`Controller::start`] leaves in force what was.
pub async fn run(config: Config) -> Result<()> {
    check_cgroups(&config)?;
    let sources = read_sources(&config)?;
    let kernel = Kernel::load(&config.pin_dir, &config.limits)?;
    let pins = kernel.pins().clone();
    let (counters, ring) = (Arc::new(Counters::open(&pins)?), EventRing::open(&pins)?);
    let admin_socket = config.admin.clone();
    let snapshots = (0..).zip(&sources).map(|(index, source)| source.snapshot(index)).collect();
    let (roots, workloads) = (config.cgroups.clone(), config.workloads.clone());
    let roster = Roster::look(&Roster::default(), &roots, &workloads);
    let start = || Controller::start(config, kernel, roster.clone(), snapshots);
    let (controller, applied) = tokio::task::block_in_place(start)?;

    let (events, queue) = mpsc::channel(QUEUE);
    let flows = Arc::new(FlowStore::default());
    let mut tasks = Supervisor::default();
    tasks.essential("controller", controller.run(queue));
    tasks.essential("clock", tick(events.clone()));
    tasks.essential("cgroup watch", watch_cgroups(roster, roots, workloads, events.clone()));
    tasks.essential("event reader", read_events(ring, Arc::clone(&flows)));
    for (index, source) in (0..).zip(sources) {
        tasks.essential("registry watch", watch_source(source, index, events.clone()));
    }
    let (questions, asked) = mpsc::channel(QUEUE);
    tasks.essential("question queue", forward(asked, events, Event::Question));
    let parts = Parts {
        questions,
        status: Arc::new({
            let applied = applied.clone();
            move || status(&applied, &counters, &flows)
        }),
        registry: registry_of(applied, &mut tasks),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let mut admin = tokio::spawn(server::serve(admin_socket, parts, async { drop(stopped.await) }));
    let ended = tokio::select! {
        signal = stop_signal() => {
            tracing::info!("{}: the agent ends, enforcement stays as it is", signal?);
            Ok(())
        }
        ended = tasks.first_end() => ended,
        ended = &mut admin => return ended.context("the admin socket panicked")?.context("the admin socket failed"),
    };
    // The socket goes with the agent; whoever still waits for an answer has had his time.
    drop(stop);
    let _ = tokio::time::timeout(DRAIN, admin).await;
    ended
}

/// Every cgroup must be there at the start: all faults at once.
fn check_cgroups(config: &Config) -> Result<()> {
    let paths = config.workloads.iter().map(|workload| &workload.cgroup).chain(&config.cgroups);
    let faults: Vec<String> =
        paths.filter_map(|path| identity::cgroup(path).err()).map(|error| format!("{error:#}")).collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    if config.workloads.is_empty() && config.cgroups.is_empty() {
        bail!("nothing to enforce: give --workload cgroup=PATH,namespace=NS or --cgroup PATH");
    }
    Ok(())
}

fn read_sources(config: &Config) -> Result<Vec<FileSource>> {
    let read = |source: &RegistrySource| {
        let RegistrySource::File(path) = source;
        let mut source = FileSource::new(path);
        source.listen();
        source.refresh()?;
        Ok(source)
    };
    config.registry.sources.iter().map(read).collect()
}

async fn tick(events: mpsc::Sender<Event>) -> Result<()> {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        events.send(Event::Tick).await.ok().context("the controller is gone")?;
    }
}

/// Cgroups that came or went.
async fn watch_cgroups(
    mut last: Roster,
    roots: Vec<PathBuf>,
    workloads: Vec<StaticWorkload>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = Roster::look(&last, &roots, &workloads);
        if now != last {
            last = now.clone();
            events.send(Event::Roster(now)).await.ok().context("the controller is gone")?;
        }
    }
}

async fn read_events(mut ring: EventRing, flows: Arc<FlowStore>) -> Result<()> {
    loop {
        ring.drain(|event| flows.record(event)).await.context("cannot read flow events")?;
    }
}

async fn watch_source(source: FileSource, index: usize, events: mpsc::Sender<Event>) -> Result<()> {
    let (snapshots, changed) = mpsc::channel(1);
    tokio::try_join!(source.watch(index, snapshots), forward(changed, events, Event::Source))?;
    Ok(())
}

async fn forward<T>(
    mut from: mpsc::Receiver<T>,
    to: mpsc::Sender<Event>,
    wrap: fn(T) -> Event,
) -> Result<()> {
    while let Some(item) = from.recv().await {
        to.send(wrap(item)).await.ok().context("the controller is gone")?;
    }
    Ok(())
}

/// The registry alone, for those who need no more.
fn registry_of(
    mut applied: watch::Receiver<Arc<Applied>>,
    tasks: &mut Supervisor,
) -> watch::Receiver<Arc<enforcer_core::registry::Registry>> {
    let (send, receive) = watch::channel(Arc::clone(&applied.borrow_and_update().registry));
    tasks.essential("registry publisher", async move {
        while applied.changed().await.is_ok() {
            send.send_replace(Arc::clone(&applied.borrow_and_update().registry));
        }
        bail!("the controller is gone")
    });
    receive
}

/// What the controller published, with the counters of this moment.
fn status(applied: &watch::Receiver<Arc<Applied>>, counters: &Counters, flows: &FlowStore) -> Status {
    let applied = Arc::clone(&applied.borrow());
    let suppressed = counters.suppressed();
    let mut status = applied.status.clone();
    if !status.attached.is_empty() {
        status.enforcement = counters.enforcement().to_string();
    }
    status.decisions = counters.decisions();
    status.events_suppressed = suppressed.values().sum();
    for workload in &mut status.workloads {
        let id = applied
            .names
            .iter()
            .find(|(_, name)| **name == format!("{}/{}", workload.namespace, workload.name));
        workload.events_suppressed = id.and_then(|(id, _)| suppressed.get(id)).copied().unwrap_or(0);
    }
    status.denials = flows.denials(|cgroup| applied.names.get(&cgroup).cloned());
    status
}

//! The composition root: builds the parts of the agent and connects them. Decides nothing.

mod flows;
mod terminate;
mod view;
mod watchers;
mod workloads;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use enforcer_core::registry::Registry;
use tokio::sync::{mpsc, watch};

use crate::admin::server::{self, Parts};
use crate::config::{Config, RegistrySource};
use crate::controller::{Applied, Controller, Event, QUEUE, Question};
use crate::dataplane::Kernel;
use crate::dataplane::allowed::AllowedEvents;
use crate::dataplane::counters::Counters;
use crate::dataplane::load::Options;
use crate::dataplane::places::Known;
use crate::dataplane::ring::EventRing;
use crate::identity::{self, Roster};
use crate::lifecycle::{Supervisor, stop_signal};
use crate::network::{Network, Wanted};
use crate::sources::files::FileSource;
use crate::{canary, http, metrics};
use view::View;
use watchers::{Watchers, Wires};
use workloads::Watched;

/// How often cgroups are looked at, and classes reaped.
const TICK: Duration = Duration::from_secs(1);
/// How long answers may take when the agent ends.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the agent until a signal ends it. Whatever fails before the end of [`Controller::start`] leaves in force what was.
pub async fn run(config: Config) -> Result<()> {
    let metrics::Build { version, commit, abi, kernel_object } = view::build();
    tracing::info!(version, commit, abi, kernel_object, "the agent starts");
    check_cgroups(&config)?;
    let sources = read_sources(&config)?;
    let mut tasks = Supervisor::default();
    let pages = serve_http(config.metrics, &mut tasks).await?;
    let options = Options { ignores_interfaces: !looks_at_interfaces(&config), ..Options::default() };
    let kernel = Kernel::load(&config.pin_dir, &config.limits, options)?;
    let pins = kernel.pins().clone();
    let (counters, ring) = (Counters::open(&pins)?, EventRing::open(&pins)?);
    let allowed = AllowedEvents::open(&pins)?;
    let watchers = Watchers::open(&pins, config.terminate_existing)?;
    let admin_socket = config.admin.clone();
    let snapshots = (0..).zip(&sources).map(|(index, source)| source.snapshot(index)).collect();
    let (roots, workloads) = (config.cgroups.clone(), config.workloads.clone());
    let wanted = Wanted { interfaces: config.interfaces.clone(), uplinks: config.uplinks.clone() };
    let watched = Watched { roots, workloads, wanted };
    let known = Known::read(&pins)?;
    let earlier = Network::earlier(known.interfaces, &known.addresses);
    let last = watched.look(&(Roster::default(), earlier))?;
    let start = || Controller::start(config, kernel, last.clone(), Box::new(workloads::census), snapshots);
    let (controller, applied) = tokio::task::block_in_place(start)?;

    let (events, queue) = mpsc::channel(QUEUE);
    let (locate, located) = watch::channel(Arc::new(last.clone()));
    let (hangs, hanging) = mpsc::channel(terminate::QUEUE);
    let view = Arc::new(View::new((applied.clone(), controller.pulse()), counters, hangs));
    let (closed, ear) = (Arc::clone(&view.closed), Arc::clone(&view.ear));
    let wires = Wires { applied: applied.clone(), located, hanging, closed, ear, events: events.clone() };
    watchers.start(&mut tasks, wires);
    tasks.essential("controller", controller.run(queue));
    tasks.essential("clock", tick(events.clone()));
    tasks.essential("workload watch", workloads::watch(last, watched, locate, events.clone()));
    tasks.essential("event reader", flows::read_events(ring, Arc::clone(&view)));
    tasks.essential("suppression watch", flows::watch_suppressed(Arc::clone(&view)));
    for (index, source) in (0..).zip(sources) {
        tasks.essential("registry watch", watch_source(source, index, events.clone()));
    }
    let (questions, asked) = mpsc::channel(QUEUE);
    tasks.essential("question queue", forward(asked, events, Event::Question));
    let registry = registry_of(applied, &mut tasks);
    // Nobody else fills it.
    let _ = pages.set(http_parts(&view, registry.clone()));
    let parts = parts(questions, Arc::clone(&view), allowed, registry);
    tasks.server("admin socket", |stop| server::serve(admin_socket, parts, stop.told()));
    let ended = tokio::select! {
        signal = stop_signal() => {
            tracing::info!(signal = signal?, "the agent ends; enforcement stays as it is");
            Ok(())
        }
        ended = tasks.first_end() => ended,
    };
    // Sockets go with the agent; whoever still waits for an answer has had his time.
    tasks.drain(DRAIN).await;
    canary::remove(&view.attached());
    ended
}

/// Takes the address before anything in the kernel is changed, and answers from now on that the agent lives.
async fn serve_http(address: Option<SocketAddr>, tasks: &mut Supervisor) -> Result<http::Later> {
    let pages = http::Later::default();
    if let Some(address) = address {
        let endpoint = http::Endpoint::bind(address).await?;
        let parts = Arc::clone(&pages);
        tasks.server("metrics endpoint", |stop| endpoint.serve(parts, stop.told()));
    }
    Ok(pages)
}

fn http_parts(view: &Arc<View>, registry: watch::Receiver<Arc<Registry>>) -> http::Parts {
    let (metrics, readiness) = (Arc::clone(view), Arc::clone(view));
    http::Parts {
        metrics: Box::new(move |accept| metrics.metrics(accept)),
        readiness: Box::new(move || readiness.readiness()),
        registry,
    }
}

/// Every `--cgroup` must be there at the start: all faults at once. A workload may come later: that one service is not up yet must not
/// keep the others from being enforced.
fn check_cgroups(config: &Config) -> Result<()> {
    let workloads = config.workloads.iter().map(|workload| identity::may_become_cgroup(&workload.cgroup));
    let cgroups = config.cgroups.iter().map(|path| identity::cgroup(path).map(drop));
    let faults: Vec<String> =
        workloads.chain(cgroups).filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    if config.workloads.is_empty() && config.cgroups.is_empty() {
        bail!("nothing to enforce: give --workload cgroup=PATH,namespace=NS or --cgroup PATH");
    }
    Ok(())
}

/// Whether anybody wants to know where workloads are in the network.
fn looks_at_interfaces(config: &Config) -> bool {
    let is_named = config.workloads.iter().any(|workload| !workload.interfaces.is_empty());
    is_named || !config.interfaces.is_none()
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
) -> watch::Receiver<Arc<Registry>> {
    let (send, receive) = watch::channel(Arc::clone(&applied.borrow_and_update().registry));
    tasks.essential("registry publisher", async move {
        while applied.changed().await.is_ok() {
            send.send_replace(Arc::clone(&applied.borrow_and_update().registry));
        }
        bail!("the controller is gone")
    });
    receive
}

/// What the admin socket answers from.
fn parts(
    questions: mpsc::Sender<Question>,
    view: Arc<View>,
    allowed: Arc<AllowedEvents>,
    registry: watch::Receiver<Arc<Registry>>,
) -> Parts {
    Parts {
        questions,
        status: Arc::new({
            let view = Arc::clone(&view);
            move || view.status()
        }),
        denied: Arc::new({
            let view = Arc::clone(&view);
            move || view.flows.denied()
        }),
        observe: Arc::new(move |filter, last, follow| {
            flows::observe(&view.flows, &allowed, filter, last, follow)
        }),
        registry,
    }
}

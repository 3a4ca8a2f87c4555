//! The one owner of the agent's state: objects in, compiled, applied to the kernel, published.
//!
//! Everything that can wake it is an [`Event`]. It drains its queue, builds the registry once, compiles, applies, and only then
//! publishes: readers see what the kernel holds.

mod answer;
mod blind;
mod bring;
mod coverage;
mod event;
mod hosts;
mod order;
mod place;
mod publish;
mod pulse;
mod report;
mod retry;
mod rules;
mod switch;
mod unseen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Switch;
use enforcer_core::policy::Settings;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::problem::Problem;
use enforcer_core::registry::Registry;
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::dataplane::{Dataplane, Layout, NodeSettings};
use crate::identity::Roster;
use crate::network::{self, Network};
use crate::sources::Snapshot;
use crate::status::canary::CanaryStatus;
use crate::status::terminated::TerminatedStatus;
use crate::status::updates::{Outcome, Updates};

pub use event::{Census, Event, QUEUE, Question};
pub use hosts::HostNames;
pub use publish::Applied;
pub use pulse::Pulse;
pub use rules::RuleNames;

/// What one source has told.
#[derive(Clone, Debug)]
struct SourceState {
    snapshot: Snapshot,
    revision: u64,
    since: Instant,
}

/// The state.
pub struct Controller<D> {
    config: Config,
    dataplane: D,
    compiler: Compiler,
    started: Instant,
    pulse: Pulse,
    sources: BTreeMap<usize, SourceState>,
    /// The registry of the sources as they are now, once it was built. Its problems are in `problems`.
    built: Option<Arc<Registry>>,
    roster: Roster,
    network: Network,
    /// Why neither is known as it is now.
    blind: Option<String>,
    /// The workloads whose packets are judged on the host's side of their interfaces.
    covered: BTreeSet<CgroupId>,
    /// Where the workloads are, as it was brought into the kernel last; nothing when that failed.
    placed: Option<Layout>,
    /// Interfaces that cannot have programs, and why.
    unplaced: BTreeMap<u32, String>,
    /// Where our programs are among those of the interfaces.
    order: order::Orders,
    /// The workloads that connections reach past the node's side of their interfaces.
    unseen: unseen::Unseen,
    canary: CanaryStatus,
    terminated: TerminatedStatus,
    /// Counts the updates in which somebody lost something.
    narrowings: u64,
    /// Tells which connections others have made to workloads.
    census: Census,
    problems: Vec<Problem>,
    /// The last registry that was not refused.
    in_force: Option<Arc<Registry>>,
    /// Why the last registry is not in force.
    refused: Vec<Problem>,
    /// Why the maps may not hold what they should.
    fault: Option<String>,
    /// Operations have failed half way: the maps are between two states until they are read back.
    is_uncertain: bool,
    /// When what failed is tried again.
    retry: retry::Retry,
    /// Somebody has taken the programs off: this agent enforces nothing any more, and does not put them back.
    lifted: bool,
    /// The node's switch as it was seen last: `enforcer mode` turns it without asking us.
    switch: Switch,
    revision: u64,
    updates: Updates,
    report: report::Report,
    rules: Arc<RuleNames>,
    publish: watch::Sender<Arc<Applied>>,
    /// Works suggestions out.
    suggesting: Option<JoinHandle<()>>,
}

impl<D: Dataplane> Controller<D> {
    /// With the first snapshot of every source: compiles, applies, switches on and attaches.
    pub fn start(
        config: Config,
        dataplane: D,
        (roster, network): (Roster, Network),
        census: Census,
        snapshots: Vec<Snapshot>,
    ) -> Result<(Self, watch::Receiver<Arc<Applied>>)> {
        let left = dataplane.read()?;
        let compiler = Compiler::adopting(settings(&config), config.limits, left);
        let (publish, applied) = watch::channel(Arc::default());
        let now = Instant::now();
        let source = |snapshot: Snapshot| SourceState { snapshot, revision: 1, since: now };
        let mut controller = Self {
            switch: Switch::to(config.enforcement),
            config,
            dataplane,
            roster,
            network,
            blind: None,
            covered: BTreeSet::new(),
            placed: None,
            unplaced: BTreeMap::new(),
            order: order::Orders::new(now),
            unseen: unseen::Unseen::default(),
            canary: CanaryStatus::default(),
            terminated: TerminatedStatus::default(),
            narrowings: 0,
            census,
            compiler,
            started: now,
            pulse: Pulse::new(now),
            built: None,
            in_force: None,
            sources: snapshots.into_iter().map(|snapshot| (snapshot.index, source(snapshot))).collect(),
            problems: Vec::new(),
            refused: Vec::new(),
            fault: None,
            is_uncertain: false,
            retry: retry::Retry::default(),
            lifted: false,
            revision: 0,
            updates: Updates::default(),
            report: report::Report::default(),
            rules: Arc::default(),
            publish,
            suggesting: None,
        };
        let registry = controller.build();
        controller.apply(&registry)?;
        if let Some(problem) = controller.refused.first() {
            bail!(
                "the registry is refused, and what was in force stays: {}; {}",
                problem.message,
                problem.hint
            );
        }
        controller.configure()?;
        controller.attach()?;
        controller.place(&registry)?;
        controller.look_at_switch()?;
        controller.updates.count(now.elapsed(), Outcome::Applied);
        controller.publish();
        Ok((controller, applied))
    }

    /// By which others see whether it still turns.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until nobody can send events any more.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<()> {
        while let Some(event) = events.recv().await {
            let mut changed = false;
            let mut next = Some(event);
            while let Some(event) = next {
                changed |= tokio::task::block_in_place(|| self.take(event));
                next = events.try_recv().ok();
            }
            if changed {
                tokio::task::block_in_place(|| self.update());
            }
        }
        Ok(())
    }

    /// Takes one event in; whether the registry or the workloads have changed.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Source(snapshot) => {
                tracing::debug!(
                    source = snapshot.index,
                    objects = snapshot.objects.len(),
                    problems = snapshot.problems.len(),
                    stale_files = snapshot.stale_files.len(),
                    "a source has changed"
                );
                let last = self.sources.get(&snapshot.index).map_or(0, |state| state.revision);
                let state = SourceState { revision: last + 1, since: Instant::now(), snapshot };
                self.sources.insert(state.snapshot.index, state);
                self.built = None;
                self.retry = retry::Retry::default();
                true
            }
            Event::Question(Question::Explain { workload, destination, reply }) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.explain(&workload, &destination));
                false
            }
            Event::Question(Question::Suggest { denied, reply }) => {
                self.suggest(denied, reply);
                false
            }
            Event::Roster(roster, network) => {
                self.roster = roster;
                self.network = network;
                self.retry = retry::Retry::default();
                true
            }
            Event::Blind(why) => {
                self.blind = why;
                self.publish();
                false
            }
            Event::Links => {
                self.order.look_soon();
                false
            }
            Event::Canary(status) => {
                self.canary = status;
                self.publish();
                false
            }
            Event::Terminated(last) => {
                self.terminated.total += last.closed;
                self.terminated.last = Some(last);
                self.publish();
                false
            }
            Event::Tick => self.tick(),
        }
    }

    /// Reaps, and looks whether things are as they should be; whether an update is due.
    fn tick(&mut self) -> bool {
        self.pulse.beat(Instant::now());
        if self.lifted {
            return false;
        }
        if !self.dataplane.is_intact() {
            self.lifted = true;
            self.publish();
            return false;
        }
        let ops = self.compiler.reap(self.started.elapsed());
        self.rules.follow(&ops, |_| None);
        let result = self.write(&ops).and_then(|()| self.look_at_switch());
        if let Err(error) = &result {
            self.fault = Some(format!("{error:#}"));
            self.report.fault(self.fault.as_deref());
        }
        let seen_otherwise = self.look_at_order() | self.look_for_unseen();
        if !ops.is_empty() || seen_otherwise || matches!(result, Ok(true)) {
            // How full the maps are has changed, or what is enforced.
            self.publish();
        }
        // What failed is tried again; what did not fit, when there is more room.
        let is_failing = self.fault.is_some() || !self.unplaced.is_empty() || self.order.has_gap();
        self.retry.tick(is_failing) || !self.refused.is_empty() && !ops.is_empty()
    }

    /// Brings registry and workloads into the kernel and publishes. What fails is tried again at one of the next ticks; until then
    /// the agent is not ready.
    fn update(&mut self) {
        if self.lifted {
            return;
        }
        let begun = Instant::now();
        let registry = self.build();
        // What cannot be relied on any more is not, before anything else changes.
        self.covered = self.still_covered();
        let result = self.bring(&registry).and_then(|()| self.switch_on(&registry));
        let result = result.and_then(|()| self.look_at_switch());
        self.fault = result.err().map(|error| format!("{error:#}"));
        let outcome = match self.fault {
            Some(_) => Outcome::Failed,
            None if !self.refused.is_empty() => Outcome::Refused,
            None => Outcome::Applied,
        };
        self.updates.count(begun.elapsed(), outcome);
        self.report.fault(self.fault.as_deref());
        self.publish();
    }

    /// Writes the node's settings and attaches, each for itself: what fails of one keeps nothing else open. After the maps are filled,
    /// so that nothing is denied for want of them.
    fn switch_on(&mut self, registry: &Arc<Registry>) -> Result<()> {
        let done = [self.configure(), self.attach(), self.place(registry)];
        let errors = done.into_iter().filter_map(Result::err).map(|error| format!("{error:#}"));
        let errors: Vec<String> = errors.collect();
        ensure!(errors.is_empty(), "{}", errors.join("; "));
        Ok(())
    }

    fn configure(&mut self) -> Result<()> {
        self.dataplane.configure(&NodeSettings {
            enforcement: self.config.enforcement,
            unknown_workload_allowed: self.config.unknown_workload_allowed,
            roots: self.roster.nobodys().map(|cgroup| cgroup.id).collect(),
            levels: self.roster.levels(),
            event_rate: self.config.event_rate,
            endpoint_grace: self.config.endpoint_grace.as_secs(),
            addresses: Arc::clone(&self.network.node),
        })
    }

    fn attach(&mut self) -> Result<()> {
        let targets = self.roster.attach.iter().map(|cgroup| (cgroup.id, cgroup.path.clone()));
        let targets: Vec<_> = targets.collect();
        let Self { dataplane, roster, network, census, .. } = self;
        // At the start also to nothing: what was attached for others before ends then.
        let is_start = self.publish.borrow().at.is_none();
        if is_start || dataplane.attached() != targets {
            dataplane.attach(&targets, &|of| census(roster, network, of))?;
            tracing::info!(cgroups = targets.len(), "programs attached");
        }
        Ok(())
    }
}

fn settings(config: &Config) -> Settings {
    crate::config::settings(&config.policy, &config.registry, network::node_addresses())
}

#[cfg(test)]
mod tests;

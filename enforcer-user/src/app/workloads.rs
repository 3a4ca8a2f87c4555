//! Workloads that come and go, and where they are in the network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_common::key::CgroupId;
use tokio::sync::{mpsc, watch};

use crate::app::TICK;
use crate::census::{self, Subject};
use crate::config::StaticWorkload;
use crate::controller::Event;
use crate::dataplane::InboundFlow;
use crate::identity::{Cgroup, Roster};
use crate::links;
use crate::network::{Network, Wanted};

/// What is looked at.
pub(super) struct Watched {
    /// `--cgroup`
    pub(super) roots: Vec<PathBuf>,
    /// `--workload`
    pub(super) workloads: Vec<StaticWorkload>,
    /// `--interface` and `--uplink`
    pub(super) wanted: Wanted,
}

impl Watched {
    /// Looks once.
    pub(super) fn look(&self, (roster, network): &(Roster, Network)) -> Result<(Roster, Network)> {
        let roster = Roster::look(roster, &self.roots, &self.workloads);
        let network = Network::look(network, &roster, &self.wanted).context("cannot look at the network")?;
        Ok((roster, network))
    }
}

/// Who is where, for those who do not wait for the controller.
pub(super) type Located = Arc<(Roster, Network)>;

/// Looks whenever an interface comes or goes, once in a while at everything else, and often while something is new: a pod's first process
/// comes later than its interface.
pub(super) async fn watch(
    mut last: (Roster, Network),
    watched: Watched,
    located: watch::Sender<Located>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let mut news = links::watch().context("cannot listen to the network")?;
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut soon = last.1.soon(Duration::ZERO);
    loop {
        let has_news = tokio::select! {
            _ = interval.tick() => false,
            () = tokio::time::sleep(soon.unwrap_or(TICK)), if soon.is_some() => false,
            changed = news.changed() => changed.map(|()| true).context("cannot listen to the network")?,
        };
        let begun = Instant::now();
        match tokio::task::block_in_place(|| watched.look(&last)) {
            Ok(now) => {
                let has_changed = now != last;
                last = now;
                if has_changed {
                    located.send_replace(Arc::new(last.clone()));
                    let event = Event::Roster(last.0.clone(), last.1.clone());
                    events.send(event).await.ok().context("the controller is gone")?;
                }
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "taken to be as it was"),
        }
        soon = last.1.soon(begun.elapsed());
        if has_news {
            events.send(Event::Links).await.ok().context("the controller is gone")?;
        }
    }
}

/// Which connections others have made to the workloads, or to one of them.
pub(super) fn census(roster: &Roster, network: &Network, of: Option<CgroupId>) -> Vec<InboundFlow> {
    let flow = |inbound: census::Inbound| InboundFlow {
        workload: inbound.workload,
        protocol: inbound.protocol,
        remote: inbound.remote,
        remote_port: inbound.remote_port,
        local_port: inbound.local_port,
    };
    let mut subjects = subjects(roster, network);
    subjects.retain(|subject| of.is_none_or(|workload| subject.cgroup == workload));
    census::inbound(&subjects).into_iter().map(flow).collect()
}

/// The workloads whose connections can be looked at.
pub(super) fn subjects(roster: &Roster, network: &Network) -> Vec<Subject> {
    let cgroups = roster.workloads.iter().filter_map(|identified| identified.cgroup.as_ref());
    let subject = |cgroup: &Cgroup| Subject {
        cgroup: cgroup.id,
        path: cgroup.path.clone(),
        network: network.workloads.get(&cgroup.id).and_then(|place| place.namespace.clone()),
    };
    cgroups.map(subject).collect()
}

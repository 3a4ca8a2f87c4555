//! Workloads that come and go, and where they are in the network.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};

use crate::app::TICK;
use crate::census::{self, Subject};
use crate::config::StaticWorkload;
use crate::controller::Event;
use crate::dataplane::{InboundFlow, Whose};
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

/// Looks whenever an interface comes or goes, and once in a while at everything else.
pub(super) async fn watch(
    mut last: (Roster, Network),
    watched: Watched,
    located: watch::Sender<Located>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let mut news = links::watch().context("cannot listen to the network")?;
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let has_news = tokio::select! {
            _ = interval.tick() => false,
            changed = news.changed() => changed.map(|()| true).context("cannot listen to the network")?,
        };
        match tokio::task::block_in_place(|| watched.look(&last)) {
            Ok(now) if now != last => {
                last = now.clone();
                located.send_replace(Arc::new(last.clone()));
                events.send(Event::Roster(now.0, now.1)).await.ok().context("the controller is gone")?;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = format!("{error:#}"), "taken to be as it was"),
        }
        if has_news {
            events.send(Event::Links).await.ok().context("the controller is gone")?;
        }
    }
}

/// Which connections others have made to workloads.
pub(super) fn census(roster: &Roster, network: &Network, whose: Whose<'_>) -> Vec<InboundFlow> {
    let flow = |inbound: census::Inbound| InboundFlow {
        workload: inbound.workload,
        protocol: inbound.protocol,
        remote: inbound.remote,
        remote_port: inbound.remote_port,
        local_port: inbound.local_port,
    };
    let mut subjects = subjects(roster, network);
    subjects.retain(|subject| is_asked_for(subject, whose));
    census::inbound(&subjects).into_iter().map(flow).collect()
}

fn is_asked_for(subject: &Subject, whose: Whose<'_>) -> bool {
    match whose {
        Whose::Workload(workload) => subject.cgroup == workload,
        Whose::Below(path) => subject.path.starts_with(path),
    }
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

#[cfg(test)]
mod tests {
    use enforcer_common::key::CgroupId;

    use super::*;

    #[test]
    fn a_cgroup_has_the_workloads_at_it_and_below_it() {
        let subject =
            |id, path: &str| Subject { cgroup: CgroupId::new(id), path: path.into(), network: None };
        let subjects = [subject(1, "/c/web"), subject(2, "/c/web/one"), subject(3, "/c/web-two")];
        let asked_for = |whose| -> Vec<u64> {
            let asked_for = subjects.iter().filter(|subject| is_asked_for(subject, whose));
            asked_for.map(|subject| subject.cgroup.get()).collect()
        };
        assert_eq!(asked_for(Whose::Below("/c/web".as_ref())), [1, 2]);
        assert_eq!(asked_for(Whose::Workload(CgroupId::new(3))), [3]);
    }
}

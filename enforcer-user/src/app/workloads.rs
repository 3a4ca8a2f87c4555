//! Workloads that come and go, and where they are in the network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result};
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

/// Looks whenever an interface comes or goes, once in a while at everything else, and often while something is new: a pod's first process
/// comes later than its interface.
pub(super) async fn watch(
    mut last: (Roster, Network),
    watched: Watched,
    located: watch::Sender<Located>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let mut sight = Sight::default();
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
        let looked = tokio::task::block_in_place(|| watched.look(&last));
        if let Some(event) = sight.turned(looked.as_ref().err()) {
            events.send(event).await.ok().context("the controller is gone")?;
        }
        if let Ok(now) = looked {
            let has_changed = now != last;
            last = now;
            if has_changed {
                located.send_replace(Arc::new(last.clone()));
                let event = Event::Roster(last.0.clone(), last.1.clone());
                events.send(event).await.ok().context("the controller is gone")?;
            }
        }
        soon = last.1.soon(begun.elapsed());
        if has_news {
            events.send(Event::Links).await.ok().context("the controller is gone")?;
        }
    }
}

/// Whether the last look succeeded.
#[derive(Default)]
struct Sight {
    is_lost: bool,
}

impl Sight {
    /// Says when looks begin to fail, and when they succeed again: once each, in the log and to the controller.
    fn turned(&mut self, error: Option<&Error>) -> Option<Event> {
        if self.is_lost == error.is_some() {
            return None;
        }
        self.is_lost = error.is_some();
        let why = error.map(|error| format!("{error:#}"));
        if let Some(error) = &why {
            tracing::warn!(error, "workloads are taken to be where they were; trying again every second");
        } else {
            tracing::info!("it is seen again where workloads are");
        }
        Some(Event::Blind(why))
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
    use anyhow::anyhow;
    use enforcer_common::key::CgroupId;

    use super::*;

    #[test]
    fn looks_that_fail_are_told_when_that_begins_and_when_it_ends() {
        let mut sight = Sight::default();
        let error = anyhow!("Too many open files").context("cannot look at the network");
        let mut told = |error: Option<&Error>| match sight.turned(error) {
            None => "nothing".to_owned(),
            Some(Event::Blind(why)) => why.unwrap_or_else(|| "seen".to_owned()),
            Some(other) => panic!("{other:?}"),
        };
        let lost = "cannot look at the network: Too many open files";
        let looks = [None, Some(&error), Some(&error), None, None, Some(&error)].map(&mut told);
        assert_eq!(looks, ["nothing", lost, "nothing", "seen", "nothing", lost]);
    }

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

//! How soon to look again: nothing tells the agent that a process has come into a cgroup, or an address to an interface of a pod.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use enforcer_common::key::CgroupId;

use super::{Network, Place};
use crate::links::Link;

/// While something new is nobody's yet, or somebody new is nowhere yet.
const SOON: Duration = Duration::from_millis(25);
/// For how long something is new. Between the interface and the first process of a pod its container is made.
const NEW: Duration = Duration::from_secs(10);

/// After so long an interface that nobody has is looked for with those, too, whose interfaces are all there: it may be another of theirs.
const UNCLAIMED: Duration = Duration::from_secs(1);

/// What is new, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newcomers {
    /// Interfaces that lead into another network namespace, and nobody has one that is the other end.
    links: BTreeMap<u32, Instant>,
    /// Workloads of which no network is known, or no address.
    workloads: BTreeMap<CgroupId, Instant>,
}

impl Newcomers {
    /// Those of now, of which some were there in `last`.
    pub(super) fn of<'a>(
        last: &Self,
        unclaimed: impl Iterator<Item = &'a Link>,
        workloads: impl Iterator<Item = (CgroupId, Option<&'a Place>)>,
        now: Instant,
    ) -> Self {
        let leads_away = |link: &&Link| link.peer_namespace.is_some() && link.kind.as_deref() == Some("veth");
        let link = |link: &Link| (link.index, last.links.get(&link.index).copied().unwrap_or(now));
        let waits = |place: Option<&Place>| place.is_none_or(|place| place.waits(now));
        let waiting = workloads.filter(|(_, place)| waits(*place));
        let workload = |(id, _)| (id, last.workloads.get(&id).copied().unwrap_or(now));
        Self {
            links: unclaimed.filter(leads_away).map(link).collect(),
            workloads: waiting.map(workload).collect(),
        }
    }

    /// Since when an interface may be one more of somebody's who was looked at before.
    pub(super) fn unclaimed_since(&self, now: Instant) -> Option<Instant> {
        self.links.values().map(|since| *since + UNCLAIMED).filter(|due| *due <= now).max()
    }

    fn are_there(&self, now: Instant) -> bool {
        let mut since = self.links.values().chain(self.workloads.values());
        since.any(|since| now.duration_since(*since) < NEW)
    }
}

impl Network {
    /// How long after this look the next one is due, which took so long: it must not keep the node busy. `None`: whenever there are news.
    pub fn soon(&self, took: Duration) -> Option<Duration> {
        self.newcomers.are_there(Instant::now()).then(|| SOON.max(took * 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veth(index: u32, peer_namespace: Option<i32>) -> Link {
        Link { index, kind: Some("veth".to_owned()), peer_namespace, ..Link::default() }
    }

    #[test]
    fn an_interface_that_nobody_has_is_new_for_a_while() {
        let begin = Instant::now();
        let at = |last: &Newcomers, links: &[Link], seconds| {
            let now = begin + Duration::from_secs(seconds);
            let newcomers = Newcomers::of(last, links.iter(), std::iter::empty(), now);
            (newcomers.are_there(now), newcomers)
        };
        let (is_new, first) = at(&Newcomers::default(), &[veth(7, Some(0)), veth(8, None)], 0);
        assert!(is_new);
        assert!(at(&first, &[veth(7, Some(0))], 9).0 && !at(&first, &[veth(7, Some(0))], 10).0);
        assert!(!at(&first, &[veth(8, None)], 1).0, "a pair within the node");
        assert!(!at(&first, &[], 1).0, "somebody has it");
        assert!(at(&first, &[veth(7, Some(0)), veth(9, Some(1))], 20).0, "another one");
    }

    #[test]
    fn a_workload_that_is_nowhere_is_new_for_a_while() {
        let (begin, id) = (Instant::now(), CgroupId::new(7));
        let at = |last: &Newcomers, seconds| {
            let now = begin + Duration::from_secs(seconds);
            let newcomers = Newcomers::of(last, std::iter::empty(), [(id, None)].into_iter(), now);
            (newcomers.are_there(now), newcomers)
        };
        let (is_new, first) = at(&Newcomers::default(), 0);
        assert!(is_new && at(&first, 9).0 && !at(&first, 10).0);
    }

    #[test]
    fn looking_takes_a_fifth_of_the_time_at_most() {
        let link = veth(7, Some(0));
        let newcomers =
            Newcomers::of(&Newcomers::default(), [&link].into_iter(), std::iter::empty(), Instant::now());
        let network = Network { newcomers, ..Network::default() };
        let milliseconds = Duration::from_millis;
        assert_eq!(network.soon(milliseconds(1)), Some(SOON));
        assert_eq!(network.soon(milliseconds(100)), Some(milliseconds(400)));
        assert_eq!(Network::default().soon(milliseconds(1)), None);
    }
}

//! What is kept of a list of sockets: a workload that opens many must not take the agent's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::sockets::{Family, SocketEntry};

/// At most so many sockets of each cgroup and family are kept, or of each network namespace that is a subject's own: some 30 MB. The
/// kernel lists listeners first.
pub(super) const MOST: usize = 100_000;

/// Sockets, and who had more.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) entries: Vec<SocketEntry>,
    counts: BTreeMap<(Family, Option<u64>), usize>,
    full: BTreeSet<Option<u64>>,
}

impl Kept {
    /// Keeps a socket, unless its cgroup has so many.
    pub(super) fn take(&mut self, entry: SocketEntry, most: usize) {
        let of = entry.cgroup;
        self.count(entry, of, most);
    }

    /// The same for all cgroups together, for whoever wants none of the rest.
    pub(super) fn take_any(&mut self, entry: SocketEntry, most: usize) -> ControlFlow<()> {
        if self.count(entry, None, most) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn count(&mut self, entry: SocketEntry, of: Option<u64>, most: usize) -> bool {
        let count = self.counts.entry((entry.family, of)).or_default();
        *count += 1;
        if *count > most {
            self.full.insert(of);
            return false;
        }
        self.entries.push(entry);
        true
    }

    /// Whether this cgroup had more; or those without one, whose cgroup nobody knows.
    pub(super) fn is_full(&self, cgroup: u64) -> bool {
        self.full.contains(&Some(cgroup)) || self.is_any_full()
    }

    /// Whether there were more for which no cgroup counts.
    pub(super) fn is_any_full(&self) -> bool {
        self.full.contains(&None)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::sockets::Protocol;

    fn entry(family: Family, cgroup: Option<u64>, port: u16) -> SocketEntry {
        SocketEntry {
            protocol: Protocol::Tcp,
            state: 1,
            family,
            local: SocketAddr::from(([192, 0, 2, 1], port)),
            remote: SocketAddr::from(([192, 0, 2, 2], 0)),
            interface: 0,
            cookie: 0,
            cgroup,
            storage: BTreeMap::new(),
        }
    }

    fn ports(kept: &Kept) -> Vec<u16> {
        kept.entries.iter().map(|entry| entry.local.port()).collect()
    }

    #[test]
    fn a_cgroup_with_many_sockets_takes_no_room_of_others() {
        let mut kept = Kept::default();
        for port in 1..=5 {
            kept.take(entry(Family::V4, Some(7), port), 2);
        }
        kept.take(entry(Family::V4, Some(8), 6), 2);
        kept.take(entry(Family::V6, Some(7), 7), 2);
        assert_eq!(ports(&kept), [1, 2, 6, 7]);
        assert_eq!([7, 8].map(|cgroup| kept.is_full(cgroup)), [true, false]);
        for port in 8..=10 {
            kept.take(entry(Family::V4, None, port), 2);
        }
        assert_eq!(ports(&kept), [1, 2, 6, 7, 8, 9]);
        assert!(kept.is_full(8), "nobody knows whose the rest was");
    }

    #[test]
    fn in_a_namespace_of_its_own_all_count_together_and_no_more_are_asked_for() {
        let mut kept = Kept::default();
        let mut take = |family, cgroup, port| kept.take_any(entry(family, cgroup, port), 2).is_continue();
        assert!(take(Family::V4, Some(7), 1) && take(Family::V4, Some(8), 2));
        assert!(!take(Family::V4, None, 3));
        assert!(take(Family::V6, Some(7), 4));
        assert_eq!((ports(&kept), kept.is_any_full()), (vec![1, 2, 4], true));
    }
}

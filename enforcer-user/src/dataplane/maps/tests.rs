//! On real maps, over a bpffs of the test's own.

use super::*;
use crate::dataplane::load;
use crate::dataplane::stage::{SMALL, on_bpffs};

/// Runs a story in a fresh mount namespace, where the maps are pinned.
fn on_maps(story: impl FnOnce(&Pins) + Send) {
    on_bpffs(|directory| {
        let pins = Pins::new(directory);
        load::load(&pins, &SMALL, load::Options::default()).unwrap();
        story(&pins);
    });
}

/// Who has a table of flows, and who has room for events.
fn kept(maps: &Maps) -> [BTreeSet<u64>; 2] {
    let tables = maps.flows.workloads().unwrap();
    let budgets = maps.event_budget.keys().map(Result::unwrap).collect();
    [tables, budgets].map(|cgroups: Vec<CgroupId>| cgroups.into_iter().map(CgroupId::get).collect())
}

#[test]
fn what_an_agent_left_that_died_over_a_workload_goes_with_the_next() {
    on_maps(|pins| {
        let mut maps = Maps::open_to_write(pins, 16).unwrap();
        let [nobody, gone, half, stays] = [0, 5, 6, 7].map(CgroupId::new);
        maps.allow_events(nobody).unwrap();
        maps.allow_flows(nobody).unwrap();
        for workload in [gone, half, stays] {
            maps.apply(&MapOp::SetWorkload(workload, Workload::UNKNOWN)).unwrap();
        }
        // Killed after the first step of removing one, and after the second of another.
        for workload in [gone, half] {
            maps.workloads.remove(&workload).unwrap();
        }
        maps.event_budget.remove(&half).unwrap();
        assert_eq!(kept(&maps), [BTreeSet::from([0, 5, 6, 7]), BTreeSet::from([0, 5, 7])]);
        // Whoever only reads leaves all as it is.
        let read = Maps::open(pins, 16).unwrap();
        assert_eq!(kept(&read), kept(&maps));
        let next = Maps::open_to_write(pins, 16).unwrap();
        assert_eq!(kept(&next), [BTreeSet::from([0, 7]), BTreeSet::from([0, 7])]);
    });
}

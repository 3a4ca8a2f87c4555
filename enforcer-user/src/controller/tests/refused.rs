//! A registry that does not fit the maps, and what goes on meanwhile.

use super::coverage::{interface, network, status};
use super::*;

/// A node whose maps have room for one service of the two that are told.
fn refused() -> (Controller<Fake>, watch::Receiver<Arc<Applied>>) {
    let limits = Limits { exact: 1, ..Limits::default() };
    let (mut controller, applied) = started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), limits);
    let two = format!("{POLICY}{}{}", entry("b", "192.0.2.2"), entry("c", "192.0.2.3"));
    tell(&mut controller, Event::Source(snapshot(&two)));
    (controller, applied)
}

#[test]
fn a_registry_that_does_not_fit_leaves_the_last_one_in_force_and_says_why() {
    let (mut controller, applied) = refused();
    assert_eq!(verdict(&controller, "192.0.2.1:80"), "allow");
    assert_eq!(verdict(&controller, "192.0.2.2:80"), "deny");
    let not_ready = applied.borrow().status.not_ready.clone();
    assert!(not_ready[0].contains("2 entries of the map EXACT, 1 more than its limit of 1"), "{not_ready:?}");
    let updates = applied.borrow().updates.clone();
    assert_eq!((updates.refused, updates.failed, updates.spread.iter().sum::<u64>()), (1, 0, 2));
    tell(&mut controller, Event::Source(snapshot(&format!("{POLICY}{}", entry("b", "192.0.2.2")))));
    assert_eq!(verdict(&controller, "192.0.2.2:80"), "allow");
    assert!(applied.borrow().status.ready);
}

#[test]
fn workloads_come_and_go_while_a_registry_is_refused() {
    let (mut controller, applied) = refused();
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), Network::default()));
    assert_eq!(controller.dataplane.image.workloads.len(), 2);
    let job = |destination: &str| controller.explain("job", destination).unwrap().verdict;
    assert_eq!((&*job("192.0.2.1:80"), &*job("192.0.2.2:80")), ("allow", "deny"));
    tell(&mut controller, Event::Roster(roster(&["job"]), Network::default()));
    let job = workload("job").cgroup.unwrap().id;
    assert!(controller.dataplane.image.workloads.keys().eq([&job]));
    assert!(status(&applied).not_ready[0].contains("1 more than its limit"), "and it is still told");
    let updates = applied.borrow().updates.clone();
    assert_eq!((updates.refused, updates.failed), (3, 0));
}

#[test]
fn maps_that_fail_while_a_registry_is_refused_are_brought_to_the_one_in_force() {
    let (mut controller, applied) = refused();
    controller.dataplane.fail_after = Some(0);
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), Network::default()));
    assert_eq!(controller.dataplane.fail_after, None, "it did fail");
    assert_eq!(controller.dataplane.image.workloads.len(), 2);
    assert_eq!(verdict(&controller, "192.0.2.1:80"), "allow");
    let not_ready = applied.borrow().status.not_ready.clone();
    assert!(not_ready[0].contains("1 more than its limit"), "{not_ready:?}");
}

#[test]
fn a_workload_that_loses_its_interface_is_judged_at_its_sockets_while_a_registry_is_refused() {
    let (mut controller, applied) = refused();
    let veth = network(&[interface(7, "veth1")], &[]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), veth));
    assert!(status(&applied).workloads[0].covered);
    let is_covered = |controller: &Controller<Fake>| {
        controller.dataplane.image.workloads[&CgroupId::new(438)].is_covered()
    };
    assert!(is_covered(&controller));
    tell(&mut controller, Event::Roster(roster(&["curl"]), network(&[], &["eth0"])));
    assert!(!is_covered(&controller) && !status(&applied).workloads[0].covered);
}

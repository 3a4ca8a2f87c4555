//! What fails, and what becomes of it.

use super::coverage::{interface, network, stage, status};
use super::*;
use crate::dataplane::{Misplaced, Trouble};

const CURL: CgroupId = CgroupId::new(438);

/// How many of so many ticks it was that brought something into the kernel.
fn attempts(controller: &mut Controller<Fake>, ticks: u32) -> Vec<u32> {
    let mut attempts = Vec::new();
    for tick in 1..=ticks {
        if controller.take(Event::Tick) {
            controller.update();
            attempts.push(tick);
        }
    }
    attempts
}

#[test]
fn maps_that_fail_while_coverage_is_written_are_read_back_with_the_next_update() {
    let (mut controller, applied) = started(POLICY, Limits::default());
    let veth = network(&[interface(7, "veth1")], &[]);
    controller.dataplane.fail_after = Some(0);
    tell(&mut controller, Event::Roster(roster(&["curl"]), veth));
    assert_eq!(controller.dataplane.fail_after, None, "it did fail");
    let placements = controller.dataplane.placements;
    assert!(!status(&applied).ready && !controller.dataplane.image.workloads[&CURL].is_covered());
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready, "{:?}", status(&applied).not_ready);
    assert!(controller.dataplane.image.workloads[&CURL].is_covered());
    assert_eq!(controller.dataplane.placements, placements + 1, "and the interfaces are placed again");
    assert!(controller.explain("curl", "192.0.2.1:80").unwrap().warnings.is_empty());
}

#[test]
fn maps_that_fail_while_classes_are_reaped_are_read_back_with_the_next_update() {
    let (mut controller, applied) =
        started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    tell(&mut controller, Event::Source(snapshot(POLICY)));
    let classes = |controller: &Controller<Fake>| controller.dataplane.image.classes.len();
    assert_eq!(classes(&controller), 1);
    controller.started -= std::time::Duration::from_mins(1);
    controller.dataplane.fail_after = Some(0);
    assert!(controller.take(Event::Tick), "tried again at once");
    assert_eq!(controller.dataplane.fail_after, None, "it did fail");
    controller.update();
    for _ in ["what was left is found", "and goes"] {
        controller.started -= std::time::Duration::from_mins(1);
        tell(&mut controller, Event::Tick);
    }
    assert_eq!((classes(&controller), status(&applied).ready), (0, true));
}

#[test]
fn a_covered_workload_is_judged_at_its_sockets_until_its_new_interface_has_programs() {
    let (mut controller, _) = stage(&network(&[interface(7, "veth1")], &[]));
    let is_covered = |workloads: &BTreeMap<CgroupId, Workload>| workloads[&CURL].is_covered();
    assert!(is_covered(&controller.dataplane.image.workloads));
    let both = network(&[interface(7, "veth1"), interface(8, "veth2")], &[]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), both));
    assert!(!is_covered(&controller.dataplane.workloads_at_place), "while veth2 was attached");
    assert!(is_covered(&controller.dataplane.image.workloads), "after that");
    // What has no news for it keeps its coverage meanwhile.
    let mut more = network(&[interface(7, "veth1"), interface(8, "veth2")], &[]);
    more.uplinks.insert(interface(2, "eth0"));
    tell(&mut controller, Event::Roster(roster(&["curl"]), more));
    assert!(is_covered(&controller.dataplane.workloads_at_place));
}

#[test]
fn an_interface_that_cannot_have_programs_is_tried_again_ever_more_rarely() {
    let (mut controller, applied) = stage(&Network::default());
    controller.dataplane.unplaceable = BTreeMap::from([(7, "No space left on device".to_owned())]);
    let veth = network(&[interface(7, "veth1")], &[]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), veth.clone()));
    assert_eq!(attempts(&mut controller, 20), [1, 2, 4, 8, 16]);
    // News are acted upon at once.
    tell(&mut controller, Event::Roster(roster(&["curl"]), veth));
    assert_eq!(attempts(&mut controller, 3), [1, 2]);
    controller.dataplane.unplaceable.clear();
    assert_eq!((attempts(&mut controller, 10), status(&applied).ready), (vec![1], true));
}

#[test]
fn an_interface_that_lost_its_programs_for_good_is_relied_on_no_more() {
    let (mut controller, applied) = stage(&network(&[interface(7, "veth1")], &[]));
    let misplaced = Misplaced {
        index: 7,
        name: "veth1".to_owned(),
        trouble: Trouble::Missing,
        fault: Some("Device or resource busy".to_owned()),
    };
    controller.dataplane.misplaced = vec![misplaced];
    controller.dataplane.unplaceable = BTreeMap::from([(7, "Device or resource busy".to_owned())]);
    tell(&mut controller, Event::Links);
    tell(&mut controller, Event::Tick);
    let told = status(&applied);
    assert!(!told.workloads[0].covered && !told.ready, "{:?}", told.not_ready);
    controller.dataplane.unplaceable.clear();
    tell(&mut controller, Event::Tick);
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready && status(&applied).workloads[0].covered);
}

#[test]
fn one_cgroup_that_cannot_be_attached_keeps_no_interface_of_another_open() {
    let (mut controller, applied) = started(POLICY, Limits::default());
    let (job, both) = (workload("job").cgroup.unwrap().id, roster(&["curl", "job"]));
    controller.dataplane.unattachable.insert(job);
    let veth = network(&[interface(7, "veth1")], &[]);
    tell(&mut controller, Event::Roster(both, veth));
    let told = status(&applied);
    assert!(told.not_ready[0].contains("cannot attach to"), "{:?}", told.not_ready);
    assert_eq!(controller.dataplane.layout.interfaces.len(), 1);
    assert!(controller.dataplane.image.workloads[&CURL].is_covered());
    controller.dataplane.unattachable.clear();
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready && status(&applied).attached.len() == 2);
}

#[test]
fn cgroups_at_too_many_depths_keep_no_interface_open() {
    let (mut controller, applied) = started(POLICY, Limits::default());
    let names: Vec<String> = (1..=9).map(|level| format!("at-depth-{level}")).collect();
    let mut many = roster(&names.iter().map(String::as_str).chain(["curl"]).collect::<Vec<_>>());
    for (level, identified) in (1..).zip(&mut many.workloads) {
        identified.cgroup.as_mut().unwrap().level = level;
    }
    tell(&mut controller, Event::Roster(many, network(&[interface(7, "veth1")], &[])));
    let told = status(&applied);
    assert!(told.not_ready.iter().any(|reason| reason.contains("too many depths")), "{:?}", told.not_ready);
    assert_eq!((told.attached.len(), controller.dataplane.layout.interfaces.len()), (10, 1));
}

#[test]
fn a_start_that_cannot_attach_is_none() {
    let mut dataplane = Fake::default();
    dataplane.unattachable.insert(CURL);
    let started = Controller::start(
        config(Limits::default()),
        dataplane,
        located(&["curl"]),
        Box::new(|_, _, _| Vec::new()),
        vec![snapshot(POLICY)],
    );
    assert!(started.is_err());
}

#[test]
fn what_is_where_it_was_is_not_placed_anew() {
    let veth = network(&[interface(7, "veth1")], &[]);
    let (mut controller, _) = stage(&veth);
    let before = controller.dataplane.placements;
    tell(&mut controller, Event::Source(snapshot(&format!("{POLICY}{}", entry("a", "192.0.2.1")))));
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), veth));
    assert_eq!(controller.dataplane.placements, before);
    let both = network(&[interface(7, "veth1"), interface(8, "veth2")], &[]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), both));
    assert_eq!(controller.dataplane.placements, before + 1);
}

#[test]
fn the_registry_is_built_anew_only_when_a_source_has_changed() {
    let broken = entry("b", "none");
    let (mut controller, applied) =
        started(&format!("{POLICY}{}{broken}", entry("a", "192.0.2.1")), Limits::default());
    let before = Arc::clone(&applied.borrow());
    assert!(!before.status.problems.is_empty());
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), Network::default()));
    let after = Arc::clone(&applied.borrow());
    assert!(Arc::ptr_eq(&before.registry, &after.registry));
    assert_eq!(before.status.problems, after.status.problems);
    tell(&mut controller, Event::Source(snapshot(POLICY)));
    assert!(applied.borrow().registry.services.is_empty() && applied.borrow().status.problems.is_empty());
}

#[test]
fn an_interface_that_cannot_be_looked_at_is_named_and_not_taken_for_lost() {
    let (mut controller, applied) = stage(&network(&[interface(7, "veth1")], &[]));
    controller.dataplane.misplaced = vec![Misplaced {
        index: 7,
        name: "veth1".to_owned(),
        trouble: Trouble::Unknown,
        fault: Some("Permission denied".to_owned()),
    }];
    tell(&mut controller, Event::Links);
    tell(&mut controller, Event::Tick);
    let told = status(&applied);
    assert_eq!(
        (&*told.interfaces[0].order, told.order_lost, told.workloads[0].covered),
        ("unknown", 0, true)
    );
    assert_eq!(
        told.not_ready,
        ["nobody can tell whether ours are the first programs of the interface veth1: Permission denied"]
    );
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready);
}

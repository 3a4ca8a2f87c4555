//! What the status says of interfaces, and what of them keeps the agent from being ready.

use super::*;
use crate::dataplane::{Misplaced, Trouble};
use crate::network::{Interface, Place};
use crate::status::Status;

const CURL: u64 = 438;

pub(super) fn interface(index: u32, name: &str) -> Interface {
    Interface { index, name: name.to_owned() }
}

pub(super) fn network(interfaces: &[Interface], uncovered: &[&str]) -> Network {
    let uncovered = uncovered.iter().map(|name| (*name).to_owned()).collect();
    let place = Place::found(interfaces.iter().cloned().collect(), uncovered);
    Network { workloads: BTreeMap::from([(CgroupId::new(CURL), place)]), ..Network::default() }
}

/// An agent whose one workload is in the network like this.
pub(super) fn stage(network: &Network) -> (Controller<Fake>, watch::Receiver<Arc<Applied>>) {
    let (mut controller, applied) = started(POLICY, Limits::default());
    tell(&mut controller, Event::Roster(roster(&["curl"]), network.clone()));
    (controller, applied)
}

pub(super) fn status(applied: &watch::Receiver<Arc<Applied>>) -> Status {
    applied.borrow().status.clone()
}

#[test]
fn a_workload_is_judged_at_its_interfaces_when_all_have_another_end() {
    let veth = interface(7, "veth1");
    let (_, applied) = stage(&network(std::slice::from_ref(&veth), &[]));
    let told = status(&applied);
    let workload = &told.workloads[0];
    assert_eq!(
        (workload.covered, &*workload.interfaces, workload.notes.len()),
        (true, &["veth1".to_owned()][..], 0)
    );
    let interface = &told.interfaces[0];
    assert_eq!(
        (&*interface.side, interface.workload.as_deref(), &*interface.order),
        ("workload", Some("web/curl"), "first")
    );
    assert!(told.ready, "{:?}", told.not_ready);
}

#[test]
fn a_workload_without_interfaces_is_no_fault_and_has_a_note_while_there_is_no_uplink() {
    let (mut controller, applied) = stage(&Network::default());
    let told = status(&applied);
    assert_eq!((told.ready, told.workloads[0].covered), (true, false));
    assert_eq!(told.workloads[0].notes, ["packets of AF_PACKET sockets are not seen: --uplink"]);
    let uplinks = BTreeSet::from([interface(2, "eth0")]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), Network { uplinks, ..Network::default() }));
    let told = status(&applied);
    assert_eq!((told.workloads[0].notes.len(), told.uplinks), (0, vec!["eth0".to_owned()]));
}

#[test]
fn an_interface_without_another_end_is_a_gap_while_enforcing() {
    let (mut controller, applied) = stage(&network(&[interface(7, "veth1")], &["net1"]));
    let told = status(&applied);
    assert!(!told.ready && !told.workloads[0].covered);
    assert_eq!(
        told.not_ready,
        [
            "what web/curl sends by net1 is judged at its sockets only, for this node has no other end of that: name the node's \
          side with interface=, or the node's own interface that it leaves by with --uplink"
        ]
    );
    turn(&mut controller, Switch::to(Enforcement::Audit));
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready);
}

#[test]
fn an_interface_that_cannot_have_programs_is_a_gap_and_relied_on_no_more() {
    let (mut controller, applied) = stage(&network(&[interface(7, "veth1")], &[]));
    controller.dataplane.unplaceable = BTreeMap::from([(7, "No such device".to_owned())]);
    // Another interface has come, and all are placed anew.
    let both = network(&[interface(7, "veth1"), interface(8, "veth2")], &[]);
    tell(&mut controller, Event::Roster(roster(&["curl"]), both));
    let told = status(&applied);
    assert!(!told.workloads[0].covered);
    assert_eq!(told.interfaces.iter().map(|interface| &*interface.name).collect::<Vec<_>>(), ["veth2"]);
    assert_eq!(told.unattached_interfaces[0].name, "veth1");
    assert!(
        told.not_ready[0]
            .starts_with("packets at the interface veth1 of web/curl are not judged: No such device;"),
        "{:?}",
        told.not_ready
    );
    controller.dataplane.unplaceable.clear();
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready && status(&applied).workloads[0].covered);
}

#[test]
fn an_interface_that_is_named_and_not_there_is_a_gap() {
    let (mut controller, applied) = stage(&Network::default());
    let mut named = roster(&["curl"]);
    named.workloads[0].workload.interfaces = vec!["veth3".to_owned()];
    tell(&mut controller, Event::Roster(named, Network::default()));
    assert!(
        status(&applied).not_ready[0]
            .starts_with("this node has no interface veth3, which interface= of web/curl names"),
        "{:?}",
        status(&applied).not_ready
    );
}

#[test]
fn other_programs_before_ours_are_counted_and_those_that_stay_are_named() {
    let (mut controller, applied) = stage(&network(&[interface(7, "veth1")], &[]));
    let found = |fault: Option<&str>| Misplaced {
        index: 7,
        name: "veth1".to_owned(),
        trouble: Trouble::Behind(vec![(12, "cil_from_contai".to_owned())]),
        fault: fault.map(str::to_owned),
    };
    // Put right: counted, and nothing to do.
    controller.dataplane.misplaced = vec![found(None)];
    tell(&mut controller, Event::Links);
    tell(&mut controller, Event::Tick);
    let told = status(&applied);
    assert_eq!((told.ready, told.order_lost, &*told.interfaces[0].order), (true, 1, "first"));
    // Nobody has looked for a while, and nothing has happened: not yet time.
    controller.dataplane.misplaced = vec![found(Some("Operation not permitted"))];
    tell(&mut controller, Event::Tick);
    assert_eq!(status(&applied).order_lost, 1);
    tell(&mut controller, Event::Links);
    tell(&mut controller, Event::Tick);
    let told = status(&applied);
    assert_eq!((told.ready, told.order_lost, &*told.interfaces[0].order), (false, 2, "behind"));
    assert_eq!(
        (told.interfaces[0].before[0].id, &*told.interfaces[0].before[0].name),
        (12, "cil_from_contai")
    );
    assert!(
        told.not_ready[0].contains("12 cil_from_contai (Operation not permitted)"),
        "{:?}",
        told.not_ready
    );
    // It is tried at every tick, and said once.
    controller.dataplane.misplaced = vec![found(Some("Operation not permitted"))];
    tell(&mut controller, Event::Tick);
    assert_eq!(status(&applied).order_lost, 2);
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready);
}

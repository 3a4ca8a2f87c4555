//! What the status says of interfaces, and what of them keeps the agent from being ready.

use std::time::Duration;

use super::*;
use crate::config::InterfacePattern;
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

/// What keeps an agent with these patterns from being ready.
fn reasons(uplinks: &[&str], interfaces: &[&str], network: &Network) -> Vec<String> {
    let patterns = |texts: &[&str]| texts.iter().map(|text| InterfacePattern::new(text)).collect();
    let (mut controller, applied) = stage(&Network::default());
    controller.config.uplinks = patterns(uplinks);
    controller.config.interfaces.patterns = patterns(interfaces);
    tell(&mut controller, Event::Roster(roster(&["curl"]), network.clone()));
    let found = status(&applied).not_ready;
    turn(&mut controller, Switch::to(Enforcement::Audit));
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready, "nothing is enforced");
    found
}

#[test]
fn patterns_that_name_nothing_that_can_be_judged_are_gaps() {
    let eth0 = BTreeSet::from([interface(2, "eth0")]);
    let unreadable = BTreeSet::from(["wg0".to_owned(), "tun1".to_owned()]);
    let with = Network { uplinks: eth0.clone(), unreadable, ..Network::default() };
    for (uplinks, interfaces, network, expected) in [
        (&["eth*"][..], &[][..], &with, &[][..]),
        (&["ens5"], &[], &with, &["--uplink ens5 names no interface of the node's own;"]),
        (
            &["eth0", "wg*"],
            &[],
            &with,
            &["--uplink wg* names only wg0, which no program can read: not Ethernet;"],
        ),
        (&[], &["veth*"], &with, &[]),
        (&[], &["tun*"], &with, &["--interface tun* names only tun1, which no program can read"]),
        (&[], &["*"], &Network { unknown: eth0, ..with.clone() }, &[]),
    ] {
        let found = reasons(uplinks, interfaces, network);
        let what = format!("{uplinks:?} {interfaces:?}: {found:?}");
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{what}");
        }
    }
}

#[test]
fn an_uplink_that_is_missing_judges_nobodys_packets() {
    let uncovered = network(&[interface(7, "veth1")], &["net1"]);
    let with = Network { uplinks: BTreeSet::from([interface(2, "eth0")]), ..uncovered };
    assert_eq!(reasons(&["eth0"], &[], &with), Vec::<String>::new());
    let found = reasons(&["eth0", "eth1"], &[], &with);
    assert!(found.len() == 2 && found[0].starts_with("what web/curl sends by net1"), "{found:?}");
    assert!(found[1].starts_with("--uplink eth1 names no interface"), "{found:?}");
}

#[test]
fn an_agent_that_cannot_look_is_not_ready_until_it_can() {
    let (mut controller, applied) = stage(&Network::default());
    tell(&mut controller, Event::Blind(Some("Too many open files".to_owned())));
    let told = status(&applied);
    assert!(!told.ready && told.not_ready[0].contains("(Too many open files)"), "{:?}", told.not_ready);
    tell(&mut controller, Event::Blind(None));
    assert!(status(&applied).ready);
    let unreadable = BTreeSet::from([PathBuf::from("/sys/fs/cgroup/curl")]);
    let blind = Roster { unreadable, ..roster(&["curl"]) };
    tell(&mut controller, Event::Roster(blind, Network::default()));
    let told = status(&applied);
    assert!(
        told.not_ready[0].contains("cannot look at the cgroup /sys/fs/cgroup/curl"),
        "{:?}",
        told.not_ready
    );
}

#[test]
fn every_tick_shows_that_the_controller_turns() {
    let (mut controller, applied) = stage(&Network::default());
    let pulse = controller.pulse();
    std::thread::sleep(Duration::from_millis(20));
    let late = Instant::now() + Duration::from_secs(30);
    let is_ready = || pulse.check(Arc::clone(&applied.borrow()), late).status.ready;
    assert!(!is_ready());
    tell(&mut controller, Event::Tick);
    assert!(is_ready());
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

/// A workload could have forged what tells it, and must not make the node's agent unready.
#[test]
fn connections_that_nobody_saw_are_a_note_for_as_long_as_they_come() {
    let mut network = network(&[interface(7, "veth1")], &[]);
    let place = network.workloads.get_mut(&CgroupId::new(CURL)).unwrap();
    place.inside = BTreeSet::from([2]);
    let (mut controller, applied) = stage(&network);
    let look = |controller: &mut Controller<Fake>| (0..3).for_each(|_| tell(controller, Event::Tick));
    let notes = || status(&applied).workloads[0].notes.clone();
    // By an interface that has no node's side.
    controller.dataplane.unseen = BTreeSet::from([(CgroupId::new(CURL), 3)]);
    look(&mut controller);
    assert_eq!(notes(), [""; 0]);
    controller.dataplane.unseen.insert((CgroupId::new(CURL), 2));
    look(&mut controller);
    assert!(notes()[0].contains("bpf_redirect_peer") && notes().len() == 1, "{:?}", notes());
    assert!(status(&applied).ready, "{:?}", status(&applied).not_ready);
    controller.dataplane.unseen.clear();
    look(&mut controller);
    assert_eq!(notes(), [""; 0]);
}

#[test]
fn an_interface_of_two_workloads_is_a_gap_that_names_both() {
    let shared = || Place { shared: BTreeSet::from([interface(7, "veth1")]), ..Place::default() };
    let both = roster(&["curl", "job"]);
    let ids = both.workloads.iter().filter_map(|identified| Some(identified.cgroup.as_ref()?.id));
    let network = Network { workloads: ids.map(|id| (id, shared())).collect(), ..Network::default() };
    let (mut controller, applied) = started(POLICY, Limits::default());
    tell(&mut controller, Event::Roster(both, network));
    let told = status(&applied);
    assert!(told.workloads.iter().all(|workload| !workload.covered) && told.interfaces.is_empty());
    assert_eq!(
        told.not_ready,
        [
            "web/curl and web/job are in one network namespace, and whose a packet at the interface veth1 is cannot be told: \
          give each a network namespace of its own, or make one workload of them"
        ]
    );
}

#[test]
fn a_workload_that_is_not_seen_in_full_or_has_too_many_addresses_is_a_gap() {
    let addresses = BTreeSet::from(["10.0.0.2".parse().unwrap()]);
    let found = Place::found(BTreeSet::from([interface(7, "veth1")]), BTreeSet::new());
    let place = Place { addresses, has_more_addresses: true, unseen: Some("no luck".to_owned()), ..found };
    let workloads = BTreeMap::from([(CgroupId::new(CURL), place)]);
    let (mut controller, applied) = stage(&Network { workloads, ..Network::default() });
    let told = status(&applied);
    assert!(!told.workloads[0].covered);
    assert_eq!(
        told.not_ready,
        [
            "not all interfaces of web/curl may be known (no luck), and it is judged at its sockets, too: look what its \
          processes do, and whether the agent may look at them",
            "web/curl has more addresses than 1, and what it sends from the others is denied: name its own with address="
        ]
    );
    turn(&mut controller, Switch::to(Enforcement::Audit));
    tell(&mut controller, Event::Tick);
    assert!(status(&applied).ready);
}

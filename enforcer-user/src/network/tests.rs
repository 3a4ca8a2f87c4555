//! Workloads that configure their own networks, on real interfaces.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::StaticWorkload;
use crate::identity;
use crate::links::stage::{Pod, ip, on_node};

fn roster(cgroups: &[&Path]) -> Roster {
    let identified = |path: &&Path| Identified {
        workload: StaticWorkload::plain(path.to_path_buf(), "curl"),
        cgroup: Some(identity::cgroup(path).unwrap()),
        proxy: None,
    };
    Roster { workloads: cgroups.iter().map(identified).collect(), ..Roster::default() }
}

fn look(last: &Network, cgroups: &[&Path]) -> Network {
    let interfaces = Interfaces { auto: true, patterns: Vec::new() };
    let wanted = Wanted { interfaces, uplinks: Vec::new() };
    Network::look(last, &roster(cgroups), &wanted).unwrap()
}

/// Looks whatever was seen lately.
fn look_anew(mut last: Network, cgroups: &[&Path]) -> Network {
    for place in last.workloads.values_mut() {
        place.memory.looked = None;
    }
    look(&last, cgroups)
}

fn id(cgroup: &Path) -> CgroupId {
    identity::cgroup(cgroup).unwrap().id
}

fn place<'a>(network: &'a Network, pod: &Pod) -> &'a Place {
    &network.workloads[&id(&pod.cgroup)]
}

fn names(interfaces: &BTreeSet<Interface>) -> Vec<&str> {
    interfaces.iter().map(|interface| interface.name.as_str()).collect()
}

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Connects a pod, which gets these addresses.
fn connect(pod: &Pod, host: &str, inside: &str, addresses: &[&str]) {
    ip(&format!("link add {host} type veth peer name {inside} netns {}", pod.pid()));
    pod.inside(|| {
        ip(&format!("link set {inside} addrgenmode none up"));
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("address add {address} dev {inside}{nodad}"));
        }
    });
}

/// What the next agent would read from the maps.
fn restarted(network: &Network) -> Network {
    let places = || network.workloads.iter();
    let interfaces = places()
        .flat_map(|(cgroup, place)| place.interfaces.iter().map(|interface| (interface.index, *cgroup)));
    let addresses = places().map(|(cgroup, place)| (*cgroup, place.addresses.clone())).collect();
    Network::earlier(interfaces, &addresses)
}

#[test]
fn an_interface_out_of_sight_stays_its_workloads_when_the_agent_starts_again() {
    on_node(|| {
        let (pod, elsewhere) = (Pod::start(), Pod::start());
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        let first = look(&Network::default(), &[&pod.cgroup]);
        pod.inside(|| ip(&format!("link set eth0 netns {}", elsewhere.pid())));
        let again = look(&restarted(&first), &[&pod.cgroup]);
        let found = place(&again, &pod);
        assert_eq!((names(&found.interfaces), &found.addresses), (vec!["host0"], &addresses(&["10.0.0.2"])));
        // Nor is it nobody's later, or somebody else's, or has other addresses when it comes back.
        elsewhere.inside(|| ip(&format!("link set eth0 netns {}", pod.pid())));
        pod.inside(|| {
            ip("link set eth0 up");
            ip("address add 10.0.0.9/32 dev eth0");
        });
        let back = look_anew(again, &[&pod.cgroup]);
        assert_eq!(place(&back, &pod).addresses, addresses(&["10.0.0.2"]));
        // The node's side is gone: what was on it is nobody's.
        ip("link del host0");
        let gone = look_anew(back, &[&pod.cgroup]);
        assert_eq!((names(&place(&gone, &pod).interfaces), place(&gone, &pod).addresses.len()), (vec![], 0));
    });
}

#[test]
fn a_pod_that_is_looked_at_while_it_is_set_up_gets_all_its_addresses() {
    on_node(|| {
        let pod = Pod::start();
        connect(&pod, "host0", "eth0", &["fe80::2/64"]);
        let first = look(&Network::default(), &[&pod.cgroup]);
        assert_eq!(place(&first, &pod).addresses, addresses(&["fe80::2"]));
        pod.inside(|| ip("address add 10.0.0.2/32 dev eth0"));
        let second = look(&first, &[&pod.cgroup]);
        assert_eq!(place(&second, &pod).addresses, addresses(&["fe80::2", "10.0.0.2"]));
        pod.inside(|| ip("address add fd00::2/128 dev eth0 nodad"));
        let third = look(&second, &[&pod.cgroup]);
        let all = ["fe80::2", "10.0.0.2", "fd00::2"];
        assert_eq!(place(&third, &pod).addresses, addresses(&all));
        // Another interface has addresses of its own.
        connect(&pod, "host1", "net1", &["10.1.0.2/32"]);
        let fourth = look(&third, &[&pod.cgroup]);
        assert_eq!(place(&fourth, &pod).addresses, addresses(&[&all[..], &["10.1.0.2"]].concat()));
    });
}

#[test]
fn only_what_the_node_routes_to_a_pod_is_taken_later() {
    on_node(|| {
        let pod = Pod::start();
        connect(&pod, "host0", "eth0", &["10.0.0.2/32", "fd00::2/128"]);
        ip("link set host0 up");
        let first = look(&Network::default(), &[&pod.cgroup]);
        std::thread::sleep(Duration::from_millis(250));
        pod.inside(|| {
            ip("address add 10.0.0.3/32 dev eth0");
            ip("address add 10.0.0.4/32 dev eth0");
        });
        ip("route add 10.0.0.3/32 dev host0");
        let later = look_anew(first, &[&pod.cgroup]);
        assert_eq!(place(&later, &pod).addresses, addresses(&["10.0.0.2", "10.0.0.3", "fd00::2"]));
    });
}

#[test]
fn an_interface_without_a_nodes_side_is_not_forgotten_when_it_is_out_of_sight() {
    on_node(|| {
        let (pod, elsewhere) = (Pod::start(), Pod::start());
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        ip("link add base type veth peer name unused");
        ip(&format!("link add link base name net1 netns {} type macvlan mode bridge", pod.pid()));
        let first = look(&Network::default(), &[&pod.cgroup]);
        assert_eq!(place(&first, &pod).uncovered, BTreeSet::from(["net1".to_owned()]));
        pod.inside(|| ip(&format!("link set net1 netns {}", elsewhere.pid())));
        let later = look(&first, &[&pod.cgroup]);
        assert_eq!(place(&later, &pod).uncovered, BTreeSet::from(["net1".to_owned()]));
        assert!(!place(&later, &pod).is_covered());
    });
}

#[test]
fn in_a_namespace_within_only_what_ends_in_another_of_the_workload_is_covered() {
    on_node(|| {
        let pod = Pod::start();
        let within = Pod::start();
        fs::write(pod.cgroup.join("cgroup.procs"), within.pid().to_string()).unwrap();
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        pod.inside(|| ip(&format!("link add bridge0 type veth peer name eth0 netns {}", within.pid())));
        let first = look(&Network::default(), &[&pod.cgroup]);
        assert!(place(&first, &pod).is_covered(), "{:?}", place(&first, &pod));
        ip("link add base type veth peer name unused");
        ip(&format!("link add link base name net1 netns {} type macvlan mode bridge", within.pid()));
        let later = look_anew(first, &[&pod.cgroup]);
        assert_eq!(place(&later, &pod).uncovered, BTreeSet::from(["net1".to_owned()]));
    });
}

#[test]
fn an_interface_of_two_workloads_is_his_who_had_it_first_or_nobodys() {
    on_node(|| {
        let pod = Pod::start();
        let guest = pod.inside(Pod::start_here);
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        let both = [&*pod.cgroup, &*guest.cgroup];
        let alone = look(&Network::default(), &[&pod.cgroup]);
        let joined = look(&alone, &both);
        assert!(place(&joined, &pod).is_covered(), "{:?}", place(&joined, &pod));
        let late = place(&joined, &guest);
        assert_eq!((names(&late.interfaces), names(&late.shared)), (vec![], vec!["host0"]));
        let shared = look(&Network::default(), &both);
        for pod in [&pod, &guest] {
            let place = place(&shared, pod);
            assert_eq!((names(&place.interfaces), names(&place.shared)), (vec![], vec!["host0"]));
            assert!(!place.is_covered());
        }
        let again = look(&shared, &[&pod.cgroup]);
        assert!(place(&again, &pod).is_covered(), "{:?}", place(&again, &pod));
    });
}

#[test]
fn an_interface_that_is_moved_to_another_workload_stays_its_own() {
    on_node(|| {
        let (pod, other) = (Pod::start(), Pod::start());
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        connect(&other, "host1", "net0", &["10.0.0.3/32"]);
        let both = [&*pod.cgroup, &*other.cgroup];
        let first = look(&Network::default(), &both);
        pod.inside(|| ip(&format!("link set eth0 netns {}", other.pid())));
        for last in [look_anew(first.clone(), &both), look(&restarted(&first), &both)] {
            assert_eq!(names(&place(&last, &pod).interfaces), ["host0"]);
            let other = place(&last, &other);
            assert_eq!((names(&other.interfaces), names(&other.shared)), (vec!["host1"], vec!["host0"]));
            assert_eq!(other.addresses, addresses(&["10.0.0.3"]));
        }
        other.inside(|| ip(&format!("link set eth0 netns {}", pod.pid())));
        let back = look_anew(look_anew(first, &both), &both);
        assert!(place(&back, &pod).is_covered() && place(&back, &other).is_covered(), "{back:?}");
    });
}

#[test]
fn a_workload_below_another_has_its_interfaces_for_itself() {
    on_node(|| {
        let (outer, inner) = (Pod::start(), Pod::start());
        connect(&outer, "host0", "eth0", &["10.0.0.2/32"]);
        connect(&inner, "host1", "eth0", &["10.0.0.3/32"]);
        let below = outer.cgroup.join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("cgroup.procs"), inner.pid().to_string()).unwrap();
        let found = look(&Network::default(), &[&outer.cgroup, &below]);
        let whose = |cgroup: &Path| names(&found.workloads[&id(cgroup)].interfaces);
        assert_eq!((whose(&outer.cgroup), whose(&below)), (vec!["host0"], vec!["host1"]));
        fs::write(inner.container().join("cgroup.procs"), inner.pid().to_string()).unwrap();
        fs::remove_dir(below).unwrap();
    });
}

#[test]
fn more_namespaces_than_are_looked_into_are_told() {
    on_node(|| {
        let pod = Pod::start();
        connect(&pod, "host0", "eth0", &["10.0.0.2/32"]);
        let first = look(&Network::default(), &[&pod.cgroup]);
        assert!(place(&first, &pod).is_covered());
        let many: Vec<Pod> = (0..32).map(|_| Pod::start()).collect();
        for one in &many {
            fs::write(pod.cgroup.join("cgroup.procs"), one.pid().to_string()).unwrap();
        }
        let later = look_anew(first, &[&pod.cgroup]);
        let found = place(&later, &pod);
        assert_eq!(found.unseen.as_deref(), Some("it has processes in more network namespaces than 32"));
        assert_eq!((names(&found.interfaces), found.is_covered()), (vec!["host0"], false));
    });
}

#[test]
fn a_workload_with_any_number_of_addresses_has_so_many_that_are_its_own() {
    on_node(|| {
        let pod = Pod::start();
        let many: Vec<String> = (0..300).map(|n| format!("10.1.{}.{}/32", n / 250, n % 250)).collect();
        connect(&pod, "host0", "eth0", &many.iter().map(String::as_str).collect::<Vec<_>>());
        let found = look(&Network::default(), &[&pod.cgroup]);
        let place = place(&found, &pod);
        assert_eq!((place.addresses.len(), place.has_more_addresses), (256, true));
    });
}

#[test]
fn one_more_interface_of_a_pod_is_found_soon() {
    on_node(|| {
        let pod = Pod::start();
        connect(&pod, "veth1", "eth0", &["10.0.0.2/24", "fd00::2/64"]);
        let cgroups = [&*pod.cgroup];
        let found = look(&Network::default(), &cgroups);
        assert_eq!(names(&place(&found, &pod).interfaces), ["veth1"]);
        // Whose addresses have been known for long.
        let (id, place_of) = (id(&pod.cgroup), place(&found, &pod));
        let index = place_of.interfaces.first().unwrap().index;
        let known = Network::earlier([(index, id)], &BTreeMap::from([(id, place_of.addresses.clone())]));
        let first = look(&known, &cgroups);
        connect(&pod, "veth2", "net1", &["10.0.1.2/24"]);
        // Most likely another pod is on its way, whose first process comes soon.
        let mut last = look(&first, &cgroups);
        for _ in 0..100 {
            last = look(&last, &cgroups);
            if names(&place(&last, &pod).interfaces) == ["veth1", "veth2"] {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{:?} after five seconds", place(&last, &pod).interfaces);
    });
}

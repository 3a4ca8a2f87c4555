//! Real interfaces between real network namespaces.

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::namespace::Namespace;
use super::stage::{Pod, ip, on_node};
use super::*;

fn named<'a>(links: &'a [Link], name: &str) -> &'a Link {
    links.iter().find(|link| link.name == name).unwrap_or_else(|| panic!("no {name} in {links:?}"))
}

fn network(pod: &Pod) -> PodNetwork {
    PodNetwork::of_cgroup(&pod.cgroup, &read().unwrap()).unwrap().expect("a network of its own")
}

/// The host's end of each interface of the pod.
fn ends(pod: &Pod) -> Vec<(String, Option<u32>)> {
    network(pod).interfaces.into_iter().map(|interface| (interface.name, interface.host)).collect()
}

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn interfaces_are_read_as_they_are() {
    on_node(|| {
        ip("link add here type veth peer name there");
        ip("link set here addrgenmode none");
        ip("link set here up");
        ip("address add 192.0.2.1/24 dev here");
        ip("address add 2001:db8::1/64 dev here nodad");
        ip("address add 198.51.100.1 peer 198.51.100.2/32 dev there");
        ip("tuntap add tunnel mode tun");
        let links = read().unwrap();
        let (here, there) = (named(&links, "here"), named(&links, "there"));
        let expected = Link {
            index: here.index,
            name: "here".to_owned(),
            kind: Some("veth".to_owned()),
            is_ethernet: true,
            is_loopback: false,
            is_up: true,
            peer_index: Some(there.index),
            peer_namespace: None,
            addresses: addresses(&["192.0.2.1", "2001:db8::1"]),
        };
        assert_eq!(*here, expected);
        assert_eq!((there.is_up, &there.addresses), (false, &addresses(&["198.51.100.1"])));
        let tunnel = named(&links, "tunnel");
        assert_eq!(
            (tunnel.kind.as_deref(), tunnel.is_ethernet, tunnel.peer_index),
            (Some("tun"), false, None)
        );
        let lo = named(&links, "lo");
        assert_eq!((lo.is_loopback, lo.is_ethernet, &lo.kind, lo.index), (true, false, &None, 1));
        assert_eq!(lo.addresses, addresses(&["127.0.0.1", "::1"]));
    });
}

#[test]
fn a_pods_network_names_the_hosts_end() {
    on_node(|| {
        let pod = Pod::start();
        ip(&format!("link add host0 type veth peer name eth0 netns {}", pod.pid()));
        pod.inside(|| {
            ip("link set eth0 addrgenmode none up");
            ip("address add 10.0.0.2/24 dev eth0");
            ip("address add fd00::2/64 dev eth0 nodad");
        });
        let network = network(&pod);
        let host = named(&read().unwrap(), "host0").index;
        let [eth0] = &network.interfaces[..] else { panic!("{network:?}") };
        assert_eq!((eth0.name.as_str(), eth0.host), ("eth0", Some(host)));
        assert_eq!(eth0.addresses, addresses(&["10.0.0.2", "fd00::2"]));
        assert_eq!(eth0.index, pod.inside(|| named(&read().unwrap(), "eth0").index));
        assert_eq!(network.inode, fs::metadata(format!("/proc/{}/ns/net", pod.pid())).unwrap().ino());
    });
}

#[test]
fn pods_whose_interfaces_have_the_same_index_keep_their_own_ends() {
    on_node(|| {
        let pods = [Pod::start(), Pod::start()];
        for (number, pod) in pods.iter().enumerate() {
            ip(&format!("link add host{number} type veth peer name eth0 netns {}", pod.pid()));
        }
        let [one, two] = pods.each_ref().map(|pod| pod.inside(|| named(&read().unwrap(), "eth0").index));
        assert_eq!(one, two, "the trap is not set");
        let host = read().unwrap();
        for (number, pod) in pods.iter().enumerate() {
            let expected = named(&host, &format!("host{number}")).index;
            assert_eq!(ends(pod), [("eth0".to_owned(), Some(expected))]);
        }
    });
}

#[test]
fn an_interface_of_ours_with_the_right_indexes_but_another_peer_is_not_the_end() {
    on_node(|| {
        // The pod is wired to a third namespace, whose end has the same number as our end of another pod's pair,
        // and both pods have the same number on their side. Another pair makes our namespaces know each other.
        let (pod, other, third) = (Pod::start(), Pod::start(), Pod::start());
        third.inside(|| {
            ip(&format!("link add third0 index 77 type veth peer name eth0 index 5 netns {}", pod.pid()));
        });
        ip(&format!("link add host0 index 77 type veth peer name eth0 index 5 netns {}", other.pid()));
        ip(&format!("link add host1 type veth peer name eth1 netns {}", pod.pid()));
        let host1 = named(&read().unwrap(), "host1").index;
        let indexes = |pod: &Pod| {
            pod.inside(|| {
                let eth0 = named(&read().unwrap(), "eth0").clone();
                (eth0.index, eth0.peer_index)
            })
        };
        assert_eq!([indexes(&pod), indexes(&other)], [(5, Some(77)); 2], "the trap is not set");
        let mut found = ends(&pod);
        found.sort();
        assert_eq!(found, [("eth0".to_owned(), None), ("eth1".to_owned(), Some(host1))]);
        assert_eq!(ends(&other), [("eth0".to_owned(), Some(77))]);
    });
}

#[test]
fn what_is_not_one_half_of_a_pair_with_us_has_no_end() {
    on_node(|| {
        let pod = Pod::start();
        let pid = pod.pid();
        ip("link add base type veth peer name unused");
        ip(&format!("link add link base name macvlan0 netns {pid} type macvlan mode bridge"));
        pod.inside(|| {
            ip("link add own0 type veth peer name own1");
            ip("tuntap add tap0 mode tap");
            ip("link add bridge0 type bridge");
        });
        let mut found = ends(&pod);
        found.sort();
        let expected = ["bridge0", "macvlan0", "own0", "own1", "tap0"].map(|name| (name.to_owned(), None));
        assert_eq!(found, expected);
    });
}

#[test]
fn an_end_that_is_gone_or_not_listed_is_not_guessed() {
    on_node(|| {
        let pod = Pod::start();
        let before = read().unwrap();
        ip(&format!("link add host0 type veth peer name eth0 netns {}", pod.pid()));
        let network = PodNetwork::of_cgroup(&pod.cgroup, &before).unwrap().unwrap();
        assert_eq!(network.interfaces[0].host, None);
        assert!(network.interfaces[0].addresses.is_empty());
    });
}

#[test]
fn who_shares_our_namespace_or_has_no_process_has_no_network() {
    on_node(|| {
        let host = read().unwrap();
        let of = |path: &Path| PodNetwork::of_cgroup(path, &host).unwrap().map(|network| network.inode);
        let mut pod = Pod::start_here();
        assert_eq!(of(&pod.cgroup), None, "it shares ours");
        pod.kill();
        assert_eq!(of(&pod.cgroup), None, "its process is dead");
        let mut pod = Pod::start();
        assert!(of(&pod.cgroup).is_some());
        pod.kill();
        assert_eq!(of(&pod.cgroup), None, "its process is dead");
        let gone = pod.cgroup.clone();
        drop(pod);
        assert_eq!(of(&gone), None, "the cgroup is gone");
    });
}

#[test]
fn a_process_of_ours_does_not_hide_the_others() {
    on_node(|| {
        let (pod, guest) = (Pod::start(), Pod::start_here());
        // Before the container, in the order of a walk.
        fs::write(pod.cgroup.join("cgroup.procs"), guest.pid().to_string()).unwrap();
        let network = PodNetwork::of_cgroup(&pod.cgroup, &read().unwrap()).unwrap();
        assert_eq!(network.unwrap().inode, Namespace::of_process(pod.pid()).unwrap().inode);
    });
}

#[test]
fn a_network_can_be_entered_after_its_last_process_and_leaves_no_trace() {
    on_node(|| {
        let pod = Pod::start();
        let network = network(&pod);
        drop(pod);
        let before = Namespace::current().unwrap();
        let inode = inside(network.as_fd(), || Ok(Namespace::current()?.inode)).unwrap();
        assert_eq!(inode, network.inode);
        assert_eq!(Namespace::current().unwrap(), before);
        let cookie = inside(network.as_fd(), cookie::current).unwrap();
        assert!(network.cookie.is_some(), "kernels since 5.14 have cookies");
        assert_eq!(cookie, network.cookie);
        assert_ne!(cookie::current().unwrap(), network.cookie);
    });
}

#[test]
fn an_error_inside_comes_out() {
    let namespace = Namespace::current().unwrap();
    let error = inside(namespace.as_fd(), || -> Result<()> { anyhow::bail!("no luck") }).unwrap_err();
    assert_eq!(error.to_string(), "no luck");
}

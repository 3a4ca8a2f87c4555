//! Connections that a workload has with itself, and that nobody else has made.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use super::stage;
use super::*;

/// Registered nowhere.
const STRANGERS: [&str; 2] = ["203.0.113.7:4444", "[2001:db8:bad::1]:4444"];

/// The pod has the stranger's address on its loopback interface: from there it connects to its own listener, and keeps all of it.
fn with_itself(there: &Pod, cgroup: &Path, stranger: &str) -> (TcpListener, TcpStream, TcpStream) {
    let from: SocketAddr = stranger.parse().unwrap();
    let length = if from.is_ipv4() { "/32 dev lo" } else { "/128 dev lo nodad" };
    there.inside(|| {
        ip("link set lo up");
        ip(&format!("address add {}{length}", from.ip()));
        // An IPv6 socket that takes IPv4 as an IPv4-mapped address.
        let listener = stage::listener_of(cgroup, "[::]:7777");
        let client = stage::client_from(cgroup, from, SocketAddr::new(from.ip(), 7777));
        let accepted = listener.accept().unwrap().0;
        (listener, client, accepted)
    })
}

/// A process of the pod is in a network namespace that it has made itself, as anybody can who may make a user namespace.
fn unshared(pod: &Pod, flags: &str) -> Pod {
    let within = pod.inside(|| Pod::run(Command::new("unshare").args([flags, "sleep", "600"])));
    let comm = format!("/proc/{}/comm", within.pid());
    let begun = Instant::now();
    // Then it has left.
    while fs::read_to_string(&comm).unwrap().trim() != "sleep" {
        assert!(begun.elapsed() < Duration::from_secs(5), "unshare {flags} does not leave");
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(pod.container().join("cgroup.procs"), within.pid().to_string()).unwrap();
    within
}

#[test]
fn what_a_pod_has_with_itself_did_not_come_in() {
    on_node(|| {
        for stranger in STRANGERS {
            let pod = wired();
            let subject = subject(&pod);
            let selfmade = with_itself(&pod, &pod.container(), stranger);
            let (real, _accepted) = connection(&selfmade.0, POD);
            assert_eq!(inbound(std::slice::from_ref(&subject)), [came_in(&subject, &real)], "{stranger}");
            // The client's end is still on its way out.
            selfmade.1.shutdown(Shutdown::Write).unwrap();
            assert_eq!(inbound(std::slice::from_ref(&subject)), [came_in(&subject, &real)], "{stranger}");
            ip("link del host0");
        }
    });
}

#[test]
fn in_the_nodes_namespace_only_what_both_ends_of_are_the_workloads_did_not_come_in() {
    on_node(|| {
        let pods = [Pod::start_here(), Pod::start_here()];
        let subjects = pods.each_ref().map(subject);
        let listener = stage::listener_of(&pods[0].container(), "127.0.0.1:0");
        let to = listener.local_addr().unwrap();
        let _own = stage::client_of(&pods[0].container(), to);
        let theirs = stage::client_of(&pods[1].container(), to);
        assert_eq!(inbound(&subjects), [came_in(&subjects[0], &theirs)]);
    });
}

#[test]
fn nothing_comes_in_to_a_namespace_that_a_workload_has_made_itself() {
    on_node(|| {
        for (stranger, flags) in STRANGERS.into_iter().flat_map(|it| [(it, "-Urn"), (it, "-n")]) {
            let pod = wired();
            let within = unshared(&pod, flags);
            let subject = subject(&pod);
            // The other end is behind a pair, so that no socket of this namespace is the client's.
            let far = unshared(&pod, flags);
            let played = played(&within, &far, &pod.container(), stranger);
            let listener = pod.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
            let (real, _accepted) = connection(&listener, POD);
            assert_eq!(
                inbound(std::slice::from_ref(&subject)),
                [came_in(&subject, &real)],
                "{stranger} {flags}"
            );
            drop(played);
            ip("link del host0");
        }
    });
}

/// Nor to one that is taken for its own because it has no other.
#[test]
fn a_workload_of_the_nodes_network_has_no_own_namespace_but_one_that_it_made() {
    on_node(|| {
        for stranger in STRANGERS {
            let pod = Pod::start_here();
            let (near, far) = (unshared(&pod, "-Urn"), unshared(&pod, "-Urn"));
            let found = subject(&pod);
            assert!(found.network.as_ref().is_some_and(|own| !own.is_given), "{:?}", found.network);
            let _played = played(&near, &far, &pod.container(), stranger);
            let untold = Subject { network: None, ..found.clone() };
            assert_eq!(inbound(&[found, untold]), [], "{stranger}");
        }
    });
}

/// A connection from the stranger in `far` to a listener in `near`, through a pair between these.
fn played(near: &Pod, far: &Pod, cgroup: &Path, stranger: &str) -> (TcpListener, TcpStream, TcpStream) {
    let from: SocketAddr = stranger.parse().unwrap();
    let (own, length) = if from.is_ipv4() { ("198.51.100.1", "/32") } else { ("2001:db8:5::1", "/128") };
    let nodad = if from.is_ipv4() { "" } else { " nodad" };
    near.inside(|| {
        ip(&format!("link add v0 type veth peer name v1 netns {}", far.pid()));
        ip("link set v0 up");
        ip(&format!("address add {own}{length} dev v0{nodad}"));
        ip(&format!("route add {}{length} dev v0", from.ip()));
    });
    far.inside(|| {
        ip("link set v1 up");
        ip(&format!("address add {}{length} dev v1{nodad}", from.ip()));
        ip(&format!("route add {own}{length} dev v1"));
    });
    let to = SocketAddr::new(own.parse().unwrap(), 7777);
    let listener = near.inside(|| stage::listener_of(cgroup, &to.to_string()));
    let client = far.inside(|| stage::client_from(cgroup, from, to));
    let accepted = listener.accept().unwrap().0;
    (listener, client, accepted)
}

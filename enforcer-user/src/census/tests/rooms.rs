//! Workloads whose processes are in network namespaces of which nobody has told.

use super::stage::{self, cookie_of};
use super::*;
use crate::census::room::Room;

/// As it is without `--interface`, or after a look at the network that failed.
fn untold(pod: &Pod) -> Subject {
    Subject { network: None, ..subject(pod) }
}

/// A connection within the namespace of `there` to a listener of the cgroup.
fn came_within(there: &Pod, cgroup: &Path, address: &str) -> (TcpListener, TcpStream, TcpStream) {
    there.inside(|| {
        ip("link set lo up");
        ip("address replace 10.0.0.7/32 dev lo");
        let listener = stage::listener_of(cgroup, address);
        let (client, accepted) = connection(&listener, "10.0.0.7");
        (listener, client, accepted)
    })
}

#[test]
fn a_namespace_is_found_from_the_processes_whatever_is_known_of_interfaces() {
    on_node(|| {
        let pod = wired();
        let subject = untold(&pod);
        let listener = pod.inside(|| stage::listener_of(&pod.container(), "0.0.0.0:0"));
        let (client, _accepted) = connection(&listener, POD);
        assert_eq!(inbound(std::slice::from_ref(&subject)), [came_in(&subject, &client)]);
        setsockopt(&listener, DeferAccept, &60).unwrap();
        let half = TcpStream::connect((POD, listener.local_addr().unwrap().port())).unwrap();
        let expected = [&client, &half].map(|client| came_in(&subject, client)).to_vec();
        assert_eq!(sorted(inbound(std::slice::from_ref(&subject))), sorted(expected));
    });
}

/// Of which nobody has told, and which the workload cannot have made itself.
#[test]
fn in_a_namespace_that_is_found_strangers_are_not_looked_at() {
    on_node(|| {
        let (pod, inner, stranger) = (Pod::start_here(), Pod::start(), Pod::start_here());
        let subject = untold(&pod);
        fs::write(pod.container().join("cgroup.procs"), inner.pid().to_string()).unwrap();
        let (_own, first, _first) = came_within(&inner, &pod.container(), "10.0.0.7:8080");
        let (_theirs, _second, _other) = came_within(&inner, &stranger.container(), "10.0.0.7:9090");
        assert_eq!(inbound(std::slice::from_ref(&subject)), [came_in(&subject, &first)]);
    });
}

#[test]
fn the_socket_of_a_denied_packet_is_closed_wherever_it_is() {
    on_node(|| {
        let (pod, other) = (wired(), Pod::start_here());
        let listener = TcpListener::bind((NODE, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let client = pod.inside(|| stage::client_of(&pod.container(), to));
        let (_peer, from) = listener.accept().unwrap();
        let destroy =
            |subject: &Subject| destroy_one(subject, cookie_of(&client), Protocol::TCP, from, to).unwrap();
        assert!(!destroy(&subject(&other)), "another cgroup's");
        assert!(destroy(&untold(&pod)));
        is_closed(&client);
    });
}

#[test]
fn what_keeps_namespaces_from_being_found_is_told() {
    on_node(|| {
        let pod = wired();
        let broken = Subject { path: "/proc/self/stat".into(), ..subject(&pod) };
        let (rooms, lost) = Room::all(&broken);
        assert!(matches!(rooms[..], [Room::Own(_), Room::Node]));
        let lost = format!("{:#}", lost.unwrap());
        assert!(lost.contains("/proc/self/stat") && lost.contains("Not a directory"), "{lost}");
    });
}

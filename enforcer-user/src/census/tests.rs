//! Real connections between network namespaces and cgroups of the test's own.

mod rooms;
mod selfmade;
mod single;
mod stage;
mod terminate;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{setsockopt, shutdown};
use nix::{setsockopt_impl, sockopt_impl};

use super::*;
use crate::links;
use crate::links::stage::{Pod, ip, on_node};

sockopt_impl!(DeferAccept, SetOnly, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32);

/// The ends of the pair between the node and a pod.
const NODE: &str = "10.0.0.1";
const POD: &str = "10.0.0.2";

fn id(cgroup: &Path) -> CgroupId {
    CgroupId::new(fs::metadata(cgroup).unwrap().ino())
}

fn subject(pod: &Pod) -> Subject {
    let network = PodNetwork::of_cgroup(&pod.cgroup, &links::read().unwrap()).unwrap();
    Subject { cgroup: id(&pod.cgroup), path: pod.cgroup.clone(), network: network.map(Arc::new) }
}

/// A pod that is wired to the calling thread's namespace.
fn wired() -> Pod {
    let pod = Pod::start();
    ip(&format!("link add host0 type veth peer name eth0 netns {}", pod.pid()));
    ip("link set host0 up");
    ip(&format!("address add {NODE}/24 dev host0"));
    ip("address add fd00::1/64 dev host0 nodad");
    pod.inside(|| {
        ip("link set lo up");
        ip("link set eth0 up");
        ip(&format!("address add {POD}/24 dev eth0"));
        ip("address add fd00::2/64 dev eth0 nodad");
    });
    pod
}

/// A client, and the other side's end.
fn connection(listener: &TcpListener, address: &str) -> (TcpStream, TcpStream) {
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect((address, port)).unwrap();
    (client, listener.accept().unwrap().0)
}

fn came_in(workload: &Subject, client: &TcpStream) -> Inbound {
    let (remote, local) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    Inbound {
        workload: workload.cgroup,
        protocol: Protocol::TCP,
        remote: remote.ip(),
        remote_port: remote.port(),
        local_port: local.port(),
    }
}

/// Closing alone would wait for children of other tests that are about to start and still share the descriptor.
fn close(listener: TcpListener) {
    shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
    drop(listener);
}

fn is_closed(stream: &TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let error = (&mut &*stream).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
}

fn is_open(near: &TcpStream, far: &TcpStream) {
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (&mut &*near).write_all(b"!").unwrap();
    (&mut &*far).read_exact(&mut [0]).unwrap();
}

fn sorted(mut found: Vec<Inbound>) -> Vec<Inbound> {
    found.sort();
    found
}

#[test]
fn what_was_accepted_came_in_and_what_the_pod_connected_did_not() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let mut expected = Vec::new();
        let mut open = Vec::new();
        // An IPv6 socket that takes IPv4, too; and one at an address of its own.
        for bound in ["[::]:0", "0.0.0.0:0", "10.0.0.2:0"] {
            let inner = pod.inside(|| TcpListener::bind(bound).unwrap());
            let outer = TcpListener::bind("10.0.0.1:0").unwrap();
            let (came, went) = (connection(&inner, POD), pod.inside(|| connection(&outer, NODE)));
            expected.push(came_in(&subject, &came.0));
            open.push((inner, outer, came, went));
            let found = inbound(std::slice::from_ref(&subject));
            assert_eq!(sorted(found), sorted(expected.clone()), "{bound}");
        }
    });
}

#[test]
fn half_open_and_half_closed_connections_came_in_too() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let listener = pod.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let (closing, theirs) = connection(&listener, POD);
        theirs.shutdown(Shutdown::Write).unwrap();
        let (closed, _accepted) = connection(&listener, POD);
        closed.shutdown(Shutdown::Write).unwrap();
        // The connection stays half-open at the pod's side until the client sends something.
        setsockopt(&listener, DeferAccept, &60).unwrap();
        let half = TcpStream::connect((POD, listener.local_addr().unwrap().port())).unwrap();
        let expected = [&closing, &closed, &half].map(|client| came_in(&subject, client)).to_vec();
        assert_eq!(sorted(inbound(&[subject])), sorted(expected));
    });
}

#[test]
fn without_its_listener_nothing_is_known_to_have_come_in() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let [listener, other] = [(); 2].map(|()| pod.inside(|| TcpListener::bind("0.0.0.0:0").unwrap()));
        let (_client, _accepted) = connection(&listener, POD);
        let (kept, _accepted_too) = connection(&other, POD);
        close(listener);
        assert_eq!(inbound(std::slice::from_ref(&subject)), [came_in(&subject, &kept)]);
    });
}

#[test]
fn pods_with_the_same_ports_keep_what_is_theirs() {
    on_node(|| {
        let pods = [Pod::start(), Pod::start()];
        let mut expected = Vec::new();
        let mut open = Vec::new();
        for (number, pod) in pods.iter().enumerate() {
            ip(&format!("link add host{number} type veth peer name eth0 netns {}", pod.pid()));
            ip(&format!("link set host{number} up"));
            ip(&format!("address add 10.0.{number}.1/24 dev host{number}"));
            let listener = pod.inside(|| {
                ip("link set eth0 up");
                ip(&format!("address add 10.0.{number}.2/24 dev eth0"));
                TcpListener::bind("0.0.0.0:8080").unwrap()
            });
            let (client, accepted) = connection(&listener, &format!("10.0.{number}.2"));
            expected.push(came_in(&subject(pod), &client));
            open.push((listener, client, accepted));
        }
        assert_eq!(sorted(inbound(&pods.each_ref().map(subject))), sorted(expected));
    });
}

#[test]
fn in_the_nodes_namespace_a_connection_is_its_listeners_cgroups() {
    on_node(|| {
        let pods = [Pod::start_here(), Pod::start_here()];
        let subjects = pods.each_ref().map(subject);
        assert!(subjects.iter().all(|subject| subject.network.is_none()), "the trap is not set");
        // The same port at two addresses, one listener below its pod's cgroup and one in it; and somebody else's.
        let (one, other) = (
            stage::listener_of(&pods[0].container(), "127.0.0.1:8080"),
            stage::listener_of(&pods[1].cgroup, "127.0.0.2:8080"),
        );
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_came, _accepted) = connection(&stranger, "127.0.0.1");
        // Who accepts does not matter: here it is the test.
        let (first, _first) = connection(&one, "127.0.0.1");
        let (second, _second) = connection(&other, "127.0.0.2");
        setsockopt(&one, DeferAccept, &60).unwrap();
        setsockopt(&other, DeferAccept, &60).unwrap();
        let [half, other_half] = ["127.0.0.1", "127.0.0.2"].map(|to| TcpStream::connect((to, 8080)).unwrap());
        // What the first connects to does not come in to it.
        let _went = stage::client_of(&pods[0].cgroup, stranger.local_addr().unwrap());
        for (subject, clients) in subjects.iter().zip([[&first, &half], [&second, &other_half]]) {
            let expected = clients.map(|client| came_in(subject, client)).to_vec();
            assert_eq!(sorted(inbound(std::slice::from_ref(subject))), sorted(expected));
        }
    });
}

#[test]
fn listeners_that_share_a_port_share_nothing_else() {
    on_node(|| {
        let pods = [Pod::start_here(), Pod::start_here()];
        let subjects = pods.each_ref().map(subject);
        let listeners = pods.each_ref().map(|pod| stage::listener_of(&pod.container(), "127.0.0.1:8080"));
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect("127.0.0.1:8080").unwrap()).collect();
        let mut accepted = [Vec::new(), Vec::new()];
        // A connection may be whole at the client's side first.
        while accepted.iter().map(Vec::len).sum::<usize>() < clients.len() {
            for (listener, accepted) in listeners.iter().zip(&mut accepted) {
                listener.set_nonblocking(true).unwrap();
                accepted.extend(listener.accept().ok());
            }
        }
        for (accepted, subject) in accepted.iter().zip(&subjects) {
            assert!(!accepted.is_empty(), "the kernel gave all to the other");
            let is_here = |client: &&TcpStream| {
                let from = client.local_addr().unwrap();
                accepted.iter().any(|(_, remote)| *remote == from)
            };
            let expected = clients.iter().filter(is_here).map(|client| came_in(subject, client)).collect();
            assert_eq!(sorted(inbound(std::slice::from_ref(subject))), sorted(expected));
        }
    });
}

#[test]
fn a_subject_that_cannot_be_read_leaves_the_others() {
    on_node(|| {
        let pod = Pod::start_here();
        let subject = subject(&pod);
        let listener = stage::listener_of(&pod.container(), "127.0.0.1:0");
        let (client, _accepted) = connection(&listener, "127.0.0.1");
        let broken = Subject { path: "/proc/self/stat".into(), ..subject.clone() };
        let gone = Subject { cgroup: CgroupId::new(1), path: "/nowhere".into(), network: None };
        let expected = [came_in(&subject, &client)];
        assert_eq!(inbound(&[broken, gone, subject]), expected);
    });
}

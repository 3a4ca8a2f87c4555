//! Closing connections.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use enforcer_common::addr::Port;
use enforcer_common::id::ViewId;
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::socket::Translation;
use enforcer_common::verdict::Backend;

use super::stage::{self, cookie_of};
use super::*;
use crate::sockets::stage::Map;

/// What the kernel's programs would remember, as the test tells them.
struct Memory {
    peers: Map,
    judged: Map,
}

impl Memory {
    fn new() -> Self {
        Self { peers: Map::create(size_of::<Translation>()), judged: Map::create(size_of::<Judged>()) }
    }

    fn maps(&self) -> StorageMaps<'_> {
        let [peers, judged] =
            [&self.peers, &self.judged].map(|map| StorageMap { map: map.as_fd(), id: map.id() });
        StorageMaps { peers, judged }
    }

    /// All connections of the subject that are looked at.
    fn seen(&self, subject: &Subject) -> Vec<Connection> {
        let seen = RefCell::new(Vec::new());
        let maps = self.maps();
        let judge = |_: &Subject, connection: &Connection| {
            seen.borrow_mut().push(*connection);
            true
        };
        let looked_at = terminate(from_ref(subject), &maps, &judge).looked_at;
        let seen = seen.into_inner();
        assert_eq!(seen.len(), looked_at);
        seen
    }

    /// The one connection of the subject.
    fn only(&self, subject: &Subject) -> Connection {
        let seen = self.seen(subject);
        let [connection] = seen[..] else { panic!("{seen:?}") };
        connection
    }

    /// Closes everything of these subjects.
    fn close_all(&self, subjects: &[Subject]) -> Terminated {
        terminate(subjects, &self.maps(), &|_, _| false)
    }
}

fn at(address: SocketAddr) -> Backend {
    Backend { addr: address.ip().into(), port: Port::new(address.port()) }
}

#[test]
fn a_forbidden_connection_is_closed_and_the_others_stay() {
    on_node(|| {
        let pod = wired();
        let memory = Memory::new();
        let subject = subject(&pod);
        let outsider = Pod::start_here();
        let outer = TcpListener::bind("[::]:0").unwrap();
        let inner = pod.inside(|| TcpListener::bind("[::]:0").unwrap());
        ip("address add 10.0.0.3/24 dev host0");
        ip("address add fd00::3/64 dev host0 nodad");
        let cases = [
            ("10.0.0.3", NODE, POD),
            ("fd00::3", "fd00::1", "fd00::2"),
            ("::ffff:10.0.0.3", "::ffff:10.0.0.1", POD),
        ];
        // All stay open to the end: what is being closed would be looked at for a while, too.
        let mut open = Vec::new();
        for (forbidden, allowed, pod_address) in cases {
            let (denied, peer) = pod.inside(|| connection(&outer, forbidden));
            let (allowed, other) = pod.inside(|| connection(&outer, allowed));
            let address = denied.peer_addr().unwrap().ip().to_canonical();
            // What is forbidden to the pod may come to it all the same.
            let to = (pod_address.parse::<IpAddr>().unwrap(), inner.local_addr().unwrap().port());
            let came = stage::client_from(&outsider.cgroup, (address, 0).into(), to.into());
            let accepted = inner.accept().unwrap().0;
            let judge = |whose: &Subject, connection: &Connection| {
                assert_eq!(whose.cgroup, subject.cgroup);
                connection.is_inbound || connection.remote.ip() != address
            };
            let terminated = terminate(from_ref(&subject), &memory.maps(), &judge);
            let looked_at = open.len() + 3;
            let expected = Terminated { closed: 1, looked_at, ..Terminated::default() };
            assert_eq!(terminated, expected, "{forbidden}");
            is_closed(&denied);
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!((&peer).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            is_open(&allowed, &other);
            is_open(&accepted, &came);
            open.extend([(allowed, other), (accepted, came)]);
        }
    });
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[test]
fn in_the_nodes_namespace_other_cgroups_keep_their_connections() {
    on_node(|| {
        ip("address add 10.0.0.1/32 dev lo");
        let pods = [Pod::start_here(), Pod::start_here()];
        let subject = subject(&pods[0]);
        let listener = TcpListener::bind("10.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let client = |cgroup: &Path| (stage::client_of(cgroup, to), listener.accept().unwrap().0);
        let (above, _above) = client(&pods[0].cgroup);
        let (below, _below) = client(&pods[0].container());
        let (other, other_peer) = client(&pods[1].container());
        let (own, own_peer) = connection(&listener, "10.0.0.1");
        let memory = Memory::new();
        let expected = Terminated { closed: 2, looked_at: 2, ..Terminated::default() };
        assert_eq!(memory.close_all(from_ref(&subject)), expected);
        for stream in [&above, &below] {
            is_closed(stream);
        }
        is_open(&other, &other_peer);
        is_open(&own, &own_peer);
    });
}

#[test]
fn other_pods_with_the_same_ports_keep_their_connections() {
    on_node(|| {
        let pods = [Pod::start(), Pod::start()];
        let [subject, _] = pods.each_ref().map(subject);
        let to = SocketAddr::from(([10, 0, 0, 1], 8080));
        let from = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let [(closed, _accepted), (kept, peer)] = pods.each_ref().map(|pod| {
            pod.inside(|| {
                ip("link set lo up");
                ip("address add 10.0.0.1/32 dev lo");
                let listener = TcpListener::bind(to).unwrap();
                let client = stage::client_from(&pod.container(), from, to);
                (client, listener.accept().unwrap().0)
            })
        });
        // Both ends of the connection are the pod's.
        let judge = |_: &Subject, connection: &Connection| connection.local == to;
        let terminated = terminate(&[subject], &Memory::new().maps(), &judge);
        assert_eq!(terminated, Terminated { closed: 1, looked_at: 2, ..Terminated::default() });
        is_closed(&closed);
        is_open(&kept, &peer);
    });
}

#[test]
fn a_translated_connection_tells_what_it_asked_for() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let memory = Memory::new();
        for (bound, vip) in
            [(NODE, "240.240.0.1:80"), ("fd00::1", "[2001:db8::1]:80"), ("::ffff:10.0.0.1", "240.240.0.1:80")]
        {
            let listener = TcpListener::bind((bound, 0)).unwrap();
            let (client, peer) = pod.inside(|| {
                (
                    stage::client_of(&pod.container(), listener.local_addr().unwrap()),
                    listener.accept().unwrap().0,
                )
            });
            let (local, remote) =
                (canonical(client.local_addr().unwrap()), canonical(client.peer_addr().unwrap()));
            let plain = Connection {
                protocol: Protocol::TCP,
                local,
                remote,
                asked: None,
                is_inbound: false,
                is_certain: true,
                cookie: cookie_of(&client),
                cgroup: Some(id(&pod.container())),
            };
            assert_eq!(memory.only(&subject), plain, "{bound}");
            let vip: SocketAddr = vip.parse().unwrap();
            let translation = Translation::new(at(vip), at(remote));
            memory.peers.store(client.as_fd(), stage::bytes(&translation));
            assert_eq!(memory.only(&subject), Connection { asked: Some(vip), ..plain }, "{bound}");
            let doubtful = Connection { is_certain: false, ..plain };
            let elsewhere = Translation::new(at(vip), at(local));
            for unreadable in [&[0; size_of::<Translation>()], stage::bytes(&elsewhere)] {
                memory.peers.store(client.as_fd(), unreadable);
                assert_eq!(memory.only(&subject), doubtful, "{bound}");
            }
            let spared = Terminated { spared: 1, looked_at: 1, ..Terminated::default() };
            assert_eq!(memory.close_all(from_ref(&subject)), spared, "{bound}");
            is_open(&client, &peer);
            memory.peers.store(client.as_fd(), stage::bytes(&translation));
            assert_eq!(memory.close_all(from_ref(&subject)).closed, 1, "{bound}");
            is_closed(&client);
        }
    });
}

#[test]
fn who_began_is_remembered_also_when_nobody_or_somebody_listens() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let memory = Memory::new();
        let judged = |stream: &TcpStream, decided, is_announced: bool| {
            let remote = at(stream.peer_addr().unwrap());
            let local = at(stream.local_addr().unwrap());
            let announced = Tuple::announced(Protocol::TCP, remote.addr, remote.port);
            let flow = Tuple { local: local.addr, local_port: local.port, interface: 7, ..announced };
            let tuple = if is_announced { announced } else { flow };
            let judged = Judged::new(&tuple, ViewId::FIRST, 1, decided).sealed();
            memory.judged.store(stream.as_fd(), stage::bytes(&judged));
            memory.only(&subject)
        };
        let known = |connection: Connection| (connection.is_inbound, connection.is_certain);
        let inner = pod.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let (_came, accepted) = connection(&inner, POD);
        close(inner);
        assert_eq!(known(memory.only(&subject)), (false, true), "nobody listens any more");
        assert_eq!(known(judged(&accepted, Decided::Inbound, false)), (true, true));
        assert_eq!(memory.close_all(from_ref(&subject)).closed, 1);
        is_closed(&accepted);
        let outer = TcpListener::bind((NODE, 0)).unwrap();
        let from = SocketAddr::from(([10, 0, 0, 2], 8080));
        let (_listener, went) = pod.inside(|| {
            let listener = stage::listener_of(&pod.container(), "0.0.0.0:8080");
            (listener, stage::client_from(&pod.container(), from, outer.local_addr().unwrap()))
        });
        assert_eq!(known(memory.only(&subject)), (true, true), "somebody listens at its port");
        assert_eq!(known(judged(&went, Decided::Allowed, false)), (false, true));
        assert_eq!(known(judged(&went, Decided::Audited, true)), (false, true));
        assert_eq!(known(judged(&went, Decided::Nothing, false)), (true, true), "nothing was decided");
        memory.judged.store(went.as_fd(), &[0; size_of::<Judged>()]);
        assert_eq!(known(memory.only(&subject)), (true, false), "something is being written");
    });
}

#[test]
fn unfinished_and_orphaned_connections_are_known_for_what_they_are() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let memory = Memory::new();
        // Nobody is there.
        let nobody = SocketAddr::from(([10, 0, 0, 77], 80));
        let from = SocketAddr::from(([10, 0, 0, 2], 8080));
        let (_listener, asking) = pod.inside(|| {
            let listener = stage::listener_of(&pod.container(), "0.0.0.0:8080");
            (listener, stage::asking_from(&pod.container(), from, nobody))
        });
        assert!(!memory.only(&subject).is_inbound, "whoever asks has begun, wherever somebody listens");
        let closed = Terminated { closed: 1, looked_at: 1, ..Terminated::default() };
        assert_eq!(memory.close_all(from_ref(&subject)), closed);
        assert_eq!(asking.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionAborted);
        let spared = Terminated { spared: 1, looked_at: 1, ..Terminated::default() };
        let inner = pod.inside(|| TcpListener::bind("0.0.0.0:0").unwrap());
        setsockopt(&inner, DeferAccept, &60).unwrap();
        let half = TcpStream::connect((POD, inner.local_addr().unwrap().port())).unwrap();
        assert!(memory.only(&subject).is_inbound);
        assert_eq!(memory.close_all(from_ref(&subject)), spared);
        setsockopt(&half, nix::sys::socket::sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })
            .unwrap();
        drop(half);
        let outer = TcpListener::bind((NODE, 0)).unwrap();
        let (client, _peer) = pod.inside(|| connection(&outer, NODE));
        assert!(memory.seen(&subject).iter().any(|connection| connection.cookie == cookie_of(&client)));
        drop(client);
        let since = Instant::now();
        loop {
            let seen = memory.seen(&subject);
            if let [connection] = seen[..]
                && connection.cgroup.is_none()
                && !connection.is_inbound
            {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(5), "{seen:?}");
        }
        assert_eq!(memory.close_all(from_ref(&subject)), spared);
    });
}

#[test]
fn what_a_udp_socket_asked_for_is_not_known_so_it_stays() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let memory = Memory::new();
        let server = UdpSocket::bind((NODE, 0)).unwrap();
        let [client, _unconnected] = pod.inside(|| [(); 2].map(|()| UdpSocket::bind((POD, 0)).unwrap()));
        client.connect(server.local_addr().unwrap()).unwrap();
        let vip = "240.240.0.1:53".parse().unwrap();
        let translation = Translation::new(at(vip), at(server.local_addr().unwrap()));
        memory.peers.store(client.as_fd(), stage::bytes(&translation));
        let connection = memory.only(&subject);
        assert_eq!((connection.protocol, connection.cookie), (Protocol::UDP, cookie_of(&client)));
        assert_eq!((connection.asked, connection.is_certain, connection.is_inbound), (None, false, false));
        let spared = Terminated { spared: 1, looked_at: 1, ..Terminated::default() };
        assert_eq!(memory.close_all(from_ref(&subject)), spared);
        client.send(b"!").unwrap();
    });
}

#[test]
fn what_stays_within_the_pod_is_not_looked_at() {
    on_node(|| {
        let pod = Pod::start();
        let subject = subject(&pod);
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let open = pod.inside(|| {
                ip("link set lo up");
                let listener = TcpListener::bind((loopback, 0)).unwrap();
                let udp = UdpSocket::bind((loopback, 0)).unwrap();
                udp.connect(udp.local_addr().unwrap()).unwrap();
                (connection(&listener, loopback), udp)
            });
            assert_eq!(Memory::new().close_all(from_ref(&subject)), Terminated::default(), "{loopback}");
            is_open(&open.0.0, &open.0.1);
        }
    });
}

#[test]
fn a_subject_that_cannot_be_read_does_not_protect_the_others() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let outer = TcpListener::bind((NODE, 0)).unwrap();
        let (client, _peer) = pod.inside(|| connection(&outer, NODE));
        let broken = Subject { path: "/proc/self/stat".into(), network: None, ..subject.clone() };
        let expected = Terminated { closed: 1, failed: 2, looked_at: 1, ..Terminated::default() };
        assert_eq!(Memory::new().close_all(&[broken, subject]), expected);
        is_closed(&client);
    });
}

//! Real sockets in a network namespace of the test's own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};

use super::stage::Map;
use super::*;
use crate::links::inside;
use crate::links::stage::{Pod, on_node};

const ESTABLISHED: u8 = 1;
const SYN_RECV: u8 = 3;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// Every family in which a socket can speak to another one here: its own, and the addresses that it uses.
const LOOPBACKS: [(Family, &str); 3] =
    [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0"), (Family::V6, "[::ffff:127.0.0.1]:0")];

sockopt_impl!(Cookie, GetOnly, libc::SOL_SOCKET, libc::SO_COOKIE, u64);
sockopt_impl!(DeferAccept, SetOnly, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32);

fn cookie_of(socket: &impl AsFd) -> u64 {
    getsockopt(&socket.as_fd(), Cookie).unwrap()
}

fn listed(protocol: Protocol) -> Vec<SocketEntry> {
    list(protocol, &[])
}

fn list(protocol: Protocol, maps: &[BorrowedFd<'_>]) -> Vec<SocketEntry> {
    in_states(protocol, States::ALL, maps)
}

fn in_states(protocol: Protocol, states: States, maps: &[BorrowedFd<'_>]) -> Vec<SocketEntry> {
    let mut found = Vec::new();
    let mut take = |entry| {
        found.push(entry);
        ControlFlow::Continue(())
    };
    each(protocol, states, maps, &mut take).unwrap();
    found
}

/// The entry of an open socket.
fn entry(protocol: Protocol, socket: &impl AsFd) -> SocketEntry {
    let (cookie, all) = (cookie_of(socket), listed(protocol));
    let found: Vec<_> = all.iter().filter(|entry| entry.cookie == cookie).collect();
    let [entry] = found[..] else { panic!("{cookie} in {all:?}") };
    entry.clone()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A client and the server's side of its connection, and who listens.
fn connection(address: &str) -> (TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    (client, server, listener)
}

/// A socket that is connected to another one.
fn connected_udp(address: &str) -> (UdpSocket, UdpSocket) {
    let [client, server] = [(); 2].map(|()| UdpSocket::bind(address).unwrap());
    client.connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (client, server)
}

#[test]
fn connections_and_listeners_of_every_family_are_listed() {
    on_node(|| {
        for (family, address) in LOOPBACKS {
            let (client, server, listener) = connection(address);
            let from = canonical(client.local_addr().unwrap());
            let to = canonical(listener.local_addr().unwrap());
            for (socket, local, remote) in [(&client, from, to), (&server, to, from)] {
                let entry = entry(Protocol::Tcp, socket);
                assert_eq!((entry.state, entry.family), (ESTABLISHED, family), "{address}");
                assert_eq!((entry.local, entry.remote), (local, remote), "{address}");
            }
            let entry = entry(Protocol::Tcp, &listener);
            assert_eq!((entry.state, entry.local, entry.remote.port()), (LISTEN, to, 0), "{address}");
            assert_eq!((entry.interface, entry.storage.len()), (0, 0));
        }
    });
}

#[test]
fn connected_and_unconnected_udp_sockets_are_listed() {
    on_node(|| {
        for (family, address) in LOOPBACKS {
            let (client, server) = connected_udp(address);
            let (from, to) = (client.local_addr().unwrap(), server.local_addr().unwrap());
            let bound = entry(Protocol::Udp, &server);
            let entry = entry(Protocol::Udp, &client);
            assert_eq!((entry.state, entry.family), (ESTABLISHED, family), "{address}");
            assert_eq!((entry.local, entry.remote), (canonical(from), canonical(to)), "{address}");
            assert_eq!(
                (bound.state, bound.local, bound.remote.port()),
                (CLOSE, canonical(to), 0),
                "{address}"
            );
        }
        assert!(listed(Protocol::Tcp).is_empty());
    });
}

#[test]
fn half_open_and_closed_connections_are_listed() {
    on_node(|| {
        let (client, server, listener) = connection("127.0.0.1:0");
        let closed = client.local_addr().unwrap();
        // Closing would wait for children of other tests that are about to start and still share the descriptor.
        for stream in [&client, &server] {
            stream.shutdown(Shutdown::Both).unwrap();
        }
        let states = |local: SocketAddr| {
            let all = listed(Protocol::Tcp);
            all.into_iter().filter(|entry| entry.local == local).map(|entry| entry.state).collect::<Vec<_>>()
        };
        let since = Instant::now();
        while states(closed) != [TIME_WAIT] {
            assert!(since.elapsed() < Duration::from_secs(5), "{:?}", states(closed));
        }
        // The connection stays half-open at the server's side until the client sends something.
        setsockopt(&listener, DeferAccept, &60).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let from = client.local_addr().unwrap();
        let all = listed(Protocol::Tcp);
        let half: Vec<_> = all.iter().filter(|entry| entry.remote == from).collect();
        let [half] = half[..] else { panic!("{all:?}") };
        assert_eq!((half.state, half.local, half.cgroup), (SYN_RECV, listener.local_addr().unwrap(), None));
        assert!(destroy(half).unwrap());
        assert!(listed(Protocol::Tcp).iter().all(|entry| entry.remote != from));
    });
}

#[test]
fn a_socket_names_its_cgroup() {
    on_node(|| {
        let pod = Pod::start_here();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = Command::new("bash")
            .args(["-c", "echo $$ > $0 && exec 3<>/dev/tcp/127.0.0.1/$1 && echo connected && read <&3"])
            .arg(pod.container().join("cgroup.procs"))
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let entries = listed(Protocol::Tcp);
        client.kill().unwrap();
        client.wait().unwrap();
        assert_eq!(said, "connected\n");
        let entry = entries.iter().find(|entry| entry.remote.port() == port).unwrap();
        assert_eq!(entry.cgroup, Some(fs::metadata(pod.container()).unwrap().ino()));
    });
}

#[test]
fn a_namespace_lists_its_own_sockets_only() {
    on_node(|| {
        let pod = Pod::start();
        let inner = pod.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let outer = TcpListener::bind("127.0.0.1:0").unwrap();
        let cookies = || Ok(listed(Protocol::Tcp).iter().map(|entry| entry.cookie).collect::<Vec<_>>());
        let namespace = fs::File::open(format!("/proc/{}/ns/net", pod.pid())).unwrap();
        assert_eq!(inside(namespace.as_fd(), cookies).unwrap(), [cookie_of(&inner)]);
        assert_eq!(cookies().unwrap(), [cookie_of(&outer)]);
    });
}

#[test]
fn a_connection_is_closed_at_both_sides() {
    on_node(|| {
        for (_, address) in LOOPBACKS {
            let (mut client, mut server, _listener) = connection(address);
            let entry = entry(Protocol::Tcp, &client);
            assert!(destroy(&entry).unwrap(), "{address}");
            let error = client.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{address}");
            let error = server.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{address}");
            assert!(!destroy(&entry).unwrap(), "{address}: it was gone");
        }
    });
}

#[test]
fn a_connected_udp_socket_is_closed() {
    on_node(|| {
        for (_, address) in LOOPBACKS {
            let (client, _server) = connected_udp(address);
            let entry = entry(Protocol::Udp, &client);
            assert!(destroy(&entry).unwrap(), "{address}");
            let error = client.recv(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{address}");
            assert!(!destroy(&entry).unwrap(), "{address}: it was gone");
        }
    });
}

#[test]
fn listeners_and_unconnected_sockets_are_closed() {
    on_node(|| {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "0.0.0.0:0", "[::]:0"] {
            let tcp = TcpListener::bind(address).unwrap();
            assert!(destroy(&entry(Protocol::Tcp, &tcp)).unwrap(), "TCP {address}");
            assert!(listed(Protocol::Tcp).is_empty(), "TCP {address}");
            let udp = UdpSocket::bind(address).unwrap();
            assert!(destroy(&entry(Protocol::Udp, &udp)).unwrap(), "UDP {address}");
            assert!(listed(Protocol::Udp).is_empty(), "UDP {address}");
        }
    });
}

#[test]
fn another_cookie_is_another_socket() {
    on_node(|| {
        for (_, address) in LOOPBACKS {
            let (client, _server, _listener) = connection(address);
            let (udp, _peer) = connected_udp(address);
            // Also one that differs in the upper half only.
            for other in [1, 1 << 32] {
                for entry in [entry(Protocol::Tcp, &client), entry(Protocol::Udp, &udp)] {
                    let other = SocketEntry { cookie: entry.cookie ^ other, ..entry };
                    assert!(!destroy(&other).unwrap(), "{other:?}");
                }
            }
            assert_eq!(entry(Protocol::Tcp, &client).state, ESTABLISHED, "{address}");
            assert_eq!(entry(Protocol::Udp, &udp).state, ESTABLISHED, "{address}");
        }
    });
}

#[test]
fn a_socket_of_an_interface_is_listed_and_closed_as_such() {
    on_node(|| {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        setsockopt(&socket, sockopt::BindToDevice, &"lo".into()).unwrap();
        let entry = entry(Protocol::Udp, &socket);
        assert_eq!(entry.interface, 1);
        assert!(destroy(&entry).unwrap());
    });
}

#[test]
fn stored_values_come_with_the_sockets_that_have_one() {
    on_node(|| {
        for (_, address) in LOOPBACKS {
            let (client, server, _listener) = connection(address);
            let [map, other] = [(); 2].map(|()| Map::create(4));
            map.store(client.as_fd(), &0xdead_beef_u32.to_ne_bytes());
            other.store(client.as_fd(), &1_u32.to_ne_bytes());
            let stored = |socket: &TcpStream, maps: &[&Map]| {
                let maps: Vec<_> = maps.iter().map(|map| map.as_fd()).collect();
                let all = list(Protocol::Tcp, &maps);
                all.into_iter().find(|entry| entry.cookie == cookie_of(socket)).unwrap().storage
            };
            let first = (map.id(), 0xdead_beef_u32.to_ne_bytes().to_vec());
            let second = (other.id(), 1_u32.to_ne_bytes().to_vec());
            assert_eq!(stored(&client, &[&map]), BTreeMap::from([first.clone()]), "{address}");
            assert_eq!(stored(&client, &[&map, &other]), BTreeMap::from([first, second]), "{address}");
            assert_eq!(stored(&client, &[]), BTreeMap::new(), "nothing was asked for");
            assert_eq!(stored(&server, &[&map]), BTreeMap::new(), "it has none");
        }
    });
}

#[test]
fn udp_sockets_are_listed_also_when_maps_are_named() {
    on_node(|| {
        let (client, _server) = connected_udp("127.0.0.1:0");
        let map = Map::create(4);
        map.store(client.as_fd(), &7_u32.to_ne_bytes());
        let cookies = |maps: &[_]| {
            let all = list(Protocol::Udp, maps);
            all.iter().map(|entry| entry.cookie).collect::<Vec<_>>()
        };
        assert_eq!(cookies(&[map.as_fd()]), cookies(&[]));
        assert!(cookies(&[map.as_fd()]).contains(&cookie_of(&client)));
    });
}

#[test]
fn what_nobody_asks_for_is_not_told() {
    on_node(|| {
        let (client, server, listener) = connection("127.0.0.1:0");
        let (connected, bound) = connected_udp("127.0.0.1:0");
        let told = |protocol, states| {
            in_states(protocol, states, &[]).iter().map(|entry| entry.cookie).collect::<BTreeSet<_>>()
        };
        let connections = BTreeSet::from([cookie_of(&client), cookie_of(&server)]);
        assert_eq!(told(Protocol::Tcp, States::CONNECTED), connections);
        let all = connections.iter().copied().chain([cookie_of(&listener)]).collect();
        assert_eq!(told(Protocol::Tcp, States::CONNECTED_OR_LISTENING), all);
        assert_eq!(told(Protocol::Udp, States::CONNECTED), BTreeSet::from([cookie_of(&connected)]));
        let both = BTreeSet::from([cookie_of(&connected), cookie_of(&bound)]);
        assert_eq!(told(Protocol::Udp, States::ALL), both);
    });
}

#[test]
fn whoever_has_enough_is_told_no_more_of_this_family() {
    on_node(|| {
        let open: Vec<_> =
            ["127.0.0.1:0", "[::1]:0"].iter().flat_map(|at| [(); 5].map(|()| connection(at))).collect();
        let mut families = Vec::new();
        let mut take = |entry: SocketEntry| {
            families.push(entry.family);
            if families.len() % 3 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        each(Protocol::Tcp, States::CONNECTED, &[], &mut take).unwrap();
        assert_eq!(families, [[Family::V4; 3], [Family::V6; 3]].concat());
        drop(open);
    });
}

#[test]
fn a_packets_socket_is_found_by_its_addresses_and_cookie() {
    on_node(|| {
        for (_, address) in LOOPBACKS {
            let (client, server, listener) = connection(address);
            let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let found = find(local, remote, cookie_of(&client)).unwrap();
            assert_eq!(found, Some(entry(Protocol::Tcp, &client)), "{address}");
            assert_eq!(find(local, remote, cookie_of(&server)).unwrap(), None, "{address}: another's cookie");
            let elsewhere = SocketAddr::new(remote.ip(), 1);
            assert_eq!(find(local, elsewhere, cookie_of(&client)).unwrap(), None, "{address}");
            drop(listener);
        }
    });
}

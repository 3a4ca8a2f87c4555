//! Closing the socket of a denied packet.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use super::stage::{self, cookie_of};
use super::*;

#[test]
fn the_socket_of_a_denied_packet_is_closed_and_no_other() {
    on_node(|| {
        ip("address add 10.0.0.1/32 dev lo");
        let pods = [Pod::start_here(), Pod::start_here()];
        let [subject, other] = pods.each_ref().map(subject);
        let listener = stage::listener_of(&pods[0].container(), "10.0.0.1:0");
        let to = listener.local_addr().unwrap();
        let client = stage::client_of(&pods[0].container(), to);
        let (peer, from) = listener.accept().unwrap();
        let cookie = cookie_of(&client);
        let destroy = |subject, cookie, protocol| destroy_one(subject, cookie, protocol, from, to);
        assert!(!destroy(&subject, cookie + 1000, Protocol::TCP).unwrap(), "nobody's cookie");
        assert!(!destroy(&subject, cookie_of(&listener), Protocol::TCP).unwrap(), "a listener");
        assert!(!destroy(&subject, cookie, Protocol::UDP).unwrap(), "another protocol");
        assert!(!destroy(&other, cookie, Protocol::TCP).unwrap(), "another cgroup's");
        assert!(destroy(&subject, cookie, Protocol::new(1)).unwrap_err().to_string().contains("protocol 1"));
        is_open(&client, &peer);
        // As a packet has them that NAT has changed.
        let nat = SocketAddr::from(([192, 0, 2, 1], 1));
        assert!(destroy_one(&subject, cookie, Protocol::TCP, nat, nat).unwrap());
        is_closed(&client);
        assert!(!destroy(&subject, cookie, Protocol::TCP).unwrap(), "it is gone");
        assert!(TcpStream::connect(to).is_ok(), "the listener is there");
    });
}

#[test]
fn a_udp_socket_that_has_gone_on_to_another_peer_stays() {
    on_node(|| {
        let pod = wired();
        let subject = subject(&pod);
        let client = pod.inside(|| UdpSocket::bind((POD, 0)).unwrap());
        let [before, after] = [1, 2].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        client.connect(after).unwrap();
        let (from, cookie) = (client.local_addr().unwrap(), cookie_of(&client));
        assert!(!destroy_one(&subject, cookie, Protocol::UDP, from, before).unwrap());
        assert!(destroy_one(&subject, cookie, Protocol::UDP, from, after).unwrap());
        assert_eq!(client.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    });
}

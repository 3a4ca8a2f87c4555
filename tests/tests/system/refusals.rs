//! What a workload is told of a packet that was denied: a reset or "administratively prohibited", and where the Internet's rules
//! forbid an answer none; and no more of them than it may have in a second.

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use enforcer_common::limits::REFUSALS_PER_SECOND;
use enforcer_tests::capture::{Capture, Sender};
use enforcer_tests::frame::{self, Ipv4, Ipv6, Tcp, ethertype, protocol};
use enforcer_tests::node::Node;
use enforcer_tests::pod::{GATEWAY, Pod};

/// Registered nowhere.
const FORBIDDEN: [&str; 2] = ["203.0.113.7:9000", "[2001:db8:7::7]:9000"];
/// More than a second's budget, and quickly sent.
const FLOOD: usize = 2_000;

/// A packet of a pod's, by its protocol and what it carries.
type Packet = (u8, Vec<u8>);

/// A pod that sends frames, and hears what comes back.
struct Stage {
    sender: Sender,
    heard: Capture,
    pod: Pod,
}

impl Stage {
    fn of(node: &Node, name: &str) -> Result<Self> {
        let world = node.world();
        Ok(Self { sender: world.sender(name)?, heard: world.capture_pod(name)?, pod: world.pod(name)? })
    }

    /// From a port of the pod's address of that family.
    fn from(&self, to: SocketAddr) -> SocketAddr {
        let own = if to.is_ipv4() { self.pod.ipv4().into() } else { self.pod.ipv6().into() };
        SocketAddr::new(own, 40_000)
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let kind = if packet[0] >> 4 == 6 { ethertype::IPV6 } else { ethertype::IPV4 };
        self.sender.send(&frame::ethernet(GATEWAY, self.pod.mac(), kind, packet))
    }

    /// What comes back of a packet.
    fn answers_to(&self, packet: &[u8]) -> Result<Vec<&'static str>> {
        self.heard.clear()?;
        self.send(packet)?;
        self.answers()
    }

    fn answers(&self) -> Result<Vec<&'static str>> {
        Ok(self.heard.all()?.iter().filter_map(|frame| answer(frame)).collect())
    }

    /// The same of what goes from the pod's own address to `to`.
    fn answers_from(&self, to: SocketAddr, (protocol, payload): &Packet) -> Result<Vec<&'static str>> {
        self.answers_to(&frame::ip(self.from(to).ip(), to.ip(), *protocol, payload))
    }
}

/// What a frame is that somebody is answered by: any segment of TCP, and any error of ICMP.
fn answer(frame: &[u8]) -> Option<&'static str> {
    let is_v4 = frame.get(12..14)? == ethertype::IPV4.to_be_bytes();
    let (at, header) = if is_v4 { (14 + 9, 34) } else { (14 + 6, 54) };
    let payload = frame.get(header..)?;
    match (*frame.get(at)?, payload) {
        (protocol::TCP, tcp) => Some(if tcp.get(13)? & Tcp::RST == 0 { "segment" } else { "reset" }),
        (protocol::ICMP, [3, 13, ..]) | (protocol::ICMPV6, [1, 1, ..]) => Some("prohibited"),
        (protocol::ICMP, [3 | 11 | 12, ..]) | (protocol::ICMPV6, [0..128, ..]) => Some("error"),
        _ => None,
    }
}

fn udp(from: SocketAddr, to: SocketAddr) -> Packet {
    (protocol::UDP, frame::udp(from, to, b"somebody there?"))
}

fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Packet {
    (protocol::TCP, Tcp::new(from, to, flags).around(b""))
}

/// A message of ICMP, by its types in either family.
fn icmp(from: SocketAddr, to: SocketAddr, (v4, v6): (u8, u8), body: &[u8]) -> Packet {
    match (from.ip(), to.ip()) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            (protocol::ICMPV6, frame::icmpv6(from, to, v6, 0, [0; 4], body))
        }
        _ => (protocol::ICMP, frame::icmp(v4, 0, [0; 4], body)),
    }
}

fn node() -> Result<Node> {
    let node = Node::new().pods().registry("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
    node.workload("web", "curl").workload("shop", "cart").start()
}

/// What is told of, which shows that it would be heard.
#[track_caller]
fn are_told(stage: &Stage, to: SocketAddr) -> Result<()> {
    let from = stage.from(to);
    for (what, packet, expected) in [
        ("SYN", tcp(from, to, Tcp::SYN), "reset"),
        ("ACK", tcp(from, to, Tcp::ACK), "reset"),
        ("FIN", tcp(from, to, Tcp::FIN | Tcp::ACK), "reset"),
        ("UDP", udp(from, to), "prohibited"),
        ("echo request", icmp(from, to, (8, 128), b"?"), "prohibited"),
    ] {
        assert_eq!(stage.answers_from(to, &packet)?, [expected], "{what} to {to}");
    }
    Ok(())
}

/// RFC 9293 §3.10.7.1: no reset in answer to a reset. RFC 1122 §3.2.2 and RFC 4443 §2.4: no error in answer to an error.
#[test]
fn resets_and_errors_are_not_answered() -> Result<()> {
    let node = node()?;
    let stage = Stage::of(&node, "curl")?;
    for to in FORBIDDEN.map(str::parse::<SocketAddr>) {
        let to = to?;
        let from = stage.from(to);
        are_told(&stage, to)?;
        let (protocol, datagram) = udp(to, from);
        let quoted = frame::ip(to.ip(), from.ip(), protocol, &datagram);
        for (what, packet) in [
            ("RST", tcp(from, to, Tcp::RST)),
            ("RST and ACK", tcp(from, to, Tcp::RST | Tcp::ACK)),
            ("RST and SYN", tcp(from, to, Tcp::RST | Tcp::SYN)),
            ("unreachable", icmp(from, to, (3, 1), &quoted)),
            ("time exceeded", icmp(from, to, (11, 3), &quoted)),
            ("parameter problem", icmp(from, to, (12, 4), &quoted)),
            ("redirect", icmp(from, to, (5, 137), &quoted)),
            ("echo reply", icmp(from, to, (0, 129), b"!")),
        ] {
            assert_eq!(stage.answers_from(to, &packet)?, [""; 0], "{what} to {to}");
        }
        are_told(&stage, to)?;
    }
    Ok(())
}

/// RFC 1122 §3.2.2, RFC 4443 §2.4: nothing is answered that goes to many or seems to come from many, and no fragment.
#[test]
fn what_is_for_many_is_not_answered() -> Result<()> {
    let node = node()?;
    let stage = Stage::of(&node, "curl")?;
    for many in ["224.0.0.251", "239.1.2.3", "255.255.255.255", "ff02::fb", "ff05::2", "ff0e::1"] {
        let to = SocketAddr::new(many.parse()?, 9000);
        let from = stage.from(to);
        for packet in [udp(from, to), tcp(from, to, Tcp::SYN), icmp(from, to, (8, 128), b"?")] {
            assert_eq!(stage.answers_from(to, &packet)?, [""; 0], "protocol {} to {many}", packet.0);
        }
    }
    for to in FORBIDDEN.map(str::parse::<SocketAddr>) {
        let to = to?;
        are_told(&stage, to)?;
        let others = if to.is_ipv4() {
            ["224.0.0.251", "255.255.255.255", "0.0.0.0", "198.51.100.1"]
        } else {
            ["ff02::fb", "ff0e::1", "::", "2001:db8:1::1"]
        };
        for other in others {
            let from = SocketAddr::new(other.parse()?, 40_000);
            for (protocol, payload) in [udp(from, to), tcp(from, to, Tcp::SYN)] {
                let packet = frame::ip(from.ip(), to.ip(), protocol, &payload);
                assert_eq!(stage.answers_to(&packet)?, [""; 0], "protocol {protocol} from {other}");
            }
        }
        assert_eq!(stage.answers_to(&first_fragment(&stage, to))?, [""; 0], "a fragment to {to}");
        are_told(&stage, to)?;
    }
    Ok(())
}

/// The beginning of a datagram, with more to come.
fn first_fragment(stage: &Stage, to: SocketAddr) -> Vec<u8> {
    let from = stage.from(to);
    let (protocol, payload) = udp(from, to);
    match (from.ip(), to.ip()) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Ipv6::new(from, to, protocol).with(protocol::FRAGMENT, &[0, 0, 1, 0, 0, 0, 9]).around(&payload)
        }
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ipv4 { more: true, ..Ipv4::new(from, to, protocol) }.around(&payload)
        }
        _ => unreachable!("both are of one family"),
    }
}

#[test]
fn a_flood_is_answered_no_more_often_than_the_limit_and_to_the_cost_of_nobody_else() -> Result<()> {
    let node = node()?;
    let (stage, other) = (Stage::of(&node, "curl")?, Stage::of(&node, "cart")?);
    let to: SocketAddr = FORBIDDEN[0].parse()?;
    let (protocol, datagram) = udp(stage.from(to), to);
    let packet = frame::ip(stage.from(to).ip(), to.ip(), protocol, &datagram);
    stage.heard.clear()?;
    let since = Instant::now();
    for _ in 0..FLOOD {
        stage.send(&packet)?;
    }
    assert_eq!(other.answers_from(to, &udp(other.from(to), to))?, ["prohibited"]);
    let answers = stage.answers()?;
    // Every second that was begun has a budget of its own.
    let seconds = since.elapsed().as_secs() + 2;
    println!("{FLOOD} denied datagrams, {} answers within {:.1?}", answers.len(), since.elapsed());
    assert!(answers.iter().all(|answer| *answer == "prohibited"));
    assert!(answers.len() as u64 >= REFUSALS_PER_SECOND, "{} answers", answers.len());
    assert!(answers.len() as u64 <= REFUSALS_PER_SECOND * seconds, "{} answers", answers.len());
    assert!(answers.len() < FLOOD, "all are answered");
    sleep(Duration::from_millis(1_100));
    are_told(&stage, to)
}

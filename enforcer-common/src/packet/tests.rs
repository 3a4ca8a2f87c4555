//! Packets, one sentence of `docs/packets.md` at a time.

extern crate std;

use core::net::IpAddr;
use std::vec;
use std::vec::Vec;

use super::*;

struct Bytes(Vec<u8>);

impl Frame for Bytes {
    fn length(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    fn load<const N: usize>(&self, at: u32, into: &mut [u8; N]) -> bool {
        let at = at as usize;
        let Some(bytes) = self.0.get(at..at + N) else { return false };
        into.copy_from_slice(bytes);
        true
    }
}

/// An IPv4 packet with these options, of this protocol.
fn v4(options: &[u8], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = 20 + options.len();
    let total = u16::try_from(length + payload.len()).unwrap();
    let mut packet = vec![0x40 | u8::try_from(length / 4).unwrap(), 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    packet.extend(options);
    packet.extend(payload);
    packet
}

/// An IPv6 packet with these extension headers, the first of this kind.
fn v6(next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend("2001:db8::1".parse::<core::net::Ipv6Addr>().unwrap().octets());
    packet.extend("2001:db8::2".parse::<core::net::Ipv6Addr>().unwrap().octets());
    packet.extend(payload);
    packet
}

fn tcp(data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0];
    segment.extend(data);
    segment
}

fn udp(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let mut datagram = vec![0x9c, 0x40, 0, 53];
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    datagram
}

fn read(is_v6: bool, bytes: Vec<u8>) -> Result<Packet, Reason> {
    let mut packet = Packet::EMPTY;
    parse(&Bytes(bytes), is_v6, 0, &mut packet).map(|()| packet)
}

fn fault(is_v6: bool, bytes: Vec<u8>) -> Reason {
    read(is_v6, bytes).unwrap_err()
}

#[test]
fn a_packet_tells_where_it_goes() {
    let packet = read(false, v4(&[], 6, 0, &tcp(b"hello"))).unwrap();
    assert_eq!(packet.destination.ip(), IpAddr::from([192, 0, 2, 1]));
    assert_eq!((packet.source_port.get(), packet.port.get(), packet.payload), (40_000, 443, 5));
    assert!(packet.tcp_flags().begins() && !packet.extended);
    let packet = read(true, v6(17, 64, &udp(b"hello"))).unwrap();
    assert_eq!(packet.destination.ip(), "2001:db8::2".parse::<IpAddr>().unwrap());
    assert_eq!((packet.port.get(), packet.payload, packet.hop_limit), (53, 5, 64));
}

#[test]
fn ports_are_behind_the_options() {
    let mut options = vec![1; 8];
    options[4..].copy_from_slice(&[68, 4, 5, 0]);
    let packet = read(false, v4(&options, 17, 0, &udp(b""))).unwrap();
    assert_eq!((packet.port.get(), packet.extended), (53, true));
    for (options, reason) in [
        ([131, 7, 4, 192, 0, 2, 9, 0], Reason::SourceRoute),
        ([1, 137, 7, 4, 192, 0, 2, 9], Reason::SourceRoute),
        ([7, 1, 0, 0, 0, 0, 0, 0], Reason::Malformed),
        ([7, 9, 0, 0, 0, 0, 0, 0], Reason::Malformed),
        ([1, 1, 1, 1, 1, 1, 1, 7], Reason::Malformed),
    ] {
        assert_eq!(fault(false, v4(&options, 17, 0, &udp(b""))), reason, "{options:?}");
    }
    assert!(read(false, v4(&[0, 131, 3, 4], 17, 0, &udp(b""))).is_ok(), "behind the end of the list");
}

#[test]
fn what_contradicts_itself_is_malformed() {
    let good = v4(&[], 6, 0, &tcp(b""));
    for (at, byte) in [(0, 0x55), (0, 0x44), (0, 0x4f), (3, 19), (3, 41), (32, 0x40), (32, 0x60)] {
        let mut packet = good.clone();
        packet[at] = byte;
        assert_eq!(fault(false, packet), Reason::Malformed, "{at} {byte}");
    }
    for length in 0..good.len() {
        assert_eq!(fault(false, good[..length].to_vec()), Reason::Malformed, "{length}");
    }
    let good = v6(17, 64, &udp(b""));
    for length in 0..good.len() {
        assert_eq!(fault(true, good[..length].to_vec()), Reason::Malformed, "{length}");
    }
    let mut longer = udp(b"");
    longer[5] = 9;
    assert_eq!(fault(true, v6(17, 64, &longer)), Reason::Malformed);
    assert_eq!(fault(true, v6(6, 64, b"")), Reason::Malformed);
}

#[test]
fn padding_is_no_part_of_the_packet() {
    let mut short = v4(&[], 17, 0, &udp(b"")[..7]);
    short.extend([0; 30]);
    assert_eq!(fault(false, short), Reason::Malformed);
}

#[test]
fn protocols_that_no_registry_can_name() {
    for protocol in [0, 2, 4, 33, 41, 47, 50, 58, 132, 136, 255] {
        assert_eq!(fault(false, v4(&[], protocol, 0, &[0; 40])), Reason::Protocol, "{protocol}");
    }
    for protocol in [1, 2, 4, 41, 47, 50, 51, 59, 132, 135, 136, 139] {
        assert_eq!(fault(true, v6(protocol, 64, &[0; 40])), Reason::Protocol, "{protocol}");
    }
}

#[test]
fn fragments_cannot_change_what_was_decided() {
    let first = read(false, v4(&[], 17, 0x2000, &udp(b"12345678"))).unwrap();
    assert_eq!((first.part, first.identification), (Part::First, 7));
    let later = read(false, v4(&[], 17, 0x2001, b"12345678")).unwrap();
    assert_eq!((later.part, later.port), (Part::Later, Port::ANY));
    assert_eq!(fault(false, v4(&[], 6, 0x2001, b"12345678")), Reason::Fragment);
    assert_eq!(fault(false, v4(&[], 6, 2, b"12345678")), Reason::Fragment);
    assert_eq!(read(false, v4(&[], 6, 3, b"12345678")).unwrap().part, Part::Later);
    assert_eq!(fault(false, v4(&[], 6, 0x2000, &tcp(b"")[..16])), Reason::Malformed);
    // A first fragment of a datagram that is longer than it.
    let mut long = udp(b"12345678");
    long[4..6].copy_from_slice(&[4, 0]);
    assert_eq!(read(false, v4(&[], 17, 0x2000, &long)).unwrap().part, Part::First);
}

fn extension(next: u8, units: u8) -> Vec<u8> {
    let mut header = vec![next, units, 1, 0];
    header.resize(8 * (usize::from(units) + 1), 0);
    header
}

#[test]
fn ports_are_behind_at_most_six_extension_headers() {
    for count in 0..=6 {
        let mut payload = Vec::new();
        for index in 0..count {
            payload.extend(extension(if index + 1 == count { 17 } else { 60 }, u8::from(index == 0)));
        }
        payload.extend(udp(b""));
        let packet = read(true, v6(if count == 0 { 17 } else { 0 }, 64, &payload)).unwrap();
        assert_eq!((packet.port.get(), packet.extended), (53, count > 0));
    }
    let mut payload: Vec<u8> = (0..6).flat_map(|_| extension(60, 0)).collect();
    payload.extend(extension(17, 0));
    payload.extend(udp(b""));
    assert_eq!(fault(true, v6(0, 64, &payload)), Reason::ExtensionHeaders);
    assert_eq!(fault(true, v6(60, 64, &extension(17, 0)[..4])), Reason::Malformed);
    assert_eq!(fault(true, v6(60, 64, &extension(17, 9)[..40])), Reason::Malformed);
}

#[test]
fn routing_headers_that_lead_elsewhere() {
    for (kind, left, expected) in
        [(0, 0, Err(Reason::SourceRoute)), (4, 1, Err(Reason::SourceRoute)), (4, 0, Ok(53))]
    {
        let mut payload = extension(17, 0);
        payload[2..4].copy_from_slice(&[kind, left]);
        payload.extend(udp(b""));
        let read = read(true, v6(43, 64, &payload)).map(|packet| packet.port.get());
        assert_eq!(read, expected, "{kind} {left}");
    }
}

#[test]
fn fragments_of_ipv6() {
    let fragment = |next: u8, field: u16, rest: &[u8]| {
        let mut payload = vec![next, 0];
        payload.extend(field.to_be_bytes());
        payload.extend([0, 0, 0, 9]);
        payload.extend(rest);
        read(true, v6(44, 64, &payload))
    };
    let first = fragment(17, 1, &udp(b"12345678")).unwrap();
    assert_eq!((first.part, first.port.get()), (Part::First, 53));
    let atomic = fragment(17, 0, &udp(b"")).unwrap();
    assert_eq!(atomic.part, Part::First);
    let later = fragment(17, 1 << 3, b"12345678").unwrap();
    assert_eq!((later.part, later.identification), (Part::Later, first.identification));
    assert_eq!(fragment(6, 2 << 3, b"12345678"), Err(Reason::Fragment));
    assert_eq!(fragment(60, 1, &extension(17, 0)), Err(Reason::ExtensionHeaders));
}

#[test]
fn frames_are_ipv4_ipv6_or_arp_behind_at_most_two_tags() {
    let frame = |kinds: &[u8]| {
        let mut bytes = vec![0; 12];
        bytes.extend(kinds);
        network(&Bytes(bytes))
    };
    assert_eq!(frame(&[8, 0]), Ok(Network::V4(14)));
    assert_eq!(frame(&[0x81, 0, 0, 5, 0x86, 0xdd]), Ok(Network::V6(18)));
    assert_eq!(frame(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]), Ok(Network::V4(22)));
    assert_eq!(frame(&[0x81, 0, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 8, 0]), Err(Reason::NotIp));
    assert_eq!(frame(&[0x81, 0, 0, 5]), Err(Reason::Malformed));
    assert_eq!(frame(&[0x88, 0xb5]), Err(Reason::NotIp));
    assert_eq!(frame(&[8]), Err(Reason::Malformed));
}

#[test]
fn arp_says_who_speaks_and_carries_nothing_else() {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
    message.extend([2; 6]);
    message.extend([10, 0, 0, 1]);
    message.extend([0; 10]);
    let parsed = Arp::parse(&Bytes(message.clone()), 0).unwrap();
    assert_eq!(parsed.sender.ip(), IpAddr::from([10, 0, 0, 1]));
    let mut padded = message.clone();
    padded.resize(60, 0);
    assert!(Arp::parse(&Bytes(padded.clone()), 0).is_ok());
    padded.push(0);
    assert_eq!(Arp::parse(&Bytes(padded), 0), Err(Reason::Malformed));
    for (at, byte) in [(1, 6), (2, 0x86), (4, 8), (5, 16), (7, 3)] {
        let mut other = message.clone();
        other[at] = byte;
        assert_eq!(Arp::parse(&Bytes(other), 0), Err(Reason::Malformed));
    }
}

fn message(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0x12, 0x34, 0, 0];
    message.extend(rest);
    message
}

#[test]
fn icmp_messages_by_what_they_are_for() {
    for (kind, code, size, expected) in [
        (8, 0, 100, Icmp::Echo),
        (0, 0, 100, Icmp::EchoReply),
        (8, 1, 0, Icmp::Other),
        (3, 1, 28, Icmp::Error),
        (3, 1, 600, Icmp::Other),
        (5, 0, 28, Icmp::Other),
        (13, 0, 12, Icmp::Other),
    ] {
        let packet = read(false, v4(&[], 1, 0, &message(kind, code, &vec![0; size]))).unwrap();
        assert_eq!(icmp(&packet), expected, "{kind} {code} {size}");
    }
    for (kind, hop_limit, size, expected) in [
        (128, 64, 100, Icmp::Echo),
        (129, 64, 100, Icmp::EchoReply),
        (1, 64, 48, Icmp::Error),
        (1, 64, 1_300, Icmp::Other),
        (135, 255, 16, Icmp::Neighbour),
        (135, 64, 16, Icmp::Other),
        (135, 255, 200, Icmp::Other),
        (134, 255, 16, Icmp::Other),
        (137, 255, 16, Icmp::Other),
        (143, 1, 20, Icmp::Listener),
        (143, 1, 504, Icmp::Listener),
        (143, 1, 505, Icmp::Other),
        (143, 2, 20, Icmp::Other),
    ] {
        let packet = read(true, v6(58, hop_limit, &message(kind, 0, &vec![0; size]))).unwrap();
        assert_eq!(icmp(&packet), expected, "{kind} {hop_limit} {size}");
    }
}

#[test]
fn an_error_quotes_a_flow() {
    let quote = |bytes: &[u8]| {
        let bytes = Bytes(v4(&[], 1, 0, &message(3, 3, bytes)));
        let mut packet = Packet::EMPTY;
        parse(&bytes, false, 0, &mut packet).unwrap();
        let mut flow = Quoted::EMPTY;
        quoted(&bytes, &packet, &mut flow).then_some(flow)
    };
    let flow = quote(&v4(&[], 17, 0, &udp(b""))).unwrap();
    assert_eq!((flow.source_port.get(), flow.port.get()), (40_000, 53));
    assert_eq!(flow.destination.ip(), IpAddr::from([192, 0, 2, 1]));
    let echo = quote(&v4(&[], 1, 0, &message(8, 0, b""))).unwrap();
    assert_eq!(echo.source_port.get(), 0x1234);
    assert_eq!(quote(&v4(&[], 1, 0, &message(0, 0, b""))), None);
    assert_eq!(quote(&v4(&[], 17, 0, &udp(b"")[..7])), None);
    assert_eq!(quote(&v4(&[], 47, 0, &[0; 8])), None);
    assert_eq!(quote(&v4(&[], 17, 0x2001, &[0; 8])), None);
    assert_eq!(quote(b"junk"), None);
}

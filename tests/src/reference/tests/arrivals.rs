//! §6.2 to §6.4 and §7.1: what came in is answered, and nothing more.

use std::time::Duration;

use super::*;

/// The port at which the workload is asked, and that of who asks.
const OWN_PORT: u16 = 80;
const PORT: u16 = 30_000;

/// A workload to which packets come.
#[derive(Default)]
struct Workload(History);

impl Workload {
    /// It is now so many seconds since the beginning.
    fn at(&mut self, second: u64) {
        self.0.set_time(Duration::from_secs(second));
    }

    fn gets(&mut self, packet: &[u8]) {
        arrive(&model(), &mut self.0, &frame(packet));
    }

    /// The reason, with which it is allowed or not.
    #[track_caller]
    fn sends(&mut self, packet: &[u8]) -> &'static str {
        let ruling = judge(&model(), &mut self.0, &frame(packet));
        let allowing = ["inbound", "related", "link_control", "fragment_of_allowed", "registered"];
        assert_eq!(ruling.allowed, allowing.contains(&ruling.reason), "{ruling:?}");
        ruling.reason
    }
}

/// A segment of a stranger's.
fn came(flags: u8) -> Vec<u8> {
    pack(OTHER, OWN, 6, &tcp(PORT, OWN_PORT, flags, &[]))
}

/// ... and of the workload's to it.
fn left(flags: u8, data: &[u8]) -> Vec<u8> {
    pack(OWN, OTHER, 6, &tcp(OWN_PORT, PORT, flags, data))
}

fn asked() -> Vec<u8> {
    pack(OTHER, OWN, 17, &udp(PORT, OWN_PORT, &[1]))
}

fn told() -> Vec<u8> {
    pack(OWN, OTHER, 17, &udp(OWN_PORT, PORT, &[1]))
}

/// A workload that has these, and nothing else.
fn with_got(packets: &[Vec<u8>]) -> Workload {
    let mut workload = Workload::default();
    for packet in packets {
        workload.gets(packet);
    }
    workload
}

#[test]
fn a_syn_that_came_in_opens_a_connection_and_nothing_else_does() {
    let mut workload = with_got(&[came(SYN)]);
    for flags in [SYN | ACK, ACK, 0x18, 0] {
        assert_eq!(workload.sends(&left(flags, &[1; 100])), "inbound");
    }
    for flags in [SYN, SYN | FIN, SYN | RST] {
        assert_eq!(workload.sends(&left(flags, &[])), "not_registered");
    }
    assert_eq!(with_got(&[came(SYN | FIN)]).sends(&left(ACK, &[])), "inbound");
    for flags in [0, ACK, SYN | ACK, FIN | ACK, RST, SYN | RST] {
        assert_eq!(with_got(&[came(flags)]).sends(&left(ACK, &[])), "not_registered");
    }
}

#[test]
fn a_flow_is_its_protocol_both_ports_and_the_remote() {
    let mut workload = with_got(&[came(SYN), asked()]);
    let answer = |to, protocol: u8, own_port, port| {
        let payload = if protocol == 6 { tcp(own_port, port, ACK, &[]) } else { udp(own_port, port, &[]) };
        pack(OWN, to, protocol, &payload)
    };
    for protocol in [6, 17] {
        assert_eq!(workload.sends(&answer(OTHER, protocol, OWN_PORT, PORT)), "inbound");
        assert_eq!(workload.sends(&answer(OTHER, protocol, OWN_PORT, PORT + 1)), "not_registered");
        assert_eq!(workload.sends(&answer(OTHER, protocol, OWN_PORT + 1, PORT)), "not_registered");
        assert_eq!(workload.sends(&answer(OTHER, protocol, PORT, OWN_PORT)), "not_registered");
        assert_eq!(workload.sends(&answer("10.1.0.12", protocol, OWN_PORT, PORT)), "not_registered");
    }
    assert_eq!(with_got(&[came(SYN)]).sends(&told()), "not_registered");
    assert_eq!(with_got(&[asked()]).sends(&left(ACK, &[])), "not_registered");
    // The workload answers from the address that it likes, but not from another's.
    let got = pack(OTHER6, "fe80::5", 6, &tcp(PORT, OWN_PORT, SYN, &[]));
    let answer = |from| pack(from, OTHER6, 6, &tcp(OWN_PORT, PORT, SYN | ACK, &[]));
    assert_eq!(with_got(std::slice::from_ref(&got)).sends(&answer(OWN6)), "inbound");
    assert_eq!(with_got(&[got]).sends(&answer("fd00::6")), "spoofed_source");
}

#[test]
fn a_connection_that_is_over_goes_on_for_a_minute() {
    let mut workload = with_got(&[came(SYN), came(FIN | ACK)]);
    workload.at(1_000);
    assert_eq!(workload.sends(&left(ACK, &[1])), "inbound", "one side may still send");
    assert_eq!(workload.sends(&left(FIN | ACK, &[1])), "inbound");
    workload.at(1_059);
    assert_eq!(workload.sends(&left(FIN | ACK, &[1])), "inbound", "the last segment was lost");
    workload.at(1_060);
    assert_eq!(workload.sends(&left(ACK, &[])), "not_registered");
    workload.gets(&came(FIN | ACK));
    workload.at(1_119);
    assert_eq!(workload.sends(&left(ACK, &[])), "inbound", "the other side has sent its last one again");
    workload.at(1_120);
    assert_eq!(workload.sends(&left(ACK, &[])), "not_registered");
    workload.gets(&came(SYN));
    assert_eq!(workload.sends(&left(ACK, &[1])), "inbound", "the port is used again");
}

#[test]
fn after_a_reset_there_are_no_data() {
    for came_in in [true, false] {
        let mut workload = with_got(&[came(SYN)]);
        if came_in {
            workload.gets(&came(RST));
        } else {
            assert_eq!(workload.sends(&left(RST, &[1])), "inbound");
        }
        assert_eq!(workload.sends(&left(ACK, &[])), "inbound");
        assert_eq!(workload.sends(&left(ACK, &[1])), "not_registered");
        // Behind a first fragment there may be data.
        let mut first = left(ACK, &[]);
        ipv4_fragment(&mut first, 7, 0, true);
        assert_eq!(workload.sends(&first), "not_registered");
        workload.at(60);
        assert_eq!(workload.sends(&left(ACK, &[])), "not_registered");
        workload.gets(&came(SYN));
        assert_eq!(workload.sends(&left(ACK, &[1])), "inbound");
        assert_eq!(workload.sends(&first), "inbound");
    }
}

#[test]
fn a_datagram_is_answered_for_three_minutes() {
    let mut workload = with_got(&[asked()]);
    workload.at(179);
    assert_eq!(workload.sends(&told()), "inbound");
    workload.at(180);
    assert_eq!(workload.sends(&told()), "not_registered");
    workload.gets(&asked());
    workload.at(300);
    workload.gets(&asked());
    workload.at(479);
    assert_eq!(workload.sends(&told()), "inbound", "the last one counts");
}

#[test]
fn what_answers_the_workload_begins_nothing() {
    let mut model = model();
    let mut history = History::default();
    let query = frame(&to_shop(17, &udp(40_000, 53, &[])));
    let answer = frame(&pack(SHOP, OWN, 17, &udp(53, 40_000, &[])));
    assert_eq!(judge(&model, &mut history, &query).reason, "registered");
    model.registered.clear();
    history.set_time(Duration::from_secs(179));
    arrive(&model, &mut history, &answer);
    assert_eq!(judge(&model, &mut history, &query).reason, "not_registered");
    history.set_time(Duration::from_secs(179 + 180));
    arrive(&model, &mut history, &answer);
    assert_eq!(judge(&model, &mut history, &query).reason, "inbound", "after a long silence it begins anew");
    // What was denied has not been sent.
    let mut workload = Workload::default();
    assert_eq!(workload.sends(&told()), "not_registered");
    workload.gets(&asked());
    assert_eq!(workload.sends(&told()), "inbound");
}

/// An echo of that type, with that identifier.
fn echo(from: &str, to: &str, kind: u8, code: u8, identifier: u8) -> Vec<u8> {
    let mut message = icmp(kind, code, &[0; 8]);
    message[5] = identifier;
    pack(from, to, if matches!(kind, 0 | 8) { 1 } else { 58 }, &message)
}

#[test]
fn echo_requests_are_answered_to_who_asked_for_half_a_minute() {
    for (own, other, third, request, reply) in
        [(OWN, OTHER, "10.1.0.12", 8, 0), (OWN6, OTHER6, "fd01::12", 128, 129)]
    {
        let mut workload = with_got(&[echo(other, own, request, 0, 7)]);
        workload.at(29);
        assert_eq!(workload.sends(&echo(own, other, reply, 0, 7)), "inbound");
        assert_eq!(workload.sends(&echo(own, other, reply, 0, 8)), "no_flow");
        assert_eq!(workload.sends(&echo(own, third, reply, 0, 7)), "no_flow");
        assert_eq!(workload.sends(&echo(own, other, reply, 1, 7)), "icmp_type");
        assert_eq!(workload.sends(&echo(own, other, request, 0, 7)), "not_registered");
        workload.at(30);
        assert_eq!(workload.sends(&echo(own, other, reply, 0, 7)), "no_flow");
        let mut workload = with_got(&[echo(other, own, request, 1, 7), echo(other, own, reply, 0, 7)]);
        assert_eq!(workload.sends(&echo(own, other, reply, 0, 7)), "no_flow");
    }
}

#[test]
fn errors_are_about_what_came_in() {
    let error = |quoted: &[u8]| pack(OWN, OTHER, 1, &icmp(3, 3, quoted));
    let got = [came(SYN), asked(), echo(OTHER, OWN, 8, 0, 7)];
    let mut workload = with_got(&got);
    for packet in &got {
        assert_eq!(workload.sends(&error(packet)), "related");
        assert_eq!(workload.sends(&error(&packet[..28])), "related");
        assert_eq!(Workload::default().sends(&error(packet)), "no_flow");
    }
    assert_eq!(workload.sends(&error(&echo(OTHER, OWN, 8, 0, 8))), "no_flow");
    assert_eq!(workload.sends(&error(&pack(OTHER, OWN, 6, &tcp(PORT, 81, SYN, &[])))), "no_flow");
    assert_eq!(workload.sends(&error(&pack(OTHER, OWN, 17, &udp(1, OWN_PORT, &[])))), "no_flow");
    assert_eq!(workload.sends(&pack(OWN, "10.1.0.12", 1, &icmp(3, 3, &came(SYN)))), "no_flow");
    workload.gets(&came(RST));
    assert_eq!(workload.sends(&error(&came(SYN))), "no_flow", "it is over");
    workload.at(30);
    assert_eq!(workload.sends(&error(&got[2])), "no_flow");
    workload.at(180);
    assert_eq!(workload.sends(&error(&asked())), "no_flow");
}

#[test]
fn neighbours_are_who_sends_neighbour_discovery() {
    let discovery = |from, to, kind, limit| with(&pack(from, to, 58, &icmp(kind, 0, &[0; 16])), 7, limit);
    let answer = discovery(OWN6, OTHER6, 136, 255);
    for (kind, to) in [(135, "ff02::1:ff00:5"), (135, OWN6), (136, "ff02::1"), (133, "ff02::2")] {
        let mut workload = with_got(&[discovery(OTHER6, to, kind, 255)]);
        workload.at(599);
        assert_eq!(workload.sends(&answer), "link_control");
        assert_eq!(workload.sends(&discovery(OWN6, "fd01::12", 136, 255)), "no_flow");
        assert_eq!(workload.sends(&with(&answer, 7, 254)), "icmp_type");
        workload.at(600);
        assert_eq!(workload.sends(&answer), "no_flow");
    }
    for (kind, limit) in [(135, 254), (135, 1), (134, 255), (137, 255), (128, 255)] {
        assert_eq!(with_got(&[discovery(OTHER6, OWN6, kind, limit)]).sends(&answer), "no_flow");
    }
}

#[test]
fn what_would_be_denied_for_its_form_leaves_nothing() {
    let arrivals = [
        ipv4(ip4(OTHER), ip4(OWN), 6, &[131, 3, 4], &tcp(PORT, OWN_PORT, SYN, &[])),
        ipv4(ip4(OTHER), ip4(OWN), 6, &[7, 1], &tcp(PORT, OWN_PORT, SYN, &[])),
        with(&came(SYN), 32, 0x40),
        came(SYN)[..39].to_vec(),
    ];
    for arrival in arrivals {
        assert_eq!(with_got(&[arrival]).sends(&left(ACK, &[])), "not_registered");
    }
    // A first fragment has the ports, a later one has not.
    let mut part = came(SYN);
    ipv4_fragment(&mut part, 7, 0, true);
    assert_eq!(with_got(&[part.clone()]).sends(&left(ACK, &[])), "inbound");
    ipv4_fragment(&mut part, 7, 3, false);
    assert_eq!(with_got(&[part]).sends(&left(ACK, &[])), "not_registered");
    // Of IPv6, from what looks like an address of IPv4.
    let mapped = pack("::ffff:10.1.0.11", OWN6, 6, &tcp(PORT, OWN_PORT, SYN, &[]));
    assert_eq!(with_got(&[mapped]).sends(&left(ACK, &[])), "not_registered");
    // Whichever of its addresses is meant.
    let group = pack(OTHER, "224.0.0.251", 17, &udp(PORT, OWN_PORT, &[]));
    assert_eq!(with_got(&[group]).sends(&told()), "inbound");
}

//! §6.1 to §6.3 and §6.6: echo, errors, and what is neither.

use super::*;

#[test]
fn echo_requests_go_where_anything_is_registered() {
    let ask = |from, to, kind| pack(from, to, if kind == 8 { 1 } else { 58 }, &icmp(kind, 0, &[0; 16]));
    for to in [SHOP, "10.2.0.0", "10.2.3.4"] {
        allowed("registered", &ask(OWN, to, 8));
    }
    for to in [SHOP6, "fd02::"] {
        allowed("registered", &ask(OWN6, to, 128));
    }
    allowed("exempt", &ask(OWN, "192.0.2.1", 8));
    allowed("exempt", &ask(OWN6, "2001:db8::1", 128));
    for to in [OTHER, "10.3.0.0", "10.0.0.5", "224.0.0.1"] {
        denied("not_registered", &ask(OWN, to, 8));
    }
    denied("not_registered", &ask(OWN6, OTHER6, 128));
    // Ranges of a port are not for ICMP.
    denied("not_registered", &ask(OWN, "198.51.100.1", 8));
    denied("not_registered", &ask(OWN6, "2001:db8:0:1::1", 128));
}

#[test]
fn echo_replies_answer_nobody() {
    denied("no_flow", &to_shop(1, &icmp(0, 0, &[0; 16])));
    denied("no_flow", &to_shop6(58, &icmp(129, 0, &[0; 16])));
    denied("no_flow", &pack(OWN, "192.0.2.1", 1, &icmp(0, 0, &[])));
}

#[test]
fn other_types_stay() {
    for kind in [1, 2, 4, 5, 6, 9, 10, 13, 14, 15, 17, 30, 40, 42, 43, 253, 128, 129, 135] {
        denied("icmp_type", &to_shop(1, &icmp(kind, 0, &[0; 60])));
    }
    for kind in [0, 5, 100, 127, 130, 134, 137, 138, 139, 144, 151, 155, 160, 255, 8, 11] {
        denied("icmp_type", &to_shop6(58, &icmp(kind, 0, &[0; 60])));
    }
}

/// An error to the shop about a packet.
fn about(kind: u8, quoted: &[u8]) -> Vec<u8> {
    to_shop(1, &icmp(kind, 1, quoted))
}

fn about6(kind: u8, quoted: &[u8]) -> Vec<u8> {
    to_shop6(58, &icmp(kind, 1, quoted))
}

/// What the shop has sent to the workload, as the answer from its port 443.
fn received() -> Vec<u8> {
    pack(SHOP, OWN, 6, &tcp(443, 40_000, ACK, &[]))
}

fn received6() -> Vec<u8> {
    pack(SHOP6, OWN6, 6, &tcp(443, 40_000, ACK, &[]))
}

#[test]
fn errors_are_about_what_could_be_an_answer() {
    for kind in [3, 11, 12] {
        allowed("related", &about(kind, &received()));
    }
    for kind in [1, 2, 3, 4] {
        allowed("related", &about6(kind, &received6()));
    }
    allowed("related", &about(3, &pack(SHOP, OWN, 17, &udp(53, 40_000, &[]))));
    allowed("related", &about6(1, &pack(SHOP6, OWN6, 17, &udp(53, 40_000, &[]))));
    // The port that counts is the one that the workload would ask for.
    denied("no_flow", &about(3, &pack(SHOP, OWN, 6, &tcp(444, 40_000, ACK, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 6, &tcp(40_000, 443, ACK, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 17, &udp(443, 40_000, &[]))));
    denied("no_flow", &about6(1, &pack(SHOP6, OWN6, 17, &udp(443, 40_000, &[]))));
    // Nobody registered who it is sent to.
    let stranger = pack(OTHER, OWN, 6, &tcp(443, 40_000, ACK, &[]));
    denied("no_flow", &pack(OWN, OTHER, 1, &icmp(3, 1, &stranger)));
}

#[test]
fn errors_go_to_who_sent_what_they_quote() {
    denied("no_flow", &pack(OWN, "192.0.2.1", 1, &icmp(3, 1, &received())));
    denied("no_flow", &about(3, &pack("192.0.2.1", OWN, 6, &tcp(443, 40_000, ACK, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, "10.0.0.6", 6, &tcp(443, 40_000, ACK, &[]))));
    // Its own packet, as if it had come in.
    denied("no_flow", &about(3, &to_shop(6, &syn())));
    denied("no_flow", &about6(3, &to_shop6(6, &syn())));
    denied("no_flow", &about6(1, &pack(SHOP6, "fd00::6", 6, &tcp(443, 40_000, ACK, &[]))));
}

#[test]
fn errors_quote_enough() {
    // The rest of the quoted packet may be missing.
    allowed("related", &about(3, &received()[..28]));
    denied("no_flow", &about(3, &received()[..27]));
    denied("no_flow", &about(3, &[]));
    allowed("related", &about6(1, &received6()[..48]));
    denied("no_flow", &about6(1, &received6()[..47]));
    // Options come before the ports.
    let options = ipv4(ip4(SHOP), ip4(OWN), 6, &[1; 4], &tcp(443, 40_000, ACK, &[]));
    allowed("related", &about(3, &options));
    denied("no_flow", &about(3, &with(&options, 0, 0x45)));
    denied("no_flow", &about(3, &with(&received(), 0, 0x44)));
    denied("no_flow", &about(3, &with(&received(), 0, 0x65)));
    denied("no_flow", &about6(1, &with(&received6(), 0, 0x40)));
    // A later fragment has no ports.
    let mut fragmented = received();
    ipv4_fragment(&mut fragmented, 1, 0, true);
    allowed("related", &about(3, &fragmented));
    ipv4_fragment(&mut fragmented, 1, 1, true);
    denied("no_flow", &about(3, &fragmented));
    denied("no_flow", &about6(1, &pack(SHOP6, OWN6, 44, &[fragment(6, 1, 0, true), syn()].concat())));
}

#[test]
fn errors_may_be_about_echo_requests() {
    allowed("related", &about(3, &pack(SHOP, OWN, 1, &icmp(8, 0, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 1, &icmp(8, 1, &[]))));
    denied("no_flow", &about6(1, &pack(SHOP6, OWN6, 58, &icmp(128, 1, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 1, &icmp(0, 0, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 1, &icmp(3, 0, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 58, &icmp(128, 0, &[]))));
    allowed("related", &about6(1, &pack(SHOP6, OWN6, 58, &icmp(128, 0, &[]))));
    denied("no_flow", &about6(1, &pack(SHOP6, OWN6, 58, &icmp(129, 0, &[]))));
    denied("no_flow", &about(3, &pack(SHOP, OWN, 132, &tcp(443, 40_000, ACK, &[]))));
}

#[test]
fn errors_are_short() {
    // Behind the headers, one byte more or less.
    let mut quoted = received();
    quoted.resize(576 - 28, 0);
    allowed("related", &about(3, &quoted));
    quoted.push(0);
    denied("no_flow", &about(3, &quoted));
    let mut quoted = received6();
    quoted.resize(1280 - 48, 0);
    allowed("related", &about6(1, &quoted));
    quoted.push(0);
    denied("no_flow", &about6(1, &quoted));
    // A fragment could be of any length.
    let mut packet = about(3, &received());
    ipv4_fragment(&mut packet, 1, 0, true);
    denied("no_flow", &packet);
}

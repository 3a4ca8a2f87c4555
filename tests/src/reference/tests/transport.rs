//! §4: transport headers.

use super::*;

/// Over both families.
#[track_caller]
fn both(reason: &'static str, protocol: u8, payload: &[u8]) {
    for packet in [to_shop(protocol, payload), to_shop6(protocol, payload)] {
        assert_eq!(alone(&frame(&packet)).reason, reason, "{}", describe(&frame(&packet)));
    }
}

#[test]
fn tcp_has_its_header() {
    both("registered", 6, &syn());
    both("malformed", 6, &syn()[..19]);
    both("malformed", 6, &with(&syn(), 12, 0x40));
    both("malformed", 6, &with(&syn(), 12, 0x00));
    both("malformed", 6, &with(&syn(), 12, 0x60));
    both("registered", 6, &[with(&syn(), 12, 0x60), vec![1; 4]].concat());
    both("malformed", 6, &[with(&syn(), 12, 0xf0), vec![1; 39]].concat());
    both("registered", 6, &[with(&syn(), 12, 0xf0), vec![1; 40]].concat());
}

#[test]
fn udp_has_its_length() {
    both("registered", 17, &query());
    both("malformed", 17, &query()[..7]);
    for (length, reason) in
        [(0, "malformed"), (7, "malformed"), (8, "registered"), (12, "registered"), (13, "malformed")]
    {
        both(reason, 17, &with(&query(), 5, length));
    }
    both("malformed", 17, &with(&query(), 4, 1));
}

#[test]
fn the_length_of_a_fragmented_datagram_is_that_of_the_whole() {
    let long = with(&query(), 4, 4);
    let mut packet = to_shop(17, &long);
    denied("malformed", &packet);
    ipv4_fragment(&mut packet, 1, 0, true);
    allowed("registered", &packet);
    let mut short = to_shop(17, &with(&query(), 5, 7));
    ipv4_fragment(&mut short, 1, 0, true);
    denied("malformed", &short);
    allowed("registered", &to_shop6(44, &[fragment(17, 1, 0, true), long].concat()));
}

#[test]
fn icmp_has_eight_bytes() {
    let (request, request6) = (icmp(8, 0, &[]), icmp(128, 0, &[]));
    allowed("registered", &to_shop(1, &request));
    denied("malformed", &to_shop(1, &request[..7]));
    allowed("registered", &to_shop6(58, &request6));
    denied("malformed", &to_shop6(58, &request6[..7]));
}

#[test]
fn an_icmpv6_error_quotes_a_header() {
    for kind in [0, 1, 4, 100, 127] {
        denied("malformed", &to_shop6(58, &icmp(kind, 0, &[0; 39])));
        assert_ne!(alone(&frame(&to_shop6(58, &icmp(kind, 0, &[0; 40])))).reason, "malformed");
    }
}

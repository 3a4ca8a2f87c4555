//! §2.1 to §2.3: IPv4 headers.

use super::*;

#[test]
fn a_frame_by_hand() {
    let bytes = "020000000001 020000000002 0800
        45 00 0028 0001 0000 40 06 0000 0a000005 0a01000a
        9c40 01bb 00000001 00000000 50 02 ffff 0000 0000";
    let digits: Vec<char> = bytes.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    let by_hand: Vec<u8> = digits.chunks(2).map(byte).collect();
    assert_eq!(by_hand, frame(&to_shop(6, &syn())));
    frame_allowed("registered", &by_hand);
}

#[test]
fn version_and_lengths_are_right() {
    let packet = to_shop(6, &syn());
    assert_eq!(packet.len(), 40);
    allowed("registered", &packet);
    // Version, header length.
    for first in [0x05, 0x35, 0x44, 0x40, 0x4b, 0x4f] {
        frame_denied("malformed", &tagged(&[], IPV4, &with(&packet, 0, first)));
    }
    // Version 6 under the ethertype of IPv4, and the other way round.
    frame_denied("malformed", &tagged(&[], IPV4, &to_shop6(6, &syn())));
    frame_denied("malformed", &tagged(&[], IPV6, &packet));
    // Total length: below the header, the header's alone (TCP is cut), beyond the frame.
    for total in [0, 19, 20, 39, 41, 255] {
        denied("malformed", &with(&packet, 3, total));
    }
    for cut in 0..packet.len() {
        frame_denied("malformed", &tagged(&[], IPV4, &packet[..cut]));
    }
}

#[test]
fn padding_belongs_to_no_packet() {
    let packet = to_shop(17, &udp(40_000, 53, &[]));
    let padded = [&packet[..], &[0; 18]].concat();
    allowed("registered", &padded);
    // A UDP datagram that would reach into the padding.
    denied("malformed", &with(&padded, 25, 9));
}

/// With options, filled up with zeros.
fn with_options(options: &[u8]) -> Vec<u8> {
    ipv4(ip4(OWN), ip4(SHOP), 6, options, &syn())
}

#[test]
fn options_are_walked() {
    for options in [
        &[1, 1, 1, 1][..],
        &[7, 3, 4, 0],
        &[148, 4, 0, 0],
        &[7, 2, 148, 2],
        &[1, 1, 7, 2],
        // Nothing counts behind the end of the list.
        &[0, 131, 3, 4],
        &[0, 7, 0, 0],
    ] {
        allowed("registered", &with_options(options));
    }
    for options in [&[7, 0, 0, 0][..], &[7, 1, 0, 0], &[7, 5, 0, 0], &[1, 1, 1, 7], &[1, 1, 7, 3]] {
        denied("malformed", &with_options(options));
    }
}

#[test]
fn source_routes_stay() {
    for route in [131, 137] {
        denied("source_route", &with_options(&[route, 3, 4, 0]));
        denied("source_route", &with_options(&[1, 7, 3, 4, 1, 1, route, 2]));
        denied("source_route", &with_options(&[route, 7, 4, 10, 1, 0, 10, 0]));
        // As data of another option it is none.
        allowed("registered", &with_options(&[7, 4, route, 3]));
    }
    allowed("registered", &with_options(&[130, 3, 4, 0]));
}

#[test]
fn three_protocols_go_on() {
    allowed("registered", &to_shop(1, &icmp(8, 0, &[])));
    allowed("registered", &to_shop(6, &syn()));
    allowed("registered", &to_shop(17, &query()));
    for protocol in [0, 2, 4, 41, 47, 50, 51, 58, 59, 132, 255] {
        denied("protocol", &to_shop(protocol, &[0; 60]));
    }
}

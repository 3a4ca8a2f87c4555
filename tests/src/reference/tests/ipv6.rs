//! §3: IPv6 and its extension headers.

use super::*;

/// A SYN to the shop behind these extension headers of eight bytes.
fn behind(kinds: &[u8]) -> Vec<u8> {
    let (next, chain) = kinds.iter().rev().fold((6, syn()), |(next, inside), kind| {
        let header = match kind {
            43 => routing(next, 2, 0),
            44 => fragment(next, 9, 0, false),
            _ => extension(next, 0),
        };
        (*kind, [header, inside].concat())
    });
    to_shop6(next, &chain)
}

#[test]
fn version_and_lengths_are_right() {
    let packet = to_shop6(6, &syn());
    assert_eq!(packet.len(), 60);
    allowed("registered", &packet);
    frame_denied("malformed", &tagged(&[], IPV6, &with(&packet, 0, 0x40)));
    frame_denied("malformed", &tagged(&[], IPV6, &with(&packet, 0, 0x70)));
    // Payload length: none, less than TCP needs, beyond the frame.
    for length in [0, 19, 21, 255] {
        denied("malformed", &with(&packet, 5, length));
    }
    for cut in 0..packet.len() {
        frame_denied("malformed", &tagged(&[], IPV6, &packet[..cut]));
    }
    allowed("registered", &[&packet[..], &[0; 9]].concat());
}

#[test]
fn no_payload_is_for_no_next_header_only() {
    denied("protocol", &to_shop6(59, &[]));
    for next in [0, 6, 17, 58, 60] {
        denied("malformed", &to_shop6(next, &[]));
    }
}

#[test]
fn up_to_six_extension_headers_in_any_order_are_skipped() {
    for kinds in [&[0][..], &[60], &[43], &[44], &[60, 0], &[0, 60, 43, 60, 44], &[60, 60, 60, 60, 60, 60]] {
        allowed("registered", &behind(kinds));
    }
    denied("extension_headers", &behind(&[60; 7]));
    denied("extension_headers", &behind(&[0, 60, 43, 60, 0, 60, 44]));
    // Longer ones.
    allowed("registered", &to_shop6(60, &[extension(6, 3), syn()].concat()));
}

#[test]
fn headers_end_within_the_payload() {
    let chain = [extension(6, 1), syn()].concat();
    allowed("registered", &to_shop6(0, &chain));
    // The length of the header reaches beyond everything.
    denied("malformed", &to_shop6(0, &with(&chain, 1, 4)));
    denied("malformed", &to_shop6(60, &with(&chain, 1, 255)));
    for cut in 1..16 {
        denied("malformed", &to_shop6(0, &chain[..cut]));
    }
    for cut in 1..8 {
        denied("malformed", &to_shop6(44, &fragment(6, 9, 0, false)[..cut]));
        denied("malformed", &to_shop6(43, &routing(6, 2, 0)[..cut]));
    }
    // What is there is the frame's padding.
    let mut padded = to_shop6(0, &chain);
    padded[5] = 8;
    denied("malformed", &padded);
}

#[test]
fn routes_stay() {
    let routed = |kind, left| to_shop6(43, &[routing(6, kind, left), syn()].concat());
    allowed("registered", &routed(2, 0));
    allowed("registered", &routed(4, 0));
    denied("source_route", &routed(2, 1));
    denied("source_route", &routed(4, 255));
    denied("source_route", &routed(0, 0));
    denied("source_route", &routed(0, 1));
}

#[test]
fn other_headers_are_protocols_that_nothing_allows() {
    for protocol in [1, 2, 4, 41, 47, 50, 51, 59, 132, 135, 139, 140, 253, 255] {
        denied("protocol", &to_shop6(protocol, &[0; 40]));
        denied("protocol", &to_shop6(60, &[extension(protocol, 0), vec![0; 40]].concat()));
    }
    allowed("registered", &to_shop6(58, &icmp(128, 0, &[])));
    allowed("registered", &to_shop6(17, &query()));
}

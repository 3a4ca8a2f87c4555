//! §1: the frame.

use super::*;

#[test]
fn a_frame_has_fourteen_bytes_at_least() {
    let whole = tagged(&[], 0x1234, &[]);
    assert_eq!(whole.len(), 14);
    frame_denied("not_ip", &whole);
    frame_denied("malformed", &whole[..13]);
    frame_denied("malformed", &[]);
}

#[test]
fn up_to_two_tags_are_skipped() {
    let inside = to_shop(6, &syn());
    for tags in [&[][..], &[0x8100], &[0x88a8], &[0x8100, 0x8100], &[0x88a8, 0x8100]] {
        frame_allowed("registered", &tagged(tags, IPV4, &inside));
        frame_allowed("registered", &tagged(tags, IPV6, &to_shop6(6, &syn())));
    }
    frame_denied("not_ip", &tagged(&[0x88a8, 0x8100, 0x8100], IPV4, &inside));
    // A third speaks before it is known to be cut off.
    frame_denied("not_ip", &tagged(&[0x8100, 0x8100], 0x8100, &[]));
    frame_denied("not_ip", &tagged(&[0x9100], IPV4, &inside));
}

#[test]
fn a_tag_is_whole() {
    let tag = tagged(&[0x8100], 0x1234, &[]);
    frame_denied("not_ip", &tag);
    for cut in 14..18 {
        frame_denied("malformed", &tag[..cut]);
    }
}

#[test]
fn what_is_neither_ip_nor_arp_stays() {
    for ethertype in [0, 46, 0x8035, 0x8847, 0x8864, 0x88cc, 0xffff] {
        frame_denied("not_ip", &tagged(&[], ethertype, &to_shop(6, &syn())));
    }
}

fn arp_frame(message: &[u8]) -> Vec<u8> {
    tagged(&[], ARP, message)
}

#[test]
fn arp_asks_and_answers_in_the_workloads_own_name() {
    for sender in [OWN, "0.0.0.0"] {
        for operation in [1, 2] {
            frame_allowed("link_control", &arp_frame(&arp(operation, ip4(sender), ip4("10.0.0.1"))));
        }
        for operation in [0, 3, 8] {
            frame_denied("malformed", &arp_frame(&arp(operation, ip4(sender), ip4("10.0.0.1"))));
        }
    }
    for sender in ["10.0.0.6", "10.0.0.1", "0.0.0.1", SHOP] {
        frame_denied("spoofed_source", &arp_frame(&arp(2, ip4(sender), ip4("10.0.0.1"))));
    }
    frame_allowed("link_control", &tagged(&[0x8100], ARP, &arp(1, ip4(OWN), ip4("10.0.0.1"))));
}

#[test]
fn arp_is_of_ethernet_over_ipv4() {
    let message = arp(1, ip4(OWN), ip4("10.0.0.1"));
    for (at, value) in [(0, 1), (1, 6), (2, 0x86), (3, 1), (4, 8), (5, 16), (6, 1)] {
        frame_denied("malformed", &arp_frame(&with(&message, at, value)));
    }
}

#[test]
fn arp_has_28_bytes_and_no_more_than_60_with_padding() {
    let mut message = arp(1, ip4(OWN), ip4("10.0.0.1"));
    assert_eq!(message.len(), 28);
    frame_denied("malformed", &arp_frame(&message[..27]));
    message.resize(60, 0);
    frame_allowed("link_control", &arp_frame(&message));
    message.push(0);
    frame_denied("malformed", &arp_frame(&message));
}

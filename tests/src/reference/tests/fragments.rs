//! §2.4 and §3.2: fragments, in the order in which they leave.

use std::time::Duration;

use super::*;

const ID: u16 = 77;

/// A fragment of a datagram over IPv4.
fn part(to: &str, protocol: u8, id: u16, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = pack(OWN, to, protocol, payload);
    ipv4_fragment(&mut packet, id, offset, true);
    frame(&packet)
}

/// ... over IPv6.
fn part6(to: &str, protocol: u8, id: u32, offset: u16, payload: &[u8]) -> Vec<u8> {
    frame(&pack(OWN6, to, 44, &[fragment(protocol, id, offset, true), payload.to_vec()].concat()))
}

/// What becomes of each of these frames, one after the other.
fn story(frames: &[Vec<u8>]) -> Vec<&'static str> {
    let mut history = History::default();
    let rulings: Vec<Ruling> = frames.iter().map(|frame| judge(&model(), &mut history, frame)).collect();
    for ruling in &rulings {
        assert_eq!(ruling.allowed, ["registered", "fragment_of_allowed"].contains(&ruling.reason));
    }
    rulings.iter().map(|ruling| ruling.reason).collect()
}

#[test]
fn later_fragments_follow_an_allowed_first_one() {
    let first = part(SHOP, 17, ID, 0, &query());
    let later = part(SHOP, 17, ID, 1, &[0; 8]);
    assert_eq!(story(&[first.clone(), later.clone(), later.clone()])[1..], ["fragment_of_allowed"; 2]);
    assert_eq!(story(&[later.clone(), first]), ["fragment", "registered"]);
    let unregistered = part(OTHER, 17, ID, 0, &query());
    assert_eq!(story(&[unregistered, part(OTHER, 17, ID, 1, &[0; 8])]), ["not_registered", "fragment"]);

    let first = part6(SHOP6, 17, 0x10_0077, 0, &query());
    let later = part6(SHOP6, 17, 0x10_0077, 1, &[0; 8]);
    assert_eq!(story(&[first.clone(), later.clone()]), ["registered", "fragment_of_allowed"]);
    assert_eq!(story(&[later, first]), ["fragment", "registered"]);
}

#[test]
fn they_are_of_the_same_datagram() {
    let first = part(SHOP, 17, ID, 0, &query());
    for other in [
        part(SHOP, 17, ID + 1, 1, &[0; 8]),
        part(SHOP, 6, ID, 3, &[0; 8]),
        part(SHOP, 1, ID, 1, &[0; 8]),
        part(OTHER, 17, ID, 1, &[0; 8]),
    ] {
        assert_eq!(story(&[first.clone(), other]), ["registered", "fragment"]);
    }
    let first = part6(SHOP6, 17, 0x10_0077, 0, &query());
    for other in [
        part6(SHOP6, 17, 0x20_0077, 1, &[0; 8]),
        part6(SHOP6, 60, 0x10_0077, 1, &[0; 8]),
        part6(OTHER6, 17, 0x10_0077, 1, &[0; 8]),
    ] {
        assert_eq!(story(&[first.clone(), other]), ["registered", "fragment"]);
    }
}

#[test]
fn they_overwrite_neither_ports_nor_flags() {
    let first = part(SHOP, 6, ID, 0, &syn());
    let later = |offset| part(SHOP, 6, ID, offset, &[0; 8]);
    assert_eq!(
        story(&[first, later(1), later(2), later(3), later(0x1fff)])[1..],
        ["fragment", "fragment", "fragment_of_allowed", "fragment_of_allowed"]
    );
    let first = part6(SHOP6, 6, 1, 0, &syn());
    let later = |offset| part6(SHOP6, 6, 1, offset, &[0; 8]);
    assert_eq!(
        story(&[first, later(1), later(2), later(3)])[1..],
        ["fragment", "fragment", "fragment_of_allowed"]
    );
}

#[test]
fn they_come_within_thirty_seconds() {
    let mut history = History::default();
    let mut at = |millis, frame: &[u8]| {
        history.set_time(Duration::from_millis(millis));
        judge(&model(), &mut history, frame).reason
    };
    let later = part(SHOP, 17, ID, 1, &[0; 8]);
    assert_eq!(at(1_000, &part(SHOP, 17, ID, 0, &query())), "registered");
    assert_eq!(at(30_999, &later), "fragment_of_allowed");
    assert_eq!(at(31_000, &later), "fragment");
}

#[test]
fn a_denied_first_fragment_takes_the_permission_away() {
    let first = part(SHOP, 17, ID, 0, &query());
    let later = part(SHOP, 17, ID, 1, &[0; 8]);
    let other_port = part(SHOP, 17, ID, 0, &udp(40_000, 54, &[]));
    let cut = part(SHOP, 17, ID, 0, &query()[..4]);
    for (denied, reason) in [(other_port, "not_registered"), (cut, "fragment")] {
        assert_eq!(
            story(&[first.clone(), denied, later.clone(), first.clone(), later.clone()]),
            ["registered", reason, "fragment", "registered", "fragment_of_allowed"]
        );
    }
}

#[test]
fn a_first_fragment_has_the_whole_transport_header() {
    let with_options = [with(&syn(), 12, 0x60), vec![1; 4]].concat();
    assert_eq!(story(&[part(SHOP, 6, ID, 0, &with_options)]), ["registered"]);
    assert_eq!(story(&[part(SHOP, 6, ID, 0, &with_options[..20])]), ["fragment"]);
    assert_eq!(story(&[part(SHOP, 6, ID, 0, &syn()[..16])]), ["fragment"]);
    assert_eq!(story(&[part(SHOP, 17, ID, 0, &query()[..8])]), ["registered"]);
    assert_eq!(story(&[part(SHOP, 17, ID, 0, &query()[..7])]), ["fragment"]);
    assert_eq!(story(&[part(SHOP, 1, ID, 0, &icmp(8, 0, &[]))]), ["registered"]);
    assert_eq!(story(&[part(SHOP, 1, ID, 0, &icmp(8, 0, &[])[..7])]), ["fragment"]);
    assert_eq!(story(&[part6(SHOP6, 6, 1, 0, &syn()[..16])]), ["fragment"]);
}

#[test]
fn an_atomic_fragment_is_a_first_one() {
    let atomic = frame(&to_shop6(44, &[fragment(17, 5, 0, false), query()].concat()));
    assert_eq!(story(&[atomic, part6(SHOP6, 17, 5, 1, &[0; 8])]), ["registered", "fragment_of_allowed"]);
}

#[test]
fn nothing_but_the_transport_header_follows_a_fragment_header() {
    let hidden = [fragment(60, 5, 0, true), extension(17, 0), query()].concat();
    assert_eq!(story(&[frame(&to_shop6(44, &hidden))]), ["fragment"]);
    let twice = [fragment(44, 5, 0, true), fragment(17, 5, 0, true), query()].concat();
    assert_eq!(story(&[frame(&to_shop6(44, &twice))]), ["fragment"]);
    let before = [extension(44, 0), fragment(17, 5, 0, true), query()].concat();
    assert_eq!(story(&[frame(&to_shop6(60, &before))]), ["registered"]);
    let unknown = [fragment(132, 5, 0, true), vec![0; 40]].concat();
    assert_eq!(story(&[frame(&to_shop6(44, &unknown))]), ["protocol"]);
}

#[test]
fn flags_that_make_no_fragment_change_nothing() {
    let mut packet = to_shop(17, &query());
    // Do not fragment, and the reserved bit.
    for flags in [0x40, 0x80, 0xc0] {
        packet[6] = flags;
        assert_eq!(story(&[frame(&packet)]), ["registered"]);
    }
}

#[test]
fn a_later_fragment_has_a_source_of_the_workloads_own() {
    let first = part(SHOP, 17, ID, 0, &query());
    let mut spoofed = pack("10.0.0.6", SHOP, 17, &[0; 8]);
    ipv4_fragment(&mut spoofed, ID, 1, false);
    assert_eq!(story(&[first, frame(&spoofed)]), ["registered", "spoofed_source"]);
}

//! §5: where packets come from, and where they may never go.

use super::*;

#[test]
fn the_source_is_the_workloads_own() {
    allowed("registered", &pack(OWN, SHOP, 6, &syn()));
    allowed("registered", &pack(OWN6, SHOP6, 6, &syn()));
    // The link-local one of its own may go anywhere.
    allowed("registered", &pack("fe80::5", SHOP6, 6, &syn()));
    for source in ["10.0.0.4", "10.0.0.6", "0.0.0.0", "127.0.0.1", SHOP, "255.255.255.255"] {
        denied("spoofed_source", &pack(source, SHOP, 6, &syn()));
    }
    for source in ["fd00::4", "fd00::6", "::", "::1", "::ffff:10.0.0.5", "fe80::6", SHOP6] {
        denied("spoofed_source", &pack(source, SHOP6, 6, &syn()));
    }
}

#[test]
fn who_has_no_address_yet_looks_for_one() {
    let unknown = |kind, limit| with(&pack("::", "ff02::1:ff00:5", 58, &icmp(kind, 0, &[0; 16])), 7, limit);
    allowed("link_control", &unknown(135, 255));
    for kind in [131, 132, 143] {
        allowed("link_control", &unknown(kind, 1));
    }
    for kind in [128, 133, 134, 136, 137] {
        denied("spoofed_source", &unknown(kind, 255));
    }
    denied("spoofed_source", &pack("::", "ff02::1", 17, &query()));
}

#[test]
fn dhcp_leaves_where_allow_names_it() {
    let message = udp(68, 67, &[0; 100]);
    let discover = pack("0.0.0.0", "255.255.255.255", 17, &message);
    allowed("exempt", &discover);
    denied("spoofed_source", &pack("0.0.0.1", "255.255.255.255", 17, &message));
    denied("spoofed_source", &pack("0.0.0.0", "192.0.2.1", 17, &message));
    denied("spoofed_source", &pack("0.0.0.0", "255.255.255.255", 17, &udp(69, 67, &[])));
    denied("spoofed_source", &pack("0.0.0.0", "255.255.255.255", 17, &udp(68, 68, &[])));
    denied("spoofed_source", &pack("0.0.0.0", "255.255.255.255", 6, &tcp(68, 67, SYN, &[])));
    let mut model = model();
    model.exempt.clear();
    assert_eq!(judge(&model, &mut History::default(), &frame(&discover)), deny("spoofed_source"));
}

#[test]
fn link_local_addresses_speak_to_their_link() {
    let from = |source, to| pack(source, to, 17, &udp(40_000, 546, &[]));
    allowed("exempt", &from("fe80::abcd", "fe80::77"));
    allowed("exempt", &from("febf::1", "fe80::77"));
    denied("not_registered", &from("fe80::abcd", "fe80::78"));
    denied("not_registered", &from("fe80::abcd", "ff02::fb"));
    denied("spoofed_source", &from("fe80::abcd", SHOP6));
    denied("spoofed_source", &from("fe80::abcd", "ff05::fb"));
    denied("spoofed_source", &from("fec0::1", "fe80::77"));
    denied("spoofed_source", &from("fe7f::1", "fe80::77"));
}

#[test]
fn some_destinations_are_no_destinations() {
    for to in ["127.0.0.0", "127.0.0.1", "127.255.255.255", "0.0.0.0", "0.255.255.255"] {
        denied("martian", &pack(OWN, to, 6, &syn()));
    }
    for to in ["126.255.255.255", "128.0.0.0", "1.0.0.0", "224.0.0.1", "255.255.255.255"] {
        denied("not_registered", &pack(OWN, to, 6, &syn()));
    }
    for to in ["::", "::1", "::2", "::10.1.0.10", "::ffff:ffff", "::ffff:0.0.0.0", "::ffff:10.1.0.10"] {
        denied("martian", &pack(OWN6, to, 6, &syn()));
    }
    for to in ["::1:0:0", "::fffe:10.1.0.10", "::ffff:0:10.1.0.10", "64:ff9b::10.1.0.10"] {
        denied("not_registered", &pack(OWN6, to, 6, &syn()));
    }
    // Echo requests no less.
    denied("martian", &pack(OWN, "127.0.0.1", 1, &icmp(8, 0, &[])));
}

#[test]
fn a_foreign_source_speaks_before_a_martian_destination() {
    denied("spoofed_source", &pack("10.0.0.6", "127.0.0.1", 6, &syn()));
}

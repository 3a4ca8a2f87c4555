//! §7: what the registry says, where nothing comes in.

use super::*;

#[test]
fn registered_is_an_address_a_protocol_and_a_port() {
    for (own, shop, other) in [(OWN, SHOP, OTHER), (OWN6, SHOP6, OTHER6)] {
        allowed("registered", &pack(own, shop, 6, &tcp(1, 443, SYN, &[])));
        allowed("registered", &pack(own, shop, 17, &udp(1, 53, &[])));
        denied("not_registered", &pack(own, shop, 6, &tcp(1, 53, SYN, &[])));
        denied("not_registered", &pack(own, shop, 17, &udp(1, 443, &[])));
        denied("not_registered", &pack(own, shop, 6, &tcp(443, 442, SYN, &[])));
        denied("not_registered", &pack(own, other, 6, &tcp(1, 443, SYN, &[])));
    }
}

#[test]
fn networks_end_where_they_end() {
    let to = |to| pack(if ip(to).is_ipv4() { OWN } else { OWN6 }, to, 6, &tcp(1, 8080, SYN, &[]));
    for inside in ["10.2.0.0", "10.2.255.255", "fd02::", "fd02::ffff:ffff:ffff:ffff"] {
        allowed("registered", &to(inside));
    }
    for outside in ["10.1.255.255", "10.3.0.0", "fd01:ffff::", "fd02:0:0:1::"] {
        denied("not_registered", &to(outside));
    }
}

#[test]
fn allow_names_ranges_ports_and_protocols() {
    for port in [0, 1, 65_535] {
        allowed("exempt", &pack(OWN, "192.0.2.9", 6, &tcp(1, port, SYN, &[])));
        allowed("exempt", &pack(OWN6, "2001:db8::9", 17, &udp(1, port, &[])));
    }
    allowed("exempt", &pack(OWN, "198.51.100.1", 6, &tcp(1, 123, SYN, &[])));
    allowed("exempt", &pack(OWN, "198.51.100.1", 17, &udp(1, 123, &[])));
    denied("not_registered", &pack(OWN, "198.51.100.1", 17, &udp(1, 124, &[])));
    denied("not_registered", &pack(OWN, "198.51.100.128", 17, &udp(1, 123, &[])));
    allowed("exempt", &pack(OWN6, "2001:db8:0:1::1", 17, &udp(1, 123, &[])));
    denied("not_registered", &pack(OWN6, "2001:db8:0:1::1", 6, &tcp(1, 123, SYN, &[])));
}

#[test]
fn an_answer_to_nobody_is_no_flow() {
    denied("no_flow", &pack(OWN, OTHER, 6, &tcp(443, 40_000, SYN | ACK, &[])));
    denied("no_flow", &pack(OWN6, OTHER6, 6, &tcp(443, 40_000, SYN | ACK, &[])));
    allowed("registered", &pack(OWN, SHOP, 6, &tcp(40_000, 443, SYN | ACK, &[])));
    for flags in [0, SYN, ACK, 0x11, 0x04, 0x14] {
        denied("not_registered", &pack(OWN, OTHER, 6, &tcp(443, 40_000, flags, &[])));
        allowed("registered", &pack(OWN, SHOP, 6, &tcp(40_000, 443, flags, &[])));
    }
}

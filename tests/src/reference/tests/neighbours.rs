//! §6.4 and §6.5: neighbour discovery and MLD.

use super::*;

const NODE: &str = "ff02::1:ff00:5";

fn limited(from: &str, to: &str, limit: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    with(&pack(from, to, next, payload), 7, limit)
}

fn discovery(kind: u8, code: u8, limit: u8, to: &str, body: usize) -> Vec<u8> {
    limited(OWN6, to, limit, 58, &icmp(kind, code, &vec![0; body]))
}

#[test]
fn neighbour_discovery_stays_on_the_link() {
    for to in ["fe80::9", "febf::9", "ff02::1", "ff02::2", NODE, "ff02::1:ffff:ffff"] {
        for kind in [133, 135, 136] {
            allowed("link_control", &discovery(kind, 0, 255, to, 16));
        }
    }
    for to in [SHOP6, "fec0::9", "ff02::3", "ff02::1:fe00:5", "ff02::2:ff00:5", "ff05::1:ff00:5", "ff0e::1"] {
        for kind in [133, 135, 136] {
            denied("no_flow", &discovery(kind, 0, 255, to, 16));
        }
    }
}

#[test]
fn neighbour_discovery_has_never_been_routed() {
    for limit in [0, 1, 64, 254] {
        denied("icmp_type", &discovery(135, 0, limit, NODE, 16));
    }
    for code in [1, 255] {
        denied("icmp_type", &discovery(135, code, 255, NODE, 16));
    }
}

#[test]
fn advertisements_of_routers_and_redirects_are_not_the_workloads() {
    denied("icmp_type", &discovery(134, 0, 255, "ff02::1", 16));
    denied("icmp_type", &discovery(137, 0, 255, "fe80::9", 32));
}

#[test]
fn neighbour_discovery_is_short_and_bare() {
    allowed("link_control", &discovery(135, 0, 255, NODE, 120));
    denied("icmp_type", &discovery(135, 0, 255, NODE, 121));
    let message = icmp(135, 0, &[0; 16]);
    for kind in [0, 60] {
        denied("icmp_type", &limited(OWN6, NODE, 255, kind, &[extension(58, 0), message.clone()].concat()));
    }
    let atomic = [fragment(58, 1, 0, false), message].concat();
    denied("icmp_type", &limited(OWN6, NODE, 255, 44, &atomic));
}

#[test]
fn listener_reports_stay_on_the_link() {
    for kind in [131, 132, 143] {
        let report = icmp(kind, 0, &[0; 20]);
        for from in ["fe80::5", "fe80::abcd", "::"] {
            allowed("link_control", &limited(from, "ff02::16", 1, 58, &report));
            let behind = [extension(58, 0), report.clone()].concat();
            allowed("link_control", &limited(from, "ff02::16", 1, 0, &behind));
        }
        allowed("link_control", &limited("::", "ff02::16", 1, 58, &icmp(kind, 0, &[0; 504])));
        denied("icmp_type", &limited("::", "ff02::16", 1, 58, &icmp(kind, 0, &[0; 505])));
        denied("icmp_type", &limited(OWN6, "ff02::16", 1, 58, &report));
        denied("icmp_type", &limited("fe80::5", "ff02::16", 2, 58, &report));
        denied("icmp_type", &limited("fe80::5", "ff02::16", 255, 58, &report));
        denied("icmp_type", &limited("fe80::5", "ff05::16", 1, 58, &report));
        denied("icmp_type", &limited("fe80::5", "fe80::9", 1, 58, &report));
        denied("icmp_type", &limited("fe80::5", SHOP6, 1, 58, &report));
        let behind = [extension(58, 0), report.clone()].concat();
        denied("icmp_type", &limited("fe80::5", "ff02::16", 1, 60, &behind));
        let behind = [fragment(58, 1, 0, false), report].concat();
        denied("icmp_type", &limited("fe80::5", "ff02::16", 1, 44, &behind));
    }
    denied("icmp_type", &limited("fe80::5", "ff02::1", 1, 58, &icmp(130, 0, &[0; 20])));
}

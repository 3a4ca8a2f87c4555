//! Frames that no router forwards: what counts is that they do not get past the host side of the pod's veth pair.

use anyhow::Result;

use crate::stage::Control::{self, Like, Same};
use crate::stage::{Case, Stage};

const PACKET: Control = Like("UDP frame", &["packet-raw {4}", "packet-raw {6}"]);

const ARP: Control = Like("own ARP", &["arp {4}"]);

const FRAMES: &[Case] = &[
    (
        "Frames that are not IP",
        "interface",
        "not_ip",
        PACKET,
        &["nonip {ok4}", "llc {ok4}", "mpls {ok4}", "pppoe {ok4}", "nonip {ok4} by=xdp"],
    ),
    (
        "VLAN and QinQ tags",
        "interface",
        "not_registered",
        Like("itself", &["vlan {4}", "vlan {6}"]),
        &["vlan {4}", "vlan {6}", "qinq {4}"],
    ),
    ("ARP with more than padding", "interface", "malformed", ARP, &["arp {ok4} padding=61"]),
    (
        "ARP in the name of others",
        "interface",
        "spoofed_source",
        ARP,
        &["arp {ok4} source=10.244.0.2:0", "arp {ok4} source=169.254.1.1:0"],
    ),
    (
        "Broken IP headers",
        "interface",
        "malformed",
        PACKET,
        &[
            "ihl-small {ok4}",
            "ihl-beyond {ok4}",
            "length-beyond {ok4}",
            "length-beyond {ok6}",
            "length-small {ok4}",
            "version {ok4}",
            "version {ok6}",
            "mismatch {ok4}",
            "mismatch {ok6}",
            "short-header {ok4}",
            "short-header {ok6}",
        ],
    ),
    (
        "Broken transport headers",
        "interface",
        "malformed",
        PACKET,
        &["short-udp {ok4}", "short-udp {ok6}", "short-tcp {ok4}", "length-small {ok6}"],
    ),
    ("A frame shorter than its header", "interface", "malformed", PACKET, &["runt {ok4}"]),
    ("A wrong checksum", "interface", "not_registered", Same, &["checksum {4}"]),
];

#[test]
fn frames_that_are_not_ip_or_broken() -> Result<()> {
    Stage::new()?.all("72 frames", FRAMES)
}

//! Messages of the network itself, and packets within packets.

use anyhow::Result;

use crate::stage::Control::{self, Like, Same};
use crate::stage::{Case, Stage};

const ECHO: Control = Like("echo", &["icmp-echo {4}", "icmp-echo {6}"]);
const PACKET: Control = Like("UDP frame", &["packet-raw {4}", "packet-raw {6}"]);

const MESSAGES: &[Case] = &[
    ("ICMP echo with payload", "interface", "not_registered", Same, &["icmp-echo {4}", "icmp-echo {6}"]),
    ("ICMP error with payload", "interface", "no_flow", ECHO, &["icmp-error {4}", "icmp-error {6}"]),
    (
        "ICMP timestamp and redirect",
        "interface",
        "icmp_type",
        ECHO,
        &["icmp-timestamp {ok4}", "icmp-redirect {ok4}", "icmp-timestamp {4}"],
    ),
    (
        "ND to a global address",
        "interface",
        "no_flow",
        Like("to the link", &["nd-ns [ff02::1]:0", "nd-na [ff02::1]:0", "nd-rs [ff02::2]:0"]),
        &["nd-ns {6}", "nd-na {6}", "nd-rs {6}", "nd-ns {ok6}", "nd-na {ok6}"],
    ),
    (
        "ND that was routed (hop limit 64)",
        "interface",
        "icmp_type",
        ECHO,
        &["nd-ns {6} hops=64", "nd-na {ok6} hops=64", "nd-na [ff02::1]:0 hops=64"],
    ),
    (
        "Router advertisements, ND redirects",
        "interface",
        "icmp_type",
        ECHO,
        &["nd-ra {ok6}", "nd-redirect {ok6}", "nd-ra [ff02::1]:0", "nd-redirect [fe80::1]:0"],
    ),
    ("MLD to a global address", "interface", "icmp_type", ECHO, &["mld {ok6}", "mld {6}"]),
];

#[test]
fn messages_of_the_network() -> Result<()> {
    Stage::new()?.all("70 messages", MESSAGES)
}

const TUNNELS: &[Case] = &[
    (
        "IPIP, sit, GRE made inside",
        "interface",
        "protocol",
        PACKET,
        &[
            "ipip {4} via=192.0.2.10",
            "ipip {4}",
            "ipip {4} via=2001:db8::10",
            "sit {6} via=192.0.2.10",
            "sit {6}",
            "gre {4} via=192.0.2.10",
            "gre {6}",
        ],
    ),
    (
        "VXLAN, Geneve made inside",
        "interface",
        "not_registered",
        PACKET,
        &["vxlan {4} via=192.0.2.10", "vxlan {6}", "geneve {4}"],
    ),
];

#[test]
fn packets_within_packets() -> Result<()> {
    Stage::new()?.all("71 tunnels", TUNNELS)
}

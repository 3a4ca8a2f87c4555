//! Messages of the network itself, and packets within packets.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::OUTSIDE;

use crate::stage::Control::{self, Like, Same};
use crate::stage::{Case, Stage};
use crate::table::{self, Row};

const ECHO: Control = Like("echo", &["icmp-echo {4}", "icmp-echo {6}"]);
const PACKET: Control = Like("UDP frame", &["packet-raw {4}", "packet-raw {6}"]);

const MESSAGES: &[Case] = &[
    ("ICMP echo with payload", "interface", "not_registered", Same, &["icmp-echo {4}", "icmp-echo {6}"]),
    ("ICMP error with payload", "interface", "no_flow", Same, &["icmp-error {4}", "icmp-error {6}"]),
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

/// An error may quote what a client outside has sent, and nothing that he has not.
#[test]
fn errors_quote_what_came_in() -> Result<()> {
    let mut stage = Stage::new()?;
    let pod = stage.node.world().pod("curl")?;
    let places = [("10.255.0.2", IpAddr::from(pod.ipv4())), ("fd00:255::2", IpAddr::from(pod.ipv6()))];
    let mut met = Vec::new();
    for (client, own) in places {
        let client: IpAddr = client.parse()?;
        let (from, to) = (SocketAddr::new(client, 4430), SocketAddr::new(own, 7001));
        let question = Marker::fresh();
        stage.said("curl", &format!("keep server bind {to}"))?;
        stage.said(OUTSIDE, &format!("keep {client} bind {from}"))?;
        stage.ask(OUTSIDE, &format!("on {client} send-to {to} {question}"))?;
        assert_eq!(stage.said("curl", "on server receive")?, question.to_string());
        stage.begin()?;
        let marker = Marker::fresh();
        stage.ask("curl", &format!("try icmp-error {marker} {from} source={to}"))?;
        ensure!(!stage.outside.saw(&marker)?.is_empty(), "the error about what came in does not arrive");
        let others = [(SocketAddr::new(client, 4431), to), (from, SocketAddr::new(own, 7002))];
        for (from, to) in others {
            met.push(stage.stopped_to(client, |stage, marker| {
                stage.ask("curl", &format!("try icmp-error {marker} {from} source={to}"))
            })?);
        }
    }
    table::publish("70 quoted", &[Row::of("ICMP error about another flow", &met, "what came in")])
}

const TUNNELS: &[Case] = &[
    (
        "IPIP, sit, GRE by hand",
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
        "VXLAN, Geneve by hand",
        "interface",
        "not_registered",
        PACKET,
        &["vxlan {4} via=192.0.2.10", "vxlan {6}", "geneve {4}"],
    ),
    ("A VXLAN device", "interface", "not_registered", Same, &["vxlan-device {4}", "vxlan-device {6}"]),
];

#[test]
fn packets_within_packets() -> Result<()> {
    Stage::new()?.all("71 tunnels", TUNNELS)
}

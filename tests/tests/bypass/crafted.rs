//! Packets and segments built by hand.

use anyhow::Result;

use crate::stage::Control::{self, Like, Same};
use crate::stage::{Case, Stage};

const PACKET: Control = Like("UDP frame", &["packet-raw {4}", "packet-raw {6}"]);

const WAYS: &[Case] = &[
    ("AF_PACKET, SOCK_RAW", "interface", "not_registered", Same, &["packet-raw {4}", "packet-raw {6}"]),
    ("AF_PACKET, SOCK_DGRAM", "interface", "not_registered", Same, &["packet-dgram {4}", "packet-dgram {6}"]),
    ("AF_PACKET, TX_RING", "interface", "not_registered", Same, &["packet-ring {4}", "packet-ring {6}"]),
    (
        "AF_PACKET, QDISC_BYPASS",
        "interface",
        "not_registered",
        Same,
        &["packet-bypass {4}", "packet-bypass {6}"],
    ),
    ("AF_XDP", "interface", "not_registered", Same, &["xdp {4}", "xdp {6}"]),
    (
        "AF_PACKET to a broadcast MAC",
        "interface",
        "not_registered",
        PACKET,
        &["packet-raw {4} mac=ff:ff:ff:ff:ff:ff"],
    ),
    (
        "AF_PACKET, multicast and broadcast",
        "interface",
        "not_registered",
        PACKET,
        &["packet-raw 255.255.255.255:9000", "packet-raw 224.0.0.251:5353", "packet-raw [ff02::1]:9000"],
    ),
    (
        "DHCP without --allow",
        "interface",
        "not_registered",
        PACKET,
        &["packet-raw 255.255.255.255:67 source=0.0.0.0:68"],
    ),
    ("AF_PACKET, IPv6 link-local", "interface", "not_registered", PACKET, &["packet-raw [fe80::1]:9000"]),
    (
        "AF_PACKET, 0.0.0.0, ::1, 127.0.0.1",
        "interface",
        "martian",
        PACKET,
        &["packet-raw 0.0.0.0:9000", "packet-raw [::1]:9000", "packet-raw 127.0.0.1:9000"],
    ),
    (
        "IPv4-mapped and -compatible IPv6",
        "interface",
        "martian",
        PACKET,
        &["mapped-packet {4}", "compatible {4}", "mapped-packet {ok4}", "compatible {ok4}"],
    ),
    (
        "NAT64, 6to4 and ISATAP addresses",
        "interface",
        "not_registered",
        PACKET,
        &["nat64 {4}", "6to4 {4}", "isatap {4}", "nat64 {ok4}", "6to4 {ok4}", "isatap {ok4}"],
    ),
];

#[test]
fn every_way_out() -> Result<()> {
    Stage::new()?.all("60 crafted", WAYS)
}

const HEADERS: &[Case] = &[
    (
        "IP options that shift the ports",
        "interface",
        "not_registered",
        Same,
        &[
            "options-nop {4}",
            "options-record {4}",
            "options-timestamp {4}",
            "options-ports {4} allowed={ok4}",
        ],
    ),
    (
        "LSRR, SSRR",
        "interface",
        "source_route",
        PACKET,
        &["lsrr {ok4}", "ssrr {ok4}", "lsrr {4}", "ssrr {4}"],
    ),
    (
        "LSRR, SSRR that are done",
        "interface",
        "source_route",
        PACKET,
        &["lsrr-done {ok4}", "ssrr-done {ok4}", "lsrr-done {4}"],
    ),
    (
        "IPv6 hop-by-hop, destination headers",
        "interface",
        "not_registered",
        Same,
        &["v6-hopbyhop {6}", "v6-dstopts {6}"],
    ),
    (
        "More IPv6 headers than the bound",
        "interface",
        "extension_headers",
        PACKET,
        &["v6-many {ok6}", "v6-many {6}"],
    ),
    ("IPv6 routing headers", "interface", "source_route", PACKET, &["v6-routing0 {ok6}", "v6-segment {ok6}"]),
    ("IPv6 routing header that is done", "interface", "not_registered", Same, &["v6-routing4 {6}"]),
    ("Unknown IPv6 header", "interface", "protocol", PACKET, &["v6-unknown {ok6}", "v6-unknown {6}"]),
];

#[test]
fn options_and_extension_headers() -> Result<()> {
    Stage::new()?.all("61 headers", HEADERS)
}

const FRAGMENTS: &[Case] = &[
    (
        "Tiny first fragment",
        "interface",
        "not_registered",
        Same,
        &["frag-tiny-first {4}", "frag-tiny-first {6}"],
    ),
    (
        "First fragment without TCP flags",
        "interface",
        "malformed",
        Like("UDP fragment", &["frag-tiny-first {4}", "frag-tiny-first {6}"]),
        &["frag-tiny-tcp {ok4}", "frag-tiny-tcp {ok6}", "frag-tiny-tcp {4}"],
    ),
    (
        "A second first fragment",
        "interface",
        "not_registered",
        Like(
            "itself",
            &[
                "frag-second-first {4} allowed=192.0.2.10:53",
                "frag-second-first {6} allowed=[2001:db8::10]:53",
            ],
        ),
        &[
            "frag-second-first 192.0.2.53:9000 allowed=192.0.2.53:53",
            "frag-second-first [2001:db8::53]:9000 allowed=[2001:db8::53]:53",
        ],
    ),
    (
        "Fragments over TCP ports or flags",
        "interface",
        "fragment",
        Like("behind them", &["frag-overlap {4} in=tcp at=24", "frag-overlap {6} in=tcp at=24"]),
        &[
            "frag-overlap {ok4} in=tcp at=8",
            "frag-overlap {ok4} in=tcp at=16",
            "frag-overlap {ok6} in=tcp at=8",
            "frag-overlap {ok6} in=tcp at=16",
        ],
    ),
    (
        "Fragments over a UDP payload",
        "interface",
        "not_registered",
        Same,
        &["frag-overlap {4} at=8", "frag-overlap {6} at=8", "frag-overlap {4} at=16"],
    ),
    (
        "Later fragments only",
        "interface",
        "fragment",
        Like("with the first", &["frag-tiny-first {4}", "frag-tiny-first {6}"]),
        &["frag-later-only {4}", "frag-later-only {6}", "frag-later-only {ok4}", "frag-later-only {ok6}"],
    ),
    (
        "Later fragments of another's first",
        "interface",
        "fragment",
        Same,
        &["frag-after-allowed {4} allowed={ok4}", "frag-after-allowed {6} allowed={ok6}"],
    ),
    ("An IPv6 fragment that is all there is", "interface", "not_registered", Same, &["frag-whole {6}"]),
];

#[test]
fn fragments() -> Result<()> {
    Stage::new()?.all("62 fragments", FRAGMENTS)
}

const SEGMENTS: &[Case] = &[
    (
        "SYN by hand, with and without data",
        "interface",
        "not_registered",
        Same,
        &[
            "syn {4}",
            "syn {6}",
            "syn-data {4}",
            "syn-data {6}",
            "syn-data {4} by=xdp",
            "syn-data {4} by=hdrincl",
        ],
    ),
    ("Forged SYN-ACK", "interface", "no_flow", Same, &["forged-syn-ack {4}", "forged-syn-ack {6}"]),
    (
        "Forged ACK, FIN, no flag, with data",
        "interface",
        "not_registered",
        Same,
        &["forged-data {4}", "forged-data {6}", "forged-fin {4}", "forged-none {4}"],
    ),
    ("Forged RST with data", "interface", "not_registered", Same, &["forged-rst {4}", "forged-rst {6}"]),
    (
        "The sources of others",
        "interface",
        "spoofed_source",
        PACKET,
        &[
            "packet-raw {ok4} source=198.51.100.77:4000",
            "packet-raw {ok6} source=[2001:db8:77::1]:4000",
            "packet-raw {ok4} source=10.244.0.200:4000",
            "packet-raw {ok4} source=10.244.0.2:4000",
            "packet-raw {ok6} source=[fd00:244::2]:4000",
            "packet-raw {ok4} source=10.255.0.1:4000",
            "packet-raw {ok6} source=[fd00:255::1]:4000",
            "packet-raw {ok4} source=127.0.0.1:4000",
            "packet-raw {ok4} source=0.0.0.0:4000",
            "packet-raw {ok6} source=[::]:4000",
            "packet-raw {ok6} source=[fe80::1]:4000",
            "syn-data {ok4} source=10.244.0.2:4000",
            "forged-syn-ack {ok4} source=10.244.0.2:4000",
        ],
    ),
];

#[test]
fn segments_of_no_connection_and_of_others() -> Result<()> {
    Stage::new()?.all("63 segments", SEGMENTS)
}

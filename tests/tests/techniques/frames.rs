//! Frames that no router forwards: what counts is whether they get past the host side of the pod's veth pair.

use anyhow::Result;

use crate::Free;
use crate::Seen::{Outside, Past, Sent};

#[test]
fn frames_that_are_not_ip() -> Result<()> {
    Free::new()?.all(&[
        ("nonip 203.0.113.7:9000", Past(0x88b5)),
        ("llc 203.0.113.7:9000", Past(0)),
        ("arp 203.0.113.7:9000", Past(0x0806)),
        ("vlan 203.0.113.7:9000", Sent(0x8100)),
        ("vlan [2001:db8:7::7]:9000", Sent(0x8100)),
        ("qinq 203.0.113.7:9000", Sent(0x88a8)),
        // The host takes the outer tag off.
        ("vlan 203.0.113.7:9000", Past(0x0800)),
        ("vlan [2001:db8:7::7]:9000", Past(0x86dd)),
        ("qinq 203.0.113.7:9000", Past(0x8100)),
        ("mpls 203.0.113.7:9000", Past(0x8847)),
        ("pppoe 203.0.113.7:9000", Past(0x8864)),
        ("nonip 203.0.113.7:9000 by=xdp", Past(0x88b5)),
    ])
}

#[test]
fn frames_that_are_broken() -> Result<()> {
    Free::new()?.all(&[
        ("ihl-small 203.0.113.7:9000", Past(0x0800)),
        ("ihl-beyond 203.0.113.7:9000", Past(0x0800)),
        ("length-beyond 203.0.113.7:9000", Past(0x0800)),
        ("length-beyond [2001:db8:7::7]:9000", Past(0x86dd)),
        ("length-small 203.0.113.7:9000", Past(0x0800)),
        ("length-small [2001:db8:7::7]:9000", Past(0x86dd)),
        ("checksum 203.0.113.7:9000", Past(0x0800)),
        ("version 203.0.113.7:9000", Past(0x0800)),
        ("version [2001:db8:7::7]:9000", Past(0x86dd)),
        ("mismatch 203.0.113.7:9000", Past(0x86dd)),
        ("mismatch [2001:db8:7::7]:9000", Past(0x0800)),
        ("short-header 203.0.113.7:9000", Past(0x0800)),
        ("short-header [2001:db8:7::7]:9000", Past(0x86dd)),
        ("runt 203.0.113.7:9000", Past(0x0800)),
    ])
}

/// A router does not look at what a packet carries.
#[test]
fn short_transport_headers_are_forwarded() -> Result<()> {
    let mut free = Free::new()?;
    for command in
        ["short-udp 203.0.113.7:9000", "short-udp [2001:db8:7::7]:9000", "short-tcp 203.0.113.7:9000"]
    {
        free.one(command, Past(if command.contains('[') { 0x86dd } else { 0x0800 }))?;
        let to = if command.contains('[') { "2001:db8:7::7" } else { "203.0.113.7" };
        let marker = enforcer_tests::marker::Marker::fresh();
        let before = free.outside.saw_to(to.parse()?)?.len();
        let (name, rest) = command.split_once(' ').unwrap_or_default();
        free.probe.ask(&format!("try {name} {marker} {rest}"))?;
        assert_eq!(free.outside.saw_to(to.parse()?)?.len(), before + 1, "{command}");
    }
    free.all(&[("packet-raw 203.0.113.7:9000", Outside(17))])
}

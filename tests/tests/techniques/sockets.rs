//! By sockets: TCP and UDP, raw ones, and what stands for them.

use anyhow::Result;
use enforcer_tests::frame::Tcp;
use enforcer_tests::marker::Marker;

use crate::Free;
use crate::Seen::{Begins, Outside, OutsideTo, Past};

const TCP: u8 = 6;
const UDP: u8 = 17;

#[test]
fn tcp_and_what_stands_for_it() -> Result<()> {
    Free::new()?.all(&[
        ("tcp 203.0.113.7:9000", Outside(TCP)),
        ("tcp [2001:db8:7::7]:9000", Outside(TCP)),
        ("tcp 203.0.113.8:81", Begins),
        ("tfo 203.0.113.7:9000", Outside(TCP)),
        ("tfo [2001:db8:7::7]:9000", Outside(TCP)),
        ("mptcp 203.0.113.7:9000", Outside(TCP)),
        ("mptcp [2001:db8:7::7]:9000", Outside(TCP)),
        ("mapped-tcp 203.0.113.7:9000", Outside(TCP)),
        ("uring-connect 203.0.113.7:9000", Outside(TCP)),
        ("uring-connect/worker [2001:db8:7::7]:9000", Outside(TCP)),
        ("uring-connect/poller 203.0.113.7:9000", Outside(TCP)),
        ("dns-tcp 203.0.113.7:53", Outside(TCP)),
        ("dns-tcp [2001:db8:7::7]:53", Outside(TCP)),
        ("tcp-mark 203.0.113.7:9000", Outside(TCP)),
        ("tcp-device 203.0.113.7:9000", Outside(TCP)),
        ("tcp-transparent 203.0.113.9:9000 source=198.51.100.77:4000", Begins),
        ("tcp-transparent [2001:db8:7::9]:9000 source=[2001:db8:77::1]:4000", Begins),
        ("disconnect-again 203.0.113.7:9000 allowed=192.0.2.10:443", Outside(TCP)),
        ("disconnect-again [2001:db8:7::7]:9000 allowed=[2001:db8::10]:443", Outside(TCP)),
        ("tcp-nop 203.0.113.7:9000", Outside(TCP)),
        ("tcp-record 203.0.113.7:9000", Outside(TCP)),
        ("tcp-timestamp 203.0.113.7:9000", Outside(TCP)),
        ("tcp-lsrr 203.0.113.10:9000", Begins),
        ("tcp-ssrr 10.255.0.2:9000", Begins),
        ("tcp-hopopts [2001:db8:7::7]:9000", Outside(0)),
        ("tcp-dstopts [2001:db8:7::7]:9000", Outside(60)),
        ("tcp-segment [2001:db8:7::12]:9000", Begins),
    ])
}

/// Before anybody answered.
#[test]
fn fast_open_sends_its_bytes_with_the_first_segment() -> Result<()> {
    let mut free = Free::new()?;
    for (to, flags) in [("203.0.113.7:9000", 14 + 20 + 13), ("[2001:db8:7::7]:9000", 14 + 40 + 13)] {
        let marker = Marker::fresh();
        free.probe.ask(&format!("try tfo {marker} {to}"))?;
        let frames = free.outside.saw(&marker)?;
        assert!(matches!(&frames[..], [frame] if frame[flags] == Tcp::SYN), "{frames:?}");
    }
    Ok(())
}

#[test]
fn udp_and_what_stands_for_it() -> Result<()> {
    Free::new()?.all(&[
        ("udp 203.0.113.7:9000", Outside(UDP)),
        ("udp [2001:db8:7::7]:9000", Outside(UDP)),
        ("udp-connected 203.0.113.7:9000", Outside(UDP)),
        ("udp-connected [2001:db8:7::7]:9000", Outside(UDP)),
        ("udp-again 203.0.113.7:9000 allowed=192.0.2.10:53", Outside(UDP)),
        ("unconnected-two 203.0.113.7:9000 allowed=192.0.2.10:53", Outside(UDP)),
        ("sendmmsg 203.0.113.7:9000", Outside(UDP)),
        ("sendmmsg [2001:db8:7::7]:9000", Outside(UDP)),
        ("udplite 203.0.113.7:9000", Outside(136)),
        ("udplite [2001:db8:7::7]:9000", Outside(136)),
        ("mapped-udp 203.0.113.7:9000", Outside(UDP)),
        ("uring-send 203.0.113.7:9000", Outside(UDP)),
        ("uring-send/worker [2001:db8:7::7]:9000", Outside(UDP)),
        ("uring-send/poller 203.0.113.7:9000", Outside(UDP)),
        ("uring-send-zc 203.0.113.7:9000", Outside(UDP)),
        ("uring-send-zc [2001:db8:7::7]:9000", Outside(UDP)),
        ("udp-mark 203.0.113.7:9000", Outside(UDP)),
        ("udp-device 203.0.113.7:9000", Outside(UDP)),
        ("udp-transparent 203.0.113.7:9000 source=198.51.100.77:4000", Outside(UDP)),
        ("udp-transparent [2001:db8:7::7]:9000 source=[2001:db8:77::1]:4000", Outside(UDP)),
        ("udp-nop 203.0.113.7:9000", Outside(UDP)),
        ("udp-record 203.0.113.7:9000", Outside(UDP)),
        ("udp-timestamp 203.0.113.7:9000", Outside(UDP)),
        ("udp-lsrr 203.0.113.7:9000", Outside(UDP)),
        ("udp-ssrr 10.255.0.2:9000", Outside(UDP)),
        ("udp-hopopts [2001:db8:7::7]:9000", Outside(0)),
        ("udp-dstopts [2001:db8:7::7]:9000", Outside(60)),
        ("udp-segment [2001:db8:7::7]:9000", Outside(43)),
        ("ping 203.0.113.7:0", Outside(1)),
        ("ping [2001:db8:7::7]:0", Outside(58)),
    ])
}

/// Groups and broadcasts end at the link.
#[test]
fn to_many_and_to_neighbours() -> Result<()> {
    Free::new()?.all(&[
        ("udp 224.0.0.251:5353", Past(0x0800)),
        ("udp 239.1.2.3:9000", Past(0x0800)),
        ("udp [ff02::1]:9000", Past(0x86dd)),
        ("udp [ff05::2]:9000", Past(0x86dd)),
        ("udp 255.255.255.255:9000", Past(0x0800)),
        ("udp 10.244.0.255:9000", Past(0x0800)),
        ("udp [fe80::1]:9000", Past(0x86dd)),
        ("udp 169.254.169.254:9000", Outside(UDP)),
    ])
}

#[test]
fn raw_sockets() -> Result<()> {
    Free::new()?.all(&[
        ("raw4 203.0.113.7:9000", Outside(UDP)),
        ("raw6 [2001:db8:7::7]:9000", Outside(UDP)),
        ("raw4-tcp 203.0.113.7:9000", Outside(TCP)),
        ("raw6-tcp [2001:db8:7::7]:9000", Outside(TCP)),
        ("raw4-other 203.0.113.7:9000", Outside(253)),
        ("raw6-other [2001:db8:7::7]:9000", Outside(253)),
        ("raw4-hdrincl 203.0.113.7:9000", Outside(UDP)),
        ("raw6-hdrincl [2001:db8:7::7]:9000", Outside(UDP)),
        ("raw4-hdrincl 203.0.113.7:9000 claim=192.0.2.10:0", Outside(UDP)),
        ("raw6-hdrincl [2001:db8:7::7]:9000 claim=[2001:db8::10]:0", Outside(UDP)),
        ("raw4-hdrincl 203.0.113.7:9000 source=198.51.100.77:4000", Outside(UDP)),
        ("raw6-hdrincl [2001:db8:7::7]:9000 source=[2001:db8:77::1]:4000", Outside(UDP)),
        ("raw-two 203.0.113.7:9000 allowed=192.0.2.10:53", Outside(UDP)),
        ("raw-two [2001:db8:7::7]:9000 allowed=[2001:db8::10]:53", Outside(UDP)),
        ("sctp 203.0.113.7:9000", Outside(132)),
        ("sctp [2001:db8:7::7]:9000", Outside(132)),
        ("dccp 203.0.113.7:9000", Outside(33)),
        ("dccp [2001:db8:7::7]:9000", Outside(33)),
        ("udplite-raw 203.0.113.7:9000", Outside(136)),
    ])
}

#[test]
fn with_the_help_of_others() -> Result<()> {
    Free::new()?.all(&[
        ("nested-cgroup 203.0.113.7:9000", Outside(TCP)),
        ("nested-cgroup [2001:db8:7::7]:9000 how=udp", Outside(UDP)),
        ("setuid-1337 203.0.113.7:9000", Outside(TCP)),
        ("setuid-1337 [2001:db8:7::7]:9000 how=udp", Outside(UDP)),
        ("tun-inside 203.0.113.7:9000", Outside(UDP)),
        ("tun-inside [2001:db8:7::7]:9000", Outside(UDP)),
        ("new-netns 203.0.113.7:9000", Outside(UDP)),
        ("new-netns [2001:db8:7::7]:9000", Outside(UDP)),
        ("new-netns 203.0.113.7:9000 way=packet", Outside(UDP)),
        ("new-netns [2001:db8:7::7]:9000 way=raw", Outside(UDP)),
        ("flip-spliced 203.0.113.7:9000 allowed=192.0.2.10:9000", Outside(UDP)),
        ("flip-spliced [2001:db8:7::10]:9000 allowed=[2001:db8::10]:9000", Outside(UDP)),
    ])
}

/// Another pod is no better than an address outside; nor is the node.
#[test]
fn to_the_neighbour() -> Result<()> {
    let mut free = Free::new()?;
    free.world.add_pod("other")?;
    let there = free.world.capture_pod("other")?;
    for command in [
        "udp 10.244.0.2:9000",
        "udp [fd00:244::2]:9000",
        "packet-raw 10.244.0.2:9000",
        "xdp [fd00:244::2]:9000",
    ] {
        let marker = Marker::fresh();
        let (name, rest) = command.split_once(' ').unwrap_or_default();
        free.probe.ask(&format!("try {name} {marker} {rest}"))?;
        assert_eq!(there.saw(&marker)?.len(), 1, "{command}");
        assert!(free.outside.saw(&marker)?.is_empty(), "{command}");
    }
    free.all(&[("udp 10.255.0.1:9000", Past(0x0800)), ("udp 10.255.0.2:9000", OutsideTo("10.255.0.2", UDP))])
}

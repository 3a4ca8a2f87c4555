//! Packets built by hand.

use anyhow::Result;

use crate::Free;
use crate::Seen::{Begins, Outside, OutsideAt, OutsideTo, Past};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;

#[test]
fn every_way_out() -> Result<()> {
    Free::new()?.all(&[
        ("packet-raw 203.0.113.7:9000", Outside(UDP)),
        ("packet-raw [2001:db8:7::7]:9000", Outside(UDP)),
        ("packet-dgram 203.0.113.7:9000", Outside(UDP)),
        ("packet-dgram [2001:db8:7::7]:9000", Outside(UDP)),
        ("packet-ring 203.0.113.7:9000", Outside(UDP)),
        ("packet-ring [2001:db8:7::7]:9000", Outside(UDP)),
        ("flip-tx-ring 203.0.113.7:9000 allowed=192.0.2.10:9000", Outside(UDP)),
        ("flip-tx-ring [2001:db8:7::10]:9000 allowed=[2001:db8::10]:9000", Outside(UDP)),
        ("packet-bypass 203.0.113.7:9000", Outside(UDP)),
        ("packet-bypass [2001:db8:7::7]:9000", Outside(UDP)),
        ("xdp 203.0.113.7:9000", Outside(UDP)),
        ("xdp [2001:db8:7::7]:9000", Outside(UDP)),
        ("packet-raw 203.0.113.7:9000 source=198.51.100.77:4000", Outside(UDP)),
        ("packet-raw [2001:db8:7::7]:9000 source=[2001:db8:77::1]:4000", Outside(UDP)),
        ("packet-raw 203.0.113.7:9000 mac=ff:ff:ff:ff:ff:ff", Past(0x0800)),
        ("packet-raw 0.0.0.0:9000", Past(0x0800)),
        ("packet-raw 127.0.0.1:9000", Past(0x0800)),
        ("packet-raw 255.255.255.255:9000", Past(0x0800)),
        ("packet-raw 224.0.0.251:5353", Past(0x0800)),
        ("packet-raw [ff02::1]:9000", Past(0x86dd)),
        ("packet-raw [fe80::1]:9000", Past(0x86dd)),
        ("packet-raw [::1]:9000", Past(0x86dd)),
        ("syn-data 203.0.113.7:9000 by=xdp", Outside(TCP)),
        ("syn-data 203.0.113.7:9000 by=hdrincl", Outside(TCP)),
    ])
}

/// Behind a device that leaves checksums to the kernel.
#[test]
fn checksums_that_the_kernel_writes() -> Result<()> {
    let mut free = Free::new()?;
    free.world.uplink_without_offload()?;
    free.all(&[
        ("checksum-own 203.0.113.7:9000", Outside(UDP)),
        ("checksum-own [2001:db8:7::7]:9000 by=guest", Outside(UDP)),
        ("checksum-port 203.0.113.7:9000 allowed=203.0.113.7:53", OutsideAt(9000)),
        ("checksum-port [2001:db8:7::7]:9000 allowed=[2001:db8:7::7]:53", OutsideAt(9000)),
        ("checksum-port 203.0.113.7:9000 allowed=203.0.113.7:53 by=guest", OutsideAt(9000)),
        ("checksum-port 203.0.113.7:9000 allowed=203.0.113.7:53 by=xdp", OutsideAt(9000)),
        ("checksum-address [2001:db8:7::7]:9000 allowed=[2001:db8:7::8]:9000", Outside(UDP)),
        ("checksum-address [2001:db8:7::7]:9000 allowed=[2001:db8:7::8]:9000 by=guest", Outside(UDP)),
    ])
}

#[test]
fn ipv4_within_ipv6_addresses() -> Result<()> {
    Free::new()?.all(&[
        ("mapped-packet 203.0.113.7:9000", OutsideTo("::ffff:203.0.113.7", UDP)),
        ("compatible 203.0.113.7:9000", OutsideTo("::203.0.113.7", UDP)),
        ("nat64 203.0.113.7:9000", OutsideTo("64:ff9b::203.0.113.7", UDP)),
        ("6to4 203.0.113.7:9000", OutsideTo("2002:cb00:7107::1", UDP)),
        ("isatap 203.0.113.7:9000", OutsideTo("2001:db8::5efe:203.0.113.7", UDP)),
    ])
}

#[test]
fn options_and_extension_headers() -> Result<()> {
    Free::new()?.all(&[
        ("options-nop 203.0.113.7:9000", Outside(UDP)),
        ("options-record 203.0.113.7:9000", Outside(UDP)),
        ("options-timestamp 203.0.113.7:9000", Outside(UDP)),
        ("options-ports 203.0.113.7:9000 allowed=192.0.2.10:53", Outside(UDP)),
        ("lsrr 203.0.113.7:9000", Outside(UDP)),
        ("ssrr 10.255.0.2:9000", Outside(UDP)),
        ("lsrr-done 203.0.113.7:9000", Outside(UDP)),
        // A router that is not on the strict route does not forward it.
        ("ssrr-done 203.0.113.7:9000", Past(0x0800)),
        ("v6-hopbyhop [2001:db8:7::7]:9000", Outside(0)),
        ("v6-dstopts [2001:db8:7::7]:9000", Outside(60)),
        ("v6-many [2001:db8:7::7]:9000", Outside(60)),
        ("v6-routing0 [2001:db8:7::7]:9000", Outside(43)),
        ("v6-routing4 [2001:db8:7::7]:9000", Outside(43)),
        ("v6-segment [2001:db8:7::7]:9000", Outside(43)),
        ("v6-unknown [2001:db8:7::7]:9000", Outside(254)),
    ])
}

#[test]
fn fragments() -> Result<()> {
    Free::new()?.all(&[
        ("frag-tiny-first 203.0.113.7:9000", Outside(UDP)),
        ("frag-tiny-first [2001:db8:7::7]:9000", Outside(FRAGMENT)),
        ("frag-tiny-tcp 203.0.113.7:9000", Outside(TCP)),
        ("frag-tiny-tcp [2001:db8:7::7]:9000", Outside(FRAGMENT)),
        ("frag-second-first 203.0.113.7:9000 allowed=203.0.113.7:53", Outside(UDP)),
        ("frag-second-first [2001:db8:7::7]:9000 allowed=[2001:db8:7::7]:53", Outside(FRAGMENT)),
        ("frag-overlap 203.0.113.7:9000 at=8", Outside(UDP)),
        ("frag-overlap [2001:db8:7::7]:9000 at=8", Outside(FRAGMENT)),
        ("frag-overlap 203.0.113.7:9000 in=tcp at=8", Outside(TCP)),
        ("frag-overlap 203.0.113.7:9000 in=tcp at=16", Outside(TCP)),
        ("frag-overlap [2001:db8:7::7]:9000 in=tcp at=8", Outside(FRAGMENT)),
        ("frag-later-only 203.0.113.7:9000", Outside(UDP)),
        ("frag-later-only [2001:db8:7::7]:9000", Outside(FRAGMENT)),
        ("frag-after-allowed 203.0.113.7:9000 allowed=192.0.2.10:53", Outside(UDP)),
        ("frag-after-allowed 203.0.113.7:9000 allowed=203.0.113.7:53", Outside(UDP)),
        ("frag-after-allowed [2001:db8:7::7]:9000 allowed=[2001:db8::10]:53", Outside(FRAGMENT)),
        ("frag-whole [2001:db8:7::7]:9000", Outside(FRAGMENT)),
    ])
}

#[test]
fn messages_of_the_network() -> Result<()> {
    Free::new()?.all(&[
        ("icmp-echo 203.0.113.7:9000", Outside(ICMP)),
        ("icmp-error 203.0.113.7:9000", Outside(ICMP)),
        ("icmp-timestamp 203.0.113.7:9000", Outside(ICMP)),
        ("icmp-redirect 203.0.113.7:9000", Outside(ICMP)),
        ("icmp-echo [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("icmp-error [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-ns [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-na [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-rs [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-ra [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-redirect [2001:db8:7::7]:9000", Outside(ICMPV6)),
        ("nd-ns [2001:db8:7::7]:9000 hops=64", Outside(ICMPV6)),
        ("nd-na [2001:db8:7::7]:9000 hops=64", Outside(ICMPV6)),
        ("nd-ns [ff02::1]:0", Past(0x86dd)),
        ("nd-na [ff02::1]:0", Past(0x86dd)),
        ("nd-rs [ff02::2]:0", Past(0x86dd)),
        ("nd-ra [ff02::1]:0", Past(0x86dd)),
        ("nd-redirect [fe80::1]:0", Past(0x86dd)),
        ("mld [ff02::16]:0", Past(0x86dd)),
        ("mld [2001:db8:7::7]:0", Outside(ICMPV6)),
    ])
}

#[test]
fn packets_within_packets() -> Result<()> {
    Free::new()?.all(&[
        ("ipip 203.0.113.7:9000", Outside(4)),
        ("ipip 203.0.113.7:9000 via=192.0.2.10", OutsideTo("192.0.2.10", 4)),
        ("ipip 203.0.113.7:9000 via=2001:db8::10", OutsideTo("2001:db8::10", 4)),
        ("sit [2001:db8:7::7]:9000 via=192.0.2.10", OutsideTo("192.0.2.10", 41)),
        ("sit [2001:db8:7::7]:9000", Outside(41)),
        ("gre 203.0.113.7:9000 via=192.0.2.10", OutsideTo("192.0.2.10", 47)),
        ("gre [2001:db8:7::7]:9000", Outside(47)),
        ("vxlan 203.0.113.7:9000 via=192.0.2.10", OutsideTo("192.0.2.10", UDP)),
        ("vxlan [2001:db8:7::7]:9000", Outside(UDP)),
        ("geneve 203.0.113.7:9000", Outside(UDP)),
        ("vxlan-device 203.0.113.7:9000", Outside(UDP)),
        ("vxlan-device [2001:db8:7::7]:9000", Outside(UDP)),
    ])
}

#[test]
fn segments_of_no_connection() -> Result<()> {
    Free::new()?.all(&[
        ("syn 203.0.113.17:9000", Begins),
        ("syn [2001:db8:7::17]:9000", Begins),
        ("syn-data 203.0.113.7:9000", Outside(TCP)),
        ("forged-syn-ack 203.0.113.7:9000", Outside(TCP)),
        ("forged-syn-ack [2001:db8:7::7]:9000", Outside(TCP)),
        ("forged-data 203.0.113.7:9000", Outside(TCP)),
        ("forged-data [2001:db8:7::7]:9000", Outside(TCP)),
        ("forged-rst 203.0.113.7:9000", Outside(TCP)),
        ("forged-fin 203.0.113.7:9000", Outside(TCP)),
        ("forged-none 203.0.113.7:9000", Outside(TCP)),
    ])
}

//! By sockets: TCP and UDP, raw ones, and what stands for them.

use std::thread::sleep;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;

use crate::moved::{LOOK, shell_in};
use crate::selfmade::Hidden;
use crate::stage::Control::{Like, Same};
use crate::stage::{Case, Stage};
use crate::targets::{Targets, begins};

const UDP: crate::stage::Control = Like("UDP", &["udp {4}", "udp {6}"]);
const TCP: crate::stage::Control = Like("TCP", &["tcp {4}", "tcp {6}"]);
const RAW: crate::stage::Control = Like("raw UDP", &["raw4 {4}", "raw6 {6}"]);

const STREAMS: &[Case] = &[
    ("TCP", "connect", "not_registered", Same, &["tcp {4}", "tcp {6}"]),
    (
        "TCP to 169.254.169.254, 0.0.0.0/8",
        "connect",
        "not_registered",
        TCP,
        &["tcp 169.254.169.254:80", "tcp 0.1.2.3:80"],
    ),
    ("TCP, data in the SYN (MSG_FASTOPEN)", "connect", "not_registered", Same, &["tfo {4}", "tfo {6}"]),
    ("MPTCP", "connect", "not_registered", Same, &["mptcp {4}", "mptcp {6}"]),
    ("IPv4-mapped IPv6, TCP", "connect", "not_registered", Same, &["mapped-tcp {4}"]),
    (
        "io_uring connect, by any thread",
        "connect",
        "not_registered",
        Same,
        &["uring-connect {4}", "uring-connect/worker {6}", "uring-connect/poller {4}"],
    ),
    (
        "DNS over TCP to another resolver",
        "connect",
        "not_registered",
        TCP,
        &["dns-tcp {ip4}:53", "dns-tcp [{ip6}]:53"],
    ),
    (
        "DNS over TCP, registered for UDP only",
        "connect",
        "not_registered",
        TCP,
        &["dns-tcp 192.0.2.53:53", "dns-tcp [2001:db8::53]:53"],
    ),
    ("SO_MARK 1337, TCP", "connect", "not_registered", Same, &["tcp-mark {4}"]),
    ("SO_BINDTODEVICE, TCP", "connect", "not_registered", Same, &["tcp-device {4}"]),
    (
        "AF_UNSPEC after an allowed connect",
        "connect",
        "not_registered",
        Same,
        &["disconnect-again {4} allowed={ok4}", "disconnect-again {6} allowed={ok6}"],
    ),
    (
        "IP options of a socket, TCP",
        "connect",
        "not_registered",
        Same,
        &["tcp-nop {4}", "tcp-record {4}", "tcp-timestamp {4}", "tcp-hopopts {6}", "tcp-dstopts {6}"],
    ),
    (
        "Foreign source (IP_TRANSPARENT), TCP",
        "connect",
        "not_registered",
        TCP,
        &[
            "tcp-transparent {4} source=198.51.100.77:4000",
            "tcp-transparent {6} source=[2001:db8:77::1]:4000",
        ],
    ),
];

#[test]
fn tcp_and_what_stands_for_it() -> Result<()> {
    Stage::new()?.all("10 streams", STREAMS)
}

const DATAGRAMS: &[Case] = &[
    ("UDP, not connected", "sendmsg", "not_registered", Same, &["udp {4}", "udp {6}"]),
    ("UDP, connected", "connect", "not_registered", Same, &["udp-connected {4}", "udp-connected {6}"]),
    ("UDP, connected elsewhere before", "connect", "not_registered", Same, &["udp-again {4} allowed={ok4}"]),
    (
        "UDP, to two with one socket",
        "sendmsg",
        "not_registered",
        Same,
        &["unconnected-two {4} allowed={ok4}"],
    ),
    ("sendmmsg", "sendmsg", "not_registered", Same, &["sendmmsg {4}", "sendmmsg {6}"]),
    ("IPv4-mapped IPv6, UDP", "sendmsg", "not_registered", Same, &["mapped-udp {4}"]),
    (
        "io_uring send and send_zc",
        "sendmsg",
        "not_registered",
        Same,
        &[
            "uring-send {4}",
            "uring-send/worker {6}",
            "uring-send/poller {4}",
            "uring-send-zc {4}",
            "uring-send-zc {6}",
        ],
    ),
    ("SO_MARK 1337, UDP", "sendmsg", "not_registered", Same, &["udp-mark {4}"]),
    ("SO_BINDTODEVICE, UDP", "sendmsg", "not_registered", Same, &["udp-device {4}"]),
    (
        "Foreign source (IP_TRANSPARENT), UDP",
        "sendmsg",
        "not_registered",
        UDP,
        &[
            "udp-transparent {4} source=198.51.100.77:4000",
            "udp-transparent {6} source=[2001:db8:77::1]:4000",
        ],
    ),
    (
        "Foreign source, registered address",
        "interface",
        "spoofed_source",
        UDP,
        &[
            "udp-transparent {ok4} source=198.51.100.77:4000",
            "udp-transparent {ok6} source=[2001:db8:77::1]:4000",
        ],
    ),
    (
        "IP options of a socket, UDP",
        "sendmsg",
        "not_registered",
        Same,
        &["udp-nop {4}", "udp-record {4}", "udp-timestamp {4}", "udp-hopopts {6}", "udp-dstopts {6}"],
    ),
    (
        "Multicast and broadcast",
        "sendmsg",
        "not_registered",
        UDP,
        &[
            "udp 224.0.0.251:5353",
            "udp 239.1.2.3:9000",
            "udp 255.255.255.255:9000",
            "udp 10.244.0.255:9000",
            "udp [ff02::1]:9000",
            "udp [ff05::2]:9000",
        ],
    ),
    ("IPv6 link-local", "sendmsg", "not_registered", UDP, &["udp [fe80::1]:9000"]),
    ("169.254.169.254", "sendmsg", "not_registered", UDP, &["udp 169.254.169.254:9000"]),
    ("The node itself", "sendmsg", "not_registered", UDP, &["udp 10.255.0.1:9000"]),
];

#[test]
fn udp_and_what_stands_for_it() -> Result<()> {
    Stage::new()?.all("20 datagrams", DATAGRAMS)
}

const ROUTED: &[Case] = &[
    (
        "LSRR, SSRR of a socket",
        "interface",
        "source_route",
        Like("TCP, UDP", &["tcp {4}", "udp {4}"]),
        &["tcp-lsrr {ok4}", "tcp-ssrr {ok4}", "udp-lsrr {ok4}", "udp-ssrr {ok4}"],
    ),
    (
        "Routing header of a socket",
        "interface",
        "source_route",
        Like("TCP, UDP", &["tcp {6}", "udp {6}"]),
        &["tcp-segment {ok6}", "udp-segment {ok6}"],
    ),
    ("ICMP socket that is not raw", "interface", "not_registered", Same, &["ping {4}", "ping {6}"]),
];

#[test]
fn routes_and_echoes() -> Result<()> {
    Stage::new()?.all("30 routed", ROUTED)
}

const OTHERS: &[Case] = &[
    ("UDP-Lite", "sock_create", "protocol", UDP, &["udplite {4}", "udplite {6}"]),
    ("Raw UDP", "interface", "not_registered", Same, &["raw4 {4}", "raw6 {6}"]),
    ("Raw TCP", "interface", "not_registered", Same, &["raw4-tcp {4}", "raw6-tcp {6}"]),
    (
        "Raw, own IP header",
        "interface",
        "not_registered",
        Same,
        &[
            "raw4-hdrincl {4}",
            "raw6-hdrincl {6}",
            "raw4-hdrincl {4} claim=192.0.2.10:0",
            "raw6-hdrincl {6} claim=[2001:db8::10]:0",
        ],
    ),
    (
        "Raw, own IP header, foreign source",
        "interface",
        "spoofed_source",
        RAW,
        &["raw4-hdrincl {ok4} source=198.51.100.77:4000", "raw6-hdrincl {ok6} source=[2001:db8:77::1]:4000"],
    ),
    (
        "Raw, to two with one socket",
        "interface",
        "not_registered",
        Same,
        &["raw-two {4} allowed={ok4}", "raw-two {6} allowed={ok6}"],
    ),
    ("Raw SCTP", "interface", "protocol", RAW, &["sctp {ok4}", "sctp {ok6}"]),
    ("Raw DCCP", "interface", "protocol", RAW, &["dccp {ok4}", "dccp {ok6}"]),
    ("Raw UDP-Lite", "interface", "protocol", RAW, &["udplite-raw {ok4}", "udplite-raw {ok6}"]),
    ("Raw, protocol 253", "interface", "protocol", RAW, &["raw4-other {ok4}", "raw6-other {ok6}"]),
];

#[test]
fn raw_sockets_and_other_protocols() -> Result<()> {
    Stage::new()?.all("40 raw", OTHERS)
}

const DETOURS: &[Case] = &[
    (
        "A child in a nested cgroup",
        "connect",
        "not_registered",
        Same,
        &["nested-cgroup {4}", "nested-cgroup {6}"],
    ),
    ("A child that is uid 1337", "connect", "not_registered", Same, &["setuid-1337 {4}", "setuid-1337 {6}"]),
    ("A TUN device inside", "interface", "not_registered", Same, &["tun-inside {4}", "tun-inside {6}"]),
    (
        "A new network namespace inside",
        "sendmsg",
        "not_registered",
        Same,
        &["new-netns {4}", "new-netns {6}"],
    ),
    (
        "A frame in such a namespace",
        "interface",
        "not_registered",
        Same,
        &["new-netns {4} way=packet", "new-netns {6} way=packet"],
    ),
];

/// When the agent has seen a pair: the pod is then judged at its sockets, too.
const WITHIN: &[Case] = &[(
    "A raw socket in such a namespace",
    "packet",
    "not_registered",
    Same,
    &["new-netns {4} way=raw", "new-netns {6} way=raw"],
)];

/// One that lasts until the agent looks.
fn pair_within(stage: &Stage) -> Result<Hidden> {
    let world = stage.node.world();
    let pod = world.pod("curl")?;
    let far = Hidden::new(stage, pod.cgroup(), &pod.network())?;
    let pair = format!("ip link add lasting0 type veth peer name lasting1 netns {}", far.network().display());
    shell_in(world, &pod.network(), &pair)?;
    Ok(far)
}

#[test]
fn with_the_help_of_others() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.all("50 detours", DETOURS)?;
    let _far = pair_within(&stage)?;
    sleep(LOOK);
    stage.node.status_soon(|status| (status["workloads"][0]["covered"] == false).then_some(()))?;
    stage.all("51 within", WITHIN)
}

/// They are the workload itself: what is sent there comes back, and nothing leaves.
#[test]
fn unspecified_addresses_are_ones_own() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.said("curl", "keep server listen 7000")?;
    for (name, any, own) in [("udp4", "0.0.0.0", "127.0.0.1"), ("udp6", "[::]", "[::1]")] {
        stage.begin()?;
        let marker = Marker::fresh();
        assert_eq!(stage.said("curl", &format!("keep {name} bind {any}:7001"))?, "made");
        stage.ask("curl", &format!("on {name} send-to {any}:7001 {marker}"))?;
        assert_eq!(stage.said("curl", &format!("on {name} receive"))?, marker.to_string());
        let kind = name.replace("udp", "tcp");
        stage.said("curl", &format!("keep client {kind}"))?;
        assert_eq!(stage.said("curl", &format!("on client connect {any}:7000"))?, "connected");
        assert_eq!(stage.said("curl", "on client peer")?, format!("{own}:7000"));
        let sent = stage.sent.as_ref().context("a pod has an interface")?;
        ensure!(sent.saw(&marker)?.is_empty(), "{any}: it leaves the pod");
        stage.is_nowhere(&marker, &Targets::default())?;
        ensure!(!sent.all()?.iter().any(|frame| begins(frame)), "{any}: a connection leaves the pod");
    }
    Ok(())
}

//! A workload without a network of its own: a cgroup, and the node's interfaces.

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::agent::Until;
use enforcer_tests::node::Node;

use crate::events::{Denial, NOBODY};
use crate::stage::Control::{self, Like, Same};
use crate::stage::{Case, REGISTRY, Stage};
use crate::table::{self, Row};

const RAW: Control = Like("raw UDP", &["raw4 {4}", "raw6 {6}"]);
const FRAME: Control = Like("UDP frame", &["packet-raw {4} mac=02:00:00:00:ff:02"]);

/// A node with such a workload.
pub(crate) fn stage() -> Result<Stage> {
    stage_with("")
}

/// The same, with more fields of `--workload`.
pub(crate) fn stage_with(fields: &str) -> Result<Stage> {
    let workload = format!("cgroup={{cgroup}}/pods/plain,namespace=web,name=plain{fields}");
    let mut node = Node::new()
        .pods()
        .registry(REGISTRY)
        .flag("--workload", &workload)
        .flag("--cgroup", "{cgroup}/pods")
        .flag("--uplink", "uplink0")
        .flag("--event-rate", "100000")
        .prepare()?;
    node.world().make_cgroup("pods/plain")?;
    node.world().make_cgroup(&format!("pods/{NOBODY}"))?;
    node.start_agent(Until::Ready)?;
    Stage::around_plain(node, "plain")
}

const PLAIN: &[Case] = &[
    (
        "No veth: TCP",
        "connect",
        "not_registered",
        Same,
        &["tcp {4}", "tcp {6}", "uring-connect {4}", "mptcp {4}"],
    ),
    (
        "No veth: UDP",
        "sendmsg",
        "not_registered",
        Same,
        &["udp {4}", "udp {6}", "sendmmsg {4}", "uring-send {4}", "unconnected-two {4} allowed={ok4}"],
    ),
    ("No veth: UDP-Lite", "sock_create", "protocol", Like("UDP", &["udp {4}"]), &["udplite {4}"]),
    (
        "No veth: raw sockets",
        "packet",
        "not_registered",
        Same,
        &[
            "raw4 {4}",
            "raw6 {6}",
            "raw4-tcp {4}",
            "raw4-hdrincl {4}",
            "raw6-hdrincl {6}",
            "raw-two {4} allowed={ok4}",
            "icmp-echo {4} by=hdrincl",
            "icmp-echo {6} by=hdrincl",
        ],
    ),
    (
        "No veth: raw, other protocols",
        "packet",
        "protocol",
        RAW,
        &["sctp {ok4}", "dccp {ok4}", "raw4-other {ok4}", "raw6-other {ok6}"],
    ),
    ("No veth: LSRR, SSRR", "packet", "source_route", RAW, &["udp-lsrr {ok4}", "udp-ssrr {ok4}"]),
    ("No veth: a child in a nested cgroup", "connect", "not_registered", Same, &["nested-cgroup {4}"]),
    ("No veth: a child that is uid 1337", "connect", "not_registered", Same, &["setuid-1337 {4}"]),
    (
        "No veth: AF_PACKET, with --uplink",
        "uplink",
        "not_registered",
        Same,
        &[
            "packet-raw {4} mac=02:00:00:00:ff:02",
            "packet-raw {6} mac=02:00:00:00:ff:02",
            "packet-dgram {4} mac=02:00:00:00:ff:02",
            "packet-ring {4} mac=02:00:00:00:ff:02",
        ],
    ),
    ("No veth: frames that are not IP", "uplink", "not_ip", FRAME, &["nonip {ok4} mac=02:00:00:00:ff:02"]),
];

#[test]
fn a_workload_without_an_interface() -> Result<()> {
    stage()?.all("90 plain", PLAIN)
}

/// An interface that can have no program: its frames are those of its workload where they leave the node.
#[test]
fn frames_of_a_pod_whose_interface_takes_no_program() -> Result<()> {
    let mut node = Node::new()
        .pods()
        .registry(REGISTRY)
        .workload("web", "curl")
        .flag("--uplink", "uplink0")
        .flag("--event-rate", "100000")
        .prepare()?;
    let crowd = node.world().crowd("curl")?;
    node.start_agent(Until::Answers)?;
    let mut stage = Stage::around_plain(node, "curl")?;
    let mut denials = Vec::new();
    for command in ["packet-raw {4}", "packet-raw {6}", "packet-dgram {4}", "packet-ring {6}"] {
        denials.push(stage.stopped(command).with_context(|| command.to_owned())?);
        let control = command.replace('{', "{ok");
        stage.arrives(&control).with_context(|| format!("the control {control}"))?;
    }
    let status = stage.node.status()?;
    let told = status["not_ready"][0].as_str().unwrap_or_default();
    ensure!(told.starts_with("packets at the interface pod-1 of web/curl are not judged"), "{status:#}");
    drop(crowd);
    let technique = "Its veth takes no program: AF_PACKET";
    table::publish("90 uplink", &[Row::of(technique, &denials, "itself")])
}

/// What has no identity is denied everything, and its frames by the uplink: those of the workload beside it pass there.
#[test]
fn frames_of_a_process_without_identity() -> Result<()> {
    let mut stage = stage()?;
    let mut denials = Vec::new();
    for name in ["packet-raw", "packet-dgram", "packet-ring"] {
        for to in ["{4}", "{6}", "{ok4}", "{ok6}"] {
            let command = format!("{name} {to} mac=02:00:00:00:ff:02");
            stage.who = NOBODY;
            denials.push(stage.stopped(&command).with_context(|| command.clone())?);
            if to.starts_with("{ok") {
                stage.who = "plain";
                stage.arrives(&command).with_context(|| format!("the control {command}"))?;
            }
        }
    }
    let technique = "No identity: AF_PACKET, --uplink";
    table::publish("91 nobody", &[Row::of(technique, &denials, "a workload")])
}

/// The kernel's limit, and why such a workload must not have `CAP_NET_RAW`: what leaves past the queues of an interface
/// (`__dev_direct_xmit`) meets no program of its egress, and a socket that is not of IP no program of a cgroup.
#[test]
fn past_the_queues_of_the_uplink_there_is_nobody() -> Result<()> {
    let mut stage = stage()?;
    for command in ["packet-bypass {4} mac=02:00:00:00:ff:02", "xdp {4} mac=02:00:00:00:ff:02"] {
        let error = stage.stopped(command).err().context("it is stopped: the table has to say so")?;
        ensure!(format!("{error:#}").contains("PASSES: seen outside"), "{command}: {error:#}");
    }
    let technique = "No veth: past the queue, AF_XDP";
    table::publish("92 limit", &[Row::of(technique, &[Denial::nowhere()], "CAP_NET_RAW")])
}

//! What a workload injects into its own interface, as if it had come from outside: it may be told, and must not be believed.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::capture::Capture;
use enforcer_tests::frame::{Tcp, ethernet, ethertype, ip, protocol, udp};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::OUTSIDE;
use enforcer_tests::pod::{GATEWAY, Pod};
use serde_json::{Value, json};

use crate::events::Denial;
use crate::moved::shell;
use crate::stage::Stage;
use crate::table::{self, Row};

/// Where the pod's servers are.
const PORT: u16 = 7000;
/// Who asks from outside.
const CLIENTS: [&str; 2] = ["10.255.0.2", "fd00:255::2"];

/// The pod has a pair within: what is sent by `in0` is received by `eth0`.
fn stage() -> Result<(Stage, Pod)> {
    let stage = Stage::new()?;
    let pod = stage.node.world().pod("curl")?;
    let mac = pod.mac().map(|byte| format!("{byte:02x}")).join(":");
    let script = format!(
        "ip link add in0 type veth peer name in1 address {mac}; ip link set in0 up; ip link set in1 up
         tc qdisc add dev in1 clsact
         tc filter add dev in1 ingress protocol all u32 match u32 0 0 action mirred ingress redirect dev eth0"
    );
    shell(stage.node.world(), &pod, &pod.network(), &script)?;
    Ok((stage, pod))
}

/// The pod's own address of the family of `of`, with the server's port.
fn server(pod: &Pod, of: IpAddr) -> SocketAddr {
    SocketAddr::new(if of.is_ipv4() { pod.ipv4().into() } else { pod.ipv6().into() }, PORT)
}

/// The pod receives a packet of this stranger.
fn inject(stage: &Stage, pod: &Pod, from: SocketAddr, kind: u8, payload: &[u8]) -> Result<()> {
    let to = server(pod, from.ip());
    let ethertype = if to.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 };
    let packet = ip(from.ip(), to.ip(), kind, payload);
    let frame = ethernet(pod.mac(), GATEWAY, ethertype, &packet);
    stage.node.world().sender_within("curl", "in0")?.send(&frame)
}

fn said(stage: &Stage, who: &str, command: &str, expected: &str) -> Result<()> {
    let said = stage.said(who, command)?;
    ensure!(said == expected, "{who}: {command}: {said}, not {expected}");
    Ok(())
}

/// Packets to who asks from outside.
fn answers(outside: &Capture, to: &str) -> Result<usize> {
    Ok(outside.saw_to(to.parse()?)?.len())
}

/// The kernel answers, and so does the workload by hand.
fn answered_syn(stage: &mut Stage, pod: &Pod, is_v6: bool) -> Result<Denial> {
    stage.stopped_if(|stage, marker, (v4, v6)| {
        let from = if is_v6 { v6 } else { v4 };
        let to = server(pod, from.ip());
        inject(stage, pod, from, protocol::TCP, &Tcp::new(from, to, Tcp::SYN).around(&[]))?;
        let left = stage.sent.as_ref().context("a pod has an interface")?.saw_to(from.ip())?;
        ensure!(!left.is_empty(), "the kernel does not answer");
        let mut sent = Vec::new();
        for technique in ["forged-syn-ack", "forged-data", "forged-fin"] {
            let answer = stage.ask("curl", &format!("try {technique} {marker} {from} source={to}"))?;
            ensure!(answer["sent"].as_u64() > Some(0), "{technique} is not sent: {answer}");
            sent.push(answer);
        }
        Ok(Value::from(sent))
    })
}

#[test]
fn a_workload_injects_a_connection_and_answers_it() -> Result<()> {
    let (mut stage, pod) = stage()?;
    said(&stage, "curl", &format!("keep server listen {PORT}"), "made")?;
    let mut met = Vec::new();
    for is_v6 in [false, true] {
        met.push(answered_syn(&mut stage, &pod, is_v6).with_context(|| format!("IPv6: {is_v6}"))?);
    }
    // What tells of it is all that it has made, and the agent's readiness does not hang on it.
    let status = stage.node.status_soon(|status| {
        let notes = status["workloads"][0]["notes"].as_array()?;
        (notes.len() == 1).then(|| status.clone())
    })?;
    assert_eq!(status["ready"], json!(true), "{:#}", status["not_ready"]);
    for client in CLIENTS {
        stage.begin()?;
        let to = server(&pod, client.parse()?);
        said(&stage, OUTSIDE, &format!("keep {client} tcp{}", if to.is_ipv4() { 4 } else { 6 }), "made")?;
        said(&stage, OUTSIDE, &format!("on {client} connect {to}"), "connected")?;
        ensure!(answers(&stage.outside, client)? > 0, "the control is not answered");
    }
    let row = Row::of("SYNs into its own eth0", &met, "from outside");
    assert!(met.iter().all(|denial| denial.reason == "no_flow"), "{met:?}");
    table::publish("99 injected", &[row])
}

/// The workload hears it, and answers by a packet socket.
fn answered_datagram(stage: &mut Stage, pod: &Pod, is_v6: bool) -> Result<Denial> {
    stage.stopped_if(|stage, marker, (v4, v6)| {
        let from = if is_v6 { v6 } else { v4 };
        let (to, question) = (server(pod, from.ip()), Marker::fresh());
        inject(stage, pod, from, protocol::UDP, &udp(from, to, &question.bytes()))?;
        said(stage, "curl", &format!("on {} receive", to.ip()), &question.to_string())?;
        stage.ask("curl", &format!("try packet-raw {marker} {from} source={to}"))
    })
}

#[test]
fn a_workload_injects_a_datagram_and_answers_it() -> Result<()> {
    let (mut stage, pod) = stage()?;
    let mut met = Vec::new();
    for client in CLIENTS {
        let to = server(&pod, client.parse()?);
        said(&stage, "curl", &format!("keep {} bind {to}", to.ip()), "made")?;
        met.push(answered_datagram(&mut stage, &pod, to.is_ipv6()).context(client)?);
        stage.begin()?;
        said(&stage, OUTSIDE, &format!("keep {client} udp{}", if to.is_ipv4() { 4 } else { 6 }), "made")?;
        said(&stage, OUTSIDE, &format!("on {client} connect {to}"), "connected")?;
        let tuple = stage.said(OUTSIDE, &format!("on {client} tuple"))?;
        let (asker, _) = tuple.split_once(' ').context("no tuple")?;
        stage.ask(OUTSIDE, &format!("on {client} send {}", Marker::fresh()))?;
        stage.ask("curl", &format!("on {} receive", to.ip()))?;
        let marker = Marker::fresh();
        stage.ask("curl", &format!("try packet-raw {marker} {asker} source={to}"))?;
        ensure!(!stage.outside.saw(&marker)?.is_empty(), "the control does not arrive");
    }
    let row = Row::of("Datagrams into its own eth0", &met, "from outside");
    table::publish("99 injected datagrams", &[row])
}

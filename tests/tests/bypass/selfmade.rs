//! Arrivals that a workload makes itself: it plays an address that is not registered, in its own network namespace or in one
//! within, and then sends there by its real way out. What came from there is no reason to let that pass.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::pod::NODE;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::{Spot, World};

use crate::events::Denial;
use crate::moved::{LOOK, Within, shell, shell_in};
use crate::plain;
use crate::stage::Stage;
use crate::table::{self, Row};
use crate::targets::Targets;

/// Where the workload's servers are.
const TCP_PORT: u16 = 7000;
const UDP_PORT: u16 = 7001;
/// Where the other side is.
const REMOTE_PORT: u16 = 4430;
/// The MAC address of a workload's end of a pair within.
pub(crate) const WITHIN: &str = "02:00:00:00:98:01";

/// How a pod sends: by the sockets that have heard it, and by hand. `OWN` is its address, `TO` the other side.
const BY_POD: [&str; 7] = [
    "on one send MARKER",
    "on udpFAMILY send-to TO MARKER",
    "try packet-raw MARKER TO source=OWN:7001",
    "try forged-data MARKER TO source=OWN:7000",
    "try forged-syn-ack MARKER TO source=OWN:7000",
    "try icmp-reply MARKER TO",
    "try icmp-error MARKER TO source=OWN:7001",
];

/// How a workload without an interface does: from the node's network namespace.
const BY_PLAIN: [&str; 5] = [
    "on udpFAMILY send-to TO MARKER",
    "try rawFAMILY MARKER TO source=OWN:7001",
    "try forged-data MARKER TO source=OWN:7000 by=hdrincl",
    "try forged-syn-ack MARKER TO source=OWN:7000 by=hdrincl",
    "try packet-raw MARKER TO source=OWN:7001 mac=02:00:00:00:ff:02",
];

/// Without the connection, if there is none.
fn by_pod(is_connected: bool) -> &'static [&'static str] {
    if is_connected { &BY_POD } else { &BY_POD[1..] }
}

fn said(stage: &Stage, who: &str, command: &str, expected: &str) -> Result<()> {
    let said = stage.said(who, command)?;
    ensure!(said == expected, "{who}: {command}: {said}, not {expected}");
    Ok(())
}

fn family(addr: IpAddr) -> char {
    if addr.is_ipv4() { '4' } else { '6' }
}

fn shown(addr: IpAddr) -> String {
    SocketAddr::new(addr, 0).to_string().trim_end_matches(":0").to_owned()
}

/// The servers of `who`: of TCP, and of datagrams of each family.
fn serve(stage: &Stage, who: &str) -> Result<()> {
    said(stage, who, &format!("keep server listen {TCP_PORT}"), "made")?;
    said(stage, who, &format!("keep udp4 bind 0.0.0.0:{UDP_PORT}"), "made")?;
    said(stage, who, &format!("keep udp6 bind [::]:{UDP_PORT}"), "made")
}

/// `speaker`, whose address `remote` is, sends `listener` a datagram, a SYN and an echo request, by sockets. Whether the SYN was
/// answered: where no host's side covers the workload, that is denied already.
fn speak(stage: &Stage, speaker: &str, remote: IpAddr, listener: &str, own: IpAddr) -> Result<bool> {
    let (from, question) = (SocketAddr::new(remote, REMOTE_PORT), Marker::fresh());
    let to = |port| SocketAddr::new(own, port);
    said(stage, speaker, &format!("keep asker bind {from}"), "made")?;
    stage.ask(speaker, &format!("on asker send-to {} {question}", to(UDP_PORT)))?;
    said(stage, listener, &format!("on udp{} receive", family(own)), &question.to_string())?;
    said(stage, speaker, &format!("keep client from {from}"), "made")?;
    let answer = stage.ask(speaker, &format!("on client connect {}", to(TCP_PORT)))?;
    let is_connected = answer["said"] == "connected";
    if is_connected {
        said(stage, listener, "on server accept one", &format!("accepted {from}"))?;
    } else {
        ensure!(answer["errno"] == "EINPROGRESS", "the SYN is not sent: {answer}");
    }
    if !own.is_loopback() {
        let echo = format!("try icmp-echo {} {} source={from} by=hdrincl", Marker::fresh(), to(1));
        let sent = stage.ask(speaker, &echo)?;
        ensure!(sent["sent"].as_u64() > Some(0), "{echo}: {sent}");
    }
    said(stage, speaker, "on asker close", "closed")?;
    if !is_connected {
        said(stage, speaker, "on client close", "closed")?;
        forget_syns(stage, listener)?;
    }
    Ok(is_connected)
}

/// The server there answers no SYN again that it has not seen the end of: its retransmissions would be denied later, among what
/// is tried then.
fn forget_syns(stage: &Stage, listener: &str) -> Result<()> {
    said(stage, listener, "on server close", "closed")?;
    said(stage, listener, &format!("keep server listen {TCP_PORT}"), "made")
}

/// The same by frames, from behind a pair within.
fn send_frames(stage: &Stage, speaker: &str, remote: IpAddr, listener: &str, own: IpAddr) -> Result<()> {
    let (from, question) = (SocketAddr::new(remote, REMOTE_PORT), Marker::fresh());
    for (name, port) in [("packet-raw", UDP_PORT), ("syn", TCP_PORT), ("icmp-echo", 1)] {
        let to = SocketAddr::new(own, port);
        let line = format!("try {name} {question} {to} source={from} mac={WITHIN}");
        let sent = stage.ask(speaker, &line)?;
        ensure!(sent["sent"].as_u64() > Some(0), "{line}: {sent}");
    }
    said(stage, listener, &format!("on udp{} receive", family(own)), &question.to_string())?;
    forget_syns(stage, listener)
}

fn filled(call: &str, own: IpAddr, remote: IpAddr, marker: &Marker) -> String {
    let to = SocketAddr::new(remote, REMOTE_PORT).to_string();
    let call = call.replace("FAMILY", &family(own).to_string()).replace("OWN", &shown(own));
    call.replace("TO", &to).replace("MARKER", &marker.to_string())
}

/// Nothing that `who` sends there arrives.
fn all_stopped(
    stage: &mut Stage,
    calls: &[&str],
    own: IpAddr,
    remote: (SocketAddr, SocketAddr),
) -> Result<Vec<Denial>> {
    let to = if own.is_ipv4() { remote.0.ip() } else { remote.1.ip() };
    let (targets, who) = (Targets::strangers(remote.0, remote.1), stage.who);
    let mut met = Vec::new();
    for call in calls {
        stage.begin()?;
        let act = |stage: &Stage, marker: &Marker| stage.ask(who, &filled(call, own, to, marker));
        met.push(stage.stopped_at(&targets, act).with_context(|| format!("{call} to {to}"))?);
    }
    Ok(met)
}

/// When it came from outside, the same does arrive.
fn all_arrive(stage: &mut Stage, calls: &[&str], own: IpAddr, listener: &str) -> Result<()> {
    let client: IpAddr = if own.is_ipv4() { "10.255.0.2" } else { "fd00:255::2" }.parse()?;
    ensure!(
        speak(stage, OUTSIDE, client, listener, own).context("from outside")?,
        "no connection from outside"
    );
    let who = stage.who;
    for call in calls {
        stage.begin()?;
        let marker = Marker::fresh();
        let answer = stage.ask(who, &filled(call, own, client, &marker))?;
        ensure!(!stage.outside.saw(&marker)?.is_empty(), "the control {call} DOES NOT ARRIVE: {answer}");
    }
    Ok(())
}

/// By packets, and by calls.
fn rows(technique: &str, met: Vec<Denial>) -> [Row; 2] {
    let (calls, packets): (Vec<_>, Vec<_>) = met.into_iter().partition(|denial| denial.hook == "sendmsg");
    let control = "outside";
    [Row::of(technique, &packets, control), Row::of(&format!("{technique}, calls"), &calls, control)]
}

/// In the pod's network: the address is there, or gone.
fn own_address(stage: &Stage, what: &str, remote: IpAddr) -> Result<()> {
    let pod = stage.node.world().pod("curl")?;
    let plus = if remote.is_ipv4() { "/32 dev lo" } else { "/128 dev lo nodad" };
    let plus = if what == "add" { plus } else { plus.trim_end_matches(" nodad") };
    shell(stage.node.world(), &pod, &pod.network(), &format!("ip addr {what} {remote}{plus}"))
}

/// The pod's own addresses.
fn pods(stage: &Stage) -> Result<[IpAddr; 2]> {
    let pod = stage.node.world().pod("curl")?;
    Ok([pod.ipv4().into(), pod.ipv6().into()])
}

/// All of it with the address on the pod's loopback interface.
fn on_loopback(stage: &mut Stage) -> Result<Vec<Denial>> {
    let mut met = Vec::new();
    serve(stage, "curl")?;
    for own in pods(stage)? {
        let remote = stage.strangers();
        let addr = if own.is_ipv4() { remote.0.ip() } else { remote.1.ip() };
        own_address(stage, "add", addr)?;
        let is_connected = speak(stage, "curl", addr, "curl", own)?;
        own_address(stage, "del", addr)?;
        met.extend(all_stopped(stage, by_pod(is_connected), own, remote)?);
        all_arrive(stage, &BY_POD, own, "curl")?;
    }
    Ok(met)
}

#[test]
fn a_pod_has_the_address_itself() -> Result<()> {
    let met = on_loopback(&mut Stage::new()?)?;
    table::publish("99 selfmade", &rows("A peer on its own lo", met))
}

/// A network namespace that only an open file holds, so that nobody finds it.
pub(crate) struct Hidden(File);

impl Hidden {
    pub(crate) fn new(stage: &Stage, cgroup: &Path, network: &Path) -> Result<Self> {
        let within = Within::at(stage.node.world(), cgroup, network)?;
        Ok(Self(File::open(within.network()).context("holding the namespace")?))
    }

    pub(crate) fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }
}

/// A pair between two namespaces: `near`, which has `own` already, and `far`, which plays the strangers.
pub(crate) fn pair(
    world: &World,
    near: &Path,
    far: &Path,
    own: [IpAddr; 2],
    remote: (SocketAddr, SocketAddr),
) -> Result<()> {
    const FAR: &str = "02:00:00:00:98:02";
    let ([own4, own6], to4, to6) = (own, remote.0.ip(), remote.1.ip());
    let here = format!(
        "ip link add v0 address {WITHIN} type veth peer name eth0 address {FAR} netns {}
         ip link set v0 up; echo 0 > /proc/sys/net/ipv4/conf/v0/rp_filter
         ip route add {to4}/32 dev v0; ip route add {to6}/128 dev v0
         ip neigh add {to4} lladdr {FAR} dev v0; ip neigh add {to6} lladdr {FAR} dev v0",
        far.display()
    );
    shell_in(world, near, &here)?;
    let there = format!(
        "ip link set lo up; ip link set eth0 up; ip addr add {to4}/32 dev eth0; ip addr add {to6}/128 dev eth0 nodad
         ip route add {own4}/32 dev eth0; ip route add {own6}/128 dev eth0
         ip neigh add {own4} lladdr {WITHIN} dev eth0; ip neigh add {own6} lladdr {WITHIN} dev eth0"
    );
    shell_in(world, far, &there)
}

/// A process of `cgroup` there, called `name`.
fn probe_in(stage: &Stage, name: &str, cgroup: &Path, network: &Path) -> Result<()> {
    probe_at(&stage.node, name, cgroup, network)
}

/// The same without a stage.
pub(crate) fn probe_at(node: &Node, name: &str, cgroup: &Path, network: &Path) -> Result<()> {
    let spot = Spot { cgroup: Some(cgroup), network: Some(network), ..Spot::default() };
    node.add_probe(name, Probe::start_at(node.world(), spot)?);
    Ok(())
}

/// The pod is judged at its sockets as well, for it has an interface that leads nowhere known.
#[test]
fn a_pod_that_is_not_covered_has_the_address_itself_or_within() -> Result<()> {
    let mut stage = Stage::new()?;
    let (pod, own) = (stage.node.world().pod("curl")?, pods(&stage)?);
    let far = Hidden::new(&stage, pod.cgroup(), &pod.network())?;
    let remote = stage.strangers();
    pair(stage.node.world(), &pod.network(), &far.network(), own, remote)?;
    sleep(LOOK);
    let told = stage.node.status()?["workloads"][0].clone();
    ensure!(told["covered"] == false, "the pod is covered still: {told:#}");
    let mut met = on_loopback(&mut stage)?;
    probe_in(&stage, "within", pod.cgroup(), &far.network())?;
    for own in own {
        let addr = if own.is_ipv4() { remote.0.ip() } else { remote.1.ip() };
        let is_connected = speak(&stage, "within", addr, "curl", own)?;
        shell_in(stage.node.world(), &pod.network(), &format!("ip route del {addr} dev v0"))?;
        met.extend(all_stopped(&mut stage, by_pod(is_connected), own, remote)?);
        all_arrive(&mut stage, &BY_POD, own, "curl")?;
    }
    table::publish("99 selfmade within", &rows("A peer behind a veth within", met))
}

/// The node's own addresses, which such a workload has.
fn nodes() -> [IpAddr; 2] {
    [NODE.0.into(), NODE.1.into()]
}

/// A network namespace of the workload's own, with a pair to one within, and the workload's servers there.
fn plain_within(stage: &mut Stage) -> Result<(Within, Hidden, (SocketAddr, SocketAddr))> {
    let cgroup = stage.node.cgroup("plain");
    let near = Within::of_user(stage.node.world(), &cgroup)?;
    let far = Hidden::new(stage, &cgroup, &near.network())?;
    let (remote, [own4, own6]) = (stage.strangers(), nodes());
    shell_in(stage.node.world(), &near.network(), "ip link set lo up")?;
    pair(stage.node.world(), &near.network(), &far.network(), nodes(), remote)?;
    let script = format!("ip addr add {own4}/32 dev v0; ip addr add {own6}/128 dev v0 nodad");
    shell_in(stage.node.world(), &near.network(), &script)?;
    probe_in(stage, "near", &cgroup, &near.network())?;
    probe_in(stage, "far", &cgroup, &far.network())?;
    serve(stage, "near")?;
    serve(stage, "plain")?;
    Ok((near, far, remote))
}

#[test]
fn a_workload_without_an_interface_plays_its_peer_within() -> Result<()> {
    let mut stage = plain::stage()?;
    let (near, _far, remote) = plain_within(&mut stage)?;
    let mut met = Vec::new();
    for own in nodes() {
        let addr = if own.is_ipv4() { remote.0.ip() } else { remote.1.ip() };
        send_frames(&stage, "far", addr, "near", own).context("behind a pair")?;
        met.extend(all_stopped(&mut stage, &BY_PLAIN, own, remote)?);
        // The same address, by loopback.
        let (length, loopback) = if own.is_ipv4() { (32, "127.0.0.1") } else { (128, "::1") };
        let script = format!("ip route del {addr} dev v0; ip addr add {addr}/{length} dev lo");
        shell_in(stage.node.world(), &near.network(), &script)?;
        speak(&stage, "near", addr, "near", loopback.parse()?).context("by loopback")?;
        met.extend(all_stopped(&mut stage, &BY_PLAIN, own, remote)?);
        all_arrive(&mut stage, &BY_PLAIN, own, "plain")?;
    }
    table::publish("91 selfmade", &rows("No veth: a peer within", met))
}

#[test]
fn a_workload_whose_addresses_are_named_plays_its_peer_within() -> Result<()> {
    let mut stage = plain::stage_with(",address=10.255.0.1;fd00:255::1")?;
    let (_near, _far, remote) = plain_within(&mut stage)?;
    for own in nodes() {
        let addr = if own.is_ipv4() { remote.0.ip() } else { remote.1.ip() };
        send_frames(&stage, "far", addr, "near", own).context("behind a pair")?;
        all_stopped(&mut stage, &BY_PLAIN, own, remote)?;
    }
    Ok(())
}

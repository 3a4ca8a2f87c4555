//! Connections that are older than the programs: those that somebody has made go on, and those that a workload has made up, from an
//! address that is registered nowhere, are no reason to let anything pass there.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::agent::Until;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::pod::Pod;
use enforcer_tests::world::{Spot, finish};

use crate::events::Denial;
use crate::moved::{Within, shell};
use crate::selfmade::{WITHIN, pair, probe_at};
use crate::stage::{Stage, builder};
use crate::stories::{connect_in, serve, talk};
use crate::table::{self, Row};
use crate::targets::Targets;

/// Where the workload plays a server to itself.
const PORT: u16 = 7777;
/// From where it connects to that: an address of each family, as [`Stage::strangers`] has them.
const PEERS: [&str; 2] = ["203.0.113.201:4444", "[2001:db8:7::c9]:4444"];

fn said(node: &Node, who: &str, command: &str, expected: &str) -> Result<()> {
    let answer = node.probe(who)?.ask(command)?;
    ensure!(answer["said"] == expected, "{who}: {command}: {answer}, not {expected}");
    Ok(())
}

fn peers() -> Result<[SocketAddr; 2]> {
    let [v4, v6] = PEERS.map(str::parse);
    Ok([v4?, v6?])
}

fn family(addr: IpAddr) -> char {
    if addr.is_ipv4() { '4' } else { '6' }
}

/// What waits until the kernel takes packets to a new address of its own: it does so a little after `ip` has ended.
fn until_taken(v6: IpAddr) -> String {
    format!(
        "for _ in $(seq 500); do ip -6 route show table local | grep -q '^local {v6} ' && break; sleep 0.01; done"
    )
}

/// A process of the pod in this network plays each peer, and holds both ends of its connections.
fn hold(node: &Node, pod: &Pod, network: &Path) -> Result<()> {
    let [v4, v6] = peers()?.map(|peer| peer.ip());
    let script = format!("ip link set lo up; ip addr add {v4}/32 dev lo; ip addr add {v6}/128 dev lo nodad");
    shell(node.world(), pod, network, &format!("{script}; {}", until_taken(v6)))?;
    probe_at(node, "holder", pod.cgroup(), network)?;
    said(node, "holder", &format!("keep made-up listen {PORT}"), "made")?;
    for peer in peers()? {
        let name = format!("peer{}", family(peer.ip()));
        let to = SocketAddr::new(peer.ip(), PORT);
        said(node, "holder", &format!("keep {name} from {peer}"), "made")?;
        said(node, "holder", &format!("on {name} connect {to}"), "connected")?;
        said(node, "holder", &format!("on made-up accept its-{name}"), &format!("accepted {peer}"))?;
    }
    Ok(())
}

/// What the pod sends to the peers, as if it answered, does not arrive.
fn answers_are_stopped(stage: &mut Stage, pod: &Pod) -> Result<Vec<Denial>> {
    let [v4, v6] = peers()?;
    let (targets, who) = (Targets::strangers(v4, v6), stage.who);
    let mut met = Vec::new();
    for (peer, own) in [(v4, IpAddr::from(pod.ipv4())), (v6, pod.ipv6().into())] {
        stage.begin()?;
        let own = SocketAddr::new(own, PORT);
        let denial = stage.stopped_at(&targets, |stage, marker| {
            stage.ask(who, &format!("try forged-data {marker} {peer} source={own}"))
        });
        met.push(denial.with_context(|| format!("to {peer}"))?);
    }
    Ok(met)
}

/// The pod has made up connections, and has real ones, when the agent starts.
fn older_than_the_agent(make_up: impl FnOnce(&Node, &Pod) -> Result<Option<Within>>) -> Result<Vec<Denial>> {
    let mut node = builder().prepare()?;
    let pod = node.world().pod("curl")?;
    let places = serve(&node)?;
    for (family, at) in &places {
        connect_in(&node, &format!("tcp{family}"), &format!("tcp{family}"), &format!("{at}:7000"))?;
    }
    let _within = make_up(&node, &pod)?;
    node.start_agent(Until::Ready)?;
    let mut stage = Stage::around(node)?;
    let met = answers_are_stopped(&mut stage, &pod)?;
    for (family, _) in &places {
        talk(&stage.node, &format!("tcp{family}")).context("the control")?;
    }
    Ok(met)
}

/// No capability is needed for it.
#[test]
fn a_pod_has_made_up_a_peer_within_before_the_agent_came() -> Result<()> {
    let met = older_than_the_agent(|node, pod| {
        let within = Within::of_user(node.world(), pod.cgroup())?;
        hold(node, pod, &within.network())?;
        Ok(Some(within))
    })?;
    table::publish("99 older within", &[Row::of("Older than the agent: a peer within", &met, "outside")])
}

#[test]
fn a_pod_has_had_the_address_itself_before_the_agent_came() -> Result<()> {
    let met = older_than_the_agent(|node, pod| {
        hold(node, pod, &pod.network())?;
        Ok(None)
    })?;
    table::publish("99 older", &[Row::of("Older than the agent: a peer on lo", &met, "outside")])
}

/// It is behind a pair, so that no socket of the pod's own network is the peer's; and all of it is there before the interface is.
#[test]
fn a_new_pod_has_made_up_a_peer_before_its_interface_has_programs() -> Result<()> {
    const NAME: &str = "late";
    let workload = format!("cgroup={{cgroup}}/pods/{NAME},namespace=web,name={NAME}");
    let mut node = builder().flag("--workload", &workload).prepare()?;
    node.world().make_cgroup(&format!("pods/{NAME}"))?;
    node.start_agent(Until::Ready)?;
    let (pod, within) = node.world().add_pod_while(NAME, |pod| behind_a_pair(&node, pod))?;
    let index = node.world().host_index(NAME)?;
    let pin = format!("/interfaces/{index}/enforcer_tc_in");
    node.status_soon(|_| node.world().pins().iter().any(|it| it.ends_with(&pin)).then_some(()))?;
    node.status_soon(|status| {
        let all = status["workloads"].as_array()?;
        all.iter().find(|it| it["name"] == NAME && it["covered"] == true).map(drop)
    })?;
    let mut stage = Stage::around(node)?;
    let world = stage.node.world();
    stage.inside = vec![("past the programs", world.capture_past_programs(NAME)?)];
    (stage.sent, stage.who) = (Some(world.capture_sent(NAME)?), NAME);
    let met = answers_are_stopped(&mut stage, &pod)?;
    drop(within);
    said(&stage.node, NAME, "keep server listen 7000", "made")?;
    for (kind, own) in [("tcp4", IpAddr::from(pod.ipv4())), ("tcp6", pod.ipv6().into())] {
        said(&stage.node, OUTSIDE, &format!("keep {kind} {kind}"), "made")?;
        let to = SocketAddr::new(own, 7000);
        said(&stage.node, OUTSIDE, &format!("on {kind} connect {to}"), "connected").context("the control")?;
    }
    table::publish("99 older new", &[Row::of("Older than the programs of a new pod", &met, "outside")])
}

/// A pair between the pod's network and one within, from where the peers begin connections: by frames, for its sockets are judged already.
fn behind_a_pair(node: &Node, pod: &Pod) -> Result<Within> {
    const OWN: [&str; 2] = ["198.51.100.77", "2001:db8:77::1"];
    let world = node.world();
    let within = Within::at(world, pod.cgroup(), &pod.network())?;
    let (own, [v4, v6]) = ([OWN[0].parse()?, OWN[1].parse()?], peers()?);
    let script =
        format!("ip link set lo up; ip addr add {}/32 dev lo; ip addr add {}/128 dev lo", OWN[0], OWN[1]);
    shell(world, pod, &pod.network(), &format!("{script}; {}", until_taken(own[1])))?;
    pair(world, &pod.network(), &within.network(), own, (v4, v6))?;
    probe_at(node, "near", pod.cgroup(), &pod.network())?;
    probe_at(node, "far", pod.cgroup(), &within.network())?;
    said(node, "near", &format!("keep made-up listen {PORT}"), "made")?;
    for (peer, own) in peers()?.into_iter().zip(own) {
        let to = SocketAddr::new(own, PORT);
        let syn = format!("try syn {} {to} source={peer} mac={WITHIN}", Marker::fresh());
        let sent = node.probe("far")?.ask(&syn)?;
        ensure!(sent["sent"].as_u64() > Some(0), "{syn}: {sent}");
    }
    let mut listed =
        world.command(Path::new("ss"), Spot { network: Some(&pod.network()), ..Spot::default() })?;
    let listed = finish(listed.args(["-Htn", "state", "syn-recv"]))?.stdout;
    ensure!(listed.lines().count() == 2, "not both have reached the pod: {listed}");
    Ok(within)
}

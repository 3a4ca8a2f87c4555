//! Sockets bound to addresses that are not here, which needs no capability (`IPV6_FREEBIND`): what they send to this host seems to come
//! from there, and who answers on this host, the kernel itself among them, answers to there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::pod::NODE;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::Spot;

use crate::plain;
use crate::stage::Stage;
use crate::table::{self, Row};
use crate::targets::Targets;

/// Where the workload's server is, and where nobody is.
const PORT: u16 = 7001;
const NOBODY: u16 = 9;
/// A process of the node, of no workload.
const HOST: &str = "host";

fn said(stage: &Stage, who: &str, command: &str, expected: &str) -> Result<()> {
    let said = stage.said(who, command)?;
    ensure!(said == expected, "{who}: {command}: {said}, not {expected}");
    Ok(())
}

/// `speaker` asks the workload's server at `to`, from `from`, and is answered.
fn are_answered(stage: &Stage, speaker: &str, from: IpAddr, to: IpAddr) -> Result<()> {
    let (question, answer) = (Marker::fresh(), Marker::fresh());
    let (from, to) = (SocketAddr::new(from, 4000), SocketAddr::new(to, PORT));
    said(stage, speaker, &format!("keep asker bind {from}"), "made")?;
    stage.ask(speaker, &format!("on asker send-to {to} {question}"))?;
    said(stage, "plain", "on server receive", &question.to_string())?;
    stage.ask("plain", &format!("on server send-to {from} {answer}"))?;
    said(stage, speaker, "on asker receive", &answer.to_string())?;
    said(stage, speaker, "on asker close", "closed")
}

#[test]
fn what_a_workload_sends_itself_as_another_is_no_reason_to_answer() -> Result<()> {
    let mut stage = plain::stage()?;
    let (v4, remote) = stage.strangers();
    said(&stage, "plain", &format!("keep server bind [::]:{PORT}"), "made")?;
    said(&stage, "plain", &format!("keep stranger freebind {remote}"), "made")?;
    let here = IpAddr::from(Ipv6Addr::LOCALHOST);
    let mut met = Vec::new();
    for port in [PORT, NOBODY] {
        stage.begin()?;
        let to = SocketAddr::new(here, port);
        let call = |stage: &Stage, marker: &Marker| {
            stage.ask("plain", &format!("on stranger send-to {to} {marker}"))
        };
        met.push(stage.stopped_at(&Targets::known(here), call).with_context(|| format!("to {to}"))?);
        stage.is_nowhere(&Marker::fresh(), &Targets::strangers(v4, remote))?;
    }
    stage.begin()?;
    let call =
        |stage: &Stage, marker: &Marker| stage.ask("plain", &format!("on server send-to {remote} {marker}"));
    let calls = vec![stage.stopped_at(&Targets::strangers(v4, remote), call)?];
    // Who really is here is answered: the workload itself, and the node's own processes, such as those that look whether it is well.
    are_answered(&stage, "plain", here, here)?;
    let world = stage.node.world();
    stage.node.add_probe(HOST, Probe::start_at(world, Spot::default())?);
    are_answered(&stage, HOST, NODE.1.into(), NODE.1.into())?;
    let rows = [
        Row::of("No veth: own sockets as another", &met, "the node"),
        Row::of("No veth: own sockets as another, calls", &calls, "the node"),
    ];
    table::publish("91 freebind", &rows)
}

//! A table of flows that is full: what was pushed out of it opens nothing, and it is nobody else's trouble.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use enforcer_common::limits::LRU_SPARE_PER_CPU;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::world::{Spot, finish};
use serde_json::Value;

use crate::events::Denial;
use crate::exhaust::{all_stopped, rows, serves, talks};
use crate::stage::{Stage, builder};
use crate::table::{self, Row};

/// The smallest table of flows there is.
const FLOWS: usize = 256;

/// What a table has beyond that, for the kernel may keep so much back for each CPU that there can be.
fn spare() -> Result<usize> {
    let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last: usize = cpus.trim().rsplit([',', '-']).next().context("no CPU")?.parse()?;
    Ok(usize::try_from(LRU_SPARE_PER_CPU)? * (last + 1))
}

type Keys = BTreeSet<Vec<u8>>;

fn stage() -> Result<Stage> {
    let stage = Stage::of(builder().flag("--map-entries", &format!("flows={FLOWS}")))?;
    for who in ["curl", "other"] {
        assert_eq!(stage.said(who, "keep server listen 7000")?, "made");
    }
    Ok(stage)
}

/// `bpftool map dump`, as the kernel has it.
fn dump(node: &Node, which: &[&str]) -> Result<Vec<Value>> {
    let mut command = node.world().command(Path::new("bpftool"), Spot::default())?;
    let done = finish(command.args(["-j", "map", "dump"]).args(which))?;
    ensure!(done.code == Some(0), "bpftool map dump {which:?}: {}{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).context("reading a dump")
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    let bytes = value.as_array()?.iter();
    bytes.map(|byte| u8::from_str_radix(byte.as_str()?.trim_start_matches("0x"), 16).ok()).collect()
}

/// The keys in the table of a workload.
fn keys(node: &Node, who: &str) -> Result<Keys> {
    use std::os::unix::fs::MetadataExt as _;
    let cgroup = std::fs::metadata(node.cgroup(who)).context("finding a cgroup")?.ino().to_ne_bytes();
    let pins = node.world().pins();
    let pin =
        pins.iter().find(|pin| pin.ends_with("FLOWS")).with_context(|| format!("no FLOWS: {pins:?}"))?;
    let pin = node.world().pin_dir().join(pin);
    let tables = dump(node, &["pinned", &pin.to_string_lossy()])?;
    let table = tables.iter().find(|table| bytes(&table["key"]).as_deref() == Some(&cgroup));
    let table = table.with_context(|| format!("no table of {who}: {tables:?}"))?;
    let id = bytes(&table["value"]).and_then(|value| value.first_chunk().copied()).map(u32::from_ne_bytes);
    let id = table["inner_map_id"].as_u64().or(id.map(u64::from)).context("no table")?;
    let flows = dump(node, &["id", &id.to_string()])?;
    flows.iter().map(|flow| bytes(&flow["key"]).with_context(|| format!("no key: {flow}"))).collect()
}

/// Twice as much as the table holds, by clients outside and by the workload itself.
fn flood(stage: &Stage, who: &str) -> Result<()> {
    let pod = stage.node.world().pod(who)?;
    for number in 0..2 * (FLOWS + spare()?) {
        stage.ask(OUTSIDE, &format!("keep flood udp{}", if number % 2 == 0 { 4 } else { 6 }))?;
        let to = if number % 2 == 0 { pod.ipv4().into() } else { pod.ipv6().into() };
        let to = SocketAddr::new(to, 7009);
        stage.ask(OUTSIDE, &format!("on flood send-to {to} {}", Marker::fresh()))?;
        let own = SocketAddr::new(pod.ipv4().into(), 20_000 + u16::try_from(number)?);
        stage.ask(who, &format!("try packet-raw {} 192.0.2.10:9000 source={own}", Marker::fresh()))?;
    }
    Ok(())
}

/// What the client of `name` is to `who`: a segment of that connection by hand.
fn segment(stage: &Stage, name: &str) -> Result<(IpAddr, String)> {
    let tuple = stage.said(OUTSIDE, &format!("on {name} tuple"))?;
    let (client, own) = tuple.split_once(' ').context("no tuple")?;
    Ok((client.parse::<SocketAddr>()?.ip(), format!("try forged-data MARKER {client} source={own}")))
}

fn still_arrives(stage: &Stage, who: &str, call: &str) -> Result<()> {
    let marker = Marker::fresh();
    let answer = stage.ask(who, &call.replace("MARKER", &marker.to_string()))?;
    ensure!(!stage.outside.saw(&marker)?.is_empty(), "{call} does not arrive: {answer}");
    Ok(())
}

#[test]
fn the_table_of_flows_is_full() -> Result<()> {
    let mut stage = stage()?;
    let empty = keys(&stage.node, "curl")?;
    for who in ["curl", "other"] {
        serves(&stage.node, who, &format!("before-{who}"))?;
    }
    let mut earlier = keys(&stage.node, "curl")?;
    earlier.retain(|key| !empty.contains(key));
    ensure!(!earlier.is_empty(), "the flow is not in the table");
    let (client, segment) = segment(&stage, "before-curl")?;
    still_arrives(&stage, "curl", &segment)?;
    flood(&stage, "curl")?;
    let full = keys(&stage.node, "curl")?;
    ensure!((FLOWS..=FLOWS + spare()?).contains(&full.len()), "{} flows", full.len());
    ensure!(full.is_disjoint(&earlier), "the earlier flow is there still");
    let mut met = vec![stage.stopped_to(client, |stage, marker| {
        stage.ask("curl", &segment.replace("MARKER", &marker.to_string()))
    })?];
    met.extend(all_stopped(&mut stage)?);
    for who in ["other", "curl"] {
        talks(&stage.node, who, &format!("before-{who}")).context("the socket remembers")?;
        serves(&stage.node, who, &format!("after-{who}"))?;
    }
    stage.arrives("packet-raw {4}")?;
    table::publish("92 flows", &rows("Flow table full", met, "inbound"))
}

#[test]
fn a_workload_that_floods_pushes_out_its_own_flows_only() -> Result<()> {
    let stage = stage()?;
    serves(&stage.node, "curl", "before")?;
    let (_, segment) = segment(&stage, "before")?;
    let before = keys(&stage.node, "curl")?;
    flood(&stage, "other")?;
    ensure!(keys(&stage.node, "other")?.len() >= FLOWS, "the other's table is not full");
    ensure!(keys(&stage.node, "curl")?.is_superset(&before), "a flow of curl's has gone");
    still_arrives(&stage, "curl", &segment)?;
    talks(&stage.node, "curl", "before")
}

/// Connected datagram sockets: what is asked for, and who answers.
const CONNECTED: [(&str, &str, &str); 3] = [
    ("direct4", "192.0.2.10:9000", "192.0.2.10:9000"),
    ("direct6", "[2001:db8::10]:9000", "[2001:db8::10]:9000"),
    ("vip4", "192.0.2.80:53", "198.51.100.1:9000"),
];

/// Such sockets, each in use, and then out of the table; by name the own address of each.
fn pushed_out(stage: &Stage) -> Result<Vec<String>> {
    let empty = keys(&stage.node, "curl")?;
    let mut own = Vec::new();
    for (name, asked, _) in CONNECTED {
        stage.said("curl", &format!("keep {name} udp{}", &name[name.len() - 1..]))?;
        assert_eq!(stage.said("curl", &format!("on {name} connect {asked}"))?, "connected");
        let heard = stage.ask("curl", &format!("on {name} say"))?;
        ensure!(heard["at"].is_string(), "{name}: {heard}");
        let tuple = stage.said("curl", &format!("on {name} tuple"))?;
        own.push(tuple.split_once(' ').context("no tuple")?.0.to_owned());
    }
    let mut earlier = keys(&stage.node, "curl")?;
    earlier.retain(|key| !empty.contains(key));
    ensure!(earlier.len() == CONNECTED.len(), "{} flows", earlier.len());
    flood(stage, "curl")?;
    ensure!(keys(&stage.node, "curl")?.is_disjoint(&earlier), "an earlier flow is there still");
    Ok(own)
}

/// The server sends each socket a datagram.
fn servers_speak(stage: &Stage, own: &[String]) -> Result<()> {
    for ((name, _, server), own) in CONNECTED.iter().zip(own) {
        let question = Marker::fresh();
        let line = format!("try packet-raw {question} {own} source={server} mac=02:00:00:00:ff:01");
        stage.ask(OUTSIDE, &line)?;
        assert_eq!(stage.said("curl", &format!("on {name} receive"))?, question.to_string());
    }
    Ok(())
}

fn narrow(stage: &Stage) -> Result<()> {
    stage.node.write("registry.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")?;
    stage.node.expect_soon("curl", &[("tcp 192.0.2.10:9000", "EPERM")]);
    Ok(())
}

/// Whether a datagram from there is an answer, the table does not know any more. The socket does.
#[test]
fn a_flow_is_pushed_out_and_the_registry_narrowed() -> Result<()> {
    let (mut met, mut passed) = (Vec::new(), Vec::new());
    for narrowed_first in [true, false] {
        let mut stage = stage()?;
        let own = pushed_out(&stage)?;
        if narrowed_first {
            narrow(&stage)?;
            servers_speak(&stage, &own)?;
        } else {
            servers_speak(&stage, &own)?;
            narrow(&stage)?;
        }
        for ((name, _, server), own) in CONNECTED.iter().zip(&own) {
            let to = server.parse::<SocketAddr>()?.ip();
            let mut stopped = |call: &str| {
                stage.stopped_to(to, |stage, marker| {
                    stage.ask("curl", &call.replace("MARKER", &marker.to_string()))
                })
            };
            met.push(stopped(&format!("on {name} send MARKER")).context(*name)?);
            let by_hand = stopped(&format!("try packet-raw MARKER {server} source={own}"));
            match by_hand {
                Ok(denial) => met.push(denial),
                Err(error) => {
                    ensure!(format!("{error:#}").contains("PASSES: seen past"), "{name}: {error:#}");
                    passed.push((narrowed_first, *name));
                }
            }
        }
    }
    // A limit: without its socket it is the answer to a datagram of somebody who may not be sent anything.
    assert_eq!(passed, [(true, "direct4"), (true, "direct6"), (true, "vip4"), (false, "vip4")]);
    let limit = Row::of("The same by AF_PACKET, once it spoke", &[Denial::nowhere()], "its peer helps");
    let row = Row::of("UDP pushed out, then narrowed", &met, "before");
    table::publish("92 pushed out", &[row, limit])
}

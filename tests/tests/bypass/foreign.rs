//! Sockets of other cgroups in the hands of a workload without a network namespace of its own. The programs of a socket are those of
//! the cgroup that it was made in, and so is its workload.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::probe::Probe;

use crate::events::{Denial, NOBODY};
use crate::kept::{SOCKETS, arrives, call, pass};
use crate::plain;
use crate::stage::Stage;
use crate::table::{self, Row};

/// How it comes to the workload.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// With the process that made it.
    Moved,
    /// By `SCM_RIGHTS`.
    Passed,
}

/// A process of the workload that has a socket `one`, made in this cgroup.
fn user(stage: &Stage, way: Way, cgroup: &str, kind: &str, taken: &str) -> Result<Probe> {
    let (world, plain) = (stage.node.world(), stage.node.cgroup("plain"));
    let mut giver = Probe::start(world, &world.make_cgroup(cgroup)?)?;
    assert_eq!(giver.ask(&format!("keep one {kind}"))?["said"], "made");
    match way {
        Way::Moved => {
            fs::write(plain.join("cgroup.procs"), giver.pid().to_string()).context("moving a process")?;
            Ok(giver)
        }
        Way::Passed => {
            let mut receiver = Probe::start(world, &plain)?;
            pass(&mut giver, &mut receiver, "one", taken, &world.directory().join("passed"))?;
            Ok(receiver)
        }
    }
}

/// What each does, to the node's next hop.
fn last(kind: &str, last: &str) -> String {
    if kind == "packet" { format!("{last} mac=02:00:00:00:ff:02") } else { last.to_owned() }
}

/// Below a `--cgroup` the calls are those of the process, and the packets those of the cgroup that the socket was made in.
#[test]
fn sockets_of_others_below_the_enforced_cgroup() -> Result<()> {
    let mut stage = plain::stage()?;
    let mut met = Vec::new();
    for way in [Way::Moved, Way::Passed] {
        for (kind, taken, call_of) in SOCKETS {
            let mut user = user(&stage, way, &format!("pods/{NOBODY}"), kind, taken)?;
            let last = last(kind, call_of);
            stage.who = if kind.starts_with("udp") || kind.starts_with("tcp") { "plain" } else { NOBODY };
            let stopped = stage.stopped_if(|_, marker, to| user.ask(&call("one", &last, marker, to)));
            met.push(stopped.with_context(|| format!("{way:?}: {kind} {last}"))?);
            assert_eq!(user.ask(&format!("keep two {kind}"))?["said"], "made");
            arrives(&mut stage, &mut user, "two", &last)?;
        }
    }
    let technique = "No veth: sockets of others";
    let (calls, packets): (Vec<Denial>, _) =
        met.into_iter().partition(|it| ["connect", "sendmsg"].contains(&&*it.hook));
    let calls = Row::of(&format!("{technique}, calls"), &calls, "own");
    table::publish("92 foreign", &[Row::of(technique, &packets, "own"), calls])
}

/// A limit: no program meets them, and `--uplink` takes them for those of a process of the node.
#[test]
fn sockets_of_others_beyond_the_enforced_cgroup() -> Result<()> {
    let mut stage = plain::stage()?;
    for way in [Way::Moved, Way::Passed] {
        for (kind, taken, call_of) in SOCKETS {
            let mut user = user(&stage, way, "elsewhere", kind, taken)?;
            let last = last(kind, call_of);
            let stopped = stage.stopped_if(|_, marker, to| user.ask(&call("one", &last, marker, to)));
            let error = stopped.err().context("it is stopped: the table has to say so")?;
            ensure!(format!("{error:#}").contains("PASSES: seen outside"), "{way:?}: {kind}: {error:#}");
        }
    }
    let technique = "No veth: sockets from beyond --cgroup";
    table::publish("92 limit sockets", &[Row::of(technique, &[Denial::nowhere()], "below --cgroup")])
}

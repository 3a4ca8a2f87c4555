//! `enforcer mode`: the node's switch, read and turned through its pin. The agent is asked only for the names of workloads, and
//! not for long: this is for the moment when it hangs.

mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::{Enforcement, Switch};
use serde::Serialize;

use crate::admin::client::Client;
use crate::cli::Answer;
use crate::cli::args::mode::ModeArgs;
use crate::cli::output::{self, Format};
use crate::config::resolve::{self, Faulty, Turn};
use crate::dataplane::switch::NodeSwitch;
use crate::status::Status;
use crate::{clock, identity};

/// How long the agent may take to name the workloads, and as long once more to look for what it did not name.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is in force. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Mode {
    enforcement: &'static str,
    /// RFC 3339.
    until: Option<String>,
    then: Option<&'static str>,
    flag: Option<&'static str>,
    /// Whether it is something else than the flag, now or later.
    overridden: bool,
    workloads_with_own: Vec<Own>,
}

/// A workload with its own enforcement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Own {
    /// Its directory; its id when that was not found.
    cgroup: String,
    /// `namespace/name`, if the agent has told.
    workload: Option<String>,
    enforcement: &'static str,
}

pub(super) fn run(args: &ModeArgs, format: Format) -> anyhow::Result<Answer> {
    let request = resolve::mode(args).map_err(Faulty)?;
    let mut node = NodeSwitch::open(&request.pin_dir)?;
    let before = node.read()?.settled(clock::since_boot());
    let turn = request.turn;
    if let Some(turn) = turn {
        node.write(turned(before, turn, clock::since_boot_ns()))
            .with_context(|| format!("switching to {}", turn.to))?;
    }
    let switch = node.read()?.settled(clock::since_boot());
    let own = match node.workloads_with_own() {
        Ok(own) => own,
        // The switch is turned: that is what must be told.
        Err(error) if turn.is_some() => {
            output::note(&format!("which workloads have their own enforcement is not known: {error}"));
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let mode = mode(switch, node.flag()?, named(own, &request.admin));
    let told = print::Told { turned: turn.map(|turn| (before.now, turn)), attached: node.attached() };
    output::answer(format, &mode, |mode, look| print::human(mode, &told, look))?;
    for abi in node.other_abis() {
        output::note(&format!(
            "{abi} is pinned below {}, too: what it has attached decides by its own switch, which only its own \
             version can turn",
            request.pin_dir.display()
        ));
    }
    Ok(Answer::Yes)
}

/// The switch after `turn`. A limit is never cut short: it ends with the second in which it is over.
fn turned(before: Switch, turn: Turn, now_ns: u64) -> Switch {
    let until = turn.limit.map(|limit| {
        let end = u128::from(now_ns) + limit.as_nanos();
        u64::try_from(end.div_ceil(1_000_000_000)).unwrap_or(u64::MAX >> 16)
    });
    before.turned(turn.to, now_ns / 1_000_000_000, until)
}

fn mode(switch: Switch, flag: Option<Enforcement>, own: Vec<Own>) -> Mode {
    let later = switch.later.map(|(later, _)| later);
    let differs = |enforcement: Enforcement| flag.is_some_and(|flag| flag != enforcement);
    Mode {
        enforcement: switch.now.as_str(),
        until: switch.later.map(|(_, until)| clock::rfc3339(until)),
        then: later.map(Enforcement::as_str),
        flag: flag.map(Enforcement::as_str),
        overridden: differs(switch.now) || later.is_some_and(differs),
        workloads_with_own: own,
    }
}

/// Names and places of workloads, as far as they are soon found.
fn named(own: Vec<(CgroupId, Enforcement)>, admin: &Path) -> Vec<Own> {
    if own.is_empty() {
        return Vec::new();
    }
    let known = ask(admin).map(known).unwrap_or_default();
    let unknown: BTreeSet<CgroupId> =
        own.iter().map(|(id, _)| *id).filter(|id| !known.contains_key(id)).collect();
    let found = if unknown.is_empty() {
        BTreeMap::new()
    } else {
        identity::paths(&unknown, Instant::now() + PATIENCE)
    };
    let name = |(id, enforcement): (CgroupId, Enforcement)| {
        let known = known.get(&id);
        let path = known.map(|(_, path)| path).or_else(|| found.get(&id));
        Own {
            cgroup: path.map_or_else(|| id.get().to_string(), |path| path.display().to_string()),
            workload: known.map(|(name, _)| name.clone()),
            enforcement: enforcement.as_str(),
        }
    };
    own.into_iter().map(name).collect()
}

/// The workloads that the agent names, by their cgroups.
fn known(status: Status) -> BTreeMap<CgroupId, (String, PathBuf)> {
    let workloads = status.workloads.into_iter().filter_map(|workload| {
        let path = PathBuf::from(workload.cgroup);
        let id = CgroupId::new(std::fs::metadata(&path).ok()?.ino());
        Some((id, (format!("{}/{}", workload.namespace, workload.name), path)))
    });
    workloads.collect()
}

/// The agent's status; nothing when it does not say it at once.
fn ask(admin: &Path) -> Option<Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let question = async {
            let mut client = Client::connect(admin).await.ok()?;
            client.status().await.ok()
        };
        tokio::time::timeout(PATIENCE, question).await.ok().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Enforcement::{Audit, Enforce, Off};

    #[test]
    fn a_limit_lasts_at_least_as_long_as_it_says() {
        let node = Switch::to(Enforce);
        let turn = |seconds: Option<u64>| Turn { to: Audit, limit: seconds.map(Duration::from_secs) };
        assert_eq!(turned(node, turn(None), 5_400_000_000), Switch::to(Audit));
        let limited = |until| Switch { now: Audit, later: Some((Enforce, until)) };
        assert_eq!(turned(node, turn(Some(1)), 5_400_000_000), limited(7));
        assert_eq!(turned(node, turn(Some(1)), 5_000_000_000), limited(6));
        // The end of the running one is in the past: it is over.
        let over = Switch { now: Off, later: Some((Enforce, 4)) };
        assert_eq!(turned(over, turn(Some(1)), 5_000_000_000), limited(6));
    }

    #[test]
    fn what_is_in_force_is_held_against_the_flag() {
        let limited = Switch { now: Enforce, later: Some((Audit, clock::since_boot() + 60)) };
        for (switch, flag, then, overridden) in [
            (Switch::to(Enforce), Some(Enforce), None, false),
            (Switch::to(Off), Some(Enforce), None, true),
            (limited, Some(Enforce), Some("audit"), true),
            (limited, Some(Audit), Some("audit"), true),
            (Switch::to(Off), None, None, false),
        ] {
            let mode = mode(switch, flag, Vec::new());
            assert_eq!((mode.then, mode.overridden), (then, overridden), "{switch:?} {flag:?}");
            assert_eq!((mode.enforcement, mode.until.is_some()), (switch.now.as_str(), then.is_some()));
        }
    }

    #[test]
    fn an_agent_that_hangs_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let begun = Instant::now();
        assert!(ask(&path).is_none(), "nobody is there");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(ask(&path).is_none(), "somebody is there and says nothing");
        assert!(begun.elapsed() < PATIENCE * 4, "{:?}", begun.elapsed());
    }
}

//! Sending canaries, and looking whether they were noticed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use enforcer_common::addr::Protocol;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Verdict;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::Interval;

use super::{Cage, DESTINATION, Ear, Met};
use crate::controller::{Applied, Event};
use crate::dataplane::counters::Counters;
use crate::dataplane::judge::Judge;
use crate::status::canary::{CanaryPlace, CanaryStatus};

/// How often; besides whenever programs are attached somewhere else.
const EVERY: Duration = Duration::from_mins(1);
/// How long a canary may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the event of a canary may take from the kernel to the ear.
const HEARING: Duration = Duration::from_secs(1);

/// By what a canary is noticed.
pub struct Senses {
    /// What should become of it.
    pub judge: Judge,
    /// What was decided.
    pub counters: Counters,
    /// What was told.
    pub ear: Arc<Ear>,
}

/// What was found at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    Noticed(Verdict, Enforcement),
    /// What to do about it.
    Failed(String),
    /// Why.
    Skipped(String),
}

/// Sends them for ever, while anything is enforced, and tells the controller.
pub async fn watch(
    mut applied: watch::Receiver<Arc<Applied>>,
    senses: Senses,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let mut status = CanaryStatus::default();
    let mut last = Vec::new();
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let roots = until_due(&mut interval, &mut applied, &last).await?;
        last.clone_from(&roots);
        let is_off = senses.judge.switch()?.now == Enforcement::Off || roots.is_empty();
        if is_off && status.places.is_empty() {
            continue;
        }
        status.places.clear();
        if !is_off {
            status.rounds += 1;
            for root in &roots {
                // What is expected may have changed while it was met.
                let found = match look(Path::new(root), &senses).await {
                    Found::Failed(_) => look(Path::new(root), &senses).await,
                    found => found,
                };
                take(&mut status, root, found);
            }
        }
        events.send(Event::Canary(status.clone())).await.ok().context("the controller is gone")?;
    }
}

/// Waits until it is time, or until programs are attached to others than `last`. Returns to which.
async fn until_due(
    interval: &mut Interval,
    applied: &mut watch::Receiver<Arc<Applied>>,
    last: &[String],
) -> Result<Vec<String>> {
    loop {
        let is_time = tokio::select! {
            _ = interval.tick() => true,
            changed = applied.changed() => changed.map(|()| false).context("the controller is gone")?,
        };
        let roots = applied.borrow_and_update().status.attached.clone();
        if is_time || roots != last {
            interval.reset();
            return Ok(roots);
        }
    }
}

fn take(status: &mut CanaryStatus, cgroup: &str, found: Found) {
    let (result, why) = match found {
        Found::Noticed(verdict, enforcement) => {
            if enforcement != Enforcement::Off {
                status.count(verdict.reason.as_str(), enforcement == Enforcement::Enforce);
            }
            ("passed", None)
        }
        Found::Failed(why) => {
            status.failures += 1;
            ("failed", Some(why))
        }
        Found::Skipped(why) => {
            tracing::debug!(cgroup, why, "no canary");
            ("skipped", Some(why))
        }
    };
    status.places.push(CanaryPlace { cgroup: cgroup.to_owned(), result: result.to_owned(), why });
}

async fn look(root: &Path, senses: &Senses) -> Found {
    let Senses { judge, counters, ear } = senses;
    let sent = async {
        let id_of = |path: &Path| fs::metadata(path).map(|metadata| CgroupId::new(metadata.ino()));
        let id = id_of(root).context("cannot look at the cgroup")?;
        let cage = Cage::make(root).context("cannot make a cgroup for it")?;
        // A process without identity is told of by its own cgroup.
        ear.listen(BTreeSet::from([id, id_of(&cage.0).context("cannot look at its cgroup")?]));
        let (verdict, enforcement) = judge.call(id, Protocol::UDP, DESTINATION.into())?;
        let count = || counters.of(verdict.reason, enforcement == Enforcement::Enforce);
        let unsent = || counters.suppressed().values().sum::<u64>();
        let before = (count(), unsent());
        let met = send(&cage).await.context("cannot run it")?;
        drop(cage);
        let is_told = !verdict.reason.allows() && enforcement != Enforcement::Off;
        let noticed = if is_told && met != Met::Nothing && ear.heard(HEARING).await {
            true
        } else {
            // Others are counted, too: that counts only where no event was due, or one may have been left out.
            count() > before.0 && (!is_told || unsent() > before.1)
        };
        Ok::<_, anyhow::Error>((verdict, enforcement, met, noticed))
    };
    match sent.await {
        Err(error) => Found::Skipped(format!("{error:#}")),
        Ok((_, _, Met::Nothing, _)) => {
            Found::Skipped("it could not get into its cgroup, or did not end".to_owned())
        }
        Ok((verdict, enforcement, met, noticed)) => judged(root, verdict, enforcement, met, noticed),
    }
}

fn judged(root: &Path, verdict: Verdict, enforcement: Enforcement, met: Met, noticed: bool) -> Found {
    let root = root.display();
    let asked = format!("a process below {root} asked for {DESTINATION}/udp");
    let advice = "look for other programs with `enforcer doctor`, and start the agent again";
    if enforcement == Enforcement::Enforce && !verdict.reason.allows() && met != Met::Denied {
        let reason = verdict.reason.as_str();
        return Found::Failed(format!(
            "{asked}, which is to be denied ({reason}), and was not denied: {advice}"
        ));
    }
    if enforcement != Enforcement::Off && !noticed {
        return Found::Failed(format!("{asked}, and the programs there have decided nothing: {advice}"));
    }
    Found::Noticed(verdict, enforcement)
}

/// Runs one. It goes into its cgroup before it has a socket.
async fn send(cage: &Cage) -> Result<Met> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("canary").arg(&cage.0).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut canary = command.spawn()?;
    if let Ok(ended) = tokio::time::timeout(PATIENCE, canary.wait()).await {
        return Ok(Met::from_exit_code(ended?.code()));
    }
    canary.kill().await?;
    Ok(Met::Nothing)
}

#[cfg(test)]
mod tests {
    use enforcer_common::id::RuleId;
    use enforcer_common::reason::Reason;

    use super::*;

    #[test]
    fn a_canary_must_be_counted_and_denied_when_it_is_to_be() {
        let denied = Verdict::deny(Reason::UnknownWorkload, RuleId::NONE);
        let allowed = Verdict::allow(Reason::UnknownWorkloadAllowed, RuleId::NONE);
        for (verdict, enforcement, met, counted, expected) in [
            (denied, Enforcement::Enforce, Met::Denied, true, None),
            (denied, Enforcement::Enforce, Met::Denied, false, Some("decided nothing")),
            (denied, Enforcement::Enforce, Met::LetThrough, true, Some("was not denied")),
            (denied, Enforcement::Enforce, Met::Other, true, Some("(unknown_workload), and was not denied")),
            (denied, Enforcement::Audit, Met::LetThrough, true, None),
            (denied, Enforcement::Audit, Met::LetThrough, false, Some("decided nothing")),
            (allowed, Enforcement::Enforce, Met::Other, true, None),
            (allowed, Enforcement::Enforce, Met::LetThrough, false, Some("decided nothing")),
            // A workload of its own that is off: its programs decide nothing.
            (denied, Enforcement::Off, Met::LetThrough, false, None),
        ] {
            let found = judged(Path::new("/sys/fs/cgroup/x"), verdict, enforcement, met, counted);
            let what = format!("{verdict:?} {enforcement} {met:?} {counted}: {found:?}");
            match expected {
                None => assert_eq!(found, Found::Noticed(verdict, enforcement), "{what}"),
                Some(part) => assert!(matches!(&found, Found::Failed(why) if why.contains(part)), "{what}"),
            }
        }
    }

    #[test]
    fn its_decisions_and_failures_are_told() {
        let mut status = CanaryStatus::default();
        let denied = Verdict::deny(Reason::UnknownWorkload, RuleId::NONE);
        take(&mut status, "/a", Found::Noticed(denied, Enforcement::Enforce));
        take(&mut status, "/b", Found::Noticed(denied, Enforcement::Audit));
        take(&mut status, "/c", Found::Failed("why".to_owned()));
        take(&mut status, "/d", Found::Skipped("threaded".to_owned()));
        let results: Vec<&str> = status.places.iter().map(|place| place.result.as_str()).collect();
        assert_eq!(results, ["passed", "passed", "failed", "skipped"]);
        assert_eq!((status.failures, status.reasons().collect::<Vec<_>>()), (1, vec!["why".to_owned()]));
        let counts: Vec<_> =
            status.decisions.iter().map(|count| (&*count.reason, count.enforced, count.audited)).collect();
        assert_eq!(counts, [("unknown_workload", 1, 1)]);
    }
}

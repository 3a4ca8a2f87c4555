//! `enforcer simulate`: which recorded flows a registry would deny. A gate for changes of the registry: what cannot be
//! judged, or not be read, does not pass it in silence.

mod print;

use std::collections::BTreeSet;

use anyhow::bail;
use clap::Args;
use enforcer_core::simulate::{Outcome, Simulation, simulate};
use serde::Serialize;

use crate::cli::args::{JunkArgs, OfflineArgs, PolicyArgs, RegistryArgs};
use crate::cli::output::{self, ClosedPipe, Format};
use crate::cli::{Answer, offline, progress, recorded};
use crate::config;
use crate::config::resolve::{self, Faulty};

/// The flags of `enforcer simulate`.
#[allow(clippy::doc_markdown)] // the comments are the help
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// The flows: a file of JSON lines as `enforcer observe -o json` writes them, or - for standard input
    #[arg(long, value_name = "FILE")]
    flows: String,
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    junk: JunkArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    reading: RegistryArgs,
}

/// What was found. The field names are stable.
#[derive(Serialize)]
struct Report {
    flows: u64,
    denied: u64,
    not_judged: u64,
    /// Flows that the recorder had lost.
    lost: u64,
    /// Lines that are no flow.
    junk: u64,
    outcomes: Vec<Outcome>,
}

pub(super) fn run(args: &SimulateArgs, format: Format) -> anyhow::Result<Answer> {
    if args.offline.registry.is_empty() {
        bail!(
            "give the registry to judge by with --registry file:PATH; the running agent's cannot be had as it is: what it \
             exports is registryz, which has no endpoints, and a verdict without them would be a guess"
        );
    }
    let sources = &args.offline.registry;
    let (registry, policy) = resolve::judging(sources, &args.reading, &args.policy).map_err(Faulty)?;
    let recorded = recorded::read(&args.flows)?;
    let loaded = offline::load(&registry)?;
    loaded.tell();
    let settings = config::settings(&policy, &registry, BTreeSet::new());
    let judged =
        progress::during("judging the flows", || simulate(&loaded.registry, &settings, &recorded.recording));
    let Simulation { flows, denied, not_judged, outcomes } = judged.map_err(offline::not_compiled)?;
    let report = Report { flows, denied, not_judged, lost: recorded.lost, junk: recorded.junk, outcomes };
    match output::answer(format, &report, print::human) {
        // Whoever has seen enough of it still wants to know whether it passed.
        Err(error) if !error.is::<ClosedPipe>() => return Err(error),
        _ => {}
    }
    recorded.check(&args.junk)?;
    if not_judged == flows {
        bail!("none of the flows could be judged; see the answer for the reasons");
    }
    Ok(Answer::from_bool(denied == 0))
}

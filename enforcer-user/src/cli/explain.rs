//! `enforcer explain`: why a destination is allowed or denied, by the live maps or by files.

mod pid;
mod print;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use clap::{ArgMatches, Args};
use enforcer_common::key::CgroupId;
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::policy::destination::Destination;
use enforcer_core::policy::explain::Explanation;

use crate::cli::args::{AdminArgs, OfflineArgs, PolicyArgs, RegistryArgs};
use crate::cli::output::{self, Format};
use crate::cli::{Answer, ask, offline};
use crate::config;
use crate::config::resolve::{self, Faulty};

/// The flags of `enforcer explain`.
#[allow(clippy::doc_markdown)] // the comments are the help
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Who asks: namespace/name or namespace=NS[,name=N][,labels=k=v;k2=v2]; of the running agent's workloads also
    /// a name, a namespace, cgroup=PATH or pid=1234
    #[arg(long, value_name = "W")]
    workload: String,
    /// Where to: host:port, 192.0.2.1:443, [2001:db8::1]:443, a network as in 192.0.2.0/24:443, or a URL; with /udp
    /// behind it for UDP
    #[arg(value_name = "DEST")]
    destination: String,
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    reading: RegistryArgs,
}

pub(super) fn run(args: &ExplainArgs, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    match Destination::read(&args.destination) {
        // Who knows the registry can tell the ports that are there.
        Err(error) if error.portless().is_none() => return Err(error.into()),
        _ => {}
    }
    let explanation = if args.offline.registry.is_empty() {
        ask::nothing_offline(matches)?;
        let (workload, destination) = (pid::cgroup_for(&args.workload)?, &args.destination);
        ask::agent(&args.admin, ask::OFFLINE, async |agent| agent.explain(&workload, destination).await)?
    } else {
        by_files(args)?
    };
    output::answer(format, &explanation, print::human)?;
    Ok(Answer::from_bool(!["deny", "mixed"].contains(&&*explanation.verdict)))
}

fn by_files(args: &ExplainArgs) -> anyhow::Result<Explanation> {
    let (registry, policy, workload) =
        resolve::explaining(&args.offline.registry, &args.reading, &args.policy, &args.workload)
            .map_err(Faulty)?;
    let loaded = offline::load(&registry)?;
    loaded.tell();
    let spec = WorkloadSpec {
        labels: workload.labels,
        ..WorkloadSpec::new(CgroupId::new(0), workload.namespace, &workload.name)
    };
    let settings = config::settings(&policy, &registry, BTreeSet::new());
    let mut compiler = Compiler::new(settings, Limits::UNLIMITED);
    let workloads = [spec];
    compiler.update(&loaded.registry, &workloads, Duration::ZERO).map_err(offline::not_compiled)?;
    let reading = compiler.destination(&workloads[0], &args.destination).map_err(|error| anyhow!(error))?;
    let mut explanation = compiler.explain(compiler.image(), &workloads[0], &reading.destination);
    explanation.warnings.extend(reading.notes);
    Ok(explanation)
}

//! `enforcer explain`: why a destination is allowed or denied, by the live maps or by files.

mod print;

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// Who asks: namespace/name, a name or cgroup=PATH of the agent's workloads, or
    /// namespace=NS[,name=N][,labels=k=v;k2=v2], which is the only form with --registry
    #[arg(long, value_name = "W")]
    workload: String,
    /// Where to: host:port, 192.0.2.1:443 or [2001:db8::1]:443, with /udp behind it for UDP
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
    let destination: Destination = args.destination.parse()?;
    let explanation = if args.offline.registry.is_empty() {
        ask::nothing_offline(matches)?;
        let (workload, destination) = (&args.workload, &args.destination);
        ask::agent(&args.admin, ask::OFFLINE, async |agent| agent.explain(workload, destination).await)?
    } else {
        by_files(args, &destination)?
    };
    output::answer(format, &explanation, print::human)?;
    Ok(Answer::from_bool(explanation.verdict != "deny"))
}

fn by_files(args: &ExplainArgs, destination: &Destination) -> anyhow::Result<Explanation> {
    let (registry, policy, workload) =
        resolve::explaining(&args.offline.registry, &args.reading, &args.policy, &args.workload)
            .map_err(Faulty)?;
    let loaded = offline::load(&registry)?;
    loaded.tell();
    let spec = WorkloadSpec {
        cgroup: CgroupId::new(0),
        namespace: workload.namespace,
        name: workload.name.into(),
        labels: workload.labels,
        enforcement: None,
    };
    let settings = config::settings(&policy, &registry, BTreeSet::new());
    let mut compiler = Compiler::new(settings, Limits::UNLIMITED);
    let workloads = [spec];
    compiler.update(&loaded.registry, &workloads, Duration::ZERO).map_err(offline::not_compiled)?;
    Ok(compiler.explain(compiler.image(), &workloads[0], destination))
}

//! `enforcer registry`: the registry as the agent sees it, or as files would make it.

mod export;
mod get;
mod list;
mod validate;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Subcommand};

use crate::cli::args::{AdminArgs, OfflineArgs, RegistryArgs};
use crate::cli::output::Format;
use crate::cli::{Answer, ask, offline};
use crate::config::resolve::{self, Faulty};

pub use view::{EndpointView, PortView, ServiceView, views};

/// `enforcer registry ...`.
#[derive(Args, Debug)]
pub struct RegistryCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Lists the services
    List(ReadArgs),
    /// Shows everything of a host: exit code 1 when it is not registered
    Get {
        /// The host; a name that only a wildcard covers shows the wildcard
        host: String,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Checks files and directories without the agent: exit code 1 when anything has an error
    Validate {
        /// Files or directories of Istio and Kubernetes YAML or JSON
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        reading: RegistryArgs,
    },
    /// Prints the registry as Istio's /debug/registryz does
    Export(ReadArgs),
}

/// Whom to ask: the agent, or files.
#[derive(Args, Debug)]
struct ReadArgs {
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    reading: RegistryArgs,
}

pub(super) fn run(command: &RegistryCommand, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    match &command.what {
        What::List(read) => list::run(read, matches, format),
        What::Get { host, read } => get::run(host, read, matches, format),
        What::Validate { paths, reading } => validate::run(paths, reading, format),
        What::Export(read) => export::run(read, matches, format),
    }
}

impl ReadArgs {
    /// The registry of `--registry`; `None` when the agent is to be asked.
    fn offline(&self, matches: &ArgMatches) -> anyhow::Result<Option<offline::Offline>> {
        if self.offline.registry.is_empty() {
            ask::nothing_offline(matches)?;
            return Ok(None);
        }
        let config = resolve::reading(&self.offline.registry, &self.reading).map_err(Faulty)?;
        let offline = offline::load(&config)?;
        offline.tell();
        Ok(Some(offline))
    }

    /// The services of `host`, or all.
    fn services(&self, host: Option<&str>, matches: &ArgMatches) -> anyhow::Result<Vec<ServiceView>> {
        match self.offline(matches)? {
            Some(offline) => Ok(views(Arc::clone(&offline.registry), host).collect()),
            None => ask::agent(&self.admin, ask::OFFLINE, async |agent| agent.services(host).await),
        }
    }
}

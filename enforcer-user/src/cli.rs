//! The command line: what can be typed. What it means is [`crate::config::resolve`]'s; how it is answered is in one file
//! per command. Nothing here knows the kernel: the agent is asked over its admin socket.

pub mod args;
mod ask;
mod detach;
pub mod explain;
mod offline;
pub mod output;
mod progress;
mod recorded;
pub mod registry;
mod run;
pub mod simulate;
pub mod status;
pub mod suggest;
mod text;
mod version;

use clap::{ArgMatches, Parser, Subcommand};

use crate::cli::args::AdminArgs;
use crate::cli::output::Format;

/// What a command found out. An `Err` beside it is a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Exit code 0.
    Yes,
    /// Exit code 1: denied, invalid, not ready, not found.
    No,
}

impl Answer {
    /// Yes when it holds.
    pub fn from_bool(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Makes Istio's REGISTRY_ONLY real in the kernel.
#[derive(Parser, Debug)]
#[command(
    name = "enforcer",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 success; 1 the answer is no (denied, invalid, not ready, not found); 2 usage or failure."
)]
pub struct Cli {
    /// How reading commands answer
    #[arg(
        short,
        long,
        value_enum,
        global = true,
        default_value_t,
        value_name = "table|json|yaml",
        hide_possible_values = true
    )]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Runs the agent
    Run(Box<args::run::RunArgs>),
    /// Tells how the running agent is: exit code 1 when it is not ready
    Status(AdminArgs),
    /// Shows the registry as the agent sees it, or checks files
    Registry(registry::RegistryCommand),
    /// Tells why a destination is allowed or denied: exit code 1 when it is denied
    Explain(Box<explain::ExplainArgs>),
    /// Prints the ServiceEntries that denied flows lack, to review and apply
    Suggest(Box<suggest::SuggestArgs>),
    /// Tells which recorded flows a registry would deny: exit code 1 when there is one
    Simulate(Box<simulate::SimulateArgs>),
    /// Takes every program, link and pin off this node, with or without a living agent
    Detach(detach::DetachArgs),
    /// Prints version, commit, ABI and the hash of the kernel object
    Version,
}

/// Does what was typed. `matches` knows which flags were typed and which came from the environment.
pub fn run(cli: &Cli, matches: &ArgMatches) -> anyhow::Result<Answer> {
    match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(args, cli.output),
        Command::Registry(command) => registry::run(command, matches, cli.output),
        Command::Explain(args) => explain::run(args, matches, cli.output),
        Command::Suggest(args) => suggest::run(args, matches, cli.output),
        Command::Simulate(args) => simulate::run(args, cli.output),
        Command::Detach(args) => detach::run(args, cli.output),
        Command::Version => version::run(cli.output),
    }
}

#[cfg(test)]
mod tests;

//! The command line: what can be typed. What it means is [`crate::config::resolve`]'s; how it is answered is in one file
//! per command. Nothing here knows the kernel: the agent is asked over its admin socket.

pub mod args;
mod ask;
pub mod canary;
pub mod completions;
mod detach;
pub mod docs;
mod doctor;
pub mod explain;
pub mod man;
mod mode;
mod observe;
mod offline;
pub mod output;
mod progress;
mod recorded;
mod reference;
pub mod registry;
mod run;
pub mod simulate;
pub mod status;
pub mod suggest;
mod text;
mod version;

use clap::{ArgMatches, CommandFactory as _, Parser, Subcommand};

use crate::cli::args::AdminArgs;
use crate::cli::output::Format;

/// What a command found out. An `Err` beside it is a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Exit code 0.
    Yes,
    /// Exit code 1: denied, invalid, not ready, not found.
    No,
    /// This exit code, for a program that knows what it means.
    Code(u8),
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
    ///
    /// It compiles the registry into maps of the kernel and keeps them current. Stopping it, by any signal, leaves
    /// enforcement as it is; `enforcer detach` lifts it.
    Run(Box<args::run::RunArgs>),
    /// Tells how the running agent is: exit code 1 when it is not ready
    Status(AdminArgs),
    /// Shows the registry as the agent sees it, or checks files
    Registry(registry::RegistryCommand),
    /// Tells why a destination is allowed or denied: exit code 1 when it is denied
    Explain(Box<explain::ExplainArgs>),
    /// Shows flows: those that are kept, or with --follow those that come
    Observe(observe::ObserveArgs),
    /// Shows what is enforced on this node, or switches it at once, with or without a living agent
    Mode(args::mode::ModeArgs),
    /// Looks whether this node can enforce, and who else is here: exit code 1 when it cannot
    Doctor(doctor::DoctorArgs),
    /// Prints the ServiceEntries that denied flows lack, to review and apply
    Suggest(Box<suggest::SuggestArgs>),
    /// Tells which recorded flows a registry would deny: exit code 1 when there is one
    Simulate(Box<simulate::SimulateArgs>),
    /// Takes every program, link and pin off this node, with or without a living agent
    Detach(detach::DetachArgs),
    /// Prints version, commit, ABI and the hash of the kernel object
    Version,
    /// Prints what a shell needs to complete commands and flags
    Completions(completions::CompletionsArgs),
    /// Prints the manual page, or writes one for every command
    Man(man::ManArgs),
    /// Prints a generated part of the documentation
    #[command(hide = true)]
    Docs(docs::DocsArgs),
    /// What the agent starts to see whether its programs notice
    #[command(hide = true)]
    Canary(canary::CanaryArgs),
}

/// Commands whose answer has one form only.
const ONE_FORM: [&str; 5] = ["run", "completions", "man", "docs", "canary"];

/// The definitions as people see them.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    // Hands -o down to the commands, which may hide it then.
    command.build();
    shown(command)
}

fn shown(command: clap::Command) -> clap::Command {
    let one_form = ONE_FORM.contains(&command.get_name());
    let lines = !command.has_subcommands();
    command
        // Beside flags of this length there is no room for their help.
        .next_line_help(lines)
        .mut_args(|arg| {
            let hidden = arg.is_hide_set() || (one_form && arg.get_id() == "output");
            arg.hide(hidden).hide_env_values(true)
        })
        .mut_subcommands(shown)
}

/// Does what was typed. `matches` knows which flags were typed and which came from the environment.
pub fn run(cli: &Cli, matches: &ArgMatches) -> anyhow::Result<Answer> {
    match &cli.command {
        Command::Run(args) => run::run(args.check_config, matches),
        Command::Status(args) => status::run(args, cli.output),
        Command::Registry(command) => registry::run(command, matches, cli.output),
        Command::Explain(args) => explain::run(args, matches, cli.output),
        Command::Observe(args) => observe::run(args, cli.output),
        Command::Mode(args) => mode::run(args, cli.output),
        Command::Doctor(args) => doctor::run(args, cli.output),
        Command::Suggest(args) => suggest::run(args, matches, cli.output),
        Command::Simulate(args) => simulate::run(args, cli.output),
        Command::Detach(args) => detach::run(args, cli.output),
        Command::Version => version::run(cli.output),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Canary(args) => Ok(canary::run(args)),
    }
}

/// What was typed behind the last of the commands.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

#[cfg(test)]
mod tests;

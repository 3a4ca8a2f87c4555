//! `enforcer completions`.

use clap::{Args, Command, ValueEnum};
use clap_complete::aot;

use crate::cli::reference::arguments;
use crate::cli::{Answer, command, output};

/// The flags of `enforcer completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// The shells that there are completions for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<Answer> {
    output::print(&script(args.shell))?;
    Ok(Answer::Yes)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = visible(&command());
    let name = command.get_name().to_owned();
    match shell {
        Shell::Bash => aot::generate(aot::Bash, &mut command, name, &mut script),
        Shell::Zsh => aot::generate(aot::Zsh, &mut command, name, &mut script),
        Shell::Fish => aot::generate(aot::Fish, &mut command, name, &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

/// The command without what is hidden, which the generators would offer all the same. Help and version are among the
/// arguments and commands already.
fn visible(command: &Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    Command::new(command.get_name().to_owned())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        // Every command has its own already, unless it hides it.
        .args(arguments(command).cloned().map(|arg| arg.global(false)))
        .subcommands(command.get_subcommands().filter(|below| !below.is_hide_set()).map(visible))
}

#[cfg(test)]
mod tests;

//! What manual pages and reference tell beside the definitions: exit codes, environment, files.

use clap::{Arg, Command};

use crate::config::defaults;

/// What exit code 1 of a command says. A command that is not here has no such answer.
pub(super) const NO: &[(&str, &str)] = &[
    ("enforcer status", "the agent is not ready"),
    ("enforcer registry get", "the host is not registered"),
    ("enforcer registry validate", "something has an error"),
    ("enforcer explain", "the destination is denied"),
];

/// Variables that are no flags: name, what they say, and the only command that heeds them, if it is one.
pub(super) const VARIABLES: &[(&str, &str, Option<&str>)] =
    &[("NO_COLOR", "no colours, when set to anything", None)];

/// How variables say what flags say.
pub(super) const AS_VARIABLES: &str = "A flag that was typed wins over its variable. In a variable, values of --registry, \
    --cgroup and --workload stand one on a line, those of other lists between commas.";

/// Files and directories that are used when nothing else is said: path, what they are, and the flag that says else.
pub(super) const FILES: &[(&str, &str, &str)] = &[
    (defaults::PIN_DIR, "maps and links, which stay when the agent ends", "pin-dir"),
    (defaults::ADMIN, "the admin socket of the running agent", "admin"),
];

/// What the exit codes of a command say.
pub(super) fn exit_codes(command: &Command) -> Vec<(u8, String)> {
    let path = path(command);
    let own = NO.iter().filter(|(name, _)| *name == path).map(|(_, says)| (1, (*says).to_owned()));
    let root = (!path.contains(' '))
        .then(|| (1, "the answer is no: denied, invalid, not ready, not found".to_owned()));
    let usage = "usage, or something could not be done; standard error says what";
    std::iter::once((0, "success".to_owned()))
        .chain(own)
        .chain(root)
        .chain(std::iter::once((2, usage.to_owned())))
        .collect()
}

/// `enforcer registry list`.
pub(super) fn path(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The command and those below it that people are told of.
pub(super) fn all(command: &Command) -> Vec<&Command> {
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    std::iter::once(command).chain(command.get_subcommands().filter(shown).flat_map(all)).collect()
}

/// The arguments that people are told of.
pub(super) fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

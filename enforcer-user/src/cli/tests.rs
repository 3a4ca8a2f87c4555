//! The definitions: consistent, and complete.

use clap::{Command, CommandFactory as _};

use super::*;
use crate::config::settings;

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
    command().debug_assert();
}

/// Every flag of the agent is an environment variable of the same name, and says what it is; every flag but the two that
/// say what to do with a configuration is a key of its file.
#[test]
fn every_flag_has_help_a_variable_and_a_key() {
    let root = command();
    let run = root.find_subcommand("run").unwrap();
    let keys = settings::all();
    let mut flags = Vec::new();
    for arg in run.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "output")) {
        let id = arg.get_id().as_str();
        assert!(arg.get_help().is_some(), "{id}");
        assert_eq!(arg.get_long(), Some(&*id.replace('_', "-")));
        if id != "check_config" {
            let name = match id {
                // The variable that agents had before the flag; Rust's own is RUST_LOG.
                "log_level" => "ENFORCER_LOG".to_owned(),
                id => format!("ENFORCER_{}", id.to_uppercase()),
            };
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(name.as_str()));
        }
        if !matches!(id, "config" | "check_config") {
            assert!(keys.iter().any(|key| key.id == id), "{id} is no key of the file");
            flags.push(id);
        }
    }
    assert_eq!(keys.len(), flags.len(), "keys that are no flags: {keys:?}");
}

/// Everything that people are told of says what it is.
#[test]
fn everything_has_help() {
    let root = command();
    for command in reference::all(&root) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for arg in reference::arguments(command) {
            assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
        }
    }
}

/// At 80 columns no line is longer, and help stands beside nothing.
#[test]
fn help_fits_a_terminal() {
    let root = command();
    for command in reference::all(&root) {
        let mut command = command.clone().term_width(80);
        for help in [command.render_help(), command.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
    }
}

/// The agent's sources in the environment must not make a question one about files.
#[test]
fn reading_commands_take_no_sources_from_the_environment() {
    fn check(command: &Command) {
        for arg in command.get_arguments().filter(|arg| arg.get_id() == "registry") {
            assert_eq!(arg.get_env().is_some(), command.get_name() == "run", "{}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn flags_for_files_are_not_ignored_when_the_agent_is_asked() {
    let matches = |line: &str| Cli::command().try_get_matches_from(line.split(' ')).unwrap();
    let typed = matches("enforcer explain --workload a/b --allow 10.0.0.0/8 --cluster-id x 192.0.2.1:80");
    let error = ask::nothing_offline(&typed).unwrap_err().to_string();
    assert!(error.starts_with("the running agent has its own --cluster-id, --allow;"), "{error}");
    ask::nothing_offline(&matches("enforcer explain --workload a/b 192.0.2.1:80")).unwrap();
    ask::nothing_offline(&matches("enforcer registry list")).unwrap();
}

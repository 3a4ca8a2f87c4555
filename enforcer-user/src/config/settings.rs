//! Which flags of `enforcer run` are keys of the file, too: all but those that say what to do with a configuration
//! instead of being part of it. Read off the definitions of the flags, so that no key can be forgotten.

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Args as _, Command};

use crate::cli::args::run::RunArgs;

/// The ids of the flags that are no keys.
const NO_KEYS: [&str; 2] = ["config", "check_config"];

/// What a key may look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One value.
    One,
    /// A list of values.
    List,
    /// A list, each of them a text or a mapping of fields.
    Workloads,
    /// A mapping of names to numbers, or a list of `NAME=N`.
    Numbers,
}

/// A flag that is a key, too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The flag's id: `event_rate`.
    pub id: String,
    /// The key: `event-rate`.
    pub key: String,
    /// The variable of the environment: `ENFORCER_EVENT_RATE`.
    pub variable: String,
    /// What it may look like.
    pub form: Form,
}

/// All of them, in the order of the help.
pub fn all() -> Vec<Setting> {
    let command = RunArgs::augment_args(Command::new("run"));
    let setting = |arg: &Arg| {
        let key = arg.get_long()?.to_owned();
        let variable = arg.get_env()?.to_string_lossy().into_owned();
        let form = match (&*key, arg.get_action()) {
            ("workload", _) => Form::Workloads,
            ("map-entries", _) => Form::Numbers,
            (_, ArgAction::Append) => Form::List,
            _ => Form::One,
        };
        Some(Setting { id: arg.get_id().as_str().to_owned(), key, variable, form })
    };
    let keys = command.get_arguments().filter(|arg| !NO_KEYS.contains(&arg.get_id().as_str()));
    keys.filter_map(setting).collect()
}

/// The flags of `enforcer run` for values that have been taken apart already, and must not be so again: without
/// environment, and without what separates the values of a list.
pub(super) fn definitions() -> Command {
    let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
    command.mut_args(|arg| arg.env(Resettable::Reset).value_delimiter(Resettable::Reset))
}

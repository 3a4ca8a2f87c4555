//! What `enforcer run` was given: flags, environment, file and defaults as one, in this order of precedence, and where
//! each value stands. A list is taken from one of them, whole.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches as _};

use crate::cli::args::run::RunArgs;
use crate::config::fault::{Fault, Place};
use crate::config::file::{Entry, Field, File};
use crate::config::settings::{self, Setting};

/// All that was given.
#[derive(Debug)]
pub struct Given {
    /// Every flag with the value that counts.
    pub args: RunArgs,
    /// What is wrong already.
    pub faults: Vec<Fault>,
    /// Where the value of each key comes from, and the value as text.
    values: BTreeMap<String, (Origin, Vec<String>)>,
    file: File,
    /// Whether more might have been given, in a file that could not be read.
    pub incomplete: bool,
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The flag was typed.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// A key of the file.
    File(Entry),
}

impl Given {
    /// What stands in these matches of `enforcer run`, and in the file that they name.
    pub fn read(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let path = matches.get_one::<String>("config");
        Self::merge(matches, path.map(|path| File::read(path, &settings::all())))
    }

    /// The same with a file that has been read.
    pub fn merge(matches: &ArgMatches, file: Option<File>) -> Result<Self, clap::Error> {
        let incomplete = file.as_ref().is_some_and(|file| !file.read);
        let file = file.unwrap_or_default();
        let settings = settings::all();
        let origins: Vec<Origin> = settings.iter().map(|setting| origin(setting, matches, &file)).collect();
        // The values that count, typed once more: so a flag of any kind is filled in without being named here.
        let mut line = Vec::new();
        for (setting, origin) in settings.iter().zip(&origins) {
            let texts = match origin {
                Origin::Default => Vec::new(),
                Origin::Flag | Origin::Variable(_) => texts(matches, &setting.id),
                // An empty list is not the default.
                Origin::File(entry) if entry.items.is_empty() => vec![String::new()],
                Origin::File(entry) => entry.items.iter().map(|item| item.text.clone()).collect(),
            };
            line.extend(texts.iter().map(|text| format!("--{}={text}", setting.key)));
        }
        let merged = settings::definitions().try_get_matches_from(line)?;
        let value = |(setting, origin): (&Setting, Origin)| {
            (setting.key.clone(), (origin, texts(&merged, &setting.id)))
        };
        let values = settings.iter().zip(origins).map(value).collect();
        let args = RunArgs::from_arg_matches(&merged)?;
        Ok(Self { args, faults: file.faults.clone(), values, file, incomplete })
    }

    /// Where the value of `flag` stands; of a list, the one at `at`; of a mapping in it, the field at `field`.
    pub(super) fn place(&self, flag: &str, at: Option<usize>, field: Option<&Field>) -> Place {
        match self.values.get(flag.trim_start_matches("--")) {
            Some((Origin::Variable(name), _)) => Place::Variable(name.clone()),
            Some((Origin::File(entry), _)) => {
                let item = at.map_or(entry.items.first(), |at| entry.items.get(at));
                let (mut key, mut line) =
                    item.map_or((entry.key.clone(), entry.line), |item| (item.name.clone(), item.line));
                if let Some(field) = field {
                    key = format!("{key}.{}", field.name());
                    line = field.line;
                }
                Place::File { file: self.file.name.clone(), line, key }
            }
            _ => Place::Flag(flag.to_owned()),
        }
    }

    /// The fields of the value at `at`, when a file wrote it as a mapping.
    pub(super) fn fields(&self, flag: &str, at: usize) -> Option<&[Field]> {
        let (Origin::File(entry), _) = self.values.get(flag.trim_start_matches("--"))? else { return None };
        let fields = &entry.items.get(at)?.fields;
        (!fields.is_empty()).then_some(fields)
    }

    /// The key's values as text, and where they come from.
    pub(super) fn value(&self, key: &str) -> Option<&(Origin, Vec<String>)> {
        self.values.get(key)
    }

    /// The name of the file.
    pub(super) fn file(&self) -> &str {
        &self.file.name
    }
}

fn origin(setting: &Setting, matches: &ArgMatches, file: &File) -> Origin {
    match matches.value_source(&setting.id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Variable(setting.variable.clone()),
        _ => file.entry(&setting.key).map_or(Origin::Default, |entry| Origin::File(entry.clone())),
    }
}

fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests;

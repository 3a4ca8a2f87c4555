//! What was typed → what it means, in one pass that reports every fault at once. No IO: whether a path exists is for
//! those to say who open it.

mod exempt;
mod limits;
mod names;
mod policy;
mod registry;
mod workload;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::cli::args::run::RunArgs;
use crate::cli::args::{AdminArgs, PolicyArgs, RegistryArgs};
use crate::config::{Config, PolicyConfig, RegistryConfig};

pub use workload::WorkloadName;

/// One thing that is wrong with the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The flag: `--allow`.
    pub flag: &'static str,
    /// As it was typed; empty when it was not.
    pub value: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.flag)?;
        if !self.value.is_empty() {
            write!(f, " {:?}", self.value)?;
        }
        write!(f, ": {}; {}", self.what, self.hint)
    }
}

/// All of them, as one error.
#[derive(Debug, thiserror::Error)]
pub struct Faulty(pub Vec<Fault>);

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [fault] => fault.fmt(f),
            faults => {
                write!(f, "{} faults in the command line", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// Collects faults; what a faulty value would have meant is filled in, and never used.
#[derive(Default)]
struct Faults(Vec<Fault>);

/// What is wrong with a value, and what to do: without flag and value, which the caller knows.
type Wrong = (String, String);

fn wrong(what: impl Into<String>, hint: impl Into<String>) -> Wrong {
    (what.into(), hint.into())
}

impl Faults {
    /// What `value` means to `parse`; a fault and `None` when it means nothing.
    fn take<T>(
        &mut self,
        flag: &'static str,
        value: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        parse(value).map_err(|wrong| self.add(flag, value, wrong)).ok()
    }

    /// Every value of a repeatable flag. Lines and items left empty in the environment are nothing.
    fn take_all<T>(
        &mut self,
        flag: &'static str,
        values: &[String],
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let values = values.iter().map(|value| value.trim()).filter(|value| !value.is_empty());
        values.filter_map(|value| self.take(flag, value, &parse)).collect()
    }

    fn add(&mut self, flag: &'static str, value: &str, (what, hint): Wrong) {
        self.0.push(Fault { flag, value: value.to_owned(), what, hint });
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// What `enforcer run` was told.
pub fn run(args: &RunArgs) -> Result<Config, Vec<Fault>> {
    let mut faults = Faults::default();
    let enforcement = faults.take("--enforcement", &args.enforcement, policy::enforcement);
    let registry = registry::registry(&args.registry, &args.reading, &mut faults);
    let policy = policy::policy(&args.policy, &mut faults);
    let cgroups = faults.take_all("--cgroup", &args.cgroup, absolute);
    let workloads = workload::workloads(&args.workload, &cgroups, &mut faults);
    let unknown = faults.take("--unknown-workload", &args.unknown_workload, |text| {
        word(text, &[("deny", false), ("allow", true)])
    });
    let pin_dir = faults.take("--pin-dir", &args.node.pin_dir, absolute);
    let admin = faults.take("--admin", &args.admin.admin, absolute);
    let limits = limits::limits(&args.node.map_entries, &mut faults);
    let event_rate = faults.take("--event-rate", &args.node.event_rate, limits::event_rate);
    let has_source = registry.as_ref().is_none_or(|registry| !registry.sources.is_empty());
    if !has_source && !faults.0.iter().any(|fault| fault.flag == "--registry") {
        faults.add("--registry", "", registry::none());
    }
    let config = || {
        Some(Config {
            enforcement: enforcement?,
            registry: registry?,
            policy: policy?,
            cgroups,
            workloads,
            unknown_workload_allowed: unknown?,
            pin_dir: pin_dir?,
            admin: admin?,
            limits,
            event_rate: event_rate?,
        })
    };
    let config = config();
    faults.finish(config)
}

/// What a command that reads a registry itself was told. Without sources it is for the agent to answer, or for paths.
pub fn reading(sources: &[String], args: &RegistryArgs) -> Result<RegistryConfig, Vec<Fault>> {
    let mut faults = Faults::default();
    let registry = registry::registry(sources, args, &mut faults);
    faults.finish(registry)
}

/// What a command was told that judges flows by a registry.
pub fn judging(
    sources: &[String],
    args: &RegistryArgs,
    policy: &PolicyArgs,
) -> Result<(RegistryConfig, PolicyConfig), Vec<Fault>> {
    let mut faults = Faults::default();
    let registry = registry::registry(sources, args, &mut faults);
    let policy = policy::policy(policy, &mut faults);
    faults.finish(registry.zip(policy))
}

/// What `enforcer explain` was told for an answer without the agent.
pub fn explaining(
    sources: &[String],
    args: &RegistryArgs,
    policy: &PolicyArgs,
    workload: &str,
) -> Result<(RegistryConfig, PolicyConfig, WorkloadName), Vec<Fault>> {
    let mut faults = Faults::default();
    let registry = registry::registry(sources, args, &mut faults);
    let policy = policy::policy(policy, &mut faults);
    let workload = faults.take("--workload", workload, workload::name);
    let all =
        registry.zip(policy).zip(workload).map(|((registry, policy), workload)| (registry, policy, workload));
    faults.finish(all)
}

/// `--admin` of a command that asks.
pub fn admin(args: &AdminArgs) -> Result<PathBuf, Vec<Fault>> {
    let mut faults = Faults::default();
    let path = faults.take("--admin", &args.admin, |text| match text {
        "" => Err(wrong("the path is empty", "give the path of the agent's socket")),
        path => Ok(PathBuf::from(path)),
    });
    faults.finish(path)
}

/// `--pin-dir` of `enforcer detach`.
pub fn pin_dir(text: &str) -> Result<PathBuf, Vec<Fault>> {
    let mut faults = Faults::default();
    let path = faults.take("--pin-dir", text, absolute);
    faults.finish(path)
}

/// A path from the root, without `..`.
fn absolute(text: &str) -> Result<PathBuf, Wrong> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(wrong("the path is not absolute", "write it from the root: /sys/fs/..."));
    }
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(wrong("the path has \"..\" in it", "write it without"));
    }
    // Without doubled and trailing slashes, so that equal paths are equal.
    Ok(path.components().collect())
}

/// One of a few words, in any case.
fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, Wrong> {
    let found = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        wrong("not one of the known values", format!("use {}", either(&words)))
    })
}

/// `a, b or c`.
fn either(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests;

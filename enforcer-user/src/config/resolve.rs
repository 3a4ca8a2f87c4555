//! What was typed → what it means, in one pass that reports every fault at once. No IO: whether a path exists is for
//! those to say who open it.

mod exempt;
mod interface;
mod limits;
mod mode;
mod names;
mod network;
mod observe;
mod policy;
mod registry;
mod time;
mod workload;

use std::path::{Path, PathBuf};

use crate::cli::args::{AdminArgs, PinArgs, PolicyArgs, RegistryArgs};
use crate::config::fault::{Place, Wrong, either, nearest, wrong};
use crate::config::file::Field;
use crate::config::given::Given;
use crate::config::{Config, PolicyConfig, RegistryConfig};
use crate::doctor::Request;

pub use crate::config::fault::{Fault, Faulty};
pub use mode::{ModeRequest, Turn, mode};
pub use workload::WorkloadName;

/// Collects faults; what a faulty value would have meant is filled in, and never used.
#[derive(Default)]
struct Faults<'a> {
    found: Vec<Fault>,
    /// Where values stand that were not typed.
    given: Option<&'a Given>,
}

impl<'a> Faults<'a> {
    fn of(given: &'a Given) -> Self {
        Self { found: given.faults.clone(), given: Some(given) }
    }

    /// What `value` means to `parse`; a fault and `None` when it means nothing.
    fn take<T>(
        &mut self,
        flag: &'static str,
        value: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        parse(value).map_err(|wrong| self.add(flag, None, value, wrong)).ok()
    }

    /// Every value of a repeatable flag. Lines and items left empty in the environment are nothing.
    fn take_all<T>(
        &mut self,
        flag: &'static str,
        values: &[String],
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.take_each(flag, values, parse).into_iter().map(|(_, value)| value).collect()
    }

    /// The same with each value's number, which [`Faults::add`] takes.
    fn take_each<T>(
        &mut self,
        flag: &'static str,
        values: &[String],
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<(usize, T)> {
        let taken = |(at, value)| match parse(value) {
            Ok(meaning) => Some((at, meaning)),
            Err(wrong) => {
                self.add(flag, Some(at), value, wrong);
                None
            }
        };
        filled(values).filter_map(taken).collect()
    }

    /// Something is wrong with the value of a flag; of a repeatable one, with the value of this number.
    fn add(&mut self, flag: &'static str, at: Option<usize>, value: &str, wrong: Wrong) {
        let place = self.given.map(|given| given.place(flag, at, None));
        self.add_at(flag, place, value, wrong);
    }

    /// Something is wrong with a field of it.
    fn add_field(&mut self, flag: &'static str, at: usize, field: &Field, wrong: Wrong) {
        let place = self.given.map(|given| given.place(flag, Some(at), Some(field)));
        self.add_at(flag, place, field.value.as_deref().unwrap_or_default(), wrong);
    }

    fn add_at(&mut self, flag: &str, place: Option<Place>, value: &str, (what, hint): Wrong) {
        let (flag, value) = (flag.to_owned(), value.to_owned());
        let place = place.unwrap_or_else(|| Place::Flag(flag.clone()));
        self.found.push(Fault { flag, place, value, what, hint });
    }

    /// Whether something is wrong with a value of this flag.
    fn has(&self, flag: &str) -> bool {
        self.found.iter().any(|fault| fault.flag == flag)
    }

    fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                // What was typed in the order of the help, then the file in the order of its lines.
                self.found.sort_by_key(|fault| match fault.place {
                    Place::Flag(_) | Place::Variable(_) => 0,
                    Place::File { line, .. } => 1 + line,
                });
                Err(self.found)
            }
        }
    }
}

/// The values with something in them, and their numbers.
fn filled(values: &[String]) -> impl Iterator<Item = (usize, &str)> {
    let values = values.iter().map(|value| value.trim()).enumerate();
    values.filter(|(_, value)| !value.is_empty())
}

/// What `enforcer run` was told.
pub fn run(given: &Given) -> Result<Config, Vec<Fault>> {
    let args = &given.args;
    let mut faults = Faults::of(given);
    let enforcement = faults.take("--enforcement", &args.enforcement, policy::enforcement);
    let registry = registry::registry(&args.registry, &args.reading, &mut faults);
    let policy = policy::policy(&args.policy, &mut faults);
    let cgroups = faults.take_all("--cgroup", &args.cgroup, absolute);
    let workloads = workload::workloads(&args.workload, &cgroups, &mut faults);
    let interfaces = interface::interfaces(&args.interface, &mut faults);
    let uplinks = interface::uplinks(&args.uplink, &interfaces, &mut faults);
    interface::contradictions(&args.workload, &workloads, &interfaces, &uplinks, &mut faults);
    let endpoint_grace = faults.take("--endpoint-grace", &args.endpoint_grace, time::endpoint_grace);
    let terminate = faults.take("--terminate-existing", &args.terminate_existing, switch);
    let unknown = faults.take("--unknown-workload", &args.unknown_workload, |text| {
        word(text, &[("deny", false), ("allow", true)])
    });
    let pin_dir = faults.take("--pin-dir", &args.node.pin_dir, absolute);
    let admin = faults.take("--admin", &args.admin.admin, absolute);
    let limits = limits::limits(&args.node.map_entries, &mut faults);
    let event_rate = faults.take("--event-rate", &args.node.event_rate, limits::event_rate);
    let metrics = faults.take("--metrics", &args.metrics.metrics, observe::metrics);
    let log = observe::log(&args.log, &mut faults);
    let has_source = registry.as_ref().is_none_or(|registry| !registry.sources.is_empty());
    if !has_source && !given.incomplete && !faults.has("--registry") {
        faults.add("--registry", None, "", registry::none());
    }
    let config = || {
        Some(Config {
            enforcement: enforcement?,
            registry: registry?,
            policy: policy?,
            cgroups,
            workloads: workloads.into_iter().map(|(_, workload)| workload).collect(),
            unknown_workload_allowed: unknown?,
            interfaces,
            uplinks,
            endpoint_grace: endpoint_grace?,
            terminate_existing: terminate?,
            pin_dir: pin_dir?,
            admin: admin?,
            limits,
            event_rate: event_rate?,
            metrics: metrics?,
            log: log?,
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

/// `--pin-dir` of a command that works on the pins.
pub fn pin_dir(args: &PinArgs) -> Result<PathBuf, Vec<Fault>> {
    let mut faults = Faults::default();
    let path = faults.take("--pin-dir", &args.pin_dir, absolute);
    faults.finish(path)
}

/// What `enforcer doctor` was told.
pub fn doctor(pins: &PinArgs, cgroups: &[String]) -> Result<Request, Vec<Fault>> {
    let mut faults = Faults::default();
    let cgroups = faults.take_all("--cgroup", cgroups, absolute);
    let pin_dir = faults.take("--pin-dir", &pins.pin_dir, absolute);
    faults.finish(pin_dir.map(|pin_dir| Request { pin_dir, cgroups }))
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

/// A flag that is on or off. Of the environment nothing is off, too.
fn switch(text: &str) -> Result<bool, Wrong> {
    let on = ["true", "on", "yes", "1"];
    let off = ["false", "off", "no", "0", ""];
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is(&on), is(&off)) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(wrong("neither true nor false", "use true or false")),
    }
}

#[cfg(test)]
mod tests;

//! What fits the maps. A registry that does not fit is refused as a whole.

use enforcer_common::limits::{self, HEADROOM};
use enforcer_common::names::map;

use crate::policy::image::Image;
use crate::policy::intern::InUse;
use crate::problem::{Problem, Severity};

/// How many entries of each map there may be, for the compiled registry or beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `WORKLOADS`
    pub workloads: usize,
    /// `EXACT`
    pub exact: usize,
    /// `PREFIXES`
    pub prefixes: usize,
    /// `CLASS_RULES`
    pub class_rules: usize,
    /// `ANY_RULES`
    pub any_rules: usize,
    /// `BACKENDS`
    pub backends: usize,
    /// `RULE_HITS`
    pub rules: usize,
    /// `FLOWS`, of each workload: not the registry's.
    pub flows: usize,
}

impl Limits {
    /// No limit: for questions in which it does not matter whether the registry fits the maps.
    pub const UNLIMITED: Self = Self {
        workloads: usize::MAX,
        exact: usize::MAX,
        prefixes: usize::MAX,
        class_rules: usize::MAX,
        any_rules: usize::MAX,
        backends: usize::MAX,
        rules: usize::MAX,
        flows: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workloads: limits::WORKLOADS as usize,
            exact: limits::EXACT as usize,
            prefixes: limits::PREFIXES as usize,
            class_rules: limits::CLASS_RULES as usize,
            any_rules: limits::ANY_RULES as usize,
            backends: limits::BACKENDS as usize,
            rules: limits::RULES as usize,
            flows: limits::FLOWS as usize,
        }
    }
}

/// One map's fill: its name, entries, and limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    /// The map.
    pub map: &'static str,
    /// Entries of the image.
    pub used: usize,
    /// How many there may be.
    pub limit: usize,
}

/// How full the maps are with `image`.
pub fn fill(image: &Image, limits: &Limits) -> Vec<Fill> {
    let fill = |map, used, limit| Fill { map, used, limit };
    vec![
        fill(map::WORKLOADS, image.workloads.len(), limits.workloads),
        fill(map::EXACT, image.exact.len(), limits.exact),
        fill(map::PREFIXES, image.prefixes.len(), limits.prefixes),
        fill(map::CLASS_RULES, image.class_rules(), limits.class_rules),
        fill(map::ANY_RULES, image.any.len(), limits.any_rules),
        fill(map::BACKENDS, image.backend_slots(), limits.backends),
        fill(map::RULE_HITS, image.rules.len(), limits.rules),
    ]
}

/// One problem for each map that `image` does not fit: by what something points to, and by everything that is there
/// while the old and the new stand side by side, for which the maps have [`HEADROOM`].
pub(super) fn over_budget(image: &Image, in_use: InUse, limits: &Limits) -> Vec<Problem> {
    let mut problems = Vec::new();
    for all in fill(image, limits) {
        let used = match all.map {
            map::CLASS_RULES => in_use.class_rules,
            map::BACKENDS => in_use.backends,
            map::RULE_HITS => in_use.rules,
            _ => all.used,
        };
        if used > all.limit {
            problems.push(too_large(Fill { used, ..all }));
        } else if all.used > all.limit.saturating_mul(HEADROOM as usize) {
            problems.push(too_fast(all));
        }
    }
    if !in_use.numbers_left {
        problems.push(problem(
            "the numbers of rules are used up; the last registry stays in force".to_owned(),
            "run `enforcer detach` and start the agent again: its numbers start anew".to_owned(),
        ));
    }
    problems
}

fn too_large(fill: Fill) -> Problem {
    let Fill { map, used, limit } = fill;
    let over = used - limit;
    problem(
        format!(
            "the registry needs {used} entries of the map {map}, {over} more than its limit of {limit}; \
             the last registry that fitted stays in force"
        ),
        format!("raise the limit with --map-entries {map}={}", used.next_power_of_two()),
    )
}

fn too_fast(fill: Fill) -> Problem {
    let Fill { map, used, limit } = fill;
    problem(
        format!(
            "the change needs {used} entries of the map {map} while the old ones are still there, and it holds {}",
            limit.saturating_mul(HEADROOM as usize)
        ),
        "it is tried again when the old ones are gone, a second later".to_owned(),
    )
}

fn problem(message: String, hint: String) -> Problem {
    let source = "compiler".into();
    Problem { severity: Severity::Error, source, object: None, field: String::new(), message, hint }
}

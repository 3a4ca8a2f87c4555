//! What fits the maps. A registry that does not fit is refused as a whole.

use enforcer_common::limits;

use crate::policy::image::Image;
use crate::problem::{Problem, Severity};

/// How many entries of each map the compiled registry may take.
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
    use enforcer_common::names::map;
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

/// One problem for each map that `image` does not fit.
pub(super) fn over_budget(image: &Image, limits: &Limits) -> Vec<Problem> {
    fill(image, limits)
        .into_iter()
        .filter(|fill| fill.used > fill.limit)
        .map(|fill| Problem {
            severity: Severity::Error,
            source: "compiler".into(),
            object: None,
            field: String::new(),
            message: format!(
                "the registry needs {} entries of the map {}, {} more than its limit of {}; the last registry that fitted stays in force",
                fill.used,
                fill.map,
                fill.used - fill.limit,
                fill.limit
            ),
            hint: format!("raise the limit with --map-entries {}={}", fill.map, fill.used.next_power_of_two()),
        })
        .collect()
}

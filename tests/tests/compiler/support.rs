//! What the properties share: a compiled scenario, and the same question put to compiler and oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::addr::{Addr, Port};
use enforcer_common::id::ViewId;
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::{Action, Query, Role, Tables, Verdict, decide};
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::policy::image::Image;
use enforcer_core::policy::offer::{Place, RuleKey, Slot};
use enforcer_core::registry::Registry;
use enforcer_tests::generate::{Scenario, Target};
use enforcer_tests::oracle::{self, Answer, Ruling};
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed};

/// How many generated cases of a property, after the seeds of its corpus: those that once caught a fault.
///
/// The cases are the same in every run, so that a change is judged and not its luck. `PROPTEST_CASES=100000` with
/// `PROPTEST_RNG_SEED=7` goes looking for new ones.
pub(crate) fn cases(cases: u32, corpus: &'static str) -> Config {
    let typed = Config::default();
    let set = |name| std::env::var_os(name).is_some();
    Config {
        cases: if set("PROPTEST_CASES") { typed.cases } else { cases },
        rng_seed: if set("PROPTEST_RNG_SEED") { typed.rng_seed } else { RngSeed::Fixed(20_261_121) },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(corpus))),
        max_shrink_iters: 2_000,
        ..typed
    }
}

/// A compiler with the scenario in it, and the maps as a kernel would hold them.
pub(crate) fn compiled(scenario: &Scenario) -> (Compiler, Image) {
    let mut compiler = Compiler::new(scenario.settings.clone(), Limits::default());
    let mut kernel = Image::default();
    update(&mut compiler, &mut kernel, &Arc::new(scenario.registry.clone()), &scenario.workloads);
    (compiler, kernel)
}

/// Leads compiler and maps to `registry`.
pub(crate) fn update(
    compiler: &mut Compiler,
    kernel: &mut Image,
    registry: &Arc<Registry>,
    workloads: &[WorkloadSpec],
) {
    let stages = compiler.update(registry, workloads, Duration::ZERO).expect("the registry fits");
    stages.iter().flatten().for_each(|op| kernel.apply(op));
}

/// Whether the operations led to the image; when not, only what differs.
pub(crate) fn same_image(image: &Image, kernel: &Image) -> Result<(), String> {
    if image == kernel {
        return Ok(());
    }
    let lost = |a: &Image, b: &Image| {
        let classes: Vec<_> =
            a.classes.iter().filter(|(id, class)| b.classes.get(id) != Some(class)).collect();
        let exact: Vec<_> = a.exact.iter().filter(|(key, class)| b.exact.get(key) != Some(class)).collect();
        let nets: Vec<_> =
            a.prefixes.iter().filter(|(key, class)| b.prefixes.get(key) != Some(class)).collect();
        let any: Vec<_> = a.any.iter().filter(|(key, rule)| b.any.get(key) != Some(rule)).collect();
        let rules: Vec<_> = a.rules.difference(&b.rules).collect();
        format!("classes {classes:?} exact {exact:?} nets {nets:?} any {any:?} rules {rules:?}")
    };
    Err(format!("only in the image: {}\nonly in the maps: {}", lost(image, kernel), lost(kernel, image)))
}

/// The verdict of `tables` for a workload that they hold.
pub(crate) fn verdict<T: Tables>(
    tables: &T,
    image: &Image,
    cgroup: CgroupId,
    target: &Target,
    random: u32,
) -> Verdict {
    let workload = image.workloads[&cgroup];
    let query = Query::new(workload, target.protocol, Addr::from(target.ip), Port::new(target.port));
    decide(tables, &Query { random, ..query })
}

/// The same answer in the oracle's words: every backend that some random number picks.
pub(crate) fn answer(compiler: &Compiler, image: &Image, cgroup: CgroupId, target: &Target) -> Answer {
    let first = verdict(image, image, cgroup, target, 0);
    match first.action {
        Action::Allow => Answer::Allow(first.reason),
        Action::Deny => Answer::Deny(first.reason),
        Action::Translate => {
            let slots = compiler.rule(first.rule).expect("a rule of this compiler").backends.len();
            let picks = (0..u32::try_from(slots).expect("few slots")).map(|random| {
                let backend = verdict(image, image, cgroup, target, random).backend;
                (backend.addr.ip(), backend.port.get())
            });
            Answer::Translate(picks.collect())
        }
    }
}

/// What the oracle says, and that compiler and verdict say the same.
pub(crate) fn agree(
    compiler: &Compiler,
    image: &Image,
    scenario: &Scenario,
    spec: &WorkloadSpec,
    target: &Target,
) -> Result<(), String> {
    let Ruling { answer: expected, service, .. } =
        oracle::answer(&scenario.registry, &scenario.settings, &target.asked_by(spec));
    let actual = answer(compiler, image, spec.cgroup, target);
    if actual != expected {
        return Err(format!(
            "{}/{} to {target:?}: compiled {actual:?}, the oracle says {expected:?} by {service:?}",
            spec.namespace, spec.name
        ));
    }
    let rule = verdict(image, image, spec.cgroup, target, 0).rule;
    let by_rule = compiler.rule(rule).map(|rule| (rule.object.clone(), rule.host.clone()));
    let by_oracle = service.map(|service| (service.object, service.host));
    let is_exempt = by_rule.as_ref().is_some_and(|(object, _)| &*object.kind == "--allow");
    if is_exempt || by_rule == by_oracle {
        return Ok(());
    }
    Err(format!(
        "{}/{} to {target:?}: {actual:?}, compiled by {by_rule:?}, the oracle says by {by_oracle:?}",
        spec.namespace, spec.name
    ))
}

/// An image without numbers: what two compilers with different histories must have in common.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Canonical {
    cells: BTreeMap<(String, Place), BTreeMap<Slot, RuleKey>>,
    workloads: BTreeMap<CgroupId, (String, bool, u32, Role)>,
    has_exempt: bool,
}

/// Whether two images say the same; when not, only what differs.
pub(crate) fn same_meaning(one: &Canonical, other: &Canonical) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    let only = |a: &Canonical, b: &Canonical| -> Vec<_> {
        let differs = a.cells.iter().filter(|(key, rules)| b.cells.get(key) != Some(rules));
        differs.map(|(key, rules)| format!("{key:?}: {rules:?}")).collect()
    };
    Err(format!(
        "only in the first: {:#?}\nonly in the second: {:#?}\nworkloads {:?} and {:?}",
        only(one, other),
        only(other, one),
        one.workloads,
        other.workloads
    ))
}

/// The canonical form. Views are named by the first workload that has them.
pub(crate) fn canonical(compiler: &Compiler, image: &Image) -> Canonical {
    let mut views: BTreeMap<ViewId, String> =
        [(ViewId::EXEMPT, "exempt".to_owned()), (ViewId::PUBLIC, "public".to_owned())].into();
    for (cgroup, workload) in &image.workloads {
        views.entry(workload.view()).or_insert_with(|| format!("of {}", cgroup.get()));
    }
    let rule = |id| RuleKey::clone(compiler.rule(id).expect("a rule of this compiler"));
    let mut cells = BTreeMap::new();
    for (view, place) in image.cells() {
        let rules = match place {
            Place::Exact(addr) => class(image, image.exact[&(view, addr)], &rule),
            Place::Net(prefix) => class(image, image.prefixes[&(view, prefix)], &rule),
            Place::Any(slot) => [(slot, rule(image.any[&(view, slot.0, slot.1)].id))].into(),
        };
        let view = views.get(&view).unwrap_or_else(|| panic!("a view of nobody: {view}"));
        cells.insert((view.clone(), place), rules);
    }
    let workloads = image.workloads.iter().map(|(cgroup, workload)| {
        (
            *cgroup,
            (
                views[&workload.view()].clone(),
                workload.inherits_public(),
                workload.policy().bits(),
                workload.role(),
            ),
        )
    });
    Canonical { cells, workloads: workloads.collect(), has_exempt: image.has_exempt }
}

fn class(
    image: &Image,
    class: enforcer_common::id::ClassId,
    rule: &impl Fn(enforcer_common::id::RuleId) -> RuleKey,
) -> BTreeMap<Slot, RuleKey> {
    image.classes[&class].iter().map(|(slot, found)| (*slot, rule(found.id))).collect()
}

/// The questions of both registries.
pub(crate) fn questions_of_both(before: &Scenario, after: &Scenario) -> BTreeSet<Target> {
    use enforcer_tests::generate::questions;
    let of = |scenario: &Scenario| questions(&scenario.registry, &scenario.settings);
    of(before).into_iter().chain(of(after)).collect()
}

//! Properties 3 and 4: a chain of changes leads where a fresh compiler would, costs what changed, and the same input gives the
//! same image.

use std::sync::Arc;
use std::time::Duration;

use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::policy::image::Image;
use enforcer_tests::generate::{Scenario, mutate, scenario};
use proptest::prelude::*;

use crate::support::{canonical, cases, compiled, same_image, same_meaning, update};

/// A scenario and three registries that follow it.
fn chain() -> impl Strategy<Value = (Scenario, Vec<Scenario>)> {
    let next = |before: Scenario| {
        mutate(&before.registry).prop_map(move |registry| Scenario { registry, ..before.clone() })
    };
    scenario(12)
        .prop_flat_map(move |first| (Just(first.clone()), next(first)))
        .prop_flat_map(move |(first, second)| (Just(first), Just(second.clone()), next(second)))
        .prop_flat_map(move |(first, second, third)| {
            (Just(first), Just(second), Just(third.clone()), next(third))
        })
        .prop_map(|(first, second, third, fourth)| (first, vec![second, third, fourth]))
}

/// Lets everything go that nothing points to: classes, then the rules that only they held.
fn reap_all(compiler: &mut Compiler, kernel: &mut Image) {
    for seconds in [1_000, 2_000] {
        for op in compiler.reap(Duration::from_secs(seconds)) {
            kernel.apply(&op);
        }
    }
}

fn compiled_and_reaped(scenario: &Scenario) -> Image {
    let (mut compiler, mut kernel) = compiled(scenario);
    reap_all(&mut compiler, &mut kernel);
    kernel
}

proptest! {
    #![proptest_config(cases(2_500, "corpus/incremental.txt"))]

    #[test]
    fn a_chain_of_changes_leads_where_a_fresh_compiler_does((first, then) in chain()) {
        let (mut compiler, mut kernel) = compiled(&first);
        for (second, next) in (1..).zip(&then) {
            update(&mut compiler, &mut kernel, &Arc::new(next.registry.clone()), &next.workloads);
            same_image(compiler.image(), &kernel).map_err(TestCaseError::fail)?;
            let (fresh, image) = compiled(next);
            same_meaning(&canonical(&compiler, &kernel), &canonical(&fresh, &image)).map_err(TestCaseError::fail)?;
            // What nothing points to goes, and only that.
            for op in compiler.reap(Duration::from_secs(second * 10)) {
                kernel.apply(&op);
            }
            same_image(compiler.image(), &kernel).map_err(TestCaseError::fail)?;
            same_meaning(&canonical(&compiler, &kernel), &canonical(&fresh, &image)).map_err(TestCaseError::fail)?;
        }
        reap_all(&mut compiler, &mut kernel);
        let fresh = compiled_and_reaped(&then[2]);
        prop_assert_eq!(kernel.classes.len(), fresh.classes.len(), "classes that nothing points to stay");
        prop_assert_eq!(kernel.rules.len(), fresh.rules.len(), "rules that nothing points to stay");
    }

    #[test]
    fn a_restarted_agent_leads_where_a_fresh_one_does((first, then) in chain()) {
        let (_, mut kernel) = compiled(&first);
        let next = &then[0];
        // What can be read back of the maps: a class without rules is nothing there.
        kernel.classes.retain(|_, rules| !rules.is_empty());
        let mut adopting = Compiler::adopting(next.settings.clone(), Limits::default(), kernel);
        let mut kernel = adopting.image().clone();
        update(&mut adopting, &mut kernel, &Arc::new(next.registry.clone()), &next.workloads);
        same_image(adopting.image(), &kernel).map_err(TestCaseError::fail)?;
        let (fresh, image) = compiled(next);
        same_meaning(&canonical(&adopting, &kernel), &canonical(&fresh, &image)).map_err(TestCaseError::fail)?;
        reap_all(&mut adopting, &mut kernel);
        let image = compiled_and_reaped(next);
        prop_assert_eq!(kernel.classes.len(), image.classes.len(), "classes of the earlier agent stay");
        prop_assert_eq!(kernel.rules.len(), image.rules.len(), "rules of the earlier agent stay");
    }

    #[test]
    fn a_restarted_agent_fits_where_the_earlier_one_did((first, _) in chain()) {
        let kernel = compiled_and_reaped(&first);
        let limits = Limits {
            exact: kernel.exact.len(),
            prefixes: kernel.prefixes.len(),
            any_rules: kernel.any.len(),
            class_rules: kernel.class_rules(),
            backends: kernel.backend_slots(),
            rules: kernel.rules.len(),
            ..Limits::default()
        };
        let mut adopting = Compiler::adopting(first.settings.clone(), limits, kernel);
        let refused = adopting.update(&Arc::new(first.registry.clone()), &first.workloads, Duration::ZERO).err();
        prop_assert_eq!(refused, None);
    }

    #[test]
    fn a_registry_that_does_not_fit_changes_nothing((first, then) in chain()) {
        let (_, image) = compiled(&first);
        let limits = Limits { exact: image.exact.len(), class_rules: image.class_rules(), ..Limits::default() };
        let mut compiler = Compiler::new(first.settings.clone(), limits);
        let mut kernel = Image::default();
        update(&mut compiler, &mut kernel, &Arc::new(first.registry.clone()), &first.workloads);
        let mut last = &first;
        for next in &then {
            let before = canonical(&compiler, &kernel);
            match compiler.update(&Arc::new(next.registry.clone()), &next.workloads, Duration::ZERO) {
                Ok(stages) => {
                    stages.iter().flatten().for_each(|op| kernel.apply(op));
                    last = next;
                }
                Err(problems) => {
                    prop_assert!(!problems.is_empty());
                    same_meaning(&canonical(&compiler, &kernel), &before).map_err(TestCaseError::fail)?;
                }
            }
            let (fresh, image) = compiled(last);
            same_meaning(&canonical(&compiler, &kernel), &canonical(&fresh, &image)).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn the_same_input_gives_the_same_image(scenario in scenario(14)) {
        let (one, _) = compiled(&scenario);
        let (other, _) = compiled(&scenario);
        prop_assert_eq!(one.image(), other.image());
        // Whatever order the workloads come in.
        let mut turned = scenario.clone();
        turned.workloads.reverse();
        let (turned, image) = compiled(&turned);
        same_meaning(&canonical(&one, one.image()), &canonical(&turned, &image)).map_err(TestCaseError::fail)?;
    }
}

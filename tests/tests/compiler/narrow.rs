//! Property 5: whoever may do less after an update than before is told to look again; whatever a socket remembers of a view that
//! was not narrowed is still true.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::id::ViewId;
use enforcer_core::policy::image::MapOp;
use enforcer_tests::generate::{Scenario, Target, mutate, scenario, workloads};
use enforcer_tests::oracle::Answer;
use proptest::prelude::*;

use crate::support::{answer, cases, compiled, questions_of_both};

/// A scenario, and one that follows it: another registry, and sometimes other workloads in the same cgroups.
fn two() -> impl Strategy<Value = (Scenario, Scenario)> {
    let others = proptest::option::weighted(0.3, workloads(5));
    (scenario(10), others).prop_flat_map(|(before, others)| {
        let after = mutate(&before.registry);
        (Just(before.clone()), after).prop_map(move |(before, registry)| {
            let workloads = others.clone().unwrap_or_else(|| before.workloads.clone());
            let after = Scenario { registry, workloads, ..before.clone() };
            (before, after)
        })
    })
}

/// Whether something that passed does so no longer, or not to everywhere it could go.
fn is_less(before: &Answer, after: Option<&Answer>) -> bool {
    match (before, after) {
        (Answer::Deny(_), _) => false,
        (_, None | Some(Answer::Deny(_))) => true,
        (Answer::Translate(before), Some(Answer::Translate(after))) => !before.is_subset(after),
        (Answer::Allow(_) | Answer::Translate(_), Some(Answer::Allow(_) | Answer::Translate(_))) => false,
    }
}

proptest! {
    #![proptest_config(cases(2_500, "corpus/narrow.txt"))]

    #[test]
    fn who_loses_something_looks_again((before, after) in two(), skip in 0usize..5) {
        let (mut compiler, kernel) = compiled(&before);
        let targets: Vec<Target> = questions_of_both(&before, &after).into_iter().skip(skip).step_by(5).collect();
        let mut had = Vec::new();
        for (cgroup, workload) in &kernel.workloads {
            let answers = targets.iter().map(|target| answer(&compiler, &kernel, *cgroup, target));
            had.push((*cgroup, *workload, answers.collect::<Vec<_>>()));
        }
        let stages = compiler
            .update(&Arc::new(after.registry.clone()), &after.workloads, Duration::ZERO)
            .expect("the registry fits");
        let mut state = kernel;
        stages.iter().flatten().for_each(|op| state.apply(op));
        let narrowed: BTreeSet<ViewId> = stages
            .iter()
            .flatten()
            .filter_map(|op| if let MapOp::Narrow(view) = op { Some(*view) } else { None })
            .collect();
        for (cgroup, workload, before) in had {
            let told = narrowed.contains(&workload.view())
                || workload.inherits_public() && narrowed.contains(&ViewId::PUBLIC);
            if told {
                continue;
            }
            for (target, before) in targets.iter().zip(before) {
                let is_there = state.workloads.contains_key(&cgroup);
                let after = is_there.then(|| answer(&compiler, &state, cgroup, target));
                prop_assert!(
                    !is_less(&before, after.as_ref()),
                    "{target:?} of {cgroup:?}: {before:?} became {after:?}, and nobody was told: {stages:#?}"
                );
            }
        }
        for stage in &stages {
            let behind = stage.iter().skip_while(|op| !matches!(op, MapOp::Narrow(_)));
            prop_assert!(behind.into_iter().all(|op| matches!(op, MapOp::Narrow(_))), "{stage:#?}");
        }
    }
}

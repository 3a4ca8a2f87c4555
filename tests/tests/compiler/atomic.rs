//! Property 2: while a change is applied, every destination has its old verdict or its new one, also for a program that
//! reads the maps level by level while they change.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::verdict::{Action, Backend, Lookup, Rule, Tables, Verdict};
use enforcer_core::policy::image::{Image, MapOp};
use enforcer_tests::generate::{Scenario, Target, mutate, scenario};
use proptest::prelude::*;

use crate::support::{cases, compiled, questions_of_both, same_image, verdict};

/// A reader on another CPU: between two look-ups any number of operations may happen, up to the next barrier.
struct Reader<'a> {
    states: &'a [Image],
    now: Cell<usize>,
    steps: Cell<u64>,
}

impl<'a> Reader<'a> {
    fn new(states: &'a [Image], start: usize, steps: u64) -> Self {
        Self { states, now: Cell::new(start), steps: Cell::new(steps) }
    }

    /// The state at this look-up: perhaps a later one than at the last.
    fn look(&self) -> &'a Image {
        let steps = self.steps.get();
        self.steps.set(steps.rotate_right(3) ^ 0x5bd1);
        let left = self.states.len() - 1 - self.now.get();
        let step = usize::try_from(steps % 4).expect("small");
        self.now.set(self.now.get() + step.min(left));
        &self.states[self.now.get()]
    }
}

impl Tables for Reader<'_> {
    fn has_exempt(&self) -> bool {
        self.look().has_exempt()
    }
    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        self.look().exact(view, addr)
    }
    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        self.look().longest_prefix(view, addr)
    }
    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        self.look().class_rule(class, protocol, port)
    }
    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        self.look().any_rule(view, protocol, port)
    }
    fn slots(&self, rule: RuleId) -> Lookup<u32> {
        self.look().slots(rule)
    }
    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend> {
        self.look().backend(rule, slot)
    }
    fn has_backend(
        &self,
        rule: RuleId,
        backend: &Backend,
    ) -> Result<bool, enforcer_common::verdict::TableFault> {
        self.look().has_backend(rule, backend)
    }
}

/// The states between two barriers, the one before the first operation included.
fn windows(start: &Image, ops: &[MapOp]) -> Vec<Vec<Image>> {
    let mut state = start.clone();
    let mut windows = vec![vec![state.clone()]];
    for op in ops {
        if *op == MapOp::Barrier {
            windows.push(vec![state.clone()]);
        } else {
            state.apply(op);
            windows.last_mut().expect("one window").push(state.clone());
        }
    }
    windows
}

/// Every reader of one stage gets the verdict from before it or from after it.
fn check_stage(before: &Image, ops: &[MapOp], targets: &[Target], seed: u64) -> Result<Image, String> {
    let windows = windows(before, ops);
    let after = windows.last().and_then(|window| window.last()).expect("a last state").clone();
    for (cgroup, _) in before.workloads.iter().filter(|(cgroup, _)| after.workloads.contains_key(cgroup)) {
        for (index, target) in (0u64..).zip(targets) {
            let old = verdict(before, before, *cgroup, target, 0);
            let new = verdict(&after, &after, *cgroup, target, 0);
            for window in &windows {
                for start in 0..window.len() {
                    let steps = seed.rotate_left(u32::try_from(start % 64).expect("small")) ^ index;
                    let reader = Reader::new(window, start, steps);
                    let read = verdict(&reader, &window[start], *cgroup, target, 0);
                    check(read, old, new).map_err(|what| format!("{what}: {target:?} during {ops:#?}"))?;
                }
            }
        }
    }
    Ok(after)
}

/// A denial is a denial: which of two reasons a program is told during a change is nobody's harm.
fn check(seen: Verdict, old: Verdict, new: Verdict) -> Result<(), String> {
    let denied = |verdict: Verdict| verdict.action == Action::Deny;
    if seen == old || seen == new || denied(seen) && (denied(old) || denied(new)) {
        Ok(())
    } else {
        Err(format!("{seen:?} is neither {old:?} nor {new:?}"))
    }
}

fn two() -> impl Strategy<Value = (Scenario, Scenario)> {
    scenario(10).prop_flat_map(|before| {
        let after = mutate(&before.registry);
        (Just(before.clone()), after.prop_map(move |registry| Scenario { registry, ..before.clone() }))
    })
}

proptest! {
    #![proptest_config(cases(2_500, "corpus/atomic.txt"))]

    #[test]
    fn no_destination_is_ever_between_two_verdicts((before, after) in two(), seed: u64, skip in 0usize..11) {
        let (mut compiler, kernel) = compiled(&before);
        let stages = compiler
            .update(&Arc::new(after.registry.clone()), &after.workloads, Duration::ZERO)
            .expect("the registry fits");
        let targets: Vec<Target> =
            questions_of_both(&before, &after).into_iter().skip(skip).step_by(11).collect();
        let mut state = kernel;
        for ops in &stages {
            state = check_stage(&state, ops, &targets, seed).map_err(TestCaseError::fail)?;
        }
        same_image(compiler.image(), &state).map_err(TestCaseError::fail)?;
    }
}

//! Property 1: for every workload and destination the verdict over the image equals the oracle's.

use enforcer_tests::generate::{questions, scenario};
use proptest::prelude::*;

use crate::support::{agree, cases, compiled, same_image};

proptest! {
    #![proptest_config(cases(5_000, "corpus/exact.txt"))]

    /// Registries of up to 14 objects, every question that could matter.
    #[test]
    fn every_verdict_is_the_oracles(scenario in scenario(14), skip in 0usize..7) {
        let (compiler, kernel) = compiled(&scenario);
        same_image(compiler.image(), &kernel).map_err(TestCaseError::fail)?;
        for target in questions(&scenario.registry, &scenario.settings).iter().skip(skip).step_by(7) {
            for spec in &scenario.workloads {
                agree(&compiler, &kernel, &scenario, spec, target).map_err(TestCaseError::fail)?;
            }
        }
    }
}

//! What is generated keeps its promises, and is as entangled as it should be.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::reason::Reason;
use enforcer_common::verdict::Role;
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::registry::model::Registry;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{Scenario, mutate, questions, scenario};
use crate::oracle::{Answer, answer};

fn check_order(registry: &Registry) {
    assert!(registry.services.is_sorted_by(|one, other| one.key < other.key));
    assert!(registry.sidecars.is_sorted_by(|one, other| one.object < other.object));
    let mut owners = BTreeMap::new();
    for service in &registry.services {
        for vip in
            service.auto_v4.into_iter().map(std::net::IpAddr::from).chain(service.auto_v6.map(Into::into))
        {
            assert_eq!(owners.insert(vip, &service.key), None, "an automatic VIP is used twice");
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 32, ..Config::default() })]

    #[test]
    fn registries_are_sorted_and_stay_so(
        (before, after) in super::registry(12).prop_flat_map(|before| {
            let after = mutate(&before);
            (Just(before), after)
        })
    ) {
        check_order(&before);
        check_order(&after);
        for service in &after.services {
            if let Some(old) = before.services.iter().find(|old| old.key == service.key)
                && let (Some(old), Some(new)) = (old.auto_v4, service.auto_v4)
            {
                prop_assert_eq!(old, new);
            }
        }
    }
}

/// Sixty-four scenarios of a fixed seed meet every reason that a registry can give, and every kind of answer.
#[test]
fn every_answer_occurs() {
    let mut runner = TestRunner::deterministic();
    let (mut reasons, mut translated, mut rivals, mut only_proxies) = (BTreeMap::new(), 0, 0, 0);
    for _ in 0..64 {
        let Scenario { registry, settings, workloads } =
            scenario(14).new_tree(&mut runner).expect("nothing is rejected").current();
        let mut deciders: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for target in questions(&registry, &settings).into_iter().step_by(5) {
            for workload in &workloads {
                let ruling = answer(&registry, &settings, &target.asked_by(workload));
                deciders.entry(target).or_default().extend(ruling.service);
                if workload.role == Role::MeshProxy && matches!(ruling.answer, Answer::Allow(_)) {
                    let alone = WorkloadSpec { role: Role::Alone, ..workload.clone() };
                    let without = answer(&registry, &settings, &target.asked_by(&alone)).answer;
                    only_proxies += usize::from(matches!(without, Answer::Deny(_)));
                }
                match ruling.answer {
                    Answer::Allow(reason) | Answer::Deny(reason) => *reasons.entry(reason).or_insert(0) += 1,
                    Answer::Translate(backends) => {
                        assert!(!backends.is_empty());
                        translated += 1;
                    }
                }
            }
        }
        rivals += deciders.values().filter(|deciders| deciders.len() > 1).count();
    }
    // What no kernel has to find out: the rest is about processes without identity, the maps, and packets.
    let expected = BTreeSet::from([
        Reason::Loopback,
        Reason::Exempt,
        Reason::Registered,
        Reason::AllowAny,
        Reason::NotRegistered,
        Reason::NeedsName,
        Reason::NoBackend,
        Reason::PolicyUnknown,
        Reason::Protocol,
        Reason::WrongFamily,
    ]);
    assert_eq!(reasons.keys().copied().collect::<BTreeSet<_>>(), expected);
    assert!(translated > 100, "{translated} translations");
    assert!(only_proxies > 100, "{only_proxies} answers that a mesh proxy alone gets");
    assert!(rivals > 100, "{rivals} targets that different services decide for different workloads");
}

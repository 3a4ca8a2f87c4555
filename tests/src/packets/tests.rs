//! The generator reaches every rule, and a comparison finds who judges differently.

use std::collections::BTreeMap;

use super::*;
use crate::reference::{History, arrive, judge};

/// Reasons that only a look at headers of the packet tells, not the frame's or a missing byte.
const SHALLOW: [&str; 3] = ["malformed", "not_ip", "protocol"];

/// How often the reference gives each reason.
fn distribution(seed: u64, count: usize) -> BTreeMap<&'static str, usize> {
    let model = model();
    let mut generator = Generator::new(&model, seed);
    let mut history = History::default();
    let mut reasons = BTreeMap::new();
    for _ in 0..count {
        *reasons.entry(judge(&model, &mut history, &generator.next_frame()).reason).or_default() += 1;
    }
    reasons
}

#[test]
fn every_reason_occurs_and_most_of_them_are_deep() {
    let reasons = distribution(1, 50_000);
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), REASONS, "{reasons:?}");
    for (reason, count) in &reasons {
        assert!(*count >= 100, "{reason} occurs {count} times only: {reasons:?}");
    }
    let shallow: usize = SHALLOW.iter().map(|reason| reasons[reason]).sum();
    assert!(shallow * 3 < 50_000 * 2, "{reasons:?}");
    println!("{reasons:?}");
}

/// The reference as who is compared with it.
fn second_judge(model: &Model) -> impl FnMut(&Passing) -> Option<bool> {
    let mut history = History::default();
    move |passing| match passing {
        Passing::Arrives(frame) => {
            arrive(model, &mut history, frame);
            Some(true)
        }
        Passing::Leaves(frame) => Some(judge(model, &mut history, frame).allowed),
    }
}

/// What comes out of so many frames.
fn both_ways(
    model: &Model,
    seed: u64,
    count: usize,
    run: &mut dyn FnMut(&Passing) -> Option<bool>,
) -> Comparison {
    let mut both_ways = BothWays::new(model, seed);
    both_ways.go_on(model, count, run);
    both_ways.comparison().clone()
}

#[test]
fn conversations_meet_every_reason_in_either_direction() {
    let model = model();
    let comparison = both_ways(&model, 3, 50_000, &mut second_judge(&model));
    assert!(comparison.agrees() && comparison.not_runnable == 0, "{comparison}");
    let met: Vec<&str> = comparison.by_reason.keys().copied().collect();
    assert_eq!(met, reasons_of_both_ways(), "{comparison}");
    assert!(comparison.by_reason.values().all(|met| *met >= 10), "{comparison}");
    assert!(comparison.arrived > 15_000 && comparison.tried > 25_000, "{comparison}");
    // Most that passes answers something, and as much does not pass.
    let passed = comparison.answers["inbound"];
    assert!(passed > comparison.tried / 4 && passed < comparison.tried / 2, "{comparison}");
    for reason in ["related", "link_control", "fragment_of_allowed"] {
        assert!(comparison.answers[reason] >= 100, "{reason}: {comparison}");
    }
}

#[test]
fn conversations_are_the_same_again() {
    let model = model();
    let passings = |seed| {
        let mut conversations = Conversations::new(&model, seed);
        (0..1_000).map(|_| conversations.next_passing()).collect::<Vec<_>>()
    };
    assert_eq!(passings(7), passings(7));
    assert_ne!(passings(7), passings(8));
}

#[test]
fn who_does_not_hear_what_comes_in_is_found() {
    let model = model();
    let mut deaf = History::default();
    let comparison = both_ways(&model, 4, 10_000, &mut |passing| match passing {
        Passing::Arrives(_) => Some(true),
        Passing::Leaves(frame) => Some(judge(&model, &mut deaf, frame).allowed),
    });
    assert!(comparison.denied > 1_000 && comparison.admitted == 0, "{comparison}");
    // ... and so is who lets nothing in.
    let mut judge = second_judge(&model);
    let comparison = both_ways(&model, 4, 1_000, &mut |passing| {
        let passed = judge(passing);
        if matches!(passing, Passing::Arrives(_)) { Some(false) } else { passed }
    });
    assert!(!comparison.agrees() && comparison.held == comparison.arrived, "{comparison}");
}

#[test]
fn a_seed_makes_the_same_frames_again_and_another_seed_others() {
    let model = model();
    let frames = |seed| {
        let mut generator = Generator::new(&model, seed);
        (0..1_000).map(|_| generator.next_frame()).collect::<Vec<_>>()
    };
    assert_eq!(frames(7), frames(7));
    assert_ne!(frames(7), frames(8));
}

#[test]
fn frames_of_every_length_up_to_full_headers_occur() {
    let mut generator = Generator::new(&model(), 3);
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for _ in 0..100_000 {
        *lengths.entry(generator.next_frame().len()).or_default() += 1;
    }
    let missing: Vec<usize> = (0..140).filter(|length| !lengths.contains_key(length)).collect();
    assert!(missing.is_empty(), "no frame has these lengths: {missing:?}");
}

#[test]
fn the_reference_agrees_with_itself() {
    let model = model();
    let mut history = History::default();
    let comparison =
        compare(&model, 5, 20_000, &mut |frame| Some(judge(&model, &mut history, frame).allowed));
    assert!(comparison.agrees(), "{comparison}");
    assert_eq!((comparison.tried, comparison.not_runnable), (20_000, 0));
}

#[test]
fn who_forgets_a_rule_is_found() {
    let model = model();
    // Options are skipped, as a parser does that trusts the header length.
    let mut history = History::default();
    let comparison = compare(&model, 6, 20_000, &mut |frame| {
        let ruling = judge(&model, &mut history, frame);
        Some(ruling.allowed || ruling.reason == "source_route")
    });
    assert!(comparison.denied == 0 && comparison.admitted > 0, "{comparison}");
    let shown = &comparison.admitted_though_denied;
    assert_eq!(shown.len(), 10, "{comparison}");
    assert!(shown.iter().all(|one| one.reason == "source_route"), "{comparison}");
}

#[test]
fn what_cannot_be_run_leaves_no_traces() {
    let model = model();
    let comparison = compare(&model, 6, 5_000, &mut |frame| (frame.len() > 60).then_some(false));
    assert_eq!(comparison.tried + comparison.not_runnable, 5_000);
    assert!(comparison.not_runnable > 0);
    // No first fragment passed there, but here they did: a disagreement about each is what a comparison is for.
    assert_eq!(comparison.admitted, 0);
    assert!(comparison.to_string().contains("denied though admitted, registered"), "{comparison}");
}

#[test]
fn a_million_frames_take_less_than_a_minute() {
    let before = std::time::Instant::now();
    distribution(2, 1_000_000);
    let took = before.elapsed();
    println!("{took:?}");
    assert!(took.as_secs() < 60, "{took:?}");
}

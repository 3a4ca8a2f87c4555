//! Frames over the interface itself: the kernel takes the tag of a frame that it receives off before any program, and no test run
//! takes frames that are shorter than their headers.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use enforcer_tests::capture::{Capture, Sender};
use enforcer_tests::packets::{self, Generator, describe};
use enforcer_tests::reference::{History, Model, Ruling, judge};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::{count, node};

/// Of so many of the frames that a test run takes as well one is sent.
const SAMPLE: usize = 50;
/// How many are sent before it is looked what passed.
const AT_A_TIME: usize = 1_000;
/// The longest that the interface takes.
const LONGEST: usize = 1_514;

/// A third tag is the test run's to deny: here the first is not before the packet any more, and is not counted.
const MOST_TAGS: usize = 2;

/// Frames on their way, by their numbers.
type Sent = BTreeMap<u32, (Ruling, Vec<u8>)>;

/// What the slow judge says of the frames that are to be sent, in the order of sending.
fn chosen(model: &Model, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut generator = Generator::new(model, 2);
    (0..count).map(move |number| (number, generator.next_frame())).filter_map(|(number, frame)| {
        let fits = (14..=LONGEST).contains(&frame.len());
        let tags = packets::tags(&frame);
        let fits = fits && tags <= MOST_TAGS;
        let is_special = tags > 0 || packets::is_too_short(&frame);
        (fits && (is_special || number % SAMPLE == 0)).then_some(frame)
    })
}

/// Compares what passed with what was sent.
fn look(capture: &Capture, sent: &mut Sent) -> Result<()> {
    let passed: BTreeSet<u32> = capture.all()?.iter().filter_map(|frame| packets::number_of(frame)).collect();
    capture.clear()?;
    for (number, (ruling, frame)) in std::mem::take(sent) {
        let shown = || format!("frame {number}: {}\n  {}", describe(&frame), packets::hex(&frame));
        anyhow::ensure!(passed.contains(&number) == ruling.allowed, "{ruling:?}, {}", shown());
    }
    Ok(())
}

/// Sends them all, and says how often each reason was met.
fn send(
    model: &Model,
    count: usize,
    sender: &Sender,
    capture: &Capture,
) -> Result<BTreeMap<&'static str, usize>> {
    let (mut history, mut sent, mut reasons) = (History::default(), Sent::new(), BTreeMap::new());
    let beginning = Instant::now();
    for (number, frame) in (0_u32..).zip(chosen(model, count)) {
        history.set_time(beginning.elapsed());
        let frame = packets::numbered(&frame, number);
        let ruling = judge(model, &mut history, &frame);
        sender.send(&frame)?;
        *reasons.entry(ruling.reason).or_default() += 1;
        sent.insert(number, (ruling, frame));
        if sent.len() == AT_A_TIME {
            look(capture, &mut sent)?;
        }
    }
    look(capture, &mut sent)?;
    Ok(reasons)
}

#[test]
fn what_comes_over_the_interface_is_judged_as_in_a_test_run() -> Result<()> {
    let model = packets::model();
    let node = node(&model)?;
    let (capture, sender) = (node.world().capture_past_programs("curl")?, node.world().sender("curl")?);
    let count = count()?;
    let model = &model;
    let on_one_cpu = move || {
        // A veth pair keeps the order of what one CPU sends.
        let mut first = CpuSet::new();
        first.set(0).context("naming a CPU")?;
        sched_setaffinity(Pid::from_raw(0), &first).context("moving to a CPU")?;
        send(model, count, &sender, &capture)
    };
    let reasons = thread::scope(|scope| scope.spawn(on_one_cpu).join());
    let reasons = reasons.map_err(|_| anyhow::anyhow!("sending panicked"))??;
    println!("{} of {count} frames over the interface: {reasons:?}", reasons.values().sum::<usize>());
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), packets::REASONS, "{reasons:?}");
    // What passes is heard: else nothing of this shows anything.
    assert!(reasons["registered"] > 100 && reasons["link_control"] > 10, "{reasons:?}");
    Ok(())
}

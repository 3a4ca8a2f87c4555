//! How instruments with labels are read. Every value of a label is there from the start, with 0: an alert on a counter that
//! is not there yet would never fire.

use std::time::UNIX_EPOCH;

use enforcer_common::mode::{Enforcement, OutboundPolicy};
use enforcer_common::reason::Reason;
use enforcer_core::problem::Severity;

use crate::metrics::Scrape;
use crate::metrics::instrument::{Sample, Value, number};
use crate::status::updates::BOUNDS;
use crate::status::{MapStatus, SourceStatus};

/// The modes, in the order in which they are shown.
const MODES: [Enforcement; 3] = [Enforcement::Enforce, Enforcement::Audit, Enforcement::Off];
const POLICIES: [OutboundPolicy; 3] =
    [OutboundPolicy::RegistryOnly, OutboundPolicy::AllowAny, OutboundPolicy::Unknown];

fn sample<const N: usize>(labels: [&str; N], value: u64) -> Sample {
    Sample { labels: labels.map(str::to_owned).to_vec(), value: Value::Whole(value) }
}

pub(super) fn build(scrape: &Scrape) -> Vec<Sample> {
    let build = &scrape.build;
    vec![sample([build.version, build.commit, &build.abi.to_string(), &build.kernel_object], 1)]
}

pub(super) fn enforcement(scrape: &Scrape) -> Vec<Sample> {
    let is = |mode: Enforcement| u64::from(scrape.enforcement == mode.as_str());
    MODES.iter().map(|mode| sample([mode.as_str()], is(*mode))).collect()
}

pub(super) fn policy(scrape: &Scrape) -> Vec<Sample> {
    let is = |policy: OutboundPolicy| u64::from(scrape.applied.status.outbound_policy == policy.as_str());
    POLICIES.iter().map(|policy| sample([policy.as_str()], is(*policy))).collect()
}

pub(super) fn workloads(scrape: &Scrape) -> Vec<Sample> {
    let workloads = &scrape.applied.status.workloads;
    let count = |mode: Enforcement| workloads.iter().filter(|one| one.enforcement == mode.as_str()).count();
    MODES.iter().map(|mode| sample([mode.as_str()], number(count(*mode)))).collect()
}

pub(super) fn covered(scrape: &Scrape) -> Vec<Sample> {
    let workloads = &scrape.applied.status.workloads;
    let covered = number(workloads.iter().filter(|one| one.covered).count());
    vec![sample(["true"], covered), sample(["false"], number(workloads.len()) - covered)]
}

pub(super) fn interfaces(scrape: &Scrape) -> Vec<Sample> {
    let interfaces = &scrape.applied.status.interfaces;
    let count = |side: &str| number(interfaces.iter().filter(|one| one.side == side).count());
    ["workload", "uplink"].map(|side| sample([side], count(side))).to_vec()
}

pub(super) fn sources(scrape: &Scrape, value: impl Fn(&SourceStatus) -> u64) -> Vec<Sample> {
    let sources = scrape.applied.status.sources.iter();
    sources.map(|source| sample([&source.source], value(source))).collect()
}

/// By the configured sources: where a problem says it is (`file:/etc/registry/a.yaml:12`) begins with its source.
pub(super) fn problems(scrape: &Scrape) -> Vec<Sample> {
    let status = &scrape.applied.status;
    let names: Vec<&str> = status.sources.iter().map(|source| source.source.as_str()).collect();
    let mut counts = vec![[0_u64; 2]; names.len() + 1];
    for problem in &status.problems {
        // The longest: one source may lie within another.
        let within = names.iter().enumerate().filter(|(_, name)| is_within(&problem.source, name));
        let at = within.max_by_key(|(_, name)| name.len()).map_or(names.len(), |(at, _)| at);
        counts[at][usize::from(problem.severity == Severity::Error)] += 1;
    }
    let rows = names.iter().chain(&["other"]).zip(counts);
    rows.flat_map(|(name, [warnings, errors])| {
        [sample([name, "error"], errors), sample([name, "warning"], warnings)]
    })
    .collect()
}

fn is_within(place: &str, source: &str) -> bool {
    place.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

pub(super) fn updates(scrape: &Scrape) -> Vec<Sample> {
    let updates = &scrape.applied.updates;
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let value = Value::Spread(updates.seconds, bounds.zip(updates.spread).collect());
    vec![Sample { labels: Vec::new(), value }]
}

/// Nothing before the first: the beginning of 1970 would be a lie.
pub(super) fn applied_at(scrape: &Scrape) -> Vec<Sample> {
    let at = scrape.applied.updates.applied_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    at.map(|at| Sample { labels: Vec::new(), value: Value::Real(at.as_secs_f64()) }).into_iter().collect()
}

pub(super) fn failures(scrape: &Scrape) -> Vec<Sample> {
    let updates = &scrape.applied.updates;
    vec![sample(["refused"], updates.refused), sample(["failed"], updates.failed)]
}

pub(super) fn closed(scrape: &Scrape) -> Vec<Sample> {
    let narrowed = scrape.applied.status.terminated.total;
    vec![sample(["narrowed"], narrowed), sample(["denied"], scrape.closed_for_packets)]
}

pub(super) fn maps(scrape: &Scrape, value: impl Fn(&MapStatus) -> u64) -> Vec<Sample> {
    scrape.applied.status.maps.iter().map(|map| sample([&map.map], value(map))).collect()
}

pub(super) fn decisions(scrape: &Scrape) -> Vec<Sample> {
    let of = |reason: Reason| scrape.decisions.iter().find(|count| count.reason == reason.as_str());
    let samples = Reason::ALL.iter().flat_map(|reason| {
        let (name, verdict) = (reason.as_str(), if reason.allows() { "allow" } else { "deny" });
        let (enforced, audited) = of(*reason).map_or((0, 0), |count| (count.enforced, count.audited));
        [sample([verdict, name, "enforce"], enforced), sample([verdict, name, "audit"], audited)]
    });
    samples.collect()
}

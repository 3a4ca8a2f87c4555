//! The ServiceEntries that denied flows lack, ready for review, and what to do where no ServiceEntry is the answer.
//!
//! ```text
//! denied ─ triage ─> registrable ─ drafts ─> YAML ─ our own parser ─> registry + entries ─ verdict ─> proven: entries
//!             └────> notes <─────────────────────────────────────────────────────────────── not: notes
//! ```
//!
//! An entry is suggested when the registry with it allows every flow that it is for. It opens what was seen, for the namespace
//! that was seen: nothing else changes, for nobody.

mod entry;
mod index;
mod notes;
mod triage;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::verdict::Action;
use serde::{Deserialize, Serialize};

use crate::flow::{Denied, FlowWorkload};
use crate::policy::Settings;
use crate::problem::Problem;
use crate::registry::object::Object;
use crate::registry::{BuildOptions, Registry, build, parse};
use crate::simulate::judge::Judge;
use crate::vip::VipAllocation;
use index::Index;
use notes::{Notes, Topic};
use triage::Seen;

/// What is suggested. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Suggestions {
    /// By namespace, host and address.
    pub entries: Vec<Entry>,
    /// What no entry mends, or not alone: a sentence each.
    pub notes: Vec<String>,
    /// Denied flows whose destination the agent had no room to keep.
    pub not_kept: u64,
}

/// A ServiceEntry. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<EntryPort>,
    /// The object with a comment above it: who dialled, how often, when.
    pub yaml: String,
    /// How many flows it is for.
    pub count: u64,
}

/// A port of a suggested ServiceEntry. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryPort {
    /// Its number.
    pub number: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// What `denied` lacks in `registry`. An error only when the registry cannot be compiled.
pub fn suggest(
    registry: &Arc<Registry>,
    settings: &Settings,
    denied: &[Denied],
) -> Result<Suggestions, Vec<Problem>> {
    let mut notes = Notes::default();
    let mut workloads = Workloads::default();
    let seen: Vec<Seen> = denied
        .iter()
        .filter_map(|denied| triage::registrable(denied, |who| workloads.index(who), &mut notes))
        .collect();
    let mut judge = Judge::new(registry, settings, workloads.all)?;
    let index = Index::new(registry, settings, &triage::addresses_of(denied));
    let mut seen: Vec<Seen> =
        seen.into_iter().filter_map(|seen| triage::triage(seen, &judge, &index, &mut notes)).collect();
    let entries = loop {
        let (entries, unproven) = prove(&seen, registry, &index, &mut judge)?;
        if unproven.is_empty() {
            break entries;
        }
        for (at, why) in &unproven {
            notes.add(Topic::Unproven, why, seen[*at].denied);
        }
        // What is left makes other entries: these are to be proven, too.
        let mut at = 0..;
        seen.retain(|_| at.next().is_some_and(|at| !unproven.contains_key(&at)));
    };
    for seen in &seen {
        if let Some(better) = &seen.better {
            notes.add(Topic::Better, better, seen.denied);
        }
    }
    Ok(Suggestions { entries, notes: notes.sentences(), not_kept: 0 })
}

/// The different workloads, in the order in which they came.
#[derive(Default)]
struct Workloads<'a> {
    all: Vec<&'a FlowWorkload>,
    indices: BTreeMap<&'a FlowWorkload, usize>,
}

impl<'a> Workloads<'a> {
    fn index(&mut self, workload: &'a FlowWorkload) -> usize {
        *self.indices.entry(workload).or_insert_with(|| {
            self.all.push(workload);
            self.all.len() - 1
        })
    }
}

/// Which flows an entry would not open, by their index, and why.
type Unproven = BTreeMap<usize, String>;

/// The entries for `seen`, and which of them would stay denied all the same, with the reason.
fn prove(
    seen: &[Seen<'_>],
    registry: &Registry,
    index: &Index,
    judge: &mut Judge,
) -> Result<(Vec<Entry>, Unproven), Vec<Problem>> {
    let (mut entries, mut objects, mut refused) = (Vec::new(), Vec::new(), None);
    for draft in entry::drafts(seen, index) {
        match draft.entry().map_err(|error| error.to_string()).and_then(|entry| checked(entry, &mut objects))
        {
            Ok(entry) => entries.push(entry),
            // What it was for is denied below.
            Err(error) => refused = Some(error),
        }
    }
    judge.lead_to(&with(registry, &objects, judge))?;
    let mut unproven = Unproven::new();
    for (at, seen) in seen.iter().enumerate() {
        let verdict = judge.verdict(seen.workload, &seen.asked);
        if verdict.action == Action::Deny {
            let (spec, slot) = (judge.workload(seen.workload), seen.asked.slot());
            let hidden = judge.compiler().hidden_at(spec, seen.asked.ip, slot).into_iter().next();
            let why = match (hidden, &refused) {
                (Some(hidden), _) => format!(
                    "an entry alone would not open it: {}; {} and ask again",
                    hidden.told, hidden.remedy
                ),
                (None, Some(error)) => format!("no entry could be written: {error}; report this as a bug"),
                (None, None) => {
                    format!(
                        "an entry would not open it: {}",
                        judge.message(seen.workload, seen.asked.protocol, &verdict)
                    )
                }
            };
            unproven.insert(at, why);
        }
    }
    Ok((entries, unproven))
}

/// Puts the object of `entry` to the others, if our own parser has nothing to say about it.
fn checked(entry: Entry, objects: &mut Vec<Arc<Object>>) -> Result<Entry, String> {
    let source = format!("suggestion:{}/{}", entry.namespace, entry.name);
    let parsed = parse(&source, &entry.yaml).map_err(|problem| problem.to_string())?;
    match (&parsed.problems[..], &parsed.objects[..]) {
        ([], [_]) => {
            objects.extend(parsed.objects);
            Ok(entry)
        }
        ([problem, ..], _) => Err(problem.to_string()),
        _ => Err(format!("{source} is not one object")),
    }
}

/// `registry` with `objects` in it, as if they had been applied.
fn with(registry: &Registry, objects: &[Arc<Object>], judge: &Judge) -> Arc<Registry> {
    let settings = judge.compiler().settings();
    let options = BuildOptions {
        cluster_id: settings.cluster_id.clone(),
        // Of Kubernetes Services only, and of hosts without addresses: there is neither.
        cluster_domain: String::new(),
        root_namespace: settings.root_namespace.clone(),
        vip_allocation: VipAllocation::Off,
    };
    let (added, _) = build(objects, &options);
    let mut all = registry.clone();
    all.services.extend(added.services);
    all.services.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Arc::new(all)
}

#[cfg(test)]
mod tests;

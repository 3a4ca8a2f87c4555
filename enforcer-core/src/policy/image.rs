//! What the maps have to hold, as ordered maps, and the operations that change it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Prefix, Protocol};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::{Backend, Lookup, Rule, RuleAction, TableFault, Tables, Workload};

use crate::policy::offer::{Place, Slot};

/// The rules of a class by protocol and port.
pub type Class = BTreeMap<Slot, Rule>;

/// The wanted, or the read, content of all maps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    /// `WORKLOADS`
    pub workloads: BTreeMap<CgroupId, Workload>,
    /// `EXACT`
    pub exact: BTreeMap<(ViewId, Addr), ClassId>,
    /// `PREFIXES`
    pub prefixes: BTreeMap<(ViewId, Prefix), ClassId>,
    /// `ANY_RULES`
    pub any: BTreeMap<(ViewId, Protocol, Port), Rule>,
    /// `CLASS_RULES`
    pub classes: BTreeMap<ClassId, Arc<Class>>,
    /// `RULE_HITS`
    pub rules: BTreeSet<RuleId>,
    /// `BACKENDS`
    pub backends: BTreeMap<RuleId, Arc<[Backend]>>,
    /// `CONFIG`: whether `--allow` ranges exist.
    pub has_exempt: bool,
}

/// One change of a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MapOp {
    /// A rule's counter, and its backends when it translates.
    AddRule(RuleId, Option<Arc<[Backend]>>),
    /// The same, gone.
    RemoveRule(RuleId),
    /// All rules of a class.
    AddClass(ClassId, Arc<Class>),
    /// The same, gone.
    RemoveClass(ClassId, Arc<Class>),
    /// The class of an address.
    SetExact(ViewId, Addr, ClassId),
    /// The address has no rules any more.
    RemoveExact(ViewId, Addr),
    /// The class of a network.
    SetPrefix(ViewId, Prefix, ClassId),
    /// The network has no rules any more.
    RemovePrefix(ViewId, Prefix),
    /// The rule of a port at any address.
    SetAny(ViewId, Slot, Rule),
    /// No rule any more.
    RemoveAny(ViewId, Slot),
    /// The identity of a cgroup.
    SetWorkload(CgroupId, Workload),
    /// Unknown again.
    RemoveWorkload(CgroupId),
    /// Whether `--allow` ranges exist.
    SetHasExempt(bool),
    /// Wait until every program that runs now has ended: none of them sees what follows.
    Barrier,
    /// What sockets remember of this view counts no more: somebody has lost something in it. The last of a stage.
    Narrow(ViewId),
}

impl Image {
    /// Does what the kernel's maps would.
    pub fn apply(&mut self, op: &MapOp) {
        match op {
            MapOp::AddRule(rule, backends) => {
                self.rules.insert(*rule);
                if let Some(backends) = backends {
                    self.backends.insert(*rule, Arc::clone(backends));
                }
            }
            MapOp::RemoveRule(rule) => {
                self.rules.remove(rule);
                self.backends.remove(rule);
            }
            MapOp::AddClass(class, rules) => drop(self.classes.insert(*class, Arc::clone(rules))),
            MapOp::RemoveClass(class, _) => drop(self.classes.remove(class)),
            MapOp::SetExact(view, addr, class) => drop(self.exact.insert((*view, *addr), *class)),
            MapOp::RemoveExact(view, addr) => drop(self.exact.remove(&(*view, *addr))),
            MapOp::SetPrefix(view, prefix, class) => drop(self.prefixes.insert((*view, *prefix), *class)),
            MapOp::RemovePrefix(view, prefix) => drop(self.prefixes.remove(&(*view, *prefix))),
            MapOp::SetAny(view, slot, rule) => drop(self.any.insert((*view, slot.0, slot.1), *rule)),
            MapOp::RemoveAny(view, slot) => drop(self.any.remove(&(*view, slot.0, slot.1))),
            MapOp::SetWorkload(cgroup, workload) => drop(self.workloads.insert(*cgroup, *workload)),
            MapOp::RemoveWorkload(cgroup) => drop(self.workloads.remove(cgroup)),
            MapOp::SetHasExempt(has) => self.has_exempt = *has,
            MapOp::Barrier | MapOp::Narrow(_) => {}
        }
    }

    /// The entry of the longest network around `prefix` (itself included) in `view`.
    pub fn longest_around(&self, view: ViewId, prefix: &Prefix) -> Option<(Prefix, ClassId)> {
        let shortest = if prefix.is_v4() { 96 } else { 0 };
        (shortest..=prefix.length()).rev().find_map(|length| {
            let candidate = Prefix::new(prefix.addr(), length);
            let class = self.prefixes.get(&(view, candidate))?;
            candidate.covers(prefix).then_some((candidate, *class))
        })
    }

    /// The networks of `view` that lie strictly within `prefix`.
    pub fn nested(&self, view: ViewId, prefix: Prefix) -> impl Iterator<Item = Prefix> + '_ {
        let first = Bound::Excluded((view, prefix));
        let last = Bound::Included((view, Prefix::host(prefix.last())));
        self.prefixes
            .range((first, last))
            .map(|((_, nested), _)| *nested)
            .filter(move |nested| prefix.covers(nested))
    }

    /// Every cell that holds something: the view and the place.
    pub fn cells(&self) -> impl Iterator<Item = (ViewId, Place)> + '_ {
        let exact = self.exact.keys().map(|(view, addr)| (*view, Place::Exact(*addr)));
        let nets = self.prefixes.keys().map(|(view, prefix)| (*view, Place::Net(*prefix)));
        let any = self.any.keys().map(|(view, protocol, port)| (*view, Place::Any((*protocol, *port))));
        exact.chain(nets).chain(any)
    }

    /// Entries of `CLASS_RULES`.
    pub fn class_rules(&self) -> usize {
        self.classes.values().map(|class| class.len()).sum()
    }

    /// Entries of `BACKENDS`: the slots of each rule, their number, and its members.
    pub fn backend_slots(&self) -> usize {
        self.backends.values().map(|backends| backends.len() + 1 + members(backends).len()).sum()
    }
}

impl Tables for Image {
    fn has_exempt(&self) -> bool {
        self.has_exempt
    }

    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        Ok(self.exact.get(&(view, *addr)).copied())
    }

    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        Ok(self.longest_around(view, &Prefix::host(*addr)).map(|(_, class)| class))
    }

    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        // A class that an address points to is always there; if it is not, that is a fault, not a miss.
        let rules = self.classes.get(&class).ok_or(TableFault)?;
        Ok(rules.get(&(protocol, port)).copied())
    }

    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        Ok(self.any.get(&(view, protocol, port)).copied())
    }

    fn slots(&self, rule: RuleId) -> Lookup<u32> {
        Ok(self.backends.get(&rule).map(|backends| u32::try_from(backends.len()).unwrap_or(u32::MAX)))
    }

    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend> {
        let index = slot.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        Ok(self.backends.get(&rule).zip(index).and_then(|(backends, index)| backends.get(index)).copied())
    }

    fn has_backend(&self, rule: RuleId, backend: &Backend) -> Result<bool, TableFault> {
        Ok(self.backends.get(&rule).is_some_and(|backends| members(backends).contains(backend)))
    }
}

/// The backends that can be asked for as such: all different ones of a rule that has several. The backend of a rule with
/// one slot is never in doubt.
pub fn members(slots: &[Backend]) -> BTreeSet<Backend> {
    if slots.len() < 2 { BTreeSet::new() } else { slots.iter().copied().collect() }
}

/// Whether a rule has backends of its own.
pub(super) fn translates(action: RuleAction) -> bool {
    action == RuleAction::Translate
}

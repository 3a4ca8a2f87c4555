//! From changed cells to ordered operations that no reader can catch half-way.
//!
//! A destination is judged by the first of six levels that has a rule for its port: exact address (own view, public), network
//! (own view, public), any address (own view, public). So that each destination goes from its old verdict to its new one
//! in one step, whatever else changes with it:
//!
//! 1. *Adding*, from the first level to the last, in networks from the longest to the shortest: every changed cell gets its new rules
//!    and keeps, for slots it is about to lose, its old ones. After a level is done, what it will say is said, and what it said is still
//!    there.
//! 2. *Removing*, in the opposite order: what is to go goes when nothing below it can be mistaken for the answer.
//!
//! A program that runs meanwhile reads level after level; a barrier between the levels, and between the two phases, makes
//! sure that it does not combine an earlier level's past with a later level's future.

use std::collections::BTreeMap;
use std::ops::Bound;

use enforcer_common::addr::{Addr, Prefix};
use enforcer_common::id::{ClassId, ViewId};
use enforcer_common::verdict::{Rule, RuleAction};

use crate::policy::image::{Class, Image, MapOp};
use crate::policy::intern::Interner;
use crate::policy::offer::Slot;

/// The cells that an update has changed, with what they held before.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) exact: BTreeMap<(ViewId, Addr), Option<ClassId>>,
    pub(super) prefixes: BTreeMap<(ViewId, Prefix), Option<ClassId>>,
    pub(super) any: BTreeMap<(ViewId, Slot), Option<Rule>>,
    pub(super) has_exempt: Option<bool>,
}

impl Touched {
    pub(super) fn exact(&mut self, view: ViewId, addr: Addr, old: Option<ClassId>) {
        self.exact.entry((view, addr)).or_insert(old);
    }

    pub(super) fn prefix(&mut self, view: ViewId, prefix: Prefix, old: Option<ClassId>) {
        self.prefixes.entry((view, prefix)).or_insert(old);
    }

    pub(super) fn any(&mut self, view: ViewId, slot: Slot, old: Option<Rule>) {
        self.any.entry((view, slot)).or_insert(old);
    }

    /// The class of an address before the update that led to `image`.
    pub(super) fn exact_before(&self, image: &Image, view: ViewId, addr: Addr) -> Option<ClassId> {
        let key = (view, addr);
        self.exact.get(&key).copied().unwrap_or_else(|| image.exact.get(&key).copied())
    }

    /// The class of the longest network around `prefix` before it.
    pub(super) fn around_before(&self, image: &Image, view: ViewId, prefix: Prefix) -> Option<ClassId> {
        let shortest = if prefix.is_v4() { 96 } else { 0 };
        (shortest..=prefix.length()).rev().find_map(|length| {
            let key = (view, Prefix::new(prefix.addr(), length));
            if !key.1.covers(&prefix) {
                return None;
            }
            self.prefixes.get(&key).copied().unwrap_or_else(|| image.prefixes.get(&key).copied())
        })
    }

    /// The rule of a port at any address before it.
    pub(super) fn any_before(&self, image: &Image, view: ViewId, slot: Slot) -> Option<Rule> {
        let now = || image.any.get(&(view, slot.0, slot.1)).copied();
        self.any.get(&(view, slot)).copied().unwrap_or_else(now)
    }

    /// The changed networks of `view` strictly within `prefix`.
    pub(super) fn nested(&self, view: ViewId, prefix: Prefix) -> impl Iterator<Item = Prefix> + '_ {
        let (first, last) = ((view, prefix), (view, Prefix::host(prefix.last())));
        let range = self.prefixes.range((Bound::Excluded(first), Bound::Included(last)));
        range.map(|((_, nested), _)| *nested).filter(move |nested| prefix.covers(nested))
    }
}

/// One cell's way: the class it holds meanwhile, and the one it ends with.
struct Way<P> {
    view: ViewId,
    place: P,
    old: Option<ClassId>,
    meanwhile: Option<ClassId>,
    new: Option<ClassId>,
}

/// The operations of one stage, and the classes that exist for its duration only.
pub(super) struct Plan {
    pub(super) ops: Vec<MapOp>,
    pub(super) temporary: Vec<ClassId>,
}

/// Orders what `touched` says has changed towards `image`.
pub(super) fn plan(touched: &Touched, image: &Image, interner: &mut Interner) -> Plan {
    let mut planner = Planner { touched, image, interner, temporary: Vec::new() };
    let exact = planner.exact_ways();
    let mut nets = planner.net_ways();
    // Longest first; removing goes through them the other way round.
    nets.sort_by_key(|way| std::cmp::Reverse(way.place.length()));
    let temporary = planner.temporary;
    let mut levels = Vec::new();
    let own = |view: ViewId| view != ViewId::PUBLIC;
    for wants_own in [true, false] {
        levels.push(adding(exact.iter().filter(|way| own(way.view) == wants_own), MapOp::SetExact));
    }
    for wants_own in [true, false] {
        levels.push(adding(nets.iter().filter(|way| own(way.view) == wants_own), MapOp::SetPrefix));
    }
    for wants_own in [true, false] {
        let any = touched.any.keys().filter(|(view, _)| own(*view) == wants_own);
        levels.push(any.filter_map(|key| add_any(touched, image, *key)).collect());
    }
    if let Some(has) = touched.has_exempt {
        levels.push(vec![MapOp::SetHasExempt(has)]);
    }
    let mut removals = Vec::new();
    for wants_own in [false, true] {
        let any = touched.any.keys().filter(|(view, _)| own(*view) == wants_own);
        removals.extend(any.filter_map(|key| remove_any(touched, image, *key)));
    }
    for wants_own in [false, true] {
        let nets = nets.iter().rev().filter(|way| own(way.view) == wants_own);
        removals.extend(removing(nets, MapOp::SetPrefix, MapOp::RemovePrefix));
    }
    for wants_own in [false, true] {
        let exact = exact.iter().filter(|way| own(way.view) == wants_own);
        removals.extend(removing(exact, MapOp::SetExact, MapOp::RemoveExact));
    }
    levels.push(removals);
    levels.retain(|level| !level.is_empty());
    Plan { ops: levels.join(&MapOp::Barrier), temporary }
}

fn adding<'a, P: Copy + 'a>(
    ways: impl Iterator<Item = &'a Way<P>>,
    set: fn(ViewId, P, ClassId) -> MapOp,
) -> Vec<MapOp> {
    ways.filter(|way| way.meanwhile != way.old)
        .filter_map(|way| Some(set(way.view, way.place, way.meanwhile?)))
        .collect()
}

fn removing<'a, P: Copy + 'a>(
    ways: impl Iterator<Item = &'a Way<P>>,
    set: fn(ViewId, P, ClassId) -> MapOp,
    remove: fn(ViewId, P) -> MapOp,
) -> Vec<MapOp> {
    ways.filter(|way| way.meanwhile.or(way.old) != way.new)
        .map(|way| match way.new {
            Some(class) => set(way.view, way.place, class),
            None => remove(way.view, way.place),
        })
        .collect()
}

/// A rule that decides, for a port that had another or none.
fn add_any(touched: &Touched, image: &Image, (view, slot): (ViewId, Slot)) -> Option<MapOp> {
    let new = image.any.get(&(view, slot.0, slot.1)).copied()?;
    (decides(new) && touched.any[&(view, slot)] != Some(new)).then_some(MapOp::SetAny(view, slot, new))
}

/// No rule any more, or one that only needs a name.
fn remove_any(touched: &Touched, image: &Image, (view, slot): (ViewId, Slot)) -> Option<MapOp> {
    let old = touched.any[&(view, slot)];
    match image.any.get(&(view, slot.0, slot.1)).copied() {
        None => old.is_some().then_some(MapOp::RemoveAny(view, slot)),
        Some(new) if !decides(new) && old != Some(new) => Some(MapOp::SetAny(view, slot, new)),
        Some(_) => None,
    }
}

struct Planner<'a> {
    touched: &'a Touched,
    image: &'a Image,
    interner: &'a mut Interner,
    temporary: Vec<ClassId>,
}

impl Planner<'_> {
    fn exact_ways(&mut self) -> Vec<Way<Addr>> {
        let touched = self.touched;
        let changed = touched.exact.iter().map(|(key, old)| (*key, *old, self.image.exact.get(key).copied()));
        let changed: Vec<_> = changed.filter(|(_, old, new)| old != new).collect();
        changed
            .into_iter()
            .map(|((view, place), old, new)| Way {
                view,
                place,
                old,
                meanwhile: self.meanwhile(old, new),
                new,
            })
            .collect()
    }

    /// A network that comes takes the slots of the network around it from a destination; one that goes gives them back:
    /// what counts is what a destination found before and will find after.
    fn net_ways(&mut self) -> Vec<Way<Prefix>> {
        let touched = self.touched;
        let changed =
            touched.prefixes.iter().map(|(key, old)| (*key, *old, self.image.prefixes.get(key).copied()));
        let changed: Vec<_> = changed.filter(|(_, old, new)| old != new).collect();
        changed
            .into_iter()
            .map(|((view, place), old, new)| {
                let found_before = old.or_else(|| touched.around_before(self.image, view, place));
                let found_after = self.image.longest_around(view, &place).map(|(_, class)| class);
                Way { view, place, old, meanwhile: self.meanwhile(found_before, found_after), new }
            })
            .collect()
    }

    /// The new rules that decide, and the old ones of the slots that have none. What needs a name decides nothing, so it
    /// comes with the removals: put in the place of a rule that allows, it would deny before the levels below it are done.
    fn meanwhile(&mut self, old: Option<ClassId>, new: Option<ClassId>) -> Option<ClassId> {
        let rules = |interner: &Interner, class: Option<ClassId>| -> Class {
            let rules = class.and_then(|class| interner.class_rules(class));
            rules.map(|rules| Class::clone(rules)).unwrap_or_default()
        };
        let (old_rules, new_rules) = (rules(self.interner, old), rules(self.interner, new));
        let mut both = old_rules.clone();
        both.extend(new_rules.iter().filter(|(_, rule)| decides(**rule)).map(|(slot, rule)| (*slot, *rule)));
        if both == new_rules {
            return new;
        }
        // An address that somebody has answers ICMP echo, also where no rule decides: a cell that stays empty meanwhile comes first.
        if both == old_rules && (old.is_some() || new.is_none()) {
            return old;
        }
        for rule in both.values() {
            self.interner.hold_rule(rule.id);
        }
        let class = self.interner.class(both);
        self.temporary.push(class);
        Some(class)
    }
}

/// Whether a rule is an answer, and not only the reason of a denial.
pub(super) fn decides(rule: Rule) -> bool {
    rule.action != RuleAction::NeedsName
}

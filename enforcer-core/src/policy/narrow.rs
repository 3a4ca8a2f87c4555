//! Which views have lost something: what a socket remembers of a verdict counts only until its view is narrowed.
//!
//! A cell is compared with what it held before, a network with what was the longest around it: an allowance must stay one, a
//! translation must keep its backends. A rule where none was before may also stand in front of another level's: it is compared with
//! what a workload of the view found behind it. In doubt a view is narrowed, which costs its sockets one more look-up.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::addr::{Addr, Prefix};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::mode::OutboundPolicy;
use enforcer_common::verdict::{Backend, Rule, RuleAction, Workload};

use crate::policy::image::{Class, Image};
use crate::policy::intern::Interner;
use crate::policy::offer::Slot;
use crate::policy::plan::{Touched, decides};

/// The views in which `touched` leaves less than there was, of those that the workloads of `image` have. The numbers of rules and
/// classes must still be known, old and new.
pub(super) fn narrowed(touched: &Touched, image: &Image, interner: &Interner) -> BTreeSet<ViewId> {
    let mut users = BTreeMap::new();
    for workload in image.workloads.values() {
        let user: &mut User = users.entry(workload.view()).or_default();
        user.inherits |= workload.inherits_public();
        user.is_open |= workload.policy() == OutboundPolicy::AllowAny;
    }
    let comparison = Comparison { touched, image, interner, users };
    let mut narrowed = BTreeSet::new();
    comparison.exact(&mut narrowed);
    comparison.nets(&mut narrowed);
    comparison.any(&mut narrowed);
    narrowed
}

/// Whether a workload may do less than before; `None`: it is gone.
pub(super) fn loses(old: Workload, new: Option<Workload>) -> bool {
    let Some(new) = new else { return true };
    let closes = old.policy() == OutboundPolicy::AllowAny && new.policy() != OutboundPolicy::AllowAny;
    closes
        || (old.view(), old.inherits_public(), old.role()) != (new.view(), new.inherits_public(), new.role())
}

/// What is known of the workloads of a view.
#[derive(Clone, Copy, Default)]
struct User {
    inherits: bool,
    /// What nobody names is allowed.
    is_open: bool,
}

struct Comparison<'a> {
    touched: &'a Touched,
    image: &'a Image,
    interner: &'a Interner,
    users: BTreeMap<ViewId, User>,
}

impl Comparison<'_> {
    fn exact(&self, narrowed: &mut BTreeSet<ViewId>) {
        for ((view, addr), old) in &self.touched.exact {
            let new = self.image.exact.get(&(*view, *addr)).copied();
            let behind = |slot, rule| self.shadows_at(*view, *addr, slot, rule);
            self.compare(*view, *old, new, behind, narrowed);
        }
    }

    fn nets(&self, narrowed: &mut BTreeSet<ViewId>) {
        for ((view, prefix), old) in &self.touched.prefixes {
            let old = old.or_else(|| self.touched.around_before(self.image, *view, *prefix));
            let new = self.image.longest_around(*view, prefix).map(|(_, class)| class);
            let behind = |slot, rule| self.shadows_within(*view, *prefix, slot, rule);
            self.compare(*view, old, new, behind, narrowed);
        }
    }

    /// The last level has nothing behind it but the public part's same level, which only allows, too.
    fn any(&self, narrowed: &mut BTreeSet<ViewId>) {
        for ((view, slot), old) in &self.touched.any {
            let new = self.image.any.get(&(*view, slot.0, slot.1)).copied();
            if let Some(old) = old.filter(|_| self.is_used(*view))
                && !self.keeps(old, new)
            {
                narrowed.insert(told(*view));
            }
        }
    }

    fn compare(
        &self,
        view: ViewId,
        old: Option<ClassId>,
        new: Option<ClassId>,
        behind: impl Fn(Slot, Rule) -> bool,
        narrowed: &mut BTreeSet<ViewId>,
    ) {
        if old == new || narrowed.contains(&told(view)) || !self.is_used(view) {
            return;
        }
        let (old_rules, new_rules) = (self.rules(old), self.rules(new));
        let rule_of = |rules: Option<&Class>, slot: &Slot| rules?.get(slot).copied();
        let lost = |(slot, rule): (&Slot, &Rule)| !self.keeps(*rule, rule_of(new_rules, slot));
        let shadows = |(slot, rule): (&Slot, &Rule)| {
            let decided = rule_of(old_rules, slot).is_some_and(decides);
            decides(*rule) && !decided && behind(*slot, *rule)
        };
        // Without a cell the address is not there for an ICMP echo, whatever the rules were.
        let is_gone = old.is_some() && new.is_none();
        if is_gone
            || old_rules.into_iter().flatten().any(lost)
            || new_rules.into_iter().flatten().any(shadows)
        {
            narrowed.insert(told(view));
        }
    }

    /// Whether `new`, which comes to exactly `addr` in `view`, takes from a workload what it found behind that.
    fn shadows_at(&self, view: ViewId, addr: Addr, slot: Slot, new: Rule) -> bool {
        let host = Prefix::host(addr);
        self.lookers(view).any(|(own, user)| {
            if view == ViewId::PUBLIC && self.exact_before(own, addr, slot).is_some() {
                return false;
            }
            let public = |rule: &dyn Fn() -> Option<Rule>| if user.inherits { rule() } else { None };
            let found = public(&|| self.exact_before(ViewId::PUBLIC, addr, slot))
                .or_else(|| self.around_before(own, host, slot))
                .or_else(|| public(&|| self.around_before(ViewId::PUBLIC, host, slot)))
                .or_else(|| self.any_before(own, user, slot));
            self.takes(found, user, new)
        })
    }

    /// The same of a network: somewhere within it.
    fn shadows_within(&self, view: ViewId, prefix: Prefix, slot: Slot, new: Rule) -> bool {
        self.lookers(view).any(|(own, user)| {
            if view == ViewId::PUBLIC && self.around_before(own, prefix, slot).is_some() {
                return false;
            }
            let public = user.inherits && view != ViewId::PUBLIC;
            let around = if public { self.around_before(ViewId::PUBLIC, prefix, slot) } else { None };
            let found = around.or_else(|| self.any_before(own, user, slot));
            self.takes(found, user, new) || public && self.nested_before(prefix, slot, new)
        })
    }

    /// Whether a public network within `prefix` had a rule that `new` does not keep.
    fn nested_before(&self, prefix: Prefix, slot: Slot, new: Rule) -> bool {
        let there = self.image.nested(ViewId::PUBLIC, prefix);
        let there = there.chain(self.touched.nested(ViewId::PUBLIC, prefix));
        there
            .filter_map(|nested| self.around_before(ViewId::PUBLIC, nested, slot))
            .any(|old| !self.keeps(old, Some(new)))
    }

    fn takes(&self, found: Option<Rule>, user: User, new: Rule) -> bool {
        match found {
            Some(old) => !self.keeps(old, Some(new)),
            None => user.is_open && new.action != RuleAction::Allow,
        }
    }

    /// The views whose workloads look into `view`.
    fn lookers(&self, view: ViewId) -> impl Iterator<Item = (ViewId, User)> {
        let looks = move |own: ViewId, user: User| own == view || view == ViewId::PUBLIC && user.inherits;
        self.users.iter().map(|(own, user)| (*own, *user)).filter(move |(own, user)| looks(*own, *user))
    }

    /// Whether anybody looks into `view`: everybody looks into that of `--allow`.
    fn is_used(&self, view: ViewId) -> bool {
        if view == ViewId::EXEMPT { !self.users.is_empty() } else { self.lookers(view).next().is_some() }
    }

    fn exact_before(&self, view: ViewId, addr: Addr, slot: Slot) -> Option<Rule> {
        self.decisive(self.touched.exact_before(self.image, view, addr), slot)
    }

    fn around_before(&self, view: ViewId, prefix: Prefix, slot: Slot) -> Option<Rule> {
        self.decisive(self.touched.around_before(self.image, view, prefix), slot)
    }

    fn any_before(&self, own: ViewId, user: User, slot: Slot) -> Option<Rule> {
        let before = |view| self.touched.any_before(self.image, view, slot).filter(|rule| decides(*rule));
        before(own).or_else(|| if user.inherits { before(ViewId::PUBLIC) } else { None })
    }

    fn decisive(&self, class: Option<ClassId>, slot: Slot) -> Option<Rule> {
        self.rules(class)?.get(&slot).copied().filter(|rule| decides(*rule))
    }

    fn rules(&self, class: Option<ClassId>) -> Option<&Class> {
        self.interner.class_rules(class?).map(|rules| &**rules)
    }

    /// Whether everything that `old` let pass still passes, and to the same backends.
    fn keeps(&self, old: Rule, new: Option<Rule>) -> bool {
        match (old.action, new.map(|new| new.action)) {
            (RuleAction::NeedsName, _) | (RuleAction::Allow, Some(RuleAction::Allow)) => true,
            (RuleAction::Translate, Some(RuleAction::Translate)) => {
                let new: BTreeSet<Backend> = new.map(|new| self.backends(new.id)).unwrap_or_default();
                self.backends(old.id).is_subset(&new)
            }
            (RuleAction::Allow | RuleAction::Translate, _) => false,
        }
    }

    /// Those of a rule that is new, or of one that the maps still hold.
    fn backends(&self, rule: RuleId) -> BTreeSet<Backend> {
        let key = self.interner.rule_key(rule).map(|key| &key.backends);
        key.or_else(|| self.image.backends.get(&rule))
            .into_iter()
            .flat_map(|all| all.iter().copied())
            .collect()
    }
}

/// Whose generation is raised: everybody looks at the public part's.
fn told(view: ViewId) -> ViewId {
    if view == ViewId::EXEMPT { ViewId::PUBLIC } else { view }
}

#[cfg(test)]
mod tests;

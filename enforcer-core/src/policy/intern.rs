//! Rules and classes by number: each content has one number while it is in use, and no number is used twice.
//!
//! What falls out of use stays a while, because programs may still hold its number; if the same content comes back in
//! the meantime it gets its old number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::id::{ClassId, RuleId};
use enforcer_common::verdict::Rule;

use crate::policy::image::{Class, Image, MapOp, translates};
use crate::policy::offer::RuleKey;

/// How long a class or rule outlives its last user: a program that read its number has long ended.
pub(super) const RETIRE_AFTER: Duration = Duration::from_secs(1);

struct Interned<K> {
    key: Option<K>,
    users: u32,
}

/// What an update has made, and what it made no use of.
#[derive(Default)]
pub(super) struct Fresh {
    pub(super) made: Vec<MapOp>,
    pub(super) forgotten: Vec<MapOp>,
}

/// What something points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct InUse {
    pub(super) rules: usize,
    pub(super) backends: usize,
    pub(super) class_rules: usize,
    pub(super) numbers_left: bool,
}

/// All numbers in use, and those that no longer are.
pub(super) struct Interner {
    rules: BTreeMap<RuleId, Interned<Arc<RuleKey>>>,
    rule_ids: BTreeMap<Arc<RuleKey>, RuleId>,
    classes: BTreeMap<ClassId, Interned<Arc<Class>>>,
    class_ids: BTreeMap<Arc<Class>, ClassId>,
    next_rule: u32,
    next_class: u32,
    /// Without users since some update; the time is when they may go.
    retired_classes: BTreeMap<ClassId, Duration>,
    retired_rules: BTreeMap<RuleId, Duration>,
    /// Made, or found without users, in this update.
    fresh: Vec<MapOp>,
    idle_classes: BTreeSet<ClassId>,
    idle_rules: BTreeSet<RuleId>,
}

impl Interner {
    pub(super) fn new() -> Self {
        Self {
            rules: BTreeMap::new(),
            rule_ids: BTreeMap::new(),
            classes: BTreeMap::new(),
            class_ids: BTreeMap::new(),
            next_rule: 1,
            next_class: 1,
            retired_classes: BTreeMap::new(),
            retired_rules: BTreeMap::new(),
            fresh: Vec::new(),
            idle_classes: BTreeSet::new(),
            idle_rules: BTreeSet::new(),
        }
    }

    /// Takes over what an earlier agent left in the maps. Its rules have no key any more: none is ever found again,
    /// and all retire once nothing points to them. `image` is what points.
    pub(super) fn adopt(&mut self, image: &Image) {
        let highest_rule = image.rules.iter().chain(image.backends.keys()).max();
        self.next_rule = highest_rule.map_or(1, |rule| rule.get() + 1);
        self.next_class = image.classes.keys().max().map_or(1, |class| class.get() + 1);
        for rule in image.rules.iter().chain(image.backends.keys()) {
            self.rules.insert(*rule, Interned { key: None, users: 0 });
            self.idle_rules.insert(*rule);
        }
        for (class, rules) in &image.classes {
            self.classes.insert(*class, Interned { key: Some(Arc::clone(rules)), users: 0 });
            self.idle_classes.insert(*class);
            for rule in rules.values() {
                self.hold_rule(rule.id);
            }
        }
        for class in image.exact.values().chain(image.prefixes.values()) {
            self.hold_class(*class);
        }
        for rule in image.any.values() {
            self.hold_rule(rule.id);
        }
    }

    /// The rule of `key`, with one more user.
    pub(super) fn rule(&mut self, key: &Arc<RuleKey>) -> Rule {
        let id = match self.rule_ids.get(key) {
            Some(id) => *id,
            None => self.new_rule(key),
        };
        self.hold_rule(id);
        Rule { action: key.action, id }
    }

    fn new_rule(&mut self, key: &Arc<RuleKey>) -> RuleId {
        let id = RuleId::new(self.next_rule);
        self.next_rule += 1;
        self.rule_ids.insert(Arc::clone(key), id);
        self.rules.insert(id, Interned { key: Some(Arc::clone(key)), users: 0 });
        let backends = translates(key.action).then(|| Arc::clone(&key.backends));
        self.fresh.push(MapOp::AddRule(id, backends));
        id
    }

    /// The class of `rules`, with one more user. Takes the users of its rules over: a class that is there already
    /// gives them back.
    pub(super) fn class(&mut self, rules: Class) -> ClassId {
        if let Some(id) = self.class_ids.get(&rules).copied() {
            for rule in rules.values() {
                self.release_rule(rule.id);
            }
            self.hold_class(id);
            return id;
        }
        let id = ClassId::new(self.next_class);
        self.next_class += 1;
        let rules = Arc::new(rules);
        self.class_ids.insert(Arc::clone(&rules), id);
        self.classes.insert(id, Interned { key: Some(Arc::clone(&rules)), users: 1 });
        self.fresh.push(MapOp::AddClass(id, rules));
        id
    }

    pub(super) fn hold_rule(&mut self, id: RuleId) {
        if let Some(rule) = self.rules.get_mut(&id) {
            rule.users += 1;
            self.idle_rules.remove(&id);
            self.retired_rules.remove(&id);
        }
    }

    pub(super) fn release_rule(&mut self, id: RuleId) {
        if let Some(rule) = self.rules.get_mut(&id) {
            rule.users -= 1;
            if rule.users == 0 {
                self.idle_rules.insert(id);
            }
        }
    }

    fn hold_class(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get_mut(&id) {
            class.users += 1;
            self.idle_classes.remove(&id);
            self.retired_classes.remove(&id);
        }
    }

    pub(super) fn release_class(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get_mut(&id) {
            class.users -= 1;
            if class.users == 0 {
                self.idle_classes.insert(id);
            }
        }
    }

    pub(super) fn class_rules(&self, id: ClassId) -> Option<&Arc<Class>> {
        self.classes.get(&id)?.key.as_ref()
    }

    /// What the cells of `image` point to; and whether a number still fits its bits.
    pub(super) fn in_use(&self, image: &Image) -> InUse {
        let classes = self.classes.values().filter(|class| class.users > 0);
        let classes: Vec<&Arc<Class>> = classes.filter_map(|class| class.key.as_ref()).collect();
        let of_classes = classes.iter().flat_map(|rules| rules.values());
        let rules: BTreeSet<RuleId> = of_classes.chain(image.any.values()).map(|rule| rule.id).collect();
        let backends = rules.iter().filter_map(|rule| image.backends.get(rule));
        InUse {
            backends: backends.map(|backends| backends.len() + 1).sum(),
            class_rules: classes.iter().map(|rules| rules.len()).sum(),
            rules: rules.len(),
            numbers_left: self.next_rule <= RuleId::MAX,
        }
    }

    pub(super) fn rule_id(&self, key: &RuleKey) -> Option<RuleId> {
        self.rule_ids.get(key).copied()
    }

    pub(super) fn rule_key(&self, id: RuleId) -> Option<&Arc<RuleKey>> {
        self.rules.get(&id)?.key.as_ref()
    }

    /// What has been made since the last time and is in use: to be written before anything points to it. What fell out of
    /// use unwritten is forgotten.
    pub(super) fn take_fresh(&mut self) -> Fresh {
        let mut fresh = Fresh::default();
        // Classes first: a forgotten class lets go of its rules.
        let (classes, rules): (Vec<MapOp>, Vec<MapOp>) =
            std::mem::take(&mut self.fresh).into_iter().partition(|op| matches!(op, MapOp::AddClass(..)));
        for op in classes.into_iter().chain(rules) {
            match &op {
                MapOp::AddClass(id, _) if self.idle_classes.contains(id) => {
                    fresh.forgotten.push(self.forget_class(*id));
                }
                MapOp::AddRule(id, _) if self.idle_rules.contains(id) => {
                    fresh.forgotten.push(self.forget_rule(*id));
                }
                _ => fresh.made.push(op),
            }
        }
        // Rules before the classes that name them.
        fresh.made.sort_by_key(|op| matches!(op, MapOp::AddClass(..)));
        fresh
    }

    /// Operations that were given out and not done: they are fresh again.
    pub(super) fn not_written(&mut self, ops: impl Iterator<Item = MapOp>) {
        for op in ops.filter(|op| matches!(op, MapOp::AddClass(..) | MapOp::AddRule(..))) {
            match &op {
                MapOp::AddClass(id, _) if self.retired_classes.remove(id).is_some() => {
                    self.idle_classes.insert(*id);
                }
                MapOp::AddRule(id, _) if self.retired_rules.remove(id).is_some() => {
                    self.idle_rules.insert(*id);
                }
                _ => {}
            }
            self.fresh.push(op);
        }
    }

    fn forget_class(&mut self, id: ClassId) -> MapOp {
        self.idle_classes.remove(&id);
        let rules = self.classes.remove(&id).and_then(|class| class.key).unwrap_or_default();
        self.class_ids.remove(&rules);
        for rule in rules.values() {
            self.release_rule(rule.id);
        }
        MapOp::RemoveClass(id, rules)
    }

    fn forget_rule(&mut self, id: RuleId) -> MapOp {
        self.idle_rules.remove(&id);
        if let Some(Interned { key: Some(key), .. }) = self.rules.remove(&id) {
            self.rule_ids.remove(&key);
        }
        MapOp::RemoveRule(id)
    }

    /// What has no users after this update may go a while after `now`.
    pub(super) fn retire(&mut self, now: Duration) {
        let after = now + RETIRE_AFTER;
        self.retired_classes.extend(std::mem::take(&mut self.idle_classes).into_iter().map(|id| (id, after)));
        self.retired_rules.extend(std::mem::take(&mut self.idle_rules).into_iter().map(|id| (id, after)));
    }

    /// When the next number may go.
    pub(super) fn next_reap(&self) -> Option<Duration> {
        self.retired_classes.values().chain(self.retired_rules.values()).min().copied()
    }

    /// What has had no users for long enough: classes first, whose rules lose a user with them.
    pub(super) fn reap(&mut self, now: Duration) -> Vec<MapOp> {
        let mut ops = Vec::new();
        for id in due(&mut self.retired_classes, now) {
            ops.push(self.forget_class(id));
        }
        self.retire(now);
        for id in due(&mut self.retired_rules, now) {
            ops.push(self.forget_rule(id));
        }
        ops
    }
}

/// Takes out what is due.
fn due<Id: Ord + Copy>(retired: &mut BTreeMap<Id, Duration>, now: Duration) -> Vec<Id> {
    let ids: Vec<Id> = retired.iter().filter(|(_, after)| **after <= now).map(|(id, _)| *id).collect();
    retired.retain(|_, after| *after > now);
    ids
}

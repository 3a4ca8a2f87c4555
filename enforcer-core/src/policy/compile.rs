//! Registry + workloads + settings → image and the operations that lead there, in proportion to what changed.
//!
//! The compiler keeps every offer by place and every cell of the image. A changed service makes its places dirty; a
//! dirty place is worked out anew in the views of this node, and below a network in the networks nested in it. Changes go out in
//! stages, each of which takes every destination from its old verdict to its new one without a third in between
//! (`plan`): first what the registry says, then what the workloads are.

mod exempt;
mod services;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::addr::Prefix;
use enforcer_common::id::{ClassId, RuleId, ViewId};

use crate::policy::budget::{Limits, over_budget};
use crate::policy::cells;
use crate::policy::conflict;
use crate::policy::image::{Class, Image, MapOp};
use crate::policy::intern::Interner;
use crate::policy::narrow;
use crate::policy::offer::{Offer, Place, RuleKey};
use crate::policy::places::Places;
use crate::policy::plan::{Touched, plan};
use crate::policy::view::View;
use crate::policy::{Settings, WorkloadSpec};
use crate::problem::Problem;
use crate::registry::model::{Registry, ServiceKey};
use crate::registry::visibility::Visibility;

/// Operations in the order in which they must be done. Between two stages every destination has a verdict of one registry.
pub type Stages = Vec<Vec<MapOp>>;

/// What an update cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Services looked at.
    pub services: usize,
    /// Offers made or taken back.
    pub offers: usize,
    /// Cells of the image worked out.
    pub cells: usize,
}

/// Keeps the image of a registry up to date.
pub struct Compiler {
    settings: Settings,
    limits: Limits,
    visibility: Visibility,
    registry: Arc<Registry>,
    workloads: Vec<WorkloadSpec>,
    pub(super) offers: BTreeMap<ServiceKey, Vec<Arc<Offer>>>,
    pub(super) places: Places,
    views: Vec<View>,
    /// The views before a refused update, whose numbers the way back must find again.
    remembered_views: Vec<View>,
    next_view: u32,
    /// Views of an earlier agent: emptied once no workload has them.
    stale_views: BTreeSet<ViewId>,
    image: Image,
    interner: Interner,
    cost: Cost,
    started: bool,
    /// Whether a workload is or was one: before that, what only they may have is not worked out.
    has_mesh_proxies: bool,
}

impl Compiler {
    /// With an empty registry and no workloads: nothing is allowed but `--allow`, once updated.
    pub fn new(settings: Settings, limits: Limits) -> Self {
        let mut places = Places::default();
        for ip in &settings.node_addresses {
            places.protect((*ip).into());
        }
        Self {
            visibility: Visibility {
                trusted_exporters: settings.trusted_exporters.clone(),
                ..Visibility::default()
            },
            settings,
            limits,
            registry: Arc::default(),
            workloads: Vec::new(),
            offers: BTreeMap::new(),
            places,
            views: vec![View::PUBLIC],
            remembered_views: Vec::new(),
            next_view: ViewId::FIRST.get(),
            stale_views: BTreeSet::new(),
            image: Image::default(),
            interner: Interner::new(),
            cost: Cost::default(),
            started: false,
            has_mesh_proxies: false,
        }
    }

    /// Over what an earlier agent left in the maps: the first update leads from there.
    pub fn adopting(settings: Settings, limits: Limits, mut left: Image) -> Self {
        let mut compiler = Self::new(settings, limits);
        // The maps do not show a class without rules; cells that point to one do.
        let referenced: Vec<ClassId> = left.exact.values().chain(left.prefixes.values()).copied().collect();
        for class in referenced {
            left.classes.entry(class).or_default();
        }
        compiler.interner.adopt(&left);
        compiler.stale_views = left
            .cells()
            .map(|(view, _)| view)
            .chain(left.workloads.values().map(|workload| workload.view()))
            .filter(|view| view.get() >= ViewId::FIRST.get())
            .collect();
        if let Some(last) = compiler.stale_views.last() {
            compiler.next_view = last.get() + 1;
        }
        compiler.image = left;
        compiler
    }

    /// What the maps hold once all operations given out so far are done.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The registry of the last update.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The workloads of the last update.
    pub fn workloads(&self) -> &[WorkloadSpec] {
        &self.workloads
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the last update cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What a rule is; `None` for one of an earlier agent's.
    pub fn rule(&self, id: RuleId) -> Option<&Arc<RuleKey>> {
        self.interner.rule_key(id)
    }

    /// The number of a rule in use.
    pub(super) fn rule_id(&self, key: &RuleKey) -> Option<RuleId> {
        self.interner.rule_id(key)
    }

    /// Where offers meet at one place, or capture what they must not: the losers, as problems.
    pub fn conflicts(&self) -> Vec<Problem> {
        conflict::conflicts(&self.places)
    }

    /// Leads from what is compiled to this registry and these workloads at time `now` (any clock that only goes
    /// forward). When the result does not fit the maps, nothing changes, and the problems say which limit and by how much.
    /// A refused *first* update of an adopting compiler cannot go back: throw that compiler away.
    pub fn update(
        &mut self,
        registry: &Arc<Registry>,
        workloads: &[WorkloadSpec],
        now: Duration,
    ) -> Result<Stages, Vec<Problem>> {
        let (old_registry, old_workloads) = (Arc::clone(&self.registry), self.workloads.clone());
        let old_views = self.views.clone();
        let stages = self.lead(registry, workloads, now);
        let problems = over_budget(&self.image, self.interner.in_use(&self.image), &self.limits);
        if problems.is_empty() {
            return Ok(stages);
        }
        // Back to what the kernel holds. Contents keep their numbers; what only the refused registry needed was never
        // written and is forgotten.
        self.interner.not_written(stages.into_iter().flatten());
        self.remembered_views = old_views;
        let back = self.lead(&old_registry, &old_workloads, now);
        self.interner.not_written(back.into_iter().flatten());
        self.remembered_views.clear();
        Err(problems)
    }

    /// What nothing has pointed to for long enough.
    pub fn reap(&mut self, now: Duration) -> Vec<MapOp> {
        let ops = self.interner.reap(now);
        for op in &ops {
            self.image.apply(op);
        }
        ops
    }

    /// When [`Compiler::reap`] next has something to do.
    pub fn next_reap(&self) -> Option<Duration> {
        self.interner.next_reap()
    }

    fn lead(&mut self, registry: &Arc<Registry>, workloads: &[WorkloadSpec], now: Duration) -> Stages {
        self.cost = Cost::default();
        let mut touched = Touched::default();
        let mut dirty = self.change_services(registry, workloads);
        if !self.started {
            self.started = true;
            self.exempt(&mut touched);
            dirty.extend(
                self.image.cells().filter(|(view, _)| *view == ViewId::PUBLIC).map(|(_, place)| place),
            );
        }
        for index in 0..self.views.len() {
            self.recompute(index, &dirty, &mut touched);
        }
        let mut narrowed = BTreeSet::new();
        let mut of_registry = self.finish(&touched, now, &mut narrowed);
        of_registry.extend(narrowed.into_iter().map(MapOp::Narrow));
        self.registry = Arc::clone(registry);
        self.workloads = workloads.to_vec();
        let of_workloads = self.change_workloads(now);
        [of_registry, of_workloads].into_iter().filter(|stage| !stage.is_empty()).collect()
    }

    /// Works the dirty places out in one view, the networks nested in them, and the protected addresses that they might capture.
    fn recompute(&mut self, view: usize, dirty: &BTreeSet<Place>, touched: &mut Touched) {
        let view = self.views[view].clone();
        let mut places = dirty.clone();
        for place in dirty {
            if let Place::Net(prefix) = place {
                places.extend(self.image.nested(view.id, *prefix).map(Place::Net));
                if self.places.captures_at(*place) {
                    let within = self.places.protected_within(*prefix);
                    places.extend(within.map(|addr| Place::Net(Prefix::host(addr))));
                }
            }
        }
        for place in places {
            self.cost.cells += 1;
            let content = cells::content(&self.places, &view, place);
            let rules = content.map(|content| {
                content.iter().map(|(slot, offer)| (*slot, self.interner.rule(&offer.rule))).collect()
            });
            self.set_cell(view.id, place, rules, touched);
        }
    }

    /// Puts `rules`, each held for it, into a cell, or takes the cell away.
    fn set_cell(&mut self, view: ViewId, place: Place, rules: Option<Class>, touched: &mut Touched) {
        let old = match place {
            Place::Any(slot) => {
                let old = replace(
                    &mut self.image.any,
                    (view, slot.0, slot.1),
                    rules.and_then(|rules| rules.get(&slot).copied()),
                );
                touched.any(view, slot, old);
                if let Some(rule) = old {
                    self.interner.release_rule(rule.id);
                }
                return;
            }
            Place::Exact(addr) => {
                let new = rules.map(|rules| self.interner.class(rules));
                let old = replace(&mut self.image.exact, (view, addr), new);
                touched.exact(view, addr, old);
                old
            }
            Place::Net(prefix) => {
                let new = rules.map(|rules| self.interner.class(rules));
                let old = replace(&mut self.image.prefixes, (view, prefix), new);
                touched.prefix(view, prefix, old);
                old
            }
        };
        if let Some(class) = old {
            self.interner.release_class(class);
        }
    }

    /// The operations of one stage, or of one part of it; and the views that are `narrowed` when all are done.
    fn finish(&mut self, touched: &Touched, now: Duration, narrowed: &mut BTreeSet<ViewId>) -> Vec<MapOp> {
        narrowed.extend(narrow::narrowed(touched, &self.image, &self.interner));
        let plan = plan(touched, &self.image, &mut self.interner);
        let fresh = self.interner.take_fresh();
        for op in fresh.forgotten.iter().chain(&fresh.made) {
            self.image.apply(op);
        }
        for class in plan.temporary {
            self.interner.release_class(class);
        }
        self.interner.retire(now);
        [fresh.made, plan.ops].concat()
    }
}

fn replace<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, new: Option<V>) -> Option<V> {
    match new {
        Some(new) => map.insert(key, new),
        None => map.remove(&key),
    }
}

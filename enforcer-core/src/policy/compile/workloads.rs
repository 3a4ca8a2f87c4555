//! Workloads and their views: new views first, then the workloads, then the views that nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::id::ViewId;
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::{Role, Workload};

use crate::policy::compile::Compiler;
use crate::policy::image::MapOp;
use crate::policy::narrow;
use crate::policy::offer::Place;
use crate::policy::plan::Touched;
use crate::policy::view::{View, ViewKey};
use crate::policy::{WorkloadSpec, outbound_policy};
use crate::registry::model::Sidecar;
use crate::registry::visibility::select_sidecar;

impl Compiler {
    /// The operations that make the current workloads those of the maps.
    pub(super) fn change_workloads(&mut self, now: Duration) -> Vec<MapOp> {
        let mut touched = Touched::default();
        let mut wanted = BTreeMap::new();
        for spec in std::mem::take(&mut self.workloads) {
            wanted.insert(spec.cgroup, self.identify(&spec, &mut touched));
            self.workloads.push(spec);
        }
        let mut narrowed = BTreeSet::new();
        let mut ops = self.finish(&touched, now, &mut narrowed);
        let old = std::mem::replace(&mut self.image.workloads, wanted);
        ops.extend(workload_ops(&old, &self.image.workloads));
        let new = |cgroup| self.image.workloads.get(cgroup).copied();
        let losing = old.iter().filter(|(cgroup, workload)| narrow::loses(**workload, new(*cgroup)));
        narrowed.extend(losing.map(|(_, workload)| workload.view()));
        let mut touched = Touched::default();
        self.drop_views(&mut touched);
        let removals = self.finish(&touched, now, &mut narrowed);
        if !removals.is_empty() {
            ops.push(MapOp::Barrier);
            ops.extend(removals);
        }
        if !narrowed.is_empty() {
            // A program that still holds a workload's old word must not remember what that allows as of after the narrowing.
            ops.push(MapOp::Barrier);
        }
        ops.extend(narrowed.into_iter().map(MapOp::Narrow));
        ops
    }

    fn identify(&mut self, spec: &WorkloadSpec, touched: &mut Touched) -> Workload {
        let sidecar = self.sidecar(spec).cloned();
        let view = self.view(view_key(spec, sidecar.as_ref()), touched);
        self.compiled(spec, sidecar.as_ref(), view)
    }

    /// The Sidecar that governs a workload.
    pub(in crate::policy) fn sidecar(&self, spec: &WorkloadSpec) -> Option<&Arc<Sidecar>> {
        select_sidecar(&self.registry, &spec.namespace, &spec.labels, &self.settings.root_namespace)
    }

    /// What the maps hold, or would hold, of a workload; one whose view no workload of this node has sees an empty one.
    pub(in crate::policy) fn workload(&self, spec: &WorkloadSpec) -> Workload {
        let sidecar = self.sidecar(spec);
        let key = view_key(spec, sidecar);
        let view = self.views.iter().find(|view| view.key.as_ref() == Some(&key));
        self.compiled(spec, sidecar, view.map_or(ViewId::new(ViewId::MAX), |view| view.id))
    }

    fn compiled(&self, spec: &WorkloadSpec, sidecar: Option<&Arc<Sidecar>>, view: ViewId) -> Workload {
        let inherits_public = view_key(spec, sidecar).sidecar.is_none();
        let policy = outbound_policy(&self.registry, &self.settings, sidecar.map(|sidecar| &**sidecar));
        Workload::new(view, inherits_public, policy, spec.enforcement)
            .with_role(spec.role)
            .with_coverage(spec.covered)
    }

    /// The view of `key`, made when there is none yet.
    fn view(&mut self, key: ViewKey, touched: &mut Touched) -> ViewId {
        if let Some(view) = self.views.iter().find(|view| view.key.as_ref() == Some(&key)) {
            return view.id;
        }
        let remembered = self.remembered_views.iter().find(|view| view.key.as_ref() == Some(&key));
        let id = remembered.map_or(ViewId::new(self.next_view), |view| view.id);
        self.next_view = self.next_view.max(id.get() + 1);
        let view = View { id, key: Some(key) };
        let dirty: BTreeSet<Place> = self.places.concerning(&view).into_iter().collect();
        self.views.push(view);
        self.recompute(self.views.len() - 1, &dirty, touched);
        id
    }

    /// Empties the views that no workload has, those of an earlier agent among them.
    fn drop_views(&mut self, touched: &mut Touched) {
        let used: BTreeSet<ViewId> = self.image.workloads.values().map(|workload| workload.view()).collect();
        let mut unused = std::mem::take(&mut self.stale_views);
        self.views.retain(|view| {
            let keep = view.id == ViewId::PUBLIC || used.contains(&view.id);
            if !keep {
                unused.insert(view.id);
            }
            keep
        });
        if unused.is_empty() {
            return;
        }
        let cells: Vec<(ViewId, Place)> =
            self.image.cells().filter(|(view, _)| unused.contains(view)).collect();
        for (view, place) in cells {
            self.set_cell(view, place, None, touched);
        }
    }
}

fn view_key(spec: &WorkloadSpec, sidecar: Option<&Arc<Sidecar>>) -> ViewKey {
    let narrowing = sidecar.filter(|sidecar| sidecar.narrows());
    ViewKey {
        namespace: spec.namespace.clone(),
        sidecar: narrowing.cloned(),
        is_mesh: spec.role == Role::MeshProxy,
    }
}

fn workload_ops(
    old: &BTreeMap<CgroupId, Workload>,
    new: &BTreeMap<CgroupId, Workload>,
) -> impl Iterator<Item = MapOp> {
    let set = new
        .iter()
        .filter(|(cgroup, workload)| old.get(cgroup) != Some(workload))
        .map(|(cgroup, workload)| MapOp::SetWorkload(*cgroup, *workload));
    let removed =
        old.keys().filter(|cgroup| !new.contains_key(cgroup)).map(|cgroup| MapOp::RemoveWorkload(*cgroup));
    set.chain(removed)
}

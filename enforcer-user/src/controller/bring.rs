//! Registry and workloads, from what the sources have told into the maps.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::policy::compile::{Compiler, Stages};
use enforcer_core::policy::image::{Image, MapOp};
use enforcer_core::problem::Problem;
use enforcer_core::registry::{Registry, build};

use crate::controller::{Controller, settings};
use crate::dataplane::Dataplane;
use crate::identity::Identified;

impl<D: Dataplane> Controller<D> {
    /// Brings registry and workloads into the maps, also when these are between two states.
    pub(super) fn bring(&mut self, registry: &Arc<Registry>) -> Result<()> {
        if self.is_uncertain {
            return self.start_over(registry);
        }
        self.apply(registry).or_else(|error| {
            // While it lasts it is said once, as the fault.
            if self.fault.is_none() {
                let error = format!("{error:#}");
                tracing::warn!(error, "cannot apply the registry; trying again over what the maps hold");
            }
            self.start_over(registry)
        })
    }

    /// The maps are between two states: start over from what they hold.
    fn start_over(&mut self, registry: &Arc<Registry>) -> Result<()> {
        let begun = Instant::now();
        let left = self.dataplane.read()?;
        let Some(stages) = self.lead(registry, Some(&left)) else {
            // A compiler that refused its first update knows nothing of the maps any more.
            self.compiler = self.adopt(left);
            bail!("the registry does not fit beside what the maps hold");
        };
        self.put_in_force(&stages, begun)?;
        self.is_uncertain = false;
        // Nor does anybody know of the interfaces.
        self.placed = None;
        Ok(())
    }

    fn adopt(&self, left: Image) -> Compiler {
        Compiler::adopting(settings(&self.config), self.config.limits, left)
    }

    /// The registry of all sources, built once for as long as they say the same.
    pub(super) fn build(&mut self) -> Arc<Registry> {
        if let Some(registry) = &self.built {
            return Arc::clone(registry);
        }
        let objects: Vec<_> =
            self.sources.values().flat_map(|state| &state.snapshot.objects).cloned().collect();
        let (registry, mut problems) = build(&objects, &self.config.registry.build_options());
        let of_sources = self.sources.values().flat_map(|state| state.snapshot.problems.clone());
        problems.splice(0..0, of_sources);
        self.problems = problems;
        let registry = Arc::new(registry);
        self.built = Some(Arc::clone(&registry));
        registry
    }

    /// Does operations. After a failure nobody knows what the maps hold.
    pub(super) fn write(&mut self, ops: &[MapOp]) -> Result<()> {
        let done = self.dataplane.apply(ops);
        self.is_uncertain |= done.is_err();
        done
    }

    pub(super) fn apply(&mut self, registry: &Arc<Registry>) -> Result<()> {
        let begun = Instant::now();
        let stages = self.lead(registry, None);
        stages.map_or(Ok(()), |stages| self.put_in_force(&stages, begun))
    }

    /// What leads the maps to this registry and the workloads, from what was `left` in them if the compiler does not know. While the
    /// registry is refused, the workloads and what is known of them do not wait for another: they are led to the one in force.
    fn lead(&mut self, registry: &Arc<Registry>, left: Option<&Image>) -> Option<Stages> {
        match self.compile(registry, left) {
            Ok(stages) => {
                self.refused.clear();
                Some(stages)
            }
            Err(problems) => {
                self.refused = problems;
                let in_force = self.in_force.clone()?;
                self.compile(&in_force, left).ok()
            }
        }
    }

    fn compile(&mut self, registry: &Arc<Registry>, left: Option<&Image>) -> Result<Stages, Vec<Problem>> {
        if let Some(left) = left {
            self.compiler = self.adopt(left.clone());
        }
        let stages = self.compiler.update(registry, &self.specs(), self.started.elapsed())?;
        self.in_force = Some(Arc::clone(registry));
        Ok(stages)
    }

    fn put_in_force(&mut self, stages: &Stages, begun: Instant) -> Result<()> {
        let operations: usize = stages.iter().map(Vec::len).sum();
        for stage in stages {
            self.rules.follow(stage, |rule| self.compiler.rule(rule));
            self.write(stage)?;
        }
        let narrows = |op: &MapOp| matches!(op, MapOp::Narrow(_));
        self.narrowings += u64::from(stages.iter().flatten().any(narrows));
        if operations > 0 || self.revision == 0 {
            self.revision += 1;
            tracing::info!(
                revision = self.revision,
                services = self.compiler.registry().services.len(),
                operations,
                problems = self.problems.len(),
                milliseconds = begun.elapsed().as_millis(),
                "registry in force"
            );
        }
        Ok(())
    }

    /// The workloads and their mesh proxies, as the compiler takes them.
    fn specs(&self) -> Vec<WorkloadSpec> {
        let specs = |identified: &Identified| {
            let covered = identified.cgroup.as_ref().is_some_and(|cgroup| self.covered.contains(&cgroup.id));
            [identified.spec(covered), identified.proxy_spec(covered)]
        };
        self.roster.workloads.iter().flat_map(specs).flatten().collect()
    }
}

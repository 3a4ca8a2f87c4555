//! What the controller publishes after every change that reached the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use enforcer_common::key::CgroupId;
use enforcer_common::mode::{Enforcement, OutboundPolicy, Switch};
use enforcer_core::flow::FlowWorkload;
use enforcer_core::policy::budget::fill;
use enforcer_core::policy::{NodePolicy, outbound_policy};
use enforcer_core::registry::Registry;

use crate::clock;
use crate::config::RegistrySource;
use crate::controller::{Controller, HostNames, RuleNames, SourceState};
use crate::dataplane::Dataplane;
use crate::status::updates::Updates;
use crate::status::{MapStatus, SourceStatus, Status};

/// What the kernel holds, for readers. Counters are not in it: they are read when somebody looks.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Workloads by cgroup, as flows have them.
    pub workloads: BTreeMap<CgroupId, FlowWorkload>,
    /// What rules are called.
    pub rules: Arc<RuleNames>,
    /// What addresses are called.
    pub hosts: Arc<HostNames>,
    /// Everything that the controller knows of itself.
    pub status: Status,
    /// What its updates took.
    pub updates: Updates,
    /// Counts the updates in which somebody lost something.
    pub narrowings: u64,
    /// When that was; ages in it are of then.
    pub at: Option<Instant>,
}

impl Applied {
    /// Seconds since it was published: what ages in it have to be raised by.
    pub fn age_seconds(&self) -> u64 {
        self.at.map_or(0, |at| at.elapsed().as_secs())
    }
}

impl<D: Dataplane> Controller<D> {
    /// Publishes, and logs what is new of problems and readiness.
    pub(super) fn publish(&mut self) {
        let status = self.status();
        self.report.problems(&status.problems);
        let (policy, _) = self.node_policy();
        self.report.readiness(status.ready, &self.lasting_reasons(policy));
        let workloads = self.roster.workloads.iter().filter_map(|identified| {
            let cgroup = identified.cgroup.as_ref()?;
            let workload = &identified.workload;
            let workload = FlowWorkload {
                namespace: workload.namespace.to_string(),
                name: workload.name.clone(),
                labels: workload.labels.clone(),
            };
            Some((cgroup.id, workload))
        });
        self.publish.send_replace(Arc::new(Applied {
            registry: Arc::clone(self.compiler.registry()),
            workloads: workloads.collect(),
            rules: Arc::clone(&self.rules),
            hosts: self.hosts(),
            status,
            updates: self.updates.clone(),
            narrowings: self.narrowings,
            at: Some(Instant::now()),
        }));
    }

    /// What was looked up of the same registry stays.
    fn hosts(&self) -> Arc<HostNames> {
        let (last, registry) = (Arc::clone(&self.publish.borrow().hosts), self.compiler.registry());
        if Arc::ptr_eq(last.registry(), registry) {
            return last;
        }
        Arc::new(HostNames::new(Arc::clone(registry), &self.config.registry.cluster_id))
    }

    fn status(&self) -> Status {
        let (policy, from) = self.node_policy();
        let not_ready = self.not_ready(policy);
        let attached = self.dataplane.attached().iter().filter(|_| !self.lifted);
        let attached = attached.map(|(_, path)| path.display().to_string());
        let maps = fill(self.compiler.image(), self.compiler.limits()).into_iter().map(|fill| MapStatus {
            map: fill.map.to_owned(),
            used: fill.used,
            limit: fill.limit,
        });
        let problems = self.problems.iter().chain(&self.refused).cloned().chain(self.compiler.conflicts());
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enforcement_flag: self.config.enforcement.to_string(),
            outbound_policy: policy.to_string(),
            outbound_policy_from: from.to_owned(),
            revision: self.revision,
            services: self.compiler.registry().services.len(),
            sources: self.sources.values().map(|state| self.source(state)).collect(),
            attached: attached.collect(),
            workloads: self.workload_statuses(),
            maps: maps.collect(),
            problems: problems.collect(),
            ready: not_ready.is_empty(),
            not_ready,
            order_lost: self.order.lost,
            canary: self.canary.clone(),
            terminated: self.terminated.clone(),
            ..Status::default()
        };
        self.tell_interfaces(&mut status);
        if self.lifted {
            status.follow(Switch::to(Enforcement::Off), 0);
            "detach".clone_into(&mut status.enforcement_from);
        } else {
            status.follow(self.switch, clock::since_boot());
        }
        status
    }

    fn node_policy(&self) -> (OutboundPolicy, &'static str) {
        let policy = outbound_policy(self.compiler.registry(), self.compiler.settings(), None);
        let from = match self.config.policy.outbound_policy {
            NodePolicy::Fixed(_) => "flag",
            NodePolicy::Mesh => "mesh",
        };
        (policy, from)
    }

    fn not_ready(&self, policy: OutboundPolicy) -> Vec<String> {
        let mut reasons = self.lasting_reasons(policy);
        reasons.extend(self.refused.iter().map(|problem| problem.message.clone()));
        reasons.extend(self.fault.clone());
        reasons
    }

    /// Those that are neither problems nor the fault.
    fn lasting_reasons(&self, policy: OutboundPolicy) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.lifted {
            reasons.push(
                "`enforcer detach` has taken the programs off: start the agent again to enforce".to_owned(),
            );
        }
        if policy == OutboundPolicy::Unknown {
            reasons.push(
                "the outbound policy is the mesh's, and no source has a MeshConfig: set --outbound-traffic-policy or add one"
                    .to_owned(),
            );
        }
        let gone = self.roster.workloads.iter().filter(|identified| identified.cgroup.is_none());
        reasons.extend(gone.map(|identified| {
            format!(
                "the cgroup of a workload is not there: {} of {}; it is judged when it comes: start it, or correct or remove its \
                 --workload",
                identified.workload.cgroup.display(),
                identified.full_name()
            )
        }));
        reasons.extend(self.gaps());
        reasons.extend(self.canary.reasons().filter(|_| !self.lifted));
        reasons
    }

    fn source(&self, state: &SourceState) -> SourceStatus {
        let source = match &self.config.registry.sources[state.snapshot.index] {
            RegistrySource::File(path) => format!("file:{}", path.display()),
        };
        SourceStatus {
            source,
            revision: state.revision,
            age_seconds: state.since.elapsed().as_secs(),
            objects: state.snapshot.objects.len(),
            stale_files: state.snapshot.stale_files.clone(),
        }
    }
}

//! The verdict over recorded flows: the registry compiled for the workloads they came from, asked by the function that the
//! kernel runs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use enforcer_common::addr::{Port, Protocol};
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::{Query, Verdict, decide};

use crate::flow::FlowWorkload;
use crate::name::Namespace;
use crate::policy::budget::Limits;
use crate::policy::compile::Compiler;
use crate::policy::offer::Slot;
use crate::policy::reasons::message;
use crate::policy::{Settings, WorkloadSpec};
use crate::problem::Problem;
use crate::registry::Registry;

/// A destination as a socket asks for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    /// The socket is unconnected IPv6: a datagram cannot be sent to an IPv4 backend instead.
    pub(crate) same_family: bool,
}

impl Asked {
    /// Protocol and port.
    pub(crate) fn slot(&self) -> Slot {
        (self.protocol, Port::new(self.port))
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.ip, self.port) {
            (ip, 0) => write!(f, "{ip}/{}", self.protocol),
            (IpAddr::V4(ip), port) => write!(f, "{ip}:{port}/{}", self.protocol),
            (IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}/{}", self.protocol),
        }
    }
}

/// A compiled registry, and the workloads that ask.
pub(crate) struct Judge {
    compiler: Compiler,
    workloads: Vec<WorkloadSpec>,
}

impl Judge {
    /// Compiles `registry` for `workloads`, which are asked for by their index from then on.
    pub(crate) fn new<'a>(
        registry: &Arc<Registry>,
        settings: &Settings,
        workloads: impl IntoIterator<Item = &'a FlowWorkload>,
    ) -> Result<Self, Vec<Problem>> {
        // A number instead of a cgroup: nothing here has one.
        let workloads = (1..).zip(workloads).map(|(number, workload)| spec(CgroupId::new(number), workload));
        let compiler = Compiler::new(settings.clone(), Limits::UNLIMITED);
        let mut judge = Self { compiler, workloads: workloads.collect() };
        judge.lead_to(registry)?;
        Ok(judge)
    }

    /// The same questions from now on to another registry. Costs what differs.
    pub(crate) fn lead_to(&mut self, registry: &Arc<Registry>) -> Result<(), Vec<Problem>> {
        self.compiler.update(registry, &self.workloads, Duration::ZERO).map(drop)
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    pub(crate) fn workload(&self, index: usize) -> &WorkloadSpec {
        &self.workloads[index]
    }

    /// What the kernel would say.
    pub(crate) fn verdict(&self, workload: usize, asked: &Asked) -> Verdict {
        let image = self.compiler.image();
        // Compiled from the same list: it is there.
        let compiled = image.workloads[&self.workloads[workload].cgroup];
        let query = Query::new(compiled, asked.protocol, asked.ip.into(), Port::new(asked.port));
        decide(image, &Query { same_family: query.same_family || asked.same_family, ..query })
    }

    /// The words of `explain` for a verdict over `protocol`.
    pub(crate) fn message(&self, workload: usize, protocol: Protocol, verdict: &Verdict) -> String {
        let rule = self.compiler.rule(verdict.rule);
        message(verdict, protocol, &self.workloads[workload].namespace, rule.map(|rule| &**rule))
    }
}

fn spec(cgroup: CgroupId, workload: &FlowWorkload) -> WorkloadSpec {
    let namespace = Namespace::new(&workload.namespace);
    WorkloadSpec { labels: workload.labels.clone(), ..WorkloadSpec::new(cgroup, namespace, &workload.name) }
}

/// A protocol by the name that flows have; `None` for one that nobody knows.
pub(crate) fn protocol(name: &str) -> Option<Protocol> {
    let named = (0..=u8::MAX).map(Protocol::new).find(|protocol| protocol.to_string() == name);
    named.filter(|protocol| *protocol != Protocol::ANY)
}

//! Why a destination is allowed or denied: the verdict's own answer, the look-ups that led there, the objects behind them, and
//! what would have to be there.

mod field;
mod fix;
pub(crate) mod hidden;
mod name;
mod range;
mod steps;
mod trace;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port};
use enforcer_common::id::RuleId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Action, Query, RuleAction, Tables, Verdict, Workload, decide};
use serde::{Deserialize, Serialize};

use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Target};
use crate::policy::offer::RuleKey;
use crate::policy::reasons;
use crate::registry::model::{ObjectRef, Service};
use trace::{Look, Recorder};

pub use name::addresses;
pub use range::{RangeAnswer, RangePart};

/// The answer. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `allow`, `deny` or `translate`; for a network of which not every address has the same answer `mixed`.
    pub verdict: String,
    /// Its name: `docs/reference/reasons.md` lists them.
    pub reason: String,
    /// The reason in plain words.
    pub message: String,
    /// Who asks.
    pub workload: WorkloadAnswer,
    /// Where to.
    pub destination: DestinationAnswer,
    /// The service that decided.
    pub service: Option<ServiceAnswer>,
    /// The line that decided.
    pub rule: Option<RuleAnswer>,
    /// Where a translated flow may go, `ip:port`.
    pub backends: Vec<String>,
    /// What else a person should know.
    pub warnings: Vec<String>,
    /// How it was decided, in the kernel's order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What would allow it, when it is denied.
    #[serde(default)]
    pub fix: Option<Fix>,
    /// The answers within a network, when one was asked about.
    #[serde(default)]
    pub range: Option<RangeAnswer>,
}

/// One step of the decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Which one: `docs/reference/json.md` lists them.
    pub step: String,
    /// What was found there, in one word.
    pub found: String,
    /// The same in plain words.
    pub detail: String,
}

/// What would allow it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fix {
    /// What to do.
    pub text: String,
    /// The `ServiceEntry` to apply, when that is what is to be done.
    pub yaml: Option<String>,
}

/// Who asks, and what that means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkloadAnswer {
    /// Its namespace.
    pub namespace: String,
    /// Its name, when it has one.
    pub name: String,
    /// The Sidecar that governs it.
    pub sidecar: Option<String>,
    /// Its outbound policy.
    pub outbound_policy: String,
}

/// Where to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DestinationAnswer {
    /// The host name, when that was asked.
    pub host: Option<String>,
    /// The address that was judged; for a name, the first that stands for it.
    pub ip: Option<IpAddr>,
    /// The network, when that was asked.
    #[serde(default)]
    pub network: Option<String>,
    /// The port; 0 for protocols that have none.
    pub port: u16,
    /// `tcp`, `udp`, ...
    pub protocol: String,
}

/// The service that decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceAnswer {
    /// Its host.
    pub host: String,
    /// Its object.
    pub object: ObjectRef,
    /// Where the object stands.
    pub source: String,
}

/// The rule that decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleAnswer {
    /// Its number in the maps.
    pub id: u32,
    /// The service's port.
    pub port: u16,
    /// Its protocol.
    pub protocol: String,
    /// What it does: `allow`, `translate` or `needs_name`.
    pub action: String,
    /// The lines of the object that made it: `spec.addresses[0]`, `spec.ports[1]`.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Flows that met it since it was written; only the running agent knows.
    pub flows: Option<u64>,
}

/// Who asks, with what the compiler does not know of it.
#[derive(Clone, Debug)]
pub struct Asker<'a> {
    /// The workload.
    pub spec: &'a WorkloadSpec,
    /// How it was recognised, as a sentence; `None`: it is as the question has it.
    pub recognised: Option<String>,
    /// The node's switch; `None`: only the running agent knows.
    pub enforcement: Option<Enforcement>,
}

/// A judged destination.
struct Judged {
    verdict: Verdict,
    /// The address that was judged.
    ip: Option<IpAddr>,
    looks: Vec<Look>,
    /// How the address was found.
    named: Option<Step>,
    warnings: Vec<String>,
    range: Option<RangeAnswer>,
}

impl Compiler {
    /// Explains without an agent, by `tables`.
    pub fn explain<T: Tables>(
        &self,
        tables: &T,
        spec: &WorkloadSpec,
        destination: &Destination,
    ) -> Explanation {
        self.explain_to(tables, &Asker { spec, recognised: None, enforcement: None }, destination)
    }

    /// Explains, by `tables`: the image, or the live maps.
    pub fn explain_to<T: Tables>(&self, tables: &T, asker: &Asker, to: &Destination) -> Explanation {
        let spec = asker.spec;
        let workload = self.workload(spec);
        let judged = match &to.target {
            Target::Ip(ip) => Judged::of(tables, workload, *ip, to),
            Target::Host(host) => self.judge_host(tables, workload, spec, host, to),
            Target::Net(net) => self.judge_range(tables, workload, *net, to),
        };
        let verdict = judged.verdict;
        let is_mixed = judged.range.as_ref().is_some_and(|range| !range.uniform);
        // One answer can come of several rules.
        let is_one_rule = judged.range.as_ref().is_none_or(|range| range.parts.len() == 1);
        let rule = self.rule(verdict.rule).filter(|_| is_one_rule).cloned();
        let service = rule.as_ref().and_then(|rule| self.service_of(rule));
        let hidden = if verdict.action == Action::Deny && !is_mixed {
            self.hidden(spec, judged.ip, to)
        } else {
            Vec::new()
        };
        let steps = self.steps(asker, workload, to, &judged);
        let (word, reason, message) = if is_mixed {
            ("mixed", "mixed", "not every address of the network has the same answer".to_owned())
        } else {
            let message = reasons::message(&verdict, to.protocol, &spec.namespace, rule.as_deref());
            (verdict.action.as_str(), verdict.reason.as_str(), message)
        };
        let fix = (verdict.action == Action::Deny && !is_mixed)
            .then(|| self.fix(spec, to, &judged, rule.as_deref(), service.as_deref(), &hidden));
        let mut warnings = judged.warnings.clone();
        warnings.extend(hidden.iter().map(|hidden| hidden.told.clone()).collect::<BTreeSet<_>>());
        Explanation {
            verdict: word.to_owned(),
            reason: reason.to_owned(),
            message,
            workload: self.workload_answer(spec, workload),
            destination: destination_answer(to, judged.ip),
            rule: rule.as_deref().map(|rule| self.rule_answer(verdict.rule, rule, to, judged.ip)),
            backends: rule.as_deref().map(|rule| backends(rule, judged.ip)).unwrap_or_default(),
            service: rule.as_deref().map(|rule| service_answer(rule, service.as_deref())),
            warnings,
            steps,
            fix,
            range: judged.range,
        }
    }

    fn service_of(&self, rule: &RuleKey) -> Option<Arc<Service>> {
        let services = &self.registry().services;
        let service =
            services.iter().find(|service| service.key.object == rule.object && service.host() == &rule.host);
        service.cloned()
    }

    fn workload_answer(&self, spec: &WorkloadSpec, workload: Workload) -> WorkloadAnswer {
        let sidecar = self.sidecar(spec);
        WorkloadAnswer {
            namespace: spec.namespace.to_string(),
            name: spec.name.to_string(),
            sidecar: sidecar.map(|sidecar| sidecar.object.to_string()),
            outbound_policy: workload.policy().to_string(),
        }
    }

    fn rule_answer(&self, id: RuleId, rule: &RuleKey, to: &Destination, ip: Option<IpAddr>) -> RuleAnswer {
        RuleAnswer {
            id: id.get(),
            port: rule.slot.1.get(),
            protocol: rule.slot.0.to_string(),
            action: action_word(rule.action).to_owned(),
            fields: self.fields(rule, to, ip),
            flows: None,
        }
    }
}

impl Judged {
    /// What `decide` says of one address, and everything that it looked at.
    fn of<T: Tables>(tables: &T, workload: Workload, ip: IpAddr, to: &Destination) -> Self {
        let recorder = Recorder::new(tables);
        let verdict = judge(&recorder, workload, Addr::from(ip), to);
        Self {
            verdict,
            ip: Some(ip),
            looks: recorder.into_looks(),
            named: None,
            warnings: Vec::new(),
            range: None,
        }
    }
}

fn judge<T: Tables>(tables: &T, workload: Workload, addr: Addr, to: &Destination) -> Verdict {
    decide(tables, &Query::new(workload, to.protocol, addr, Port::new(to.port)))
}

fn destination_answer(to: &Destination, ip: Option<IpAddr>) -> DestinationAnswer {
    let (host, network) = match &to.target {
        Target::Host(host) => (Some(host.to_string()), None),
        Target::Ip(_) => (None, None),
        Target::Net(net) => (None, Some(net.to_string())),
    };
    let ip = ip.filter(|_| network.is_none());
    DestinationAnswer { host, ip, network, port: to.port, protocol: to.protocol.to_string() }
}

fn service_answer(rule: &RuleKey, service: Option<&Service>) -> ServiceAnswer {
    ServiceAnswer {
        host: rule.host.to_string(),
        object: rule.object.clone(),
        source: service.map(|service| service.source.to_string()).unwrap_or_default(),
    }
}

const fn action_word(action: RuleAction) -> &'static str {
    match action {
        RuleAction::Allow => "allow",
        RuleAction::Translate => "translate",
        RuleAction::NeedsName => "needs_name",
    }
}

fn backends(rule: &RuleKey, asked: Option<IpAddr>) -> Vec<String> {
    let distinct: BTreeSet<_> = rule.backends.iter().copied().collect();
    distinct
        .into_iter()
        .map(|backend| {
            let ip = if backend.addr.is_unspecified() { asked } else { Some(backend.addr.ip()) };
            match ip {
                Some(IpAddr::V6(ip)) => format!("[{ip}]:{}", backend.port),
                Some(IpAddr::V4(ip)) => format!("{ip}:{}", backend.port),
                None => format!(":{}", backend.port),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;

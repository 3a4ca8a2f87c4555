//! Why a destination is allowed or denied: the verdict's own answer, and the objects behind it.

pub(crate) mod hidden;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port};
use enforcer_common::id::RuleId;
use enforcer_common::mode::OutboundPolicy;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Query, Tables, Verdict, Workload, decide};
use serde::{Deserialize, Serialize};

use crate::name::Host;
use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Target};
use crate::policy::explain::hidden::Hidden;
use crate::policy::offer::{Offer, Place, RuleKey};
use crate::registry::model::{ObjectRef, Service, ServiceAddress};

/// The answer. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// `allow`, `deny` or `translate`.
    pub verdict: String,
    /// Its name: `docs/reference/json.md` lists them.
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
    /// The port.
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
    /// Flows that met it since it was written; only the running agent knows.
    pub flows: Option<u64>,
}

impl Compiler {
    /// Explains, by `tables`: the image, or the live maps.
    pub fn explain<T: Tables>(
        &self,
        tables: &T,
        spec: &WorkloadSpec,
        destination: &Destination,
    ) -> Explanation {
        let workload = self.workload(spec);
        let (verdict, ip) = match &destination.target {
            Target::Ip(ip) => (judge(tables, workload, *ip, destination), Some(*ip)),
            Target::Host(host) => self.judge_host(tables, workload, spec, host, destination),
        };
        let rule = self.rule(verdict.rule).cloned();
        let service = rule.as_ref().and_then(|rule| self.service_of(rule));
        Explanation {
            verdict: verdict.action.as_str().to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            message: message(&verdict, spec, rule.as_deref()),
            workload: self.workload_answer(spec, workload),
            destination: DestinationAnswer {
                host: match &destination.target {
                    Target::Host(host) => Some(host.to_string()),
                    Target::Ip(_) => None,
                },
                ip,
                port: destination.port,
                protocol: destination.protocol.to_string(),
            },
            service: rule.as_deref().map(|rule| service_answer(rule, service.as_deref())),
            rule: rule.as_deref().map(|rule| rule_answer(verdict.rule, rule)),
            backends: rule.as_deref().map(|rule| backends(rule, ip)).unwrap_or_default(),
            warnings: self.warnings(&verdict, spec, ip, destination),
        }
    }

    /// A name is what its addresses are; a name without any known address needs somebody who knows names.
    fn judge_host<T: Tables>(
        &self,
        tables: &T,
        workload: Workload,
        spec: &WorkloadSpec,
        host: &Host,
        to: &Destination,
    ) -> (Verdict, Option<IpAddr>) {
        let visible = self.visible_services(spec, host);
        for service in &visible {
            if let Some(ip) = addresses(service, &self.settings().cluster_id).first() {
                return (judge(tables, workload, *ip, to), Some(*ip));
            }
        }
        let deny = |reason| Verdict::deny(reason, RuleId::NONE);
        let has_port = |service: &&Arc<Service>| {
            service
                .ports
                .iter()
                .any(|port| port.number == to.port && port.protocol.transport() == to.protocol)
        };
        let with_port = visible.iter().find(has_port);
        let verdict = match (workload.policy(), with_port) {
            (OutboundPolicy::AllowAny, _) => {
                Verdict { action: Action::Allow, reason: Reason::AllowAny, ..deny(Reason::AllowAny) }
            }
            (OutboundPolicy::Unknown, _) => deny(Reason::PolicyUnknown),
            (OutboundPolicy::RegistryOnly, Some(service)) => {
                Verdict::deny(Reason::NeedsName, self.rule_at_port(service, to))
            }
            (OutboundPolicy::RegistryOnly, None) => deny(Reason::NotRegistered),
        };
        (verdict, None)
    }

    /// The rule that a service has for a destination's port, [`RuleId::NONE`] when that won nowhere.
    fn rule_at_port(&self, service: &Service, to: &Destination) -> RuleId {
        let slot = (to.protocol, Port::new(to.port));
        let offers = self.offers.get(&service.key).into_iter().flatten();
        let ids = offers.filter(|offer| offer.slot == slot).filter_map(|offer| self.rule_id(&offer.rule));
        ids.min().unwrap_or(RuleId::NONE)
    }

    /// The services that stand for `host` in the eyes of `spec`, exact names before wildcards.
    fn visible_services(&self, spec: &WorkloadSpec, host: &Host) -> Vec<Arc<Service>> {
        let mut services: Vec<Arc<Service>> = self
            .offers
            .values()
            .filter_map(|offers| offers.first())
            .filter(|offer| {
                host.is_subset_of(offer.service.host()) && offer.audience.includes(&spec.namespace)
            })
            .map(|offer| Arc::clone(&offer.service))
            .collect();
        services.sort_by_key(|service| service.host().is_wildcard());
        services
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

    fn warnings(
        &self,
        verdict: &Verdict,
        spec: &WorkloadSpec,
        ip: Option<IpAddr>,
        to: &Destination,
    ) -> Vec<String> {
        if verdict.action != Action::Deny {
            return Vec::new();
        }
        self.hidden(spec, ip, to).into_iter().map(|hidden| hidden.what).collect()
    }

    /// Services that have the destination and that this workload does not see.
    fn hidden(&self, spec: &WorkloadSpec, ip: Option<IpAddr>, to: &Destination) -> BTreeSet<Hidden> {
        let slot = (to.protocol, Port::new(to.port));
        let there = |offer: &Offer| {
            let place = match (offer.place, ip) {
                (Place::Exact(addr), Some(ip)) => addr == Addr::from(ip),
                (Place::Net(prefix), Some(ip)) => prefix.contains(&Addr::from(ip)),
                _ => matches!(&to.target, Target::Host(host) if host.is_subset_of(offer.service.host())),
            };
            place && offer.slot == slot
        };
        self.unseen(spec, self.offers.values().flatten().filter(|offer| there(offer)))
    }
}

fn judge<T: Tables>(tables: &T, workload: Workload, ip: IpAddr, to: &Destination) -> Verdict {
    decide(tables, &Query::new(workload, to.protocol, Addr::from(ip), Port::new(to.port)))
}

/// The addresses at which a service can be dialled.
pub fn addresses(service: &Service, cluster_id: &str) -> Vec<IpAddr> {
    let cluster_ips = crate::policy::offer::cluster_ips(service, cluster_id);
    if !cluster_ips.is_empty() {
        return cluster_ips;
    }
    match &service.address {
        ServiceAddress::Ip(ip) => vec![*ip],
        ServiceAddress::Cidr(net, _) => vec![net.network()],
        ServiceAddress::Unspecified => {
            let auto = [service.auto_v4.map(IpAddr::V4), service.auto_v6.map(IpAddr::V6)];
            auto.into_iter().flatten().collect()
        }
    }
}

fn service_answer(rule: &RuleKey, service: Option<&Service>) -> ServiceAnswer {
    ServiceAnswer {
        host: rule.host.to_string(),
        object: rule.object.clone(),
        source: service.map(|service| service.source.to_string()).unwrap_or_default(),
    }
}

fn rule_answer(id: RuleId, rule: &RuleKey) -> RuleAnswer {
    use enforcer_common::verdict::RuleAction;
    RuleAnswer {
        id: id.get(),
        port: rule.slot.1.get(),
        protocol: rule.slot.0.to_string(),
        action: match rule.action {
            RuleAction::Allow => "allow",
            RuleAction::Translate => "translate",
            RuleAction::NeedsName => "needs_name",
        }
        .to_owned(),
        flows: None,
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

/// The reason in plain words.
pub(crate) fn message(verdict: &Verdict, spec: &WorkloadSpec, rule: Option<&RuleKey>) -> String {
    let namespace = &spec.namespace;
    let of = rule.map_or_else(|| "a service".to_owned(), |rule| format!("{} ({})", rule.object, rule.host));
    match verdict.reason {
        Reason::Loopback => "loopback is always allowed".to_owned(),
        Reason::Exempt => format!("within {}", rule.map_or("an --allow range", |rule| &*rule.object.name)),
        Reason::Registered if verdict.action == Action::Translate => {
            format!("a VIP of {of}, translated to one of its endpoints")
        }
        Reason::Registered => format!("registered by {of}"),
        Reason::AllowAny => "nothing is registered there, but the outbound policy is ALLOW_ANY".to_owned(),
        Reason::UnknownWorkloadAllowed => "the process has no identity, and --unknown-workload is allow".to_owned(),
        Reason::NotRegistered => {
            format!("no service that namespace {namespace} can see has this address, protocol and port")
        }
        Reason::NeedsName => format!(
            "{of} has this port, but only a host name could tell whether this address is its own; \
             names are known with --proxy or --dns"
        ),
        Reason::NoBackend => format!("{of} is registered, but none of its endpoints is known and ready"),
        Reason::PolicyUnknown => {
            "the policy is the mesh's, and no source has told a MeshConfig yet; set --outbound-traffic-policy or add one"
                .to_owned()
        }
        Reason::UnknownWorkload => "the process has no identity, and --unknown-workload is deny".to_owned(),
        Reason::Protocol => "neither TCP nor UDP: Istio cannot register it".to_owned(),
        Reason::TableFault => "the maps changed under the look-up; try again".to_owned(),
        Reason::NoStorage => "the kernel had no memory to remember the VIP by; look at net.core.optmem_max".to_owned(),
        Reason::WrongFamily => format!("{of} has no endpoint of the address family that the socket can reach"),
    }
}

//! The oracle: what the policy says, the slow way.
//!
//! A second reading of the numbered rules of [`enforcer_core::policy`], which property tests hold against the compiler
//! and the verdict. It walks the whole registry for every question, remembers nothing, and shares no code with them: only
//! the types of the registry and of the settings. It knows the rules as they are without a proxy of the node and without learned names.

mod mesh;
mod offer;
mod place;
mod rules;
mod sight;

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer_common::addr::Protocol;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::Role;
use enforcer_core::policy::{ExemptRange, NodePolicy, Settings, WorkloadSpec};
use enforcer_core::registry::model::{OutboundMode, Registry, ServiceKey, Sidecar};

use offer::{Action, Offer};

/// May this workload go there?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub workload: &'a WorkloadSpec,
    /// By which protocol.
    pub protocol: Protocol,
    /// Where to; IPv4 in its IPv6-mapped form is IPv4.
    pub ip: IpAddr,
    /// At which port; 0 where the protocol has none.
    pub port: u16,
}

/// What may be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It passes as it is.
    Allow(Reason),
    /// It does not pass.
    Deny(Reason),
    /// It goes to one of these, never to another; never empty.
    Translate(BTreeSet<(IpAddr, u16)>),
}

/// An answer, and who decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// What may be done.
    pub answer: Answer,
    /// The service that won, where one did.
    pub service: Option<ServiceKey>,
    /// The number of that service's port (not of its endpoints).
    pub port: Option<u16>,
}

/// Answers one question, in the order of the contract: protocols that nothing allows, local, exempt, protocol, the rules, the policy's default.
pub fn answer(registry: &Registry, settings: &Settings, question: &Question<'_>) -> Ruling {
    let ip = question.ip.to_canonical();
    let supported = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6];
    if !supported.contains(&question.protocol) {
        return by_nobody(Answer::Deny(Reason::Protocol));
    }
    if ip.is_loopback() || ip.is_unspecified() {
        return by_nobody(Answer::Allow(Reason::Loopback));
    }
    if settings.exempt.iter().any(|range| exempts(range, question.protocol, ip, question.port)) {
        return by_nobody(Answer::Allow(Reason::Exempt));
    }
    let sidecar = sight::selected_sidecar(registry, settings, question.workload);
    if question.protocol == Protocol::ICMP || question.protocol == Protocol::ICMPV6 {
        let registered = rules::is_registered(registry, settings, question.workload, sidecar, ip);
        return if registered {
            by_nobody(Answer::Allow(Reason::Registered))
        } else {
            fallback(policy(registry, settings, sidecar), None)
        };
    }
    let offers =
        rules::offers_at(registry, settings, question.workload, question.protocol, ip, question.port);
    let found = rules::search(registry, settings, question.workload, sidecar, ip, &offers);
    match found.decisive {
        Some(offer) => by(offer, effect(offer, ip, question.workload.role)),
        None => fallback(policy(registry, settings, sidecar), found.needs_name),
    }
}

fn by_nobody(answer: Answer) -> Ruling {
    Ruling { answer, service: None, port: None }
}

fn by(offer: &Offer<'_>, answer: Answer) -> Ruling {
    Ruling { answer, service: Some(offer.service.key.clone()), port: Some(offer.number) }
}

/// A range without a port is for every protocol there is; one with a port is for TCP, UDP or both.
fn exempts(range: &ExemptRange, protocol: Protocol, ip: IpAddr, port: u16) -> bool {
    if !place::prefix_holds(&range.prefix, ip) {
        return false;
    }
    match (range.port, range.protocol) {
        (None, _) => true,
        (Some(only), None) => only == port && (protocol == Protocol::TCP || protocol == Protocol::UDP),
        (Some(only), Some(by)) => only == port && by == protocol,
    }
}

/// What an offer that was found does with a flow to `ip`. Beside a mesh proxy nothing is translated: the proxy does that.
fn effect(offer: &Offer<'_>, ip: IpAddr, role: Role) -> Answer {
    if role != Role::Alone && offer.action != Action::NeedsName {
        return Answer::Allow(Reason::Registered);
    }
    let backends = match &offer.action {
        Action::Allow => return Answer::Allow(Reason::Registered),
        Action::NeedsName => return Answer::Deny(Reason::NeedsName),
        Action::OtherPort(port) => BTreeSet::from([(ip, *port)]),
        Action::Backends(backends) => backends.clone(),
    };
    if backends.is_empty() {
        return Answer::Deny(Reason::NoBackend);
    }
    let of_family: BTreeSet<_> =
        backends.iter().copied().filter(|(backend, _)| backend.is_ipv4() == ip.is_ipv4()).collect();
    match (of_family.is_empty(), ip.is_ipv4()) {
        (false, _) => Answer::Translate(of_family),
        // An IPv6 socket can be sent to an IPv4 address, the other way round there is no way.
        (true, false) => Answer::Translate(backends),
        (true, true) => Answer::Deny(Reason::WrongFamily),
    }
}

/// Nobody allows it.
fn fallback(policy: Option<OutboundMode>, needs_name: Option<&Offer<'_>>) -> Ruling {
    match (policy, needs_name) {
        (Some(OutboundMode::AllowAny), _) => by_nobody(Answer::Allow(Reason::AllowAny)),
        (None, _) => by_nobody(Answer::Deny(Reason::PolicyUnknown)),
        (Some(OutboundMode::RegistryOnly), Some(offer)) => by(offer, Answer::Deny(Reason::NeedsName)),
        (Some(OutboundMode::RegistryOnly), None) => by_nobody(Answer::Deny(Reason::NotRegistered)),
    }
}

/// The outbound policy of a workload; `None` when nobody has told.
fn policy(registry: &Registry, settings: &Settings, sidecar: Option<&Sidecar>) -> Option<OutboundMode> {
    if let NodePolicy::Fixed(mode) = settings.outbound_policy {
        return Some(mode);
    }
    let mesh = registry.mesh.as_ref().map(|mesh| mesh.outbound_policy);
    match sidecar.and_then(|sidecar| sidecar.outbound_policy) {
        None => mesh,
        Some(OutboundMode::RegistryOnly) => Some(OutboundMode::RegistryOnly),
        Some(OutboundMode::AllowAny) => {
            if settings.allow_override {
                Some(OutboundMode::AllowAny)
            } else {
                mesh
            }
        }
    }
}

#[cfg(test)]
mod tests;

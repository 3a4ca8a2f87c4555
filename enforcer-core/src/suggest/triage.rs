//! Which destinations a ServiceEntry may open, and what is to be done about the others.

use std::collections::HashSet;
use std::net::IpAddr;

use enforcer_common::reason::{Reason, Subject};
use enforcer_common::verdict::{Action, Verdict};

use crate::flow::{Denied, FlowWorkload};
use crate::name::Host;
use crate::policy::explain::hidden::Hidden;
use crate::policy::reasons::{Words, words};
use crate::registry::host;
use crate::registry::model::{Provider, Resolution, Service};
use crate::simulate::is_auto_allocated;
use crate::simulate::judge::{Asked, Judge, protocol};
use crate::suggest::index::{Index, ip_of};
use crate::suggest::notes::{Notes, Topic};

/// Addresses of cloud metadata services outside of the link-local range.
const METADATA: [&str; 3] = ["fd00:ec2::254", "100.100.100.200", "168.63.129.16"];

/// A destination that can be registered, of a workload that has a namespace.
#[derive(Clone, Debug)]
pub(super) struct Seen<'a> {
    pub(super) denied: &'a Denied,
    pub(super) who: &'a FlowWorkload,
    /// Its index with the judge.
    pub(super) workload: usize,
    pub(super) asked: Asked,
    pub(super) host: Option<Host>,
    /// What is better than the entry, or has to come with it.
    pub(super) better: Option<String>,
}

/// What the flow itself rules out.
pub(super) fn registrable<'a>(
    denied: &'a Denied,
    index: impl FnOnce(&'a FlowWorkload) -> usize,
    notes: &mut Notes,
) -> Option<Seen<'a>> {
    let ip = denied.destination.ip.to_canonical();
    let Some(who) = &denied.workload else {
        let what = "these processes have no identity, and a ServiceEntry is for a namespace: give their cgroup one with \
                    --workload, or let all such processes pass with --unknown-workload allow";
        notes.add(Topic::Identity, what, denied);
        return None;
    };
    if !host::is_label(&who.namespace) || who.namespace.bytes().any(|byte| byte.is_ascii_uppercase()) {
        notes.add(Topic::Identity, "this is not the name of a namespace: correct the record", denied);
        return None;
    }
    if let Some(what) = about_packet(denied) {
        notes.add(Topic::Packet, &what, denied);
        return None;
    }
    let known = protocol(&denied.protocol).filter(|protocol| protocol.is_registrable());
    let Some(protocol) = known.filter(|_| denied.destination.port > 0) else {
        notes.add(Topic::Protocol, &unregistrable(denied, ip), denied);
        return None;
    };
    let asked = Asked { protocol, ip, port: denied.destination.port, same_family: false };
    let host = denied.destination.host.as_deref().map(Host::new);
    Some(Seen { denied, who, workload: index(who), asked, host, better: None })
}

fn unregistrable(denied: &Denied, ip: IpAddr) -> String {
    match protocol(&denied.protocol) {
        Some(protocol) if protocol.is_registrable() => {
            "port 0 cannot be registered, and nobody listens there".to_owned()
        }
        Some(protocol) if protocol.is_supported() => format!(
            "an ICMP echo passes where a visible service has the address, whatever its ports; without one, --allow {} would let \
             everything to that address pass",
            network(ip)
        ),
        _ => "neither TCP, UDP nor ICMP echo: Istio cannot register it, and no flag lets it pass".to_owned(),
    }
}

/// What the registry makes of it: `None` and a note when no ServiceEntry is the answer.
pub(super) fn triage<'a>(
    mut seen: Seen<'a>,
    judge: &Judge,
    index: &Index,
    notes: &mut Notes,
) -> Option<Seen<'a>> {
    let verdict = judge.verdict(seen.workload, &seen.asked);
    let note = |notes: &mut Notes, topic, what: &str| {
        notes.add(topic, what, seen.denied);
        None
    };
    if verdict.action != Action::Deny {
        let (topic, what) = allowed(seen.denied)?;
        return note(notes, topic, what);
    }
    if let Some(hidden) = hidden(&seen, judge, index) {
        return note(notes, Topic::Hidden, &told(&hidden, &seen.who.namespace));
    }
    match verdict.reason {
        Reason::NotRegistered | Reason::NeedsName => {}
        Reason::PolicyUnknown => {
            return note(notes, Topic::Policy, &judge.message(seen.workload, seen.asked.protocol, &verdict));
        }
        _ => return note(notes, Topic::Endpoints, &without_endpoint(&seen, judge, &verdict)),
    }
    if let Some((topic, what)) =
        of_cluster(&seen, index).or_else(|| vip(&seen, judge, index)).or_else(|| infrastructure(&seen.asked))
    {
        return note(notes, topic, &what);
    }
    seen.better = better(&seen, judge, index, &verdict);
    Some(seen)
}

/// What there is to say of a destination that is not denied (any more); nothing when it never was.
fn allowed(denied: &Denied) -> Option<(Topic, &'static str)> {
    let reason = recorded_reason(denied).filter(|reason| !reason.allows())?;
    match (reason.subject(), reason) {
        (Subject::Registry, Reason::WrongFamily) => Some((
            Topic::Endpoints,
            "the service has no endpoint of the address family that the socket can reach: give it one, or dial an address of \
             the other family",
        )),
        (Subject::Kernel, Reason::NoStorage) => Some((
            Topic::Endpoints,
            "registered; the kernel had no memory to remember the VIP by: look at net.core.optmem_max of the workload",
        )),
        (Subject::Kernel, Reason::TableFault) => Some((
            Topic::Endpoints,
            "registered; the maps changed under the look-up, which a second try mends; report it as a bug when it comes often",
        )),
        (Subject::Destination | Subject::Workload | Subject::Registry | Subject::Kernel, _) => {
            Some((Topic::Allowed, "was denied, and is allowed by the registry as it is now: nothing to do"))
        }
        (Subject::Packet, _) => None,
    }
}

fn recorded_reason(denied: &Denied) -> Option<Reason> {
    Reason::ALL.iter().find(|reason| reason.as_str() == denied.reason).copied()
}

/// What was wrong with the packet itself, wherever it went: an entry for its destination would not change that.
fn about_packet(denied: &Denied) -> Option<String> {
    let reason = recorded_reason(denied).filter(|reason| !reason.allows())?;
    match reason.subject() {
        Subject::Packet => {
            let Words { short, remedy, .. } = words(reason);
            Some(format!("no entry changes that ({reason}). {short} {remedy}"))
        }
        Subject::Destination | Subject::Workload | Subject::Registry | Subject::Kernel => None,
    }
}

/// A service that has this destination, by its address or by its name, out of the workload's sight. An entry of the
/// workload's own would take what its owner has not given.
fn hidden(seen: &Seen<'_>, judge: &Judge, index: &Index) -> Option<Hidden> {
    let (spec, slot, compiler) = (judge.workload(seen.workload), seen.asked.slot(), judge.compiler());
    let by_name = || {
        let services = seen.host.iter().flat_map(|host| index.covering(host));
        services
            .flat_map(|service| compiler.hidden_of(spec, &service.key, slot))
            .min_by(|a, b| a.told.cmp(&b.told))
    };
    compiler.hidden_at(spec, seen.asked.ip, slot).into_iter().next().or_else(by_name)
}

fn told(hidden: &Hidden, namespace: &str) -> String {
    format!(
        "{}: {}; if that service is not what is meant, {namespace} needs a ServiceEntry of its own, written by hand",
        hidden.told, hidden.remedy
    )
}

fn without_endpoint(seen: &Seen<'_>, judge: &Judge, verdict: &Verdict) -> String {
    let message = judge.message(seen.workload, seen.asked.protocol, verdict);
    let host = judge.compiler().rule(verdict.rule).map(|rule| rule.host.to_string());
    match (verdict.reason, host) {
        (Reason::NoBackend, Some(host)) => {
            format!(
                "{message}: another entry would not change that; `enforcer registry get {host}` shows them"
            )
        }
        (Reason::WrongFamily, Some(_)) => {
            format!("{message}: give it one, or dial an address of the other family")
        }
        _ => message,
    }
}

/// The cluster's own addresses are Kubernetes' to register.
fn of_cluster(seen: &Seen<'_>, index: &Index) -> Option<(Topic, String)> {
    let holder = |service: &&&std::sync::Arc<Service>| service.provider == Provider::Kubernetes;
    let service = index.of_ip(seen.asked.ip).iter().find(holder)?;
    let (object, slot) = (&service.key.object, seen.asked.slot());
    let is_served = service.endpoints.iter().any(|endpoint| {
        ip_of(&endpoint.address) == Some(seen.asked.ip)
            && service
                .ports
                .iter()
                .any(|port| endpoint.port(port) == seen.asked.port && port.protocol.transport() == slot.0)
    });
    let what = if is_served {
        format!(
            "an endpoint of {object}, which may not be dialled past the Service (--direct-endpoints is none): dial {}",
            service.host()
        )
    } else {
        format!(
            "belongs to {object}, which has no port {}/{}: add it to spec.ports of {object}; no ServiceEntry should take an \
             address of the cluster",
            seen.asked.port, slot.0
        )
    };
    Some((Topic::Cluster, what))
}

/// An address that only stands for a service: an entry for it would lead nowhere.
fn vip(seen: &Seen<'_>, judge: &Judge, index: &Index) -> Option<(Topic, String)> {
    let (ip, namespace) = (seen.asked.ip, &judge.workload(seen.workload).namespace);
    let exported =
        |service: &&&std::sync::Arc<Service>| judge.compiler().is_exported(&service.key, namespace);
    if let Some(service) = index.of_ip(ip).iter().find(exported) {
        let (object, (protocol, port)) = (&service.key.object, seen.asked.slot());
        let what = format!(
            "only stands for {object} ({}), which has no port {port}/{protocol}: add it to spec.ports of {object}",
            service.host()
        );
        return Some((Topic::Vip, what));
    }
    let stale = "of the range that Istio gives to services, and no service has it: the workload remembers an old DNS answer; \
                 restart it when it does not ask again";
    is_auto_allocated(ip).then(|| (Topic::Vip, stale.to_owned()))
}

/// Addresses that are not of a service, but of the machines and links below: for `--allow`, and for nobody's registry.
fn infrastructure(asked: &Asked) -> Option<(Topic, String)> {
    let is_metadata = METADATA.iter().any(|known| known.parse() == Ok(asked.ip));
    let what = match asked.ip {
        IpAddr::V4(ip) if ip.octets() == [169, 254, 169, 254] => METADATA_SERVICE,
        _ if is_metadata => METADATA_SERVICE,
        IpAddr::V4(ip) if ip.is_link_local() => "link-local, another machine on every link",
        IpAddr::V6(ip) if ip.is_unicast_link_local() => "link-local, another machine on every link",
        IpAddr::V4(ip) if ip.is_broadcast() => "broadcast, for every machine of the link",
        ip if ip.is_multicast() => "multicast, for whoever listens",
        _ => return None,
    };
    let allow = allow(asked);
    Some((
        Topic::Infrastructure,
        format!("{what}, and no service: if workloads of this node need it, --allow {allow}"),
    ))
}

const METADATA_SERVICE: &str = "the cloud's metadata service, which hands out the node's credentials";

/// The value of `--allow` for exactly this destination.
fn allow(asked: &Asked) -> String {
    match asked.ip {
        IpAddr::V4(_) => format!("{}:{}/{}", network(asked.ip), asked.port, asked.protocol),
        IpAddr::V6(_) => format!("[{}]:{}/{}", network(asked.ip), asked.port, asked.protocol),
    }
}

fn network(ip: IpAddr) -> String {
    format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
}

/// What would be better than an entry for the address.
fn better(seen: &Seen<'_>, judge: &Judge, index: &Index, verdict: &Verdict) -> Option<String> {
    if verdict.reason == Reason::NeedsName {
        return Some(format!(
            "{}; the suggested entry pins the address meanwhile, which may become another's",
            judge.message(seen.workload, seen.asked.protocol, verdict)
        ));
    }
    let service = index.of_host(seen.host.as_ref()?).first()?;
    let (object, (protocol, port)) = (&service.key.object, seen.asked.slot());
    let mut ports = service.ports.iter();
    let has_port = ports.any(|own| own.number == port.get() && own.protocol.transport() == protocol);
    let field = match (has_port, service.resolution) {
        (false, _) => "this port to spec.ports",
        (true, Resolution::None) => "this address to spec.addresses",
        (true, _) => "this address to spec.endpoints",
    };
    Some(format!(
        "{object} has the host {} already: adding {field} of it is better, where its owner agrees; the suggested entry has a \
         host of its own, since of two ServiceEntries with one host Istio may heed one only",
        service.host()
    ))
}

/// The addresses of `denied`, as the kernel sees them.
pub(super) fn addresses_of(denied: &[Denied]) -> HashSet<IpAddr> {
    denied.iter().map(|denied| denied.destination.ip.to_canonical()).collect()
}

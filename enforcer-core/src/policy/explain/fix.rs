//! What would have to be there for a denied destination to be allowed.

use std::fmt::Write as _;
use std::net::IpAddr;

use enforcer_common::addr::Addr;
use enforcer_common::reason::Reason;
use ipnet::IpNet;

use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::destination::{Destination, Target};
use crate::policy::explain::hidden::{Hidden, HiddenBy};
use crate::policy::explain::{Fix, Judged};
use crate::policy::offer::{Place, RuleKey, cluster_ips};
use crate::policy::reasons;
use crate::problem::Severity;
use crate::registry::model::{EndpointAddress, Registry, Service, ServiceAddress, Sidecar};
use crate::registry::write::{NewPort, NewServiceEntry, object_name, placeholder_host, service_entry_yaml};
use crate::registry::{BuildOptions, build, parse};
use crate::vip::VipAllocation;

impl Compiler {
    pub(super) fn fix(
        &self,
        spec: &WorkloadSpec,
        to: &Destination,
        judged: &Judged,
        rule: Option<&RuleKey>,
        service: Option<&Service>,
        hidden: &[Hidden],
    ) -> Fix {
        let reason = judged.verdict.reason;
        match (reason, hidden.first()) {
            // An address that no name was asked for may be anybody's, also one that nobody has registered.
            (Reason::NeedsName, _) if matches!(to.target, Target::Host(_)) => say(needs_name(rule, service)),
            (Reason::NotRegistered | Reason::PolicyUnknown | Reason::NeedsName, Some(hidden)) => {
                say(unhide(hidden, spec))
            }
            (Reason::NotRegistered | Reason::PolicyUnknown | Reason::NeedsName, None)
                if is_infrastructure(judged.ip) =>
            {
                let flag = allow(to);
                say(format!(
                    "No registry can name this address; the agent's {flag} opens it for every workload."
                ))
            }
            (Reason::NotRegistered | Reason::PolicyUnknown, None) if !to.protocol.is_registrable() => {
                say(format!(
                    "An ICMP echo asks for the address alone: register it with any port, or open it and everything on it with \
                     the agent's {}.",
                    allow(to)
                ))
            }
            (Reason::NotRegistered, None) => self.register(spec, to, judged),
            (Reason::NeedsName, None) => {
                let Fix { text, yaml } = self.register(spec, to, judged);
                Fix {
                    text: format!(
                        "{text} Or, if the address belongs to a name that is registered: {}",
                        needs_name(rule, service)
                    ),
                    yaml,
                }
            }
            (Reason::PolicyUnknown, None) => {
                let Fix { text, yaml } = self.register(spec, to, judged);
                let words = reasons::words(reason).remedy;
                Fix {
                    text: format!("{words} Under REGISTRY_ONLY it has to be registered, too: {text}"),
                    yaml,
                }
            }
            (Reason::NoBackend, _) => say(no_backend(rule, service)),
            _ => say(reasons::words(reason).remedy.to_owned()),
        }
    }

    /// A `ServiceEntry` of the workload's own namespace for exactly this.
    fn register(&self, spec: &WorkloadSpec, to: &Destination, judged: &Judged) -> Fix {
        if let Some(owner) = self.vip_owner(judged.ip) {
            let (object, source, port) = (&owner.key.object, &owner.source, to.port);
            return say(format!(
                "This is the VIP of {object} ({source}): add port {port}/{} to its spec.ports.",
                to.protocol
            ));
        }
        let entry = self.entry(spec, to, judged.ip);
        let yaml = service_entry_yaml(&entry);
        // What our own validator would refuse helps nobody: names with an underscore.
        let Some(registry) = valid(&yaml) else {
            return say(
                "No ServiceEntry can have this name; dial it by another one, or by its address.".to_owned()
            );
        };
        let mut text = format!("Apply this ServiceEntry in namespace {}", spec.namespace);
        if let Some(there) = self.other_port(spec, judged.ip) {
            let _ = write!(text, ", or add port {} to {} ({})", to.port, there.key.object, there.source);
        }
        text.push('.');
        if entry.addresses.is_empty() {
            text.push_str(
                " It registers the name; which addresses are its own, spec.addresses says, or --proxy or --dns find out.",
            );
        }
        let sidecar = self.sidecar(spec).filter(|sidecar| {
            let imports = |service: &Service| sidecar.imports(&spec.namespace, service, to.port);
            !registry.services.iter().all(|service| imports(service))
        });
        if let Some(sidecar) = sidecar {
            let _ = write!(text, " {}", import(sidecar, &format!("./{}", entry.host)));
        }
        Fix { text, yaml: Some(yaml) }
    }

    fn entry(&self, spec: &WorkloadSpec, to: &Destination, ip: Option<IpAddr>) -> NewServiceEntry {
        let (host, addresses) = match (&to.target, ip) {
            (Target::Net(net), _) => (placeholder_host(net), vec![net.to_string()]),
            (Target::Ip(ip), _) => (placeholder_host(&IpNet::from(*ip)), vec![ip.to_string()]),
            (Target::Host(host), Some(ip)) => (host.to_string(), vec![ip.to_string()]),
            (Target::Host(host), None) => (host.to_string(), Vec::new()),
        };
        NewServiceEntry {
            name: self.free_name(spec, &object_name(&to.to_string())),
            namespace: spec.namespace.to_string(),
            host,
            addresses,
            ports: vec![NewPort::usual(to.port, to.protocol)],
            export_to: vec![".".to_owned()],
        }
    }

    /// `wanted`, with a number behind it when that is taken.
    fn free_name(&self, spec: &WorkloadSpec, wanted: &str) -> String {
        let services = &self.registry().services;
        let taken = |name: &str| {
            let is_it = |service: &Service| {
                service.namespace() == &spec.namespace && &*service.key.object.name == name
            };
            services.iter().any(|service| is_it(service))
        };
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Whose VIP an address is that nobody wrote into a `ServiceEntry`: another service there would lead nowhere.
    fn vip_owner(&self, ip: Option<IpAddr>) -> Option<&Service> {
        let ip = ip?;
        let is_vip = |service: &Service| {
            let auto = [service.auto_v4.map(IpAddr::V4), service.auto_v6.map(IpAddr::V6)];
            let is_auto = service.address == ServiceAddress::Unspecified && auto.contains(&Some(ip));
            is_auto || cluster_ips(service, &self.settings().cluster_id).contains(&ip)
        };
        self.registry().services.iter().map(|service| &**service).find(|service| is_vip(service))
    }

    /// A `ServiceEntry` of the workload's own namespace that has the address itself, with other ports.
    fn other_port(&self, spec: &WorkloadSpec, ip: Option<IpAddr>) -> Option<&Service> {
        let ip = Addr::from(ip?);
        let offers = self.offers.values().flatten();
        offers
            .filter(|offer| {
                offer.is_for_workloads()
                    && offer.place == Place::Exact(ip)
                    && offer.service.namespace() == &spec.namespace
            })
            .map(|offer| &*offer.service)
            .find(|service| &*service.key.object.kind == "ServiceEntry")
    }
}

fn say(text: String) -> Fix {
    Fix { text, yaml: None }
}

/// The registry of `yaml` alone; `None` when it has a fault.
fn valid(yaml: &str) -> Option<Registry> {
    let parsed = parse("new.yaml", yaml).ok()?;
    if parsed.problems.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let options = BuildOptions {
        cluster_id: String::new(),
        cluster_domain: String::new(),
        root_namespace: crate::name::Namespace::new(""),
        vip_allocation: VipAllocation::Off,
    };
    Some(build(&parsed.objects, &options).0)
}

/// The flag that opens a destination whatever the registry says.
fn allow(to: &Destination) -> String {
    // ICMP has no ports: a range for it is a range for everything.
    let port = if to.protocol.is_registrable() { to.port } else { 0 };
    let place = match (&to.target, port) {
        (target, port @ 1..) => format!("{target}:{port}/{}", to.protocol),
        (Target::Ip(ip), 0) => ip.to_string(),
        (target, 0) => target.to_string(),
    };
    format!("--allow {place}")
}

/// Link-local (the cloud's metadata among it), multicast and broadcast: what is no service of anybody.
fn is_infrastructure(ip: Option<IpAddr>) -> bool {
    match ip {
        Some(IpAddr::V4(ip)) => ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
        Some(IpAddr::V6(ip)) => ip.is_unicast_link_local() || ip.is_multicast(),
        None => false,
    }
}

fn unhide(hidden: &Hidden, spec: &WorkloadSpec) -> String {
    let (service, namespace) = (&hidden.service, &spec.namespace);
    let (object, source) = (&service.key.object, &service.source);
    match &hidden.by {
        HiddenBy::ExportTo => {
            format!("Let {object} ({source}) be seen: add \"{namespace}\" or \"*\" to its spec.exportTo.")
        }
        HiddenBy::Distrust => format!(
            "Let what {of} exports count: add {of} to the agent's --trusted-exporters, or register it in namespace {namespace}.",
            of = object.namespace
        ),
        HiddenBy::Sidecar(sidecar) => {
            let whose = if service.namespace() == namespace { "." } else { object.namespace.as_str() };
            import(sidecar, &format!("{whose}/{}", service.host()))
        }
    }
}

fn import(sidecar: &Sidecar, host: &str) -> String {
    format!(
        "Let {} ({}) import it: add \"{host}\" to its spec.egress[].hosts.",
        sidecar.object, sidecar.source
    )
}

fn needs_name(rule: Option<&RuleKey>, service: Option<&Service>) -> String {
    let of = rule.map_or_else(|| "the service".to_owned(), |rule| rule.object.to_string());
    let source = service.map(|service| format!(" ({})", service.source)).unwrap_or_default();
    format!(
        "List the addresses of {of}{source} in its spec.addresses, with resolution NONE; or let names be known with --proxy or --dns."
    )
}

fn no_backend(rule: Option<&RuleKey>, service: Option<&Service>) -> String {
    let of = rule.map_or_else(|| "the service".to_owned(), |rule| rule.object.to_string());
    let Some(service) = service else { return reasons::words(Reason::NoBackend).remedy.to_owned() };
    let (mut names, mut sockets, mut unready) = (Vec::new(), Vec::new(), Vec::new());
    for endpoint in service.endpoints.iter() {
        match &endpoint.address {
            EndpointAddress::Host(host) => names.push(host.to_string()),
            EndpointAddress::Unix(path) => sockets.push(path.to_string()),
            EndpointAddress::Ip(ip) if !endpoint.ready => unready.push(ip.to_string()),
            EndpointAddress::Ip(_) => {}
        }
    }
    let source = &service.source;
    match (names.first(), sockets.first(), unready.first()) {
        (None, None, None) => format!(
            "{of} ({source}) has no endpoints: list them in spec.endpoints, or start what its selector picks."
        ),
        (Some(name), _, _) => format!(
            "The endpoints of {of} ({source}) are names ({name}) whose addresses nobody knows here: write addresses in spec.endpoints, or let names be known with --dns."
        ),
        (None, Some(path), _) => format!(
            "The endpoint of {of} ({source}) is the Unix socket {path}, which only a proxy reaches: --proxy."
        ),
        (None, None, Some(ip)) => {
            format!("The endpoints of {of} ({source}) are not ready ({ip}): look at what runs there.")
        }
    }
}

//! Destinations → ServiceEntries that open them and nothing else.
//!
//! * `resolution: NONE` with plain addresses: whoever is there, and no other address.
//! * The protocol is `TCP` or `UDP`, whatever the port may suggest. To this product a TCP port with an address is decided by
//!   the address alone, while HTTP and TLS may be handed to a proxy that reads the name. To Istio `TCP` is the narrowest, too: a
//!   listener for exactly this address and port. `HTTP` would be a listener for the port at every address, which routes by
//!   Host and changes what other hosts on that port meet, and `TLS` one that matches by SNI (istio
//!   `pilot/pkg/networking/core/listener.go`). A wrong guess breaks the connection; TCP carries both.
//! * Addresses of one host share an entry only if they were dialled at the same ports: an entry opens each of its ports at
//!   each of its addresses.
//! * A port number stands in an entry once (Istio's validation): what was dialled by TCP and by UDP makes two.
//! * One host in two objects of a registry: Istio may heed only one of them (`pilot/pkg/model/sidecar.go`), so that an entry
//!   gets a name of its own where the host is taken.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use enforcer_common::addr::Protocol;
use jiff::Timestamp;
use serde::Serialize;

use crate::name::{Host, Namespace};
use crate::registry::host;
use crate::registry::write::{NAMELESS, address_label};
use crate::suggest::index::Index;
use crate::suggest::notes::{some, workload};
use crate::suggest::triage::Seen;
use crate::suggest::{Entry, EntryPort};

/// What the names of suggested objects begin with.
const PREFIX: &str = "suggested-";

/// The longest name of an object that fits a label, too (RFC 1123).
const MAX_NAME: usize = 63;

/// Number and protocol.
type Ports = BTreeSet<(u16, Protocol)>;

/// A ServiceEntry to be, and the flows it is for.
pub(super) struct Draft<'s, 'a> {
    namespace: &'a str,
    name: String,
    host: String,
    /// Whether the host is the address's own, not made up.
    is_named: bool,
    addresses: BTreeSet<IpAddr>,
    ports: Ports,
    pub(super) seen: Vec<&'s Seen<'a>>,
}

/// What was dialled at one address in one namespace.
#[derive(Default)]
struct At<'s, 'a> {
    ports: Ports,
    host: Option<&'s Host>,
    seen: Vec<&'s Seen<'a>>,
}

/// The entries for `seen`, by namespace, host and address.
pub(super) fn drafts<'s, 'a>(seen: &'s [Seen<'a>], index: &Index) -> Vec<Draft<'s, 'a>> {
    let mut dialled: BTreeMap<(&str, IpAddr), At> = BTreeMap::new();
    for seen in seen {
        let at = dialled.entry((&seen.who.namespace, seen.asked.ip)).or_default();
        at.ports.insert((seen.asked.port, seen.asked.protocol));
        // One address has one name: the first of those that it was called by and that nobody has yet.
        let name = seen.host.as_ref().filter(|host| is_free(host, index));
        at.host = [at.host, name].into_iter().flatten().min();
        at.seen.push(seen);
    }
    let mut together: BTreeMap<_, BTreeMap<IpAddr, At>> = BTreeMap::new();
    for ((namespace, ip), at) in dialled {
        let nameless = at.host.is_none().then_some(ip);
        let key = (namespace, at.host.is_none(), at.host, nameless, at.ports.clone());
        together.entry(key).or_default().insert(ip, at);
    }
    let mut given = Given { index, hosts: HashSet::new(), names: HashSet::new() };
    let mut drafts = Vec::new();
    for ((namespace, _, host, _, ports), at) in together {
        let (first, second) = split(&ports);
        for ports in [first, second].into_iter().filter(|ports| !ports.is_empty()) {
            drafts.push(draft(namespace, host, ports, &at, &mut given));
        }
    }
    drafts
}

/// One entry for `ports` at the addresses of `at`.
fn draft<'s, 'a>(
    namespace: &'a str,
    host: Option<&Host>,
    ports: Ports,
    at: &BTreeMap<IpAddr, At<'s, 'a>>,
    given: &mut Given<'_>,
) -> Draft<'s, 'a> {
    let all = at.values().flat_map(|at| at.seen.iter().copied());
    let seen = all.filter(|seen| ports.contains(&(seen.asked.port, seen.asked.protocol))).collect();
    let named = host.map(ToString::to_string).filter(|host| given.host(namespace, host));
    let is_named = named.is_some();
    let first = at.keys().next().zip(ports.first());
    let host = named.or_else(|| first.map(|(ip, port)| given.nameless(namespace, *ip, *port)));
    let host = host.unwrap_or_default();
    let name = given.name(namespace, &host);
    Draft { namespace, name, host, is_named, addresses: at.keys().copied().collect(), ports, seen }
}

/// Whether the host is a name, and no service's.
fn is_free(name: &Host, index: &Index) -> bool {
    host::fqdn(name.as_str()).is_ok() && index.of_host(name).is_empty()
}

/// TCP with the UDP ports that have numbers of their own; the UDP ports that have not.
fn split(ports: &Ports) -> (Ports, Ports) {
    let tcp = |number: u16| ports.contains(&(number, Protocol::TCP));
    ports.iter().partition(|(number, protocol)| *protocol == Protocol::TCP || !tcp(*number))
}

/// Hosts and names that are taken, by the registry or by an earlier draft.
struct Given<'i> {
    index: &'i Index<'i>,
    hosts: HashSet<(String, String)>,
    names: HashSet<(String, String)>,
}

impl Given<'_> {
    /// Takes `host`; whether it was free.
    fn host(&mut self, namespace: &str, host: &str) -> bool {
        self.index.of_host(&Host::new(host)).is_empty()
            && self.hosts.insert((namespace.to_owned(), host.to_owned()))
    }

    /// A host for an address without a name: the same for the same address, in as far as it is free.
    fn nameless(&mut self, namespace: &str, ip: IpAddr, (port, protocol): (u16, Protocol)) -> String {
        let label = address_label(ip);
        let detailed = format!("{label}-{port}-{protocol}");
        let more = (2..).map(|number: u32| format!("{detailed}-{number}"));
        let candidates = [label, detailed.clone()].into_iter().chain(more);
        let mut hosts = candidates.map(|label| format!("{label}.{NAMELESS}"));
        hosts.find(|host| self.host(namespace, host)).unwrap_or_default()
    }

    /// A name for the object: from the host, and never another ServiceEntry's, which `kubectl apply` would replace.
    fn name(&mut self, namespace: &str, host: &str) -> String {
        let slug = host.strip_suffix(NAMELESS).unwrap_or(host).trim_end_matches('.').replace('.', "-");
        let base = shortened(&format!("{PREFIX}{slug}"), MAX_NAME);
        let of = Namespace::new(namespace);
        let numbered = (2..).map(|number: u32| {
            let number = format!("-{number}");
            shortened(&base, MAX_NAME - number.len()) + &number
        });
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let free = candidates.find(|name| {
            !self.index.has_entry(&of, name) && self.names.insert((namespace.to_owned(), name.clone()))
        });
        free.unwrap_or(base)
    }
}

/// The first `length` bytes of an ASCII name, without a hyphen at the end.
fn shortened(name: &str, length: usize) -> String {
    name.get(..length).unwrap_or(name).trim_end_matches('-').to_owned()
}

impl Draft<'_, '_> {
    /// As a person gets it.
    pub(super) fn entry(&self) -> Result<Entry, serde_saphyr::ser::Error> {
        let yaml = self.comment() + &serde_saphyr::to_string(&self.document())?;
        let ports = self
            .ports
            .iter()
            .map(|(number, protocol)| EntryPort { number: *number, protocol: upper(*protocol) });
        Ok(Entry {
            namespace: self.namespace.to_owned(),
            name: self.name.clone(),
            hosts: vec![self.host.clone()],
            addresses: self.addresses.iter().copied().collect(),
            ports: ports.collect(),
            count: self.seen.iter().map(|seen| seen.denied.count).sum(),
            yaml,
        })
    }

    fn document(&self) -> impl Serialize + '_ {
        let ports = self.ports.iter().map(|(number, protocol)| Port {
            number: *number,
            name: format!("{protocol}-{number}"),
            protocol: upper(*protocol),
        });
        Document {
            api_version: "networking.istio.io/v1",
            kind: "ServiceEntry",
            metadata: Metadata { name: &self.name, namespace: self.namespace },
            spec: Spec {
                hosts: [&self.host],
                addresses: &self.addresses,
                ports: ports.collect(),
                location: "MESH_EXTERNAL",
                resolution: "NONE",
                export_to: ["."],
            },
        }
    }

    /// Who, how often, when, and what a reviewer should know.
    fn comment(&self) -> String {
        let count: u64 = self.seen.iter().map(|seen| seen.denied.count).sum();
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let first = self.seen.iter().map(|seen| second(seen.denied.first)).min();
        let last = self.seen.iter().map(|seen| second(seen.denied.last)).max();
        let mut text = format!("# Seen {times}");
        match first.zip(last) {
            Some((first, last)) if first != last => drop(write!(text, ", from {first} to {last}")),
            Some((first, _)) => drop(write!(text, ", at {first}")),
            None => {}
        }
        let workloads: BTreeSet<String> = self.seen.iter().map(|seen| workload(seen.denied)).collect();
        let _ = writeln!(text, "\n# by {}", some(&workloads));
        text.push_str(match (self.is_named, self.addresses.len()) {
            (true, 1) => "# The name may have more addresses than the one that was dialled.\n",
            (true, _) => "# The name may have more addresses than those that were dialled.\n",
            (false, _) => "# The host is made of the address: rename it to what stands there.\n",
        });
        text
    }
}

/// Without the fraction, which nobody reads.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn upper(protocol: Protocol) -> String {
    protocol.to_string().to_ascii_uppercase()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    hosts: [&'a str; 1],
    addresses: &'a BTreeSet<IpAddr>,
    ports: Vec<Port>,
    location: &'static str,
    resolution: &'static str,
    export_to: [&'static str; 1],
}

#[derive(Serialize)]
struct Port {
    number: u16,
    name: String,
    protocol: String,
}

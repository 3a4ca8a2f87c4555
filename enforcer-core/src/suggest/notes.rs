//! Notes: what no ServiceEntry mends, or not alone. One sentence for all destinations that share what is to be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::Denied;

/// How many destinations or workloads a sentence names.
const NAMED: usize = 5;

/// What a note is about, in the order in which they stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Topic {
    /// The registry cannot say no: the policy is unknown.
    Policy,
    /// Nobody's flow.
    Identity,
    /// Registered, and out of sight.
    Hidden,
    /// The cluster's own services.
    Cluster,
    /// Stands for a service that has no such port.
    Vip,
    /// Registered, and nobody there.
    Endpoints,
    /// No business of a registry.
    Infrastructure,
    /// Cannot be registered.
    Protocol,
    /// The packet itself was refused.
    Packet,
    /// An entry would not help.
    Unproven,
    /// There is an entry, and a better way.
    Better,
    /// No longer denied.
    Allowed,
}

/// What is said, and of which flows.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<(Topic, String), Group>);

#[derive(Debug, Default)]
struct Group {
    destinations: BTreeSet<String>,
    workloads: BTreeSet<String>,
    count: u64,
}

impl Notes {
    /// Says `what` of a destination.
    pub(super) fn add(&mut self, topic: Topic, what: &str, denied: &Denied) {
        let group = self.0.entry((topic, what.to_owned())).or_default();
        group.destinations.insert(destination(denied));
        group.workloads.insert(workload(denied));
        group.count += denied.count;
    }

    /// `DESTINATIONS (12 flows of WORKLOADS): WHAT`.
    pub(super) fn sentences(self) -> Vec<String> {
        let sentence = |((_, what), group): ((Topic, String), Group)| {
            let flows = if group.count == 1 { "flow" } else { "flows" };
            let (to, of) = (some(&group.destinations), some(&group.workloads));
            format!("{to} ({} {flows} of {of}): {what}", group.count)
        };
        self.0.into_iter().map(sentence).collect()
    }
}

/// `203.0.113.9:443/tcp`, with the host behind it when one is known.
fn destination(denied: &Denied) -> String {
    let (ip, port) = (denied.destination.ip.to_canonical(), denied.destination.port);
    let place = if port == 0 { ip.to_string() } else { std::net::SocketAddr::new(ip, port).to_string() };
    let host = denied.destination.host.as_ref().map(|host| format!(" [{}]", plain(host)));
    format!("{place}/{}{}", plain(&denied.protocol), host.unwrap_or_default())
}

/// `namespace/name`.
pub(super) fn workload(denied: &Denied) -> String {
    match &denied.workload {
        None => "processes without identity".to_owned(),
        Some(workload) if workload.name.is_empty() => plain(&workload.namespace),
        Some(workload) => format!("{}/{}", plain(&workload.namespace), plain(&workload.name)),
    }
}

/// The first few, and how many more there are.
pub(super) fn some(all: &BTreeSet<String>) -> String {
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = all.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    named.join(", ") + &more
}

/// Text of a file that anybody may have written, safe in a comment and on a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

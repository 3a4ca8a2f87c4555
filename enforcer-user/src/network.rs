//! Where the workloads are in the network: which interfaces of the node are theirs, which addresses are their own, and what of theirs
//! nothing on the node's side sees.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use enforcer_common::key::CgroupId;

use crate::config::{InterfacePattern, Interfaces, Mesh};
use crate::identity::{Identified, Roster};
use crate::links::{self, Link, PodNetwork};

/// How often a workload is looked at whose interfaces on the node's side are all there: news of the node tell nothing of what is
/// inside it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What `--interface` and `--uplink` say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Interfaces of workloads.
    pub interfaces: Interfaces,
    /// The node's own.
    pub uplinks: Vec<InterfacePattern>,
}

/// All of it, as it was at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Network {
    /// The workloads with a network namespace or interfaces of their own.
    pub workloads: BTreeMap<CgroupId, Place>,
    /// Interfaces that a pattern names, and no known workload has.
    pub unknown: BTreeSet<Interface>,
    /// The node's own, by which packets leave it.
    pub uplinks: BTreeSet<Interface>,
    /// Interfaces that a pattern names and no program can read.
    pub unreadable: BTreeSet<String>,
    /// All others: what comes in by them is nobody's that is judged here. Only where there are uplinks to ask for it.
    pub others: BTreeSet<u32>,
}

/// An interface of the node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// Where one workload is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The node's side of its interfaces.
    pub interfaces: BTreeSet<Interface>,
    /// The numbers of the other ends of those, as its own network has them.
    pub inside: BTreeSet<u32>,
    /// Its interfaces that have no such side.
    pub uncovered: BTreeSet<String>,
    /// Its own addresses. What a workload gives itself later is not its own: whoever may do that may take anybody's.
    pub addresses: BTreeSet<IpAddr>,
    /// The cookie of its network namespace.
    pub cookie: Option<u64>,
    /// Its mesh proxy has sockets in its network namespace.
    pub ambient: bool,
    /// Its network namespace, held open.
    pub namespace: Option<Arc<PodNetwork>>,
    looked: Instant,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        let inode = |place: &Self| place.namespace.as_ref().map(|namespace| namespace.inode);
        self.interfaces == other.interfaces
            && self.inside == other.inside
            && self.uncovered == other.uncovered
            && self.addresses == other.addresses
            && (self.cookie, self.ambient, inode(self)) == (other.cookie, other.ambient, inode(other))
    }
}

impl Eq for Place {}

impl Place {
    /// As if it had been found so.
    #[cfg(test)]
    pub fn found(interfaces: BTreeSet<Interface>, uncovered: BTreeSet<String>) -> Self {
        let (inside, addresses) = (BTreeSet::new(), BTreeSet::new());
        let (cookie, ambient, namespace, looked) = (None, false, None, Instant::now());
        Self { interfaces, inside, uncovered, addresses, cookie, ambient, namespace, looked }
    }

    /// Whether everything that it sends passes the node's side of its interfaces.
    pub fn is_covered(&self) -> bool {
        !self.interfaces.is_empty() && self.uncovered.is_empty()
    }
}

impl Network {
    /// Looks where the workloads of `roster` are now. A workload that cannot be looked at is where it was.
    pub fn look(last: &Self, roster: &Roster, wanted: &Wanted) -> Result<Self> {
        if !wanted.interfaces.auto && wanted.interfaces.patterns.is_empty() && wanted.uplinks.is_empty() {
            return Ok(Self::default());
        }
        let links = links::read()?;
        let mut network = Self::default();
        for identified in &roster.workloads {
            let Some(cgroup) = &identified.cgroup else { continue };
            let place = place(last.workloads.get(&cgroup.id), identified, &cgroup.path, &links, wanted);
            network.workloads.extend(place.map(|place| (cgroup.id, place)));
        }
        let taken: BTreeSet<u32> =
            network.workloads.values().flat_map(|place| &place.interfaces).map(|known| known.index).collect();
        for link in links.iter().filter(|link| !taken.contains(&link.index)) {
            network.sort(link, wanted);
        }
        Ok(network)
    }

    /// Takes in an interface that no known workload has.
    fn sort(&mut self, link: &Link, wanted: &Wanted) {
        let is_named = |patterns: &[InterfacePattern]| {
            !link.is_loopback && patterns.iter().any(|pattern| pattern.matches(&link.name))
        };
        let is_of_workload = is_named(&wanted.interfaces.patterns);
        if !is_of_workload && !wanted.uplinks.is_empty() {
            self.others.insert(link.index);
        }
        let found = if is_of_workload {
            &mut self.unknown
        } else if is_named(&wanted.uplinks) {
            &mut self.uplinks
        } else {
            return;
        };
        if link.is_ethernet {
            found.insert(interface(link));
        } else {
            self.unreadable.insert(link.name.clone());
        }
    }
}

fn interface(link: &Link) -> Interface {
    Interface { index: link.index, name: link.name.clone() }
}

/// Where one workload is; `None` for one that shares the node's own network.
fn place(
    last: Option<&Place>,
    identified: &Identified,
    path: &std::path::Path,
    links: &[Link],
    wanted: &Wanted,
) -> Option<Place> {
    if let Some(last) = last.filter(|last| is_as_it_was(last, links)) {
        return Some(last.clone());
    }
    let workload = &identified.workload;
    if !wanted.interfaces.auto && workload.interfaces.is_empty() && wanted.interfaces.patterns.is_empty() {
        return None;
    }
    let networks = match PodNetwork::all_of_cgroup(path, links) {
        Ok(networks) => networks,
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "cannot look into a workload's network");
            return last.cloned();
        }
    };
    let mut place = Place {
        interfaces: BTreeSet::new(),
        inside: BTreeSet::new(),
        uncovered: BTreeSet::new(),
        addresses: workload.addresses.clone(),
        cookie: networks.first().and_then(|network| network.cookie),
        ambient: workload.mesh == Some(Mesh::Ambient),
        namespace: None,
        looked: Instant::now(),
    };
    let of_name = |name: &String| links.iter().find(|link| link.name == *name).map(interface);
    place.interfaces.extend(workload.interfaces.iter().filter_map(of_name));
    find_interfaces(&mut place, &networks, links, workload.interfaces.is_empty());
    place.namespace = networks.into_iter().next().map(Arc::new);
    if let Some(last) = last {
        keep(&mut place, last, links, workload.addresses.is_empty());
    }
    (!place.interfaces.is_empty() || place.namespace.is_some()).then_some(place)
}

/// What was its own stays its own for as long as the node's side of it exists, wherever the workload moves its own side, and so do
/// its addresses: what it gives itself meanwhile is nobody's.
fn keep(place: &mut Place, last: &Place, links: &[Link], finds_addresses: bool) {
    let is_there = |known: &&Interface| links.iter().any(|link| interface(link) == **known);
    let kept: BTreeSet<Interface> = last.interfaces.iter().filter(is_there).cloned().collect();
    if kept.is_empty() {
        return;
    }
    place.interfaces.extend(kept);
    if finds_addresses && !last.addresses.is_empty() {
        place.addresses.clone_from(&last.addresses);
    }
}

/// The interfaces that are found, where they are to be: the others have no node's side. The workload may have several namespaces;
/// what has no node's side in those within is made within.
fn find_interfaces(place: &mut Place, networks: &[PodNetwork], links: &[Link], wants_all: bool) {
    let has_addresses = !place.addresses.is_empty();
    let main = networks.first().map(|network| network.inode);
    let all = networks.iter().flat_map(|network| {
        network.interfaces.iter().map(move |interface| (Some(network.inode) == main, interface))
    });
    for (is_main, of_pod) in all {
        let host = of_pod.host.and_then(|index| links.iter().find(|link| link.index == index));
        match host {
            Some(link) if wants_all || place.interfaces.contains(&interface(link)) => {
                place.interfaces.insert(interface(link));
                place.inside.insert(of_pod.index);
                if !has_addresses {
                    place.addresses.extend(&of_pod.addresses);
                }
            }
            _ if !of_pod.leaves || !is_main => {}
            _ => {
                place.uncovered.insert(of_pod.name.clone());
            }
        }
    }
}

/// Whether all that was found is there still, and was looked at lately.
fn is_as_it_was(last: &Place, links: &[Link]) -> bool {
    let is_there = |known: &Interface| links.iter().any(|link| interface(link) == *known);
    last.looked.elapsed() < LOOK_AGAIN
        && last.is_covered()
        && !last.addresses.is_empty()
        && last.interfaces.iter().all(is_there)
}

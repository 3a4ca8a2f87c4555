//! Where the workloads are in the network: which interfaces of the node are theirs, which addresses are their own, and what of theirs
//! nothing on the node's side sees.

mod addresses;
mod find;
mod pace;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use enforcer_common::key::CgroupId;
use enforcer_common::limits;

use crate::config::{InterfacePattern, Interfaces};
use crate::identity::{Cgroup, Identified, Roster};
use crate::links::{self, Link, PodNetwork};
use addresses::Found;
use find::Looker;
use pace::Newcomers;

/// How often a workload is looked at whose interfaces on the node's side are all there: news of the node tell nothing of what is
/// inside it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// So many of the node's own addresses are known, half of the map's room: kube-proxy with IPVS gives it one for each service.
const MOST_OF_NODE: usize = limits::ADDRESSES as usize / 2;

/// What `--interface` and `--uplink` say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Interfaces of workloads.
    pub interfaces: Interfaces,
    /// The node's own.
    pub uplinks: Vec<InterfacePattern>,
}

/// All of it, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The workloads with a network namespace or interfaces of their own.
    pub workloads: BTreeMap<CgroupId, Place>,
    /// Interfaces that a pattern names, and no known workload has.
    pub unknown: BTreeSet<Interface>,
    /// The node's own, by which packets leave it.
    pub uplinks: BTreeSet<Interface>,
    /// Interfaces that a pattern names and no program can read.
    pub unreadable: BTreeSet<String>,
    /// The node's own addresses, loopback left out.
    pub node: Arc<BTreeSet<IpAddr>>,
    /// All others: what comes in by them is nobody's that is judged here. Only where there are uplinks to ask for it.
    pub others: BTreeSet<u32>,
    /// What to look at again soon.
    pub(crate) newcomers: Newcomers,
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        (&self.workloads, &self.unknown, &self.uplinks) == (&other.workloads, &other.unknown, &other.uplinks)
            && (&self.unreadable, &self.others, &self.node) == (&other.unreadable, &other.others, &other.node)
    }
}

impl Eq for Network {}

/// An interface of the node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// Where one workload is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The node's side of its interfaces.
    pub interfaces: BTreeSet<Interface>,
    /// The numbers of the other ends of those, as its own network has them.
    pub inside: BTreeSet<u32>,
    /// The node's side of interfaces that other workloads have, too: nobody's.
    pub shared: BTreeSet<Interface>,
    /// By which of the others it was given a way outside: the inode of a network namespace, and the number there.
    pub exits: BTreeSet<(u32, u32)>,
    /// Its interfaces that have no such side.
    pub uncovered: BTreeSet<String>,
    /// Its own addresses. What a workload gives itself later is not its own: whoever may do that may take anybody's.
    pub addresses: BTreeSet<IpAddr>,
    /// It has had more addresses than are taken of one workload.
    pub has_more_addresses: bool,
    /// Why there may be interfaces of it that nobody knows of.
    pub unseen: Option<String>,
    /// The cookie of its network namespace.
    pub cookie: Option<u64>,
    /// Its mesh proxy has sockets in its network namespace.
    pub ambient: bool,
    /// Its network namespace, held open.
    pub namespace: Option<Arc<PodNetwork>>,
    pub(crate) memory: Memory,
}

/// What a look tells the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    looked: Option<Instant>,
    /// Its own addresses are those that are found.
    finds_addresses: bool,
    /// The addresses of each interface, by the number of the node's side.
    found: BTreeMap<u32, Found>,
    /// The interfaces whose other side was seen in a network namespace of the workload.
    seen: BTreeSet<u32>,
    /// Of those without a node's side, the ones that stay: the workload may move them out of sight.
    uncovered: BTreeSet<String>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        let inode = |place: &Self| place.namespace.as_ref().map(|namespace| namespace.inode);
        (&self.interfaces, &self.inside, &self.shared, &self.exits, &self.uncovered)
            == (&other.interfaces, &other.inside, &other.shared, &other.exits, &other.uncovered)
            && (&self.addresses, self.has_more_addresses, &self.unseen)
                == (&other.addresses, other.has_more_addresses, &other.unseen)
            && (self.cookie, self.ambient, inode(self)) == (other.cookie, other.ambient, inode(other))
    }
}

impl Eq for Place {}

impl Place {
    /// As if it had been found so.
    #[cfg(test)]
    pub fn found(interfaces: BTreeSet<Interface>, uncovered: BTreeSet<String>) -> Self {
        Self { interfaces, uncovered, ..Self::default() }
    }

    /// Whether everything that it sends passes the node's side of its interfaces.
    pub fn is_covered(&self) -> bool {
        let is_blind = !self.uncovered.is_empty() || !self.shared.is_empty() || self.unseen.is_some();
        !self.interfaces.is_empty() && !is_blind
    }

    /// Whether addresses are to be expected at once.
    fn waits(&self, now: Instant) -> bool {
        self.memory.finds_addresses && self.memory.found.values().any(|found| found.is_new(now))
    }

    /// Its own addresses are those of its own interfaces.
    fn add_up_addresses(&mut self) {
        if self.memory.finds_addresses {
            let own = self.memory.found.iter().filter(|(index, _)| self.has(**index));
            self.addresses = own.flat_map(|(_, found)| found.addresses()).collect();
        }
    }

    fn has(&self, index: u32) -> bool {
        self.interfaces.iter().any(|interface| interface.index == index)
    }

    fn sees(&self, index: u32) -> bool {
        self.memory.seen.contains(&index)
    }

    /// Whether all that was found is there still, and was looked at lately.
    fn is_as_it_was(&self, links: &[Link], now: Instant, unclaimed_since: Option<Instant>) -> bool {
        let is_there = |known: &Interface| {
            links::of_index(links, known.index).is_some_and(|link| link.name == known.name)
        };
        let is_late = |looked: Instant| unclaimed_since.is_none_or(|since| looked >= since);
        self.memory.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_AGAIN && is_late(looked))
            && self.is_covered()
            && !self.addresses.is_empty()
            && self.interfaces.iter().all(is_there)
            && !self.memory.found.values().any(|found| found.is_open(now))
    }
}

impl Network {
    /// What an earlier agent knew: whose the interfaces are, by their numbers, and the own addresses. It holds for as long as the
    /// interfaces do.
    pub fn earlier(
        interfaces: impl IntoIterator<Item = (u32, CgroupId)>,
        addresses: &BTreeMap<CgroupId, BTreeSet<IpAddr>>,
    ) -> Self {
        let mut network = Self::default();
        for (index, cgroup) in interfaces {
            let place = network.workloads.entry(cgroup).or_default();
            // Whatever it is called now.
            place.interfaces.insert(Interface { index, name: String::new() });
            let own = addresses.get(&cgroup).cloned().unwrap_or_default();
            place.memory.found.insert(index, Found::earlier(own));
        }
        network
    }

    /// Looks where the workloads of `roster` are now. A workload that cannot be looked at is where it was.
    pub fn look(last: &Self, roster: &Roster, wanted: &Wanted) -> Result<Self> {
        if wanted.interfaces.is_none() && wanted.uplinks.is_empty() {
            return Ok(Self { node: of_node(), ..Self::default() });
        }
        let looker = Looker::new(links::read()?, roster, wanted, &last.newcomers);
        let there = || {
            let there = roster.workloads.iter();
            there.filter_map(|identified| Some((identified.cgroup.as_ref()?, identified)))
        };
        let place = |identified: &Identified, cgroup: &Cgroup, anew| {
            let place = looker.place(last.workloads.get(&cgroup.id), identified, cgroup, anew);
            place.map(|place| (cgroup.id, place))
        };
        let workloads = there().filter_map(|(cgroup, identified)| place(identified, cgroup, false));
        let mut workloads: BTreeMap<CgroupId, Place> = workloads.collect();
        let contested: BTreeSet<CgroupId> = shared::contested(&workloads).into_values().flatten().collect();
        // Who sees an interface now decides, not who saw it some time ago.
        for (cgroup, identified) in there().filter(|(cgroup, _)| contested.contains(&cgroup.id)) {
            workloads.extend(place(identified, cgroup, true));
        }
        shared::settle(&mut workloads, &last.workloads);
        let mut network = Self { workloads, node: of_node(), ..Self::default() };
        let indexes = |of: fn(&Place) -> &BTreeSet<Interface>| -> BTreeSet<u32> {
            network.workloads.values().flat_map(of).map(|known| known.index).collect()
        };
        let (taken, shared) = (indexes(|place| &place.interfaces), indexes(|place| &place.shared));
        for link in looker.links.iter().filter(|link| !taken.contains(&link.index)) {
            network.sort(link, wanted, shared.contains(&link.index));
        }
        let has_one = |link: &&Link| taken.contains(&link.index) || shared.contains(&link.index);
        let unclaimed = looker.links.iter().filter(|link| !has_one(link));
        let wanted = there().filter(|(_, identified)| looker.looks_for(identified));
        let wanted: Vec<CgroupId> = wanted.map(|(cgroup, _)| cgroup.id).collect();
        if !wanted.is_empty() {
            let places = wanted.into_iter().map(|id| (id, network.workloads.get(&id)));
            network.newcomers = Newcomers::of(&last.newcomers, unclaimed, places, looker.now);
        }
        Ok(network)
    }

    /// Takes in an interface that no known workload has.
    fn sort(&mut self, link: &Link, wanted: &Wanted, is_shared: bool) {
        let is_named = |patterns: &[InterfacePattern]| {
            !link.is_loopback && patterns.iter().any(|pattern| pattern.matches(&link.name))
        };
        let is_of_workload = !is_shared && is_named(&wanted.interfaces.patterns);
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

/// The addresses of this node's interfaces, loopback left out.
pub fn node_addresses() -> BTreeSet<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
        v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
    });
    addresses.filter(|ip: &IpAddr| !ip.is_loopback()).collect()
}

fn of_node() -> Arc<BTreeSet<IpAddr>> {
    Arc::new(node_addresses().into_iter().take(MOST_OF_NODE).collect())
}

fn interface(link: &Link) -> Interface {
    Interface { index: link.index, name: link.name.clone() }
}

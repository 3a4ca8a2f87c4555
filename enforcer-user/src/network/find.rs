//! Finds one workload in the network.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use enforcer_common::limits::ADDRESSES_PER_WORKLOAD;

use super::pace::Newcomers;
use super::{Interface, Memory, Place, Wanted, interface};
use crate::config::Mesh;
use crate::identity::{Cgroup, Identified, Roster};
use crate::links::{self, Link, PodInterface, PodNetwork, PodNetworks};

/// More interfaces without a node's side are not told of one workload: the names are its own.
const MOST_UNCOVERED: usize = 32;

/// What a look needs.
pub(super) struct Looker<'a> {
    pub(super) links: Vec<Link>,
    wanted: &'a Wanted,
    /// The cgroups of all workloads.
    cgroups: BTreeSet<PathBuf>,
    pub(super) now: Instant,
    /// Whoever was looked at before is looked at again.
    pub(super) unclaimed_since: Option<Instant>,
    /// Asked for when somebody has an address that he did not have first.
    routes: OnceCell<BTreeSet<(u32, IpAddr)>>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(links: Vec<Link>, roster: &Roster, wanted: &'a Wanted, newcomers: &Newcomers) -> Self {
        let cgroups = roster.workloads.iter().filter_map(|identified| identified.cgroup.as_ref());
        let cgroups = cgroups.map(|cgroup| cgroup.path.clone()).collect();
        let (now, routes) = (Instant::now(), OnceCell::new());
        Self { links, wanted, cgroups, now, unclaimed_since: newcomers.unclaimed_since(now), routes }
    }

    /// Whether anybody wants to know where it is.
    pub(super) fn looks_for(&self, identified: &Identified) -> bool {
        !identified.workload.interfaces.is_empty() || !self.wanted.interfaces.is_none()
    }

    /// Where one workload is; `None` for one that shares the node's own network. One whose interfaces are all there is looked at now and
    /// then, or if it is to be looked at `anew`.
    pub(super) fn place(
        &self,
        last: Option<&Place>,
        identified: &Identified,
        cgroup: &Cgroup,
        anew: bool,
    ) -> Option<Place> {
        if let Some(last) =
            last.filter(|last| !anew && last.is_as_it_was(&self.links, self.now, self.unclaimed_since))
        {
            return Some(last.clone());
        }
        if !self.looks_for(identified) {
            return None;
        }
        let workload = &identified.workload;
        let (networks, unseen) = match PodNetwork::all_of_cgroup(&cgroup.path, &self.links, &self.cgroups) {
            Ok(PodNetworks { networks, are_more }) => {
                let most = links::MOST_NAMESPACES;
                let why = || format!("it has processes in more network namespaces than {most}");
                (Some(networks), are_more.then(why))
            }
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let mut place = Place {
            ambient: workload.mesh == Some(Mesh::Ambient),
            unseen: tell(identified, last, unseen),
            memory: Memory { looked: Some(self.now), ..Memory::default() },
            ..Place::default()
        };
        let named = workload.interfaces.iter().filter_map(|name| links::of_name(&self.links, name));
        place.interfaces.extend(named.map(interface));
        let named = (!workload.interfaces.is_empty()).then(|| place.interfaces.clone());
        if let Some(last) = last {
            self.keep(&mut place, last, named.as_ref());
        }
        for network in networks.iter().flatten() {
            self.take_in(&mut place, network, named.as_ref());
        }
        if let Some(networks) = networks {
            place.cookie = networks.first().and_then(|network| network.cookie);
            place.namespace = networks.into_iter().next().map(Arc::new);
        } else if let Some(last) = last {
            (place.cookie, place.namespace) = (last.cookie, last.namespace.clone());
        }
        place.uncovered.extend(place.memory.uncovered.iter().cloned());
        place.addresses.clone_from(&workload.addresses);
        place.memory.finds_addresses = workload.addresses.is_empty();
        place.add_up_addresses();
        let is_known = !place.interfaces.is_empty() || place.namespace.is_some() || place.unseen.is_some();
        is_known.then_some(place)
    }

    /// What was its own stays its own for as long as the node's side of it exists, wherever the workload moves its own side, and so do
    /// its addresses: what it gives itself meanwhile is nobody's.
    fn keep(&self, place: &mut Place, last: &Place, named: Option<&BTreeSet<Interface>>) {
        for known in last.interfaces.iter().chain(&last.shared) {
            let Some(link) = links::of_index(&self.links, known.index) else { continue };
            if named.is_none_or(|named| named.contains(&interface(link))) {
                place.interfaces.insert(interface(link));
            }
        }
        let found = last.memory.found.iter().filter(|(index, _)| place.has(**index));
        place.memory.found = found.map(|(index, found)| (*index, found.clone())).collect();
        place.memory.uncovered.clone_from(&last.memory.uncovered);
        place.has_more_addresses = last.has_more_addresses;
    }

    /// What is found in one of its networks.
    fn take_in(&self, place: &mut Place, network: &PodNetwork, named: Option<&BTreeSet<Interface>>) {
        for of_pod in &network.interfaces {
            let host = of_pod.host.and_then(|index| links::of_index(&self.links, index));
            match host.map(interface) {
                Some(host) if named.is_none_or(|named| named.contains(&host)) => {
                    self.take_addresses(place, host.index, &of_pod.addresses);
                    place.memory.seen.insert(host.index);
                    place.inside.insert(of_pod.index);
                    place.interfaces.insert(host);
                }
                _ if !of_pod.leaves => {}
                found => {
                    if of_pod.is_given {
                        place.exits.extend(u32::try_from(network.inode).map(|inode| (inode, of_pod.index)));
                    }
                    is_uncovered(place, of_pod, found.is_some());
                }
            }
        }
    }

    fn take_addresses(&self, place: &mut Place, index: u32, there: &BTreeSet<IpAddr>) {
        let others = place.memory.found.iter().filter(|(other, _)| **other != index);
        let others = others.map(|(_, found)| found.addresses().count()).sum();
        let room = ADDRESSES_PER_WORKLOAD.saturating_sub(others);
        let is_routed = |address| self.routes().contains(&(index, address));
        let found = place.memory.found.entry(index).or_default();
        place.has_more_addresses |= found.take(there, self.now, room, is_routed);
    }

    fn routes(&self) -> &BTreeSet<(u32, IpAddr)> {
        self.routes.get_or_init(|| {
            links::host_routes().unwrap_or_else(|error| {
                tracing::warn!(error = format!("{error:#}"), "new addresses are taken for nobody's");
                BTreeSet::new()
            })
        })
    }
}

/// It stays so while the workload lives, for it may be moved out of sight; unless its other end is here and was only not read yet.
fn is_uncovered(place: &mut Place, interface: &PodInterface, has_host: bool) {
    if interface.ends_here && !has_host {
        place.uncovered.insert(interface.name.clone());
    } else if place.memory.uncovered.len() < MOST_UNCOVERED {
        place.memory.uncovered.insert(interface.name.clone());
    }
}

/// Why a workload cannot be seen in full: told once, in the words in which it began.
fn tell(identified: &Identified, last: Option<&Place>, unseen: Option<String>) -> Option<String> {
    let why = unseen?;
    if let Some(known) = last.and_then(|last| last.unseen.clone()) {
        return Some(known);
    }
    let workload = identified.full_name();
    tracing::warn!(workload, why, "cannot see all of a workload's network");
    Some(why)
}

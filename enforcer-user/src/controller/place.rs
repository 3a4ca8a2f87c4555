//! Where the workloads are in the network, into the kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use enforcer_common::key::CgroupId;
use enforcer_core::registry::Registry;

use crate::controller::Controller;
use crate::dataplane::{Dataplane, Layout, Placed};
use crate::network::Network;

impl<D: Dataplane> Controller<D> {
    /// Attaches to the interfaces of the workloads, and lets the programs of their sockets rely on it only when that is done. What
    /// has gone is relied on no more before it goes.
    pub(super) fn place(&mut self, registry: &Arc<Registry>) -> Result<()> {
        let layout = layout(&self.network);
        let still: BTreeSet<CgroupId> = covered(&self.network).intersection(&self.covered).copied().collect();
        self.cover(still, registry)?;
        let Self { dataplane, roster, network, census, .. } = self;
        let failed = dataplane.place(&layout, &|of| census(roster, network, of))?;
        for (index, error) in failed.iter().filter(|(index, _)| !self.unplaced.contains_key(index)) {
            let name = layout.name(*index);
            tracing::warn!(interface = name, error, "cannot attach to an interface");
        }
        self.unplaced = failed;
        // Attaching puts ours first.
        self.order.look_soon();
        let is_placed = |cgroup: &CgroupId| {
            let place = self.network.workloads.get(cgroup);
            place.is_some_and(|place| {
                place.interfaces.iter().all(|interface| !self.unplaced.contains_key(&interface.index))
            })
        };
        let now = covered(&self.network).into_iter().filter(is_placed).collect();
        self.cover(now, registry)
    }

    fn cover(&mut self, covered: BTreeSet<CgroupId>, registry: &Arc<Registry>) -> Result<()> {
        if self.covered == covered {
            return Ok(());
        }
        self.covered = covered;
        self.apply(registry)
    }
}

/// The workloads whose every packet passes an interface of the node's.
fn covered(network: &Network) -> BTreeSet<CgroupId> {
    let covered = network.workloads.iter().filter(|(_, place)| place.is_covered());
    covered.map(|(cgroup, _)| *cgroup).collect()
}

fn layout(network: &Network) -> Layout {
    let mut layout = Layout::default();
    for (cgroup, place) in &network.workloads {
        for interface in &place.interfaces {
            let placed =
                Placed { name: interface.name.clone(), workload: Some(*cgroup), ambient: place.ambient };
            layout.interfaces.insert(interface.index, placed);
        }
        if place.ambient {
            layout.namespaces.extend(place.cookie.map(|cookie| (cookie, *cgroup)));
        }
        layout.addresses.insert(*cgroup, place.addresses.clone());
    }
    for interface in &network.unknown {
        let placed = Placed { name: interface.name.clone(), workload: None, ambient: false };
        layout.interfaces.insert(interface.index, placed);
    }
    layout.others.clone_from(&network.others);
    layout.uplinks = network.uplinks.iter().map(|uplink| (uplink.index, uplink.name.clone())).collect();
    layout
}

/// The addresses of this node's interfaces, loopback left out.
pub(super) fn node_addresses() -> BTreeSet<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
        })
        .filter(|ip: &IpAddr| !ip.is_loopback())
        .collect()
}

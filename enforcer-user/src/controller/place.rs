//! Where the workloads are in the network, into the kernel.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use enforcer_common::key::CgroupId;
use enforcer_core::registry::Registry;

use crate::controller::Controller;
use crate::dataplane::{Dataplane, Layout, Placed};
use crate::network::{Network, Place};

impl<D: Dataplane> Controller<D> {
    /// Attaches to the interfaces of the workloads, and lets the programs of their sockets rely on it only when that is done. What is
    /// as it was brought into the kernel last is left alone.
    pub(super) fn place(&mut self, registry: &Arc<Registry>) -> Result<()> {
        let layout = layout(&self.network);
        let is_sound = self.unplaced.is_empty() && !self.order.has_gap();
        if !is_sound || self.placed.as_ref() != Some(&layout) {
            self.place_anew(layout)?;
        }
        let is_placed = |cgroup: &CgroupId, place: &Place| {
            self.interfaces_placed(*cgroup, place, |index| !self.unplaced.contains_key(&index))
        };
        let covered = covered(&self.network).filter(|(cgroup, place)| is_placed(cgroup, place));
        let covered = covered.map(|(cgroup, _)| *cgroup).collect();
        if self.covered == covered {
            return Ok(());
        }
        self.covered = covered;
        self.apply(registry)
    }

    fn place_anew(&mut self, layout: Layout) -> Result<()> {
        // Until it is done nobody knows.
        self.placed = None;
        let Self { dataplane, roster, network, census, .. } = self;
        let failed = dataplane.place(&layout, &|of| census(roster, network, of))?;
        for (index, error) in failed.iter().filter(|(index, _)| !self.unplaced.contains_key(index)) {
            let name = layout.name(*index);
            tracing::warn!(interface = name, error, "cannot attach to an interface");
        }
        self.unplaced = failed;
        self.placed = Some(layout);
        // Attaching puts ours first.
        self.order.look_soon();
        Ok(())
    }

    /// The workloads that were covered and are as long as nothing is placed: not one that has an interface that was not placed for it,
    /// or that has lost its programs.
    pub(super) fn still_covered(&self) -> BTreeSet<CgroupId> {
        let is_sound = |index| !self.unplaced.contains_key(&index) && !self.order.is_gap(index);
        let still = covered(&self.network).filter(|(cgroup, place)| {
            self.covered.contains(cgroup) && self.interfaces_placed(**cgroup, place, is_sound)
        });
        still.map(|(cgroup, _)| *cgroup).collect()
    }

    /// Whether all interfaces of a workload were placed for it, and meet `is_sound`.
    fn interfaces_placed(&self, cgroup: CgroupId, place: &Place, is_sound: impl Fn(u32) -> bool) -> bool {
        let Some(layout) = &self.placed else { return false };
        place.interfaces.iter().all(|interface| {
            let placed = layout.interfaces.get(&interface.index);
            placed.is_some_and(|placed| placed.workload == Some(cgroup)) && is_sound(interface.index)
        })
    }
}

/// The workloads whose every packet passes an interface of the node's.
fn covered(network: &Network) -> impl Iterator<Item = (&CgroupId, &Place)> {
    network.workloads.iter().filter(|(_, place)| place.is_covered())
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
        layout.exits.extend(place.exits.iter().map(|exit| (*exit, *cgroup)));
        layout.addresses.insert(*cgroup, place.addresses.clone());
    }
    for interface in &network.unknown {
        let placed = Placed { name: interface.name.clone(), workload: None, ambient: false };
        layout.interfaces.insert(interface.index, placed);
    }
    layout.others.clone_from(&network.others);
    layout.addresses.insert(CgroupId::NODE, BTreeSet::clone(&network.node));
    layout.uplinks = network.uplinks.iter().map(|uplink| (uplink.index, uplink.name.clone())).collect();
    layout
}

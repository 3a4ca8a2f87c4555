//! How far what workloads send is seen, for the status; and what of it is not, though it should be.

mod doubt;

use std::collections::BTreeSet;

use enforcer_common::mode::Enforcement;

use crate::config::Mesh;
use crate::controller::Controller;
use crate::dataplane::Dataplane;
use crate::identity::Identified;
use crate::network::{Interface, Place};
use crate::status::interfaces::{InterfaceStatus, UnattachedInterface};
use crate::status::{Status, WorkloadStatus};

/// Said of a workload whose packets pass no interface that has programs.
const SOCKETS_ONLY: &str = "packets of AF_PACKET sockets are not seen: --uplink";
/// Said of a workload that connections reach unseen.
const UNSEEN: &str = "connections reach it without passing the node's side of its interface (bpf_redirect_peer): what it answers \
                      is denied; have the CNI deliver through the kernel's stack, for Cilium `bpf.hostLegacyRouting=true`";

impl<D: Dataplane> Controller<D> {
    pub(super) fn workload_statuses(&self) -> Vec<WorkloadStatus> {
        let there = self.roster.workloads.iter().filter(|identified| identified.cgroup.is_some());
        there.map(|identified| self.workload_status(identified)).collect()
    }

    fn workload_status(&self, identified: &Identified) -> WorkloadStatus {
        let id = identified.cgroup.as_ref().map(|cgroup| cgroup.id);
        let compiled = id.and_then(|id| self.compiler.image().workloads.get(&id));
        let workload = &identified.workload;
        let place = self.place_of(identified);
        let mesh = workload.mesh.as_ref().map(|mesh| match mesh {
            Mesh::Sidecar { .. } => "sidecar",
            Mesh::Ambient => "ambient",
        });
        let covered = !self.lifted && id.is_some_and(|id| self.covered.contains(&id));
        let is_blind = !covered && self.network.uplinks.is_empty();
        let is_skipped = covered && id.is_some_and(|id| self.unseen.has(id));
        let notes = [(is_blind, SOCKETS_ONLY), (is_skipped, UNSEEN)].into_iter().filter(|(is_so, _)| *is_so);
        WorkloadStatus {
            namespace: workload.namespace.to_string(),
            name: workload.name.clone(),
            cgroup: workload.cgroup.display().to_string(),
            // Set with the node's, by `Status::follow`.
            enforcement: String::new(),
            own_enforcement: workload.enforcement.map(|own| own.to_string()),
            outbound_policy: compiled.map(|workload| workload.policy().to_string()).unwrap_or_default(),
            mesh: mesh.map(str::to_owned),
            covered,
            interfaces: place.map(|place| names(&place.interfaces)).unwrap_or_default(),
            uncovered: place.map(|place| place.uncovered.iter().cloned().collect()).unwrap_or_default(),
            addresses: place.map(addresses).unwrap_or_default(),
            notes: notes.map(|(_, note)| note.to_owned()).collect(),
            events_suppressed: 0,
        }
    }

    fn place_of(&self, identified: &Identified) -> Option<&Place> {
        self.network.workloads.get(&identified.cgroup.as_ref()?.id)
    }

    /// Which interfaces have programs, and which should have.
    pub(super) fn tell_interfaces(&self, status: &mut Status) {
        let network = &self.network;
        status.unknown_interfaces = names(&network.unknown);
        status.unreadable_interfaces = network.unreadable.iter().cloned().collect();
        if self.lifted {
            return;
        }
        for (interface, workload) in self.interfaces_of_workloads() {
            self.tell_interface(status, interface, "workload", workload);
        }
        for uplink in &network.uplinks {
            self.tell_interface(status, uplink, "uplink", None);
        }
        let uplinks = status.interfaces.iter().filter(|interface| interface.side == "uplink");
        status.uplinks = uplinks.map(|uplink| uplink.name.clone()).collect();
    }

    fn tell_interface(
        &self,
        status: &mut Status,
        interface: &Interface,
        side: &str,
        workload: Option<&Identified>,
    ) {
        let name = interface.name.clone();
        if let Some(why) = self.unplaced.get(&interface.index) {
            status.unattached_interfaces.push(UnattachedInterface { name, why: why.clone() });
            return;
        }
        let (order, before) = self.order.of(interface.index);
        status.interfaces.push(InterfaceStatus {
            name,
            side: side.to_owned(),
            workload: workload.map(Identified::full_name),
            order: order.to_owned(),
            before,
        });
    }

    /// Those of known workloads and those that nobody knows.
    fn interfaces_of_workloads(&self) -> impl Iterator<Item = (&Interface, Option<&Identified>)> {
        let known = self.roster.workloads.iter().flat_map(|identified| {
            let interfaces = self.place_of(identified).map(|place| &place.interfaces);
            interfaces.into_iter().flatten().map(move |interface| (interface, Some(identified)))
        });
        known.chain(self.network.unknown.iter().map(|interface| (interface, None)))
    }

    /// What is to be enforced and passes unseen.
    pub(super) fn gaps(&self) -> Vec<String> {
        if self.lifted {
            return Vec::new();
        }
        let enforced = self.roster.workloads.iter().filter(|identified| self.enforces(Some(identified)));
        let mut gaps: Vec<String> = enforced.filter_map(|identified| self.gap(identified)).collect();
        gaps.extend(self.doubts());
        let uplinks = self.network.uplinks.iter().map(|uplink| (uplink, None));
        for (interface, workload) in self.interfaces_of_workloads().chain(uplinks) {
            if let Some(why) = self.unplaced.get(&interface.index).filter(|_| self.enforces(workload)) {
                let of = workload.map(|identified| format!(" of {}", identified.full_name()));
                gaps.push(format!(
                    "packets at the interface {}{} are not judged: {why}; judge them where they leave the node with --uplink, \
                     or leave the interface out with interface=",
                    interface.name,
                    of.unwrap_or_default()
                ));
            }
        }
        if self.switch.now == Enforcement::Enforce {
            gaps.extend(self.order.reasons());
        }
        gaps.extend(self.blind_spots());
        gaps
    }

    fn gap(&self, identified: &Identified) -> Option<String> {
        let who = identified.full_name();
        identified.cgroup.as_ref()?;
        let place = self.place_of(identified);
        let has =
            |name: &&String| place.is_some_and(|place| place.interfaces.iter().any(|it| it.name == **name));
        let wanted = &self.config.interfaces;
        let missing: Vec<&String> = identified.workload.interfaces.iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() && !wanted.is_none() {
            return Some(format!(
                "this node has no interface {}, which interface= of {who} names: correct it, or leave it out to have the \
                 interfaces found",
                listed(missing)
            ));
        }
        let uncovered = &place?.uncovered;
        if uncovered.is_empty() || self.uplinks_judge() {
            return None;
        }
        Some(format!(
            "what {who} sends by {} is judged at its sockets only, for this node has no other end of that: name the node's side \
             with interface=, or the node's own interface that it leaves by with --uplink",
            listed(uncovered)
        ))
    }

    /// Whether denials are blocked now: those of this workload, or the node's.
    pub(super) fn enforces(&self, workload: Option<&Identified>) -> bool {
        let node = self.switch.now;
        let own = workload.and_then(|identified| identified.workload.enforcement);
        own.filter(|_| node != Enforcement::Off).unwrap_or(node) == Enforcement::Enforce
    }
}

fn names(interfaces: &BTreeSet<Interface>) -> Vec<String> {
    interfaces.iter().map(|interface| interface.name.clone()).collect()
}

fn addresses(place: &Place) -> Vec<String> {
    place.addresses.iter().map(ToString::to_string).collect()
}

fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

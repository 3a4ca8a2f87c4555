//! What the agent cannot look at, and interfaces that are named in vain.

use std::collections::BTreeSet;

use crate::config::InterfacePattern;
use crate::controller::Controller;
use crate::dataplane::Dataplane;

impl<D: Dataplane> Controller<D> {
    /// What is not known, or not judged, though it should be, while anything is enforced.
    pub(super) fn blind_spots(&self) -> Vec<String> {
        let mut workloads = self.roster.workloads.iter();
        if !self.enforces(None) && !workloads.any(|identified| self.enforces(Some(identified))) {
            return Vec::new();
        }
        let mut reasons: Vec<String> = self.blind.iter().map(|why| {
            format!(
                "cannot see which workloads there are and where ({why}): they are taken to be as they were, and new ones are unknown; \
                 it is tried every second: see whether the agent lacks descriptors or memory, or start it again"
            )
        }).collect();
        reasons.extend(self.roster.unreadable.iter().map(|path| {
            format!(
                "cannot look at the cgroup {}, which is taken to be as it was: the log says why, and it is tried every second",
                path.display()
            )
        }));
        reasons.extend(self.config.uplinks.iter().filter_map(|pattern| self.vain_uplink(pattern)));
        let patterns = &self.config.interfaces.patterns;
        reasons.extend(patterns.iter().filter_map(|pattern| self.vain_interface(pattern)));
        reasons
    }

    /// Whether everything that leaves the node is judged there: each `--uplink` has interfaces, and they have programs.
    pub(super) fn uplinks_judge(&self) -> bool {
        let uplinks = &self.network.uplinks;
        !uplinks.is_empty()
            && uplinks.iter().all(|uplink| !self.unplaced.contains_key(&uplink.index))
            && self.config.uplinks.iter().all(|pattern| self.vain_uplink(pattern).is_none())
    }

    fn vain_uplink(&self, pattern: &InterfacePattern) -> Option<String> {
        if self.network.uplinks.iter().any(|uplink| pattern.matches(&uplink.name)) {
            return None;
        }
        let unreadable = self.unreadable(pattern);
        let why = if unreadable.is_empty() {
            "names no interface of the node's own".to_owned()
        } else {
            format!("names only {}, which no program can read: not Ethernet", unreadable.join(", "))
        };
        Some(format!(
            "--uplink {pattern} {why}; what leaves the node there is not judged: correct it, or leave it out where there is none"
        ))
    }

    /// No interface at all is fine: there is no workload yet.
    fn vain_interface(&self, pattern: &InterfacePattern) -> Option<String> {
        let unreadable = self.unreadable(pattern);
        let of_workloads = self.network.workloads.values().flat_map(|place| &place.interfaces);
        let mut readable = of_workloads.chain(&self.network.unknown);
        if unreadable.is_empty() || readable.any(|interface| pattern.matches(&interface.name)) {
            return None;
        }
        Some(format!(
            "--interface {pattern} names only {}, which no program can read: not Ethernet; what workloads send there is judged at \
             their sockets only: correct it, or leave it out",
            unreadable.join(", ")
        ))
    }

    fn unreadable(&self, pattern: &InterfacePattern) -> Vec<&str> {
        let names: &BTreeSet<String> = &self.network.unreadable;
        names.iter().map(String::as_str).filter(|name| pattern.matches(name)).collect()
    }
}

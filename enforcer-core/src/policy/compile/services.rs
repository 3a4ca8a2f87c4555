//! Changed services → changed offers → dirty places.

use std::collections::BTreeSet;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Prefix};
use enforcer_common::verdict::Role;

use crate::policy::WorkloadSpec;
use crate::policy::compile::Compiler;
use crate::policy::offer::{Offer, Place, offers, protected_by};
use crate::registry::model::{Registry, Service};

impl Compiler {
    /// Makes the offers of changed services; returns the places that changed.
    pub(super) fn change_services(
        &mut self,
        registry: &Arc<Registry>,
        workloads: &[WorkloadSpec],
    ) -> BTreeSet<Place> {
        let mesh = registry.mesh.as_ref();
        let export_to = mesh.map(|mesh| mesh.default_service_export_to.clone()).unwrap_or_default();
        // Once there was a mesh proxy there may be one again: what is for them stays.
        let has_mesh_proxies =
            self.has_mesh_proxies || workloads.iter().any(|workload| workload.role == Role::MeshProxy);
        let all = export_to != self.visibility.default_export_to || has_mesh_proxies != self.has_mesh_proxies;
        self.has_mesh_proxies = has_mesh_proxies;
        self.visibility.default_export_to = export_to;
        let mut dirty = BTreeSet::new();
        let old = Arc::clone(&self.registry);
        // The workloads alone have changed.
        if !all && Arc::ptr_eq(&old, registry) {
            return dirty;
        }
        for (before, after) in paired(&old.services, &registry.services) {
            self.cost.services += 1;
            let same =
                matches!((before, after), (Some(a), Some(b)) if Arc::ptr_eq(a, b) || a.says_the_same(b));
            if same && !all {
                continue;
            }
            if let Some(service) = before {
                self.withdraw(service, &mut dirty);
            }
            if let Some(service) = after {
                self.present(service, &mut dirty);
            }
        }
        dirty
    }

    fn withdraw(&mut self, service: &Service, dirty: &mut BTreeSet<Place>) {
        for offer in self.offers.remove(&service.key).unwrap_or_default() {
            self.places.remove(&offer);
            self.cost.offers += 1;
            dirty.insert(offer.place);
        }
        for addr in protected_by(service, &self.settings.cluster_id) {
            if self.places.unprotect(addr) {
                dirty.extend(places_of(addr));
            }
        }
    }

    fn present(&mut self, service: &Arc<Service>, dirty: &mut BTreeSet<Place>) {
        let made = offers(service, &self.settings, &self.visibility, self.has_mesh_proxies);
        let made: Vec<Arc<Offer>> = made.into_iter().map(Arc::new).collect();
        for offer in &made {
            self.places.insert(offer);
            self.cost.offers += 1;
            dirty.insert(offer.place);
        }
        self.offers.insert(service.key.clone(), made);
        for addr in protected_by(service, &self.settings.cluster_id) {
            if self.places.protect(addr) {
                dirty.extend(places_of(addr));
            }
        }
    }
}

/// What being protected changes about an address: its own rules, and those it inherits from networks.
fn places_of(addr: Addr) -> [Place; 2] {
    [Place::Exact(addr), Place::Net(Prefix::host(addr))]
}

/// Two sorted lists side by side: each service's before and after.
fn paired<'a>(
    before: &'a [Arc<Service>],
    after: &'a [Arc<Service>],
) -> impl Iterator<Item = (Option<&'a Arc<Service>>, Option<&'a Arc<Service>>)> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || match (before.peek(), after.peek()) {
        (None, None) => None,
        (Some(a), Some(b)) if a.key == b.key => Some((before.next(), after.next())),
        (Some(a), Some(b)) if a.key < b.key => Some((before.next(), None)),
        (Some(_), None) => Some((before.next(), None)),
        (_, Some(_)) => Some((None, after.next())),
    })
}

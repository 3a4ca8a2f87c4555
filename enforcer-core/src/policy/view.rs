//! Views: what the workloads, or the mesh proxies, of one (namespace, narrowing Sidecar) may see.

use std::sync::Arc;

use enforcer_common::id::ViewId;

use crate::name::Namespace;
use crate::policy::offer::{Offer, Purpose};
use crate::registry::model::Sidecar;

/// Who looks: workloads with the same key share a view.
#[derive(Clone, Debug)]
pub(super) struct ViewKey {
    /// Their namespace.
    pub(super) namespace: Namespace,
    /// Their Sidecar, if it narrows what they see.
    pub(super) sidecar: Option<Arc<Sidecar>>,
    /// Whether they are mesh proxies, which need more than what they stand beside.
    pub(super) is_mesh: bool,
}

impl PartialEq for ViewKey {
    fn eq(&self, other: &Self) -> bool {
        let same_sidecar = match (&self.sidecar, &other.sidecar) {
            (Some(one), Some(other)) => one.says_the_same(other),
            (None, None) => true,
            _ => false,
        };
        self.namespace == other.namespace && self.is_mesh == other.is_mesh && same_sidecar
    }
}

/// One view.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) id: ViewId,
    /// `None`: the public part.
    pub(super) key: Option<ViewKey>,
}

impl View {
    pub(super) const PUBLIC: Self = Self { id: ViewId::PUBLIC, key: None };

    /// Whether its workloads look at the public part after it.
    pub(super) fn inherits_public(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.sidecar.is_none())
    }

    /// The namespace whose services come first in a conflict.
    pub(super) fn namespace(&self) -> Option<&Namespace> {
        self.key.as_ref().map(|key| &key.namespace)
    }

    /// Whether its workloads see `offer`; in the public part: whether everyone does.
    pub(super) fn sees(&self, offer: &Offer) -> bool {
        let Some(key) = &self.key else { return offer.is_public() };
        match offer.purpose {
            Purpose::Workloads => {}
            Purpose::MeshProxies if key.is_mesh => {}
            Purpose::Mesh => return key.is_mesh,
            Purpose::MeshProxies => return false,
        }
        offer.audience.includes(&key.namespace)
            && key
                .sidecar
                .as_ref()
                .is_none_or(|sidecar| sidecar.imports(&key.namespace, &offer.service, offer.port))
    }
}

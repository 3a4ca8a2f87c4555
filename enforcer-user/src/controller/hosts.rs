//! Which hosts stand behind an address.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use enforcer_common::addr::Protocol;
use enforcer_core::name::Host;
use enforcer_core::policy::offer::cluster_ips;
use enforcer_core::registry::Registry;
use enforcer_core::registry::model::{Provider, Service, ServiceAddress};

/// The hosts of one registry by address. Made when the first address is looked up: a registry that nobody asks about costs
/// nothing, and the walk is the reader's, not the controller's.
#[derive(Clone, Debug, Default)]
pub struct HostNames {
    registry: Arc<Registry>,
    cluster_id: String,
    /// Services by address; of one address in the order in which they are preferred.
    by_address: OnceLock<Vec<(IpAddr, usize)>>,
}

impl HostNames {
    /// Those of `registry`, in the eyes of the cluster `cluster_id`.
    pub fn new(registry: Arc<Registry>, cluster_id: &str) -> Self {
        Self { registry, cluster_id: cluster_id.to_owned(), by_address: OnceLock::new() }
    }

    /// The registry they are of.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// A host with exactly this address: one that has the port, if there is one; a Kubernetes Service before others.
    pub fn host(&self, to: SocketAddr, protocol: Protocol) -> Option<&Host> {
        let by_address = self.by_address.get_or_init(|| self.index());
        let start = by_address.partition_point(|(ip, _)| *ip < to.ip());
        let services = by_address[start..].iter().take_while(|(ip, _)| *ip == to.ip());
        let mut services = services.map(|(_, index)| &self.registry.services[*index]).peekable();
        let first = services.peek().copied()?;
        let has_port = |service: &&Arc<Service>| {
            service.ports.iter().any(|port| port.number == to.port() && port.protocol.transport() == protocol)
        };
        Some(services.find(has_port).unwrap_or(first).host())
    }

    fn index(&self) -> Vec<(IpAddr, usize)> {
        let services = || self.registry.services.iter().enumerate();
        let named = services().filter(|(_, service)| !service.host().is_wildcard());
        let mut index: Vec<(IpAddr, usize)> = named
            .flat_map(|(index, service)| self.addresses(service).into_iter().map(move |ip| (ip, index)))
            .collect();
        let is_external = |index: usize| self.registry.services[index].provider == Provider::External;
        index.sort_unstable_by_key(|(ip, index)| (*ip, is_external(*index), *index));
        index.dedup();
        index
    }

    /// The addresses that stand for a service: endpoints do not.
    fn addresses(&self, service: &Service) -> Vec<IpAddr> {
        let mut addresses = cluster_ips(service, &self.cluster_id);
        if let (ServiceAddress::Ip(ip), Provider::External) = (&service.address, service.provider) {
            addresses.push(*ip);
        }
        addresses.extend(service.auto_v4.map(IpAddr::V4));
        addresses.extend(service.auto_v6.map(IpAddr::V6));
        addresses
    }
}

#[cfg(test)]
mod tests;

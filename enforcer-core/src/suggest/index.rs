//! Which services an address or a name belongs to.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{Host, Namespace};
use crate::policy::Settings;
use crate::policy::explain::addresses;
use crate::policy::offer::cluster_ips;
use crate::registry::Registry;
use crate::registry::model::{EndpointAddress, Provider, Resolution, Service, ServiceAddress};

/// The services of one registry, by what was dialled.
pub(super) struct Index<'a> {
    by_host: HashMap<&'a Host, Vec<&'a Arc<Service>>>,
    /// ClusterIPs, endpoints of Kubernetes Services, and VIPs, of the addresses that were asked for.
    by_ip: HashMap<IpAddr, Vec<&'a Arc<Service>>>,
    entries: HashSet<(&'a Namespace, &'a str)>,
}

impl<'a> Index<'a> {
    /// Of `registry`, for questions about the addresses in `wanted`.
    pub(super) fn new(registry: &'a Registry, settings: &Settings, wanted: &HashSet<IpAddr>) -> Self {
        let (by_host, by_ip, entries) = (HashMap::new(), HashMap::new(), HashSet::new());
        let mut index = Self { by_host, by_ip, entries };
        for service in &registry.services {
            index.by_host.entry(service.host()).or_default().push(service);
            if service.provider == Provider::External {
                index.entries.insert((service.namespace(), &*service.key.object.name));
            }
            for ip in held(service, settings, wanted) {
                index.by_ip.entry(ip).or_default().push(service);
            }
        }
        index
    }

    /// The services with exactly this host.
    pub(super) fn of_host(&self, host: &Host) -> &[&'a Arc<Service>] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// The services that stand for `host`: its own, and those of wildcards around it.
    pub(super) fn covering(&self, host: &Host) -> impl Iterator<Item = &'a Arc<Service>> + '_ {
        let dots = host.as_str().match_indices('.');
        let wildcards: Vec<Host> =
            dots.map(|(at, _)| Host::new(&format!("*{}", &host.as_str()[at..]))).collect();
        let all = std::iter::once(host.clone()).chain(wildcards);
        all.flat_map(|host| self.of_host(&host).to_vec())
    }

    /// The services that hold `ip`: see [`held`].
    pub(super) fn of_ip(&self, ip: IpAddr) -> &[&'a Arc<Service>] {
        self.by_ip.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// Whether there is such a ServiceEntry, which another of this name would replace.
    pub(super) fn has_entry(&self, namespace: &Namespace, name: &str) -> bool {
        self.entries.contains(&(namespace, name))
    }
}

/// Those of `wanted` that belong to the cluster (ClusterIPs and endpoints of Kubernetes Services), or that only stand for a
/// ServiceEntry's endpoints: behind these is nobody but the service.
fn held(service: &Service, settings: &Settings, wanted: &HashSet<IpAddr>) -> Vec<IpAddr> {
    let endpoints = || service.endpoints.iter().filter_map(|endpoint| ip_of(&endpoint.address));
    let mut held: Vec<IpAddr> = match service.provider {
        Provider::Kubernetes => {
            cluster_ips(service, &settings.cluster_id).into_iter().chain(endpoints()).collect()
        }
        Provider::External if service.resolution == Resolution::None => Vec::new(),
        Provider::External => {
            let mut vips = match &service.address {
                // Any address of the network, which is a question to each that is wanted.
                ServiceAddress::Cidr(net, _) => {
                    wanted.iter().copied().filter(|ip| net.contains(ip)).collect()
                }
                _ => addresses(service, &settings.cluster_id),
            };
            // An address that is an endpoint, too, is there by itself.
            vips.retain(|vip| endpoints().all(|endpoint| endpoint != *vip));
            vips
        }
    };
    held.retain(|ip| wanted.contains(ip));
    held.sort_unstable();
    held.dedup();
    held
}

pub(super) fn ip_of(address: &EndpointAddress) -> Option<IpAddr> {
    match address {
        EndpointAddress::Ip(ip) => Some(*ip),
        EndpointAddress::Host(_) | EndpointAddress::Unix(_) => None,
    }
}

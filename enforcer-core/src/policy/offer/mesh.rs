//! What only mesh proxies may reach, so that the mesh itself works: endpoints instead of VIPs, tunnels, and the control plane.
//!
//! Sources: istio `pkg/config/constants` (the managed-by label of waypoints), `pilot/pkg/model/network.go` (network gateways),
//! `pkg/model/proxy.go` (15008, HBONE), design §5.4.

use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Protocol};

use crate::policy::Settings;
use crate::policy::offer::{Maker, Offer, Place, Purpose, cluster_ips, endpoint_ip};
use crate::registry::model::{AppProtocol, Provider, Resolution, Service, ServicePort};
use crate::registry::visibility::Audience;

/// HBONE, the mesh's tunnel.
const HBONE: u16 = 15008;
/// Where a network gateway takes mutual TLS for the services behind it.
const CROSS_NETWORK: u16 = 15443;
/// The label of a Service that stands for a gateway which Istio itself runs, and its value at waypoints.
const MANAGED: (&str, &str) = ("gateway.istio.io/managed", "istio.io-mesh-controller");
/// The label of a Service that is the way into another network.
const NETWORK: &str = "topology.istio.io/network";

/// Adds them to the offers that `service` makes to every workload.
pub(super) fn add(service: &Arc<Service>, settings: &Settings, audience: &Audience, offers: &mut Vec<Offer>) {
    if service.resolution == Resolution::Alias {
        return;
    }
    for port in &service.ports {
        let mut maker = Maker { service, port, audience, offers, purpose: Purpose::MeshProxies };
        maker.endpoints();
        for addr in endpoints(service) {
            maker.allow_tcp(Place::Exact(addr), HBONE);
        }
    }
    if service.provider != Provider::Kubernetes {
        return;
    }
    if is_istiod(service, settings) {
        for port in &service.ports {
            let mut maker = Maker { service, port, audience, offers, purpose: Purpose::Mesh };
            for ip in cluster_ips(service, &settings.cluster_id) {
                maker.allow(Place::Exact(ip.into()), port.number);
            }
            maker.endpoints();
        }
    }
    for number in tunnels(service) {
        let port =
            ServicePort { name: "".into(), number: *number, protocol: AppProtocol::Hbone, target: None };
        let mut maker = Maker { service, port: &port, audience, offers, purpose: Purpose::Mesh };
        let vips = cluster_ips(service, &settings.cluster_id).into_iter().map(Addr::from);
        for addr in vips.chain(endpoints(service)) {
            maker.allow_tcp(Place::Exact(addr), *number);
        }
    }
}

/// The ports at which a waypoint or a network gateway takes what is meant for others.
fn tunnels(service: &Service) -> &'static [u16] {
    let is_waypoint = service.labels.get(MANAGED.0).is_some_and(|by| by == MANAGED.1);
    match (service.labels.contains_key(NETWORK), is_waypoint) {
        (true, _) => &[CROSS_NETWORK, HBONE],
        (false, true) => &[HBONE],
        (false, false) => &[],
    }
}

fn is_istiod(service: &Service, settings: &Settings) -> bool {
    let name = &*service.key.object.name;
    let is_called = name == "istiod" || name.starts_with("istiod-");
    let is_labelled = service.labels.get("app").is_some_and(|app| app == "istiod");
    *service.namespace() == settings.root_namespace && (is_called || is_labelled)
}

fn endpoints(service: &Service) -> impl Iterator<Item = Addr> + '_ {
    service.endpoints.iter().filter_map(endpoint_ip).map(Addr::from)
}

impl Maker<'_> {
    /// A TCP port, whatever the service's own port speaks.
    fn allow_tcp(&mut self, place: Place, port: u16) {
        self.allow_slot(place, (Protocol::TCP, Port::new(port)));
    }
}

//! Endpoints of ServiceEntries.

use std::sync::Arc;

use crate::name::Host;
use crate::registry::model::{Endpoint, EndpointAddress, ServicePort};
use crate::registry::object::{Body, Object};
use crate::registry::service_entry::{EntryResolution, WorkloadEntry};

/// What an address of a Unix socket starts with.
pub(crate) const UNIX: &str = "unix://";

/// The only endpoint of a DNS service that lists none: its own name.
pub(super) fn of_host(host: &Host) -> Arc<[Endpoint]> {
    let address = EndpointAddress::Host(host.clone());
    Arc::new([Endpoint { address, ports: std::collections::BTreeMap::new(), weight: 1, ready: true }])
}

/// Those of WorkloadEntries. One that is a name or a Unix socket serves DNS services only.
pub(super) fn of_workloads(
    resolution: EntryResolution,
    ports: &[ServicePort],
    workloads: &[&Object],
) -> Arc<[Endpoint]> {
    if resolution == EntryResolution::None {
        return Arc::default();
    }
    let entries = workloads.iter().filter_map(|object| match &object.body {
        Body::WorkloadEntry(entry) => convert(entry, ports),
        _ => None,
    });
    entries
        .filter(|endpoint| resolution.is_dns() || matches!(endpoint.address, EndpointAddress::Ip(_)))
        .collect()
}

/// One endpoint of a service with `ports`. Priority of the port: 1. a Unix socket has none; 2. the endpoint's own for the
/// port's name; 3. the port's target; 4. its number ([`Endpoint::port`]). Where service and endpoint have one port
/// each, the endpoint's is meant whatever its name (a quirk of Istio's own documentation).
pub(super) fn convert(entry: &WorkloadEntry, ports: &[ServicePort]) -> Option<Endpoint> {
    let address = address(&entry.address)?;
    let number = |number: &i64| u16::try_from(*number).ok().filter(|number| *number > 0);
    let named = |name: &str| if let [only] = ports { only.name.clone() } else { name.into() };
    let ports = match (&address, entry.ports.len()) {
        (EndpointAddress::Unix(_), _) => std::collections::BTreeMap::new(),
        (_, 1) => entry.ports.iter().filter_map(|(name, port)| Some((named(name), number(port)?))).collect(),
        _ => entry
            .ports
            .iter()
            .filter_map(|(name, port)| Some((name.as_str().into(), number(port)?)))
            .collect(),
    };
    Some(Endpoint { address, ports, weight: entry.weight.max(1), ready: true })
}

fn address(text: &str) -> Option<EndpointAddress> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return Some(EndpointAddress::Unix(path.into()));
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(ip) => Some(EndpointAddress::Ip(ip.to_canonical())),
        // With a network but no address it is behind that network's gateway, which is no business of this node.
        Err(_) => (!text.is_empty()).then(|| EndpointAddress::Host(Host::new(text))),
    }
}

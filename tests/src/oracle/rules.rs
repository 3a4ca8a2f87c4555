//! The five rules, over the offers that a question meets.

use std::net::IpAddr;

use enforcer_common::addr::Protocol;
use enforcer_common::verdict::Role;
use enforcer_core::name::Namespace;
use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::model::{EndpointAddress, Provider, Registry, Service, Sidecar};

use super::mesh;
use super::offer::{self, Action, For, Offer};
use super::place::Place;
use super::sight;

/// What a search comes back with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'o, 'a> {
    /// The first offer that allows or translates.
    pub(super) decisive: Option<&'o Offer<'a>>,
    /// The first one on the way that would need a name.
    pub(super) needs_name: Option<&'o Offer<'a>>,
}

/// Everything that one service offers to such a workload, whether or not it sees it.
fn all_of<'a>(service: &'a Service, settings: &Settings, workload: &WorkloadSpec) -> Vec<Offer<'a>> {
    let mut offers = offer::of_service(service, settings);
    if workload.role == Role::MeshProxy {
        offers.extend(mesh::of_service(service, settings));
    }
    offers
}

/// Every offer of the registry that stands at `ip`, whoever may see it; rule 4 for exact addresses.
pub(super) fn offers_at<'a>(
    registry: &'a Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
    protocol: Protocol,
    ip: IpAddr,
    port: u16,
) -> Vec<Offer<'a>> {
    let protected = is_protected(registry, settings, ip);
    registry
        .services
        .iter()
        .flat_map(|service| all_of(service, settings, workload))
        .filter(|offer| offer.transport == protocol && offer.dialled == port && offer.place.holds(ip))
        .filter(|offer| !(protected && offer.place.is_exact() && offer.captures()))
        .collect()
}

/// Whether somebody whom the workload sees has `ip` itself or a network around it, at whatever port: all that an ICMP echo
/// asks for. What captures a protected address does not exist there; a network that does still lies around it.
pub(super) fn is_registered(
    registry: &Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
    sidecar: Option<&Sidecar>,
    ip: IpAddr,
) -> bool {
    let protected = is_protected(registry, settings, ip);
    let offers = registry.services.iter().flat_map(|service| all_of(service, settings, workload));
    offers
        .filter(|offer| offer.place != Place::Any && offer.place.holds(ip))
        .filter(|offer| !(protected && offer.place.is_exact() && offer.captures()))
        .any(|offer| is_seen(registry, settings, workload, sidecar, &offer))
}

/// Rule 1, with what the mesh needs.
fn is_seen(
    registry: &Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
    sidecar: Option<&Sidecar>,
    offer: &Offer<'_>,
) -> bool {
    let is_proxy = workload.role == Role::MeshProxy;
    match offer.whom {
        For::AllProxies => return is_proxy,
        For::SeeingProxies if !is_proxy => return false,
        For::SeeingProxies | For::Seeing => {}
    }
    let Some(port) = offer.index.map(|index| &offer.service.ports[index]) else { return false };
    let home = &workload.namespace;
    sight::reaches(registry, settings, offer.service, home)
        && sight::imports(sidecar, home, offer.service, port)
}

/// Whether `ip` is a `ClusterIP`, an endpoint of a Kubernetes Service or an address of the node.
fn is_protected(registry: &Registry, settings: &Settings, ip: IpAddr) -> bool {
    if settings.node_addresses.iter().any(|node| node.to_canonical() == ip) {
        return true;
    }
    registry.services.iter().filter(|service| service.provider == Provider::Kubernetes).any(|service| {
        let of_cluster = offer::cluster_ips(service, settings).iter().any(|vip| vip.to_canonical() == ip);
        let of_endpoint = service.endpoints.iter().any(|endpoint| match &endpoint.address {
            EndpointAddress::Ip(endpoint) => endpoint.to_canonical() == ip,
            EndpointAddress::Host(_) | EndpointAddress::Unix(_) => false,
        });
        of_cluster || of_endpoint
    })
}

/// Rule 3 and 5: the levels in order, the workload's own before the public one.
pub(super) fn search<'o, 'a>(
    registry: &Registry,
    settings: &Settings,
    workload: &WorkloadSpec,
    sidecar: Option<&Sidecar>,
    ip: IpAddr,
    offers: &'o [Offer<'a>],
) -> Found<'o, 'a> {
    let inherits = !sight::narrows(sidecar);
    let home = &workload.namespace;
    let seen: Vec<&Offer<'_>> =
        offers.iter().filter(|offer| is_seen(registry, settings, workload, sidecar, offer)).collect();
    let for_everyone =
        |offer: &&Offer<'_>| offer.whom == For::Seeing && sight::is_public(registry, settings, offer.service);
    let public: Vec<&Offer<'_>> = offers.iter().filter(for_everyone).collect();
    let in_view = |place: &Place| {
        let mine = winner(&seen, place, Some(home))?;
        match winner(&public, place, None) {
            Some(theirs) if inherits && is_same(mine, theirs) => None,
            _ => Some(mine),
        }
    };
    let in_public = |place: &Place| if inherits { winner(&public, place, None) } else { None };

    let protected = is_protected(registry, settings, ip);
    let mut found = Found { decisive: None, needs_name: None };
    for places in levels(offers) {
        let winners_of_view = places.iter().filter_map(&in_view);
        let winners_of_public = places.iter().filter_map(&in_public);
        for winner in winners_of_view.chain(winners_of_public) {
            if protected && winner.place.is_network() && winner.captures() {
                continue; // rule 4
            }
            if winner.action == Action::NeedsName {
                found.needs_name = found.needs_name.or(Some(winner));
                continue;
            }
            found.decisive = Some(winner);
            return found;
        }
    }
    found
}

/// The places of the offers: the exact one, the networks with the longest first, any.
fn levels(offers: &[Offer<'_>]) -> [Vec<Place>; 3] {
    let mut places: Vec<Place> = Vec::new();
    for offer in offers {
        if !places.contains(&offer.place) {
            places.push(offer.place);
        }
    }
    let mut levels = [Vec::new(), Vec::new(), Vec::new()];
    for place in places {
        levels[match place {
            Place::Exact(_) => 0,
            Place::Network(_) => 1,
            Place::Any => 2,
        }]
        .push(place);
    }
    levels[1].sort_by_key(Place::shortness);
    levels
}

fn is_same(one: &Offer<'_>, other: &Offer<'_>) -> bool {
    one.service.key == other.service.key && one.index == other.index && one.whom == other.whom
}

/// Rule 2: who wins at a place. `home` is the namespace that is preferred, if any.
fn winner<'o, 'a>(
    offers: &[&'o Offer<'a>],
    place: &Place,
    home: Option<&Namespace>,
) -> Option<&'o Offer<'a>> {
    let mut best: Option<&'o Offer<'a>> = None;
    for offer in offers.iter().filter(|offer| offer.place == *place) {
        // Of equals the first stays: of one port's offers the service's own address comes before its endpoints.
        if best.is_none_or(|best| beats(offer, best, home)) {
            best = Some(offer);
        }
    }
    best
}

fn beats(one: &Offer<'_>, other: &Offer<'_>, home: Option<&Namespace>) -> bool {
    let rank = |offer: &Offer<'_>| {
        let service = offer.service;
        let object = &service.key.object;
        (
            offer.action == Action::NeedsName,
            offer.whom != For::Seeing,
            service.provider != Provider::Kubernetes,
            home.is_none_or(|home| *home != object.namespace),
            service.created.is_none(),
            service.created,
            object.namespace.clone(),
            object.name.clone(),
            service.key.host.clone(),
            service.key.address,
            object.kind.clone(),
            offer.index,
        )
    };
    rank(one) < rank(other)
}

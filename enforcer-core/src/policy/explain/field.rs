//! Which lines of an object made a rule: where a person has to look.

use std::net::IpAddr;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port};

use crate::policy::compile::Compiler;
use crate::policy::destination::Destination;
use crate::policy::offer::{Offer, Place, RuleKey, cluster_ips};
use crate::registry::model::{EndpointAddress, Provider, ServiceAddress};

impl Compiler {
    /// Field paths of what made `rule` at `ip`: of the address or the endpoint, when it is written down, then of the port.
    pub(super) fn fields(&self, rule: &RuleKey, to: &Destination, ip: Option<IpAddr>) -> Vec<String> {
        let Some(offer) = self.offer_of(rule, to, ip) else { return Vec::new() };
        let address = ip.and_then(|ip| self.address_field(offer, ip));
        address.into_iter().chain(port_field(offer)).collect()
    }

    /// The offer behind a rule at an address: the narrowest.
    fn offer_of(&self, rule: &RuleKey, to: &Destination, ip: Option<IpAddr>) -> Option<&Arc<Offer>> {
        let slot = (to.protocol, Port::new(to.port));
        let width = |offer: &Offer| match (offer.place, ip) {
            (Place::Exact(addr), Some(ip)) => (addr == Addr::from(ip)).then_some(0),
            (Place::Net(prefix), Some(ip)) => {
                prefix.contains(&Addr::from(ip)).then(|| 1 + 128 - prefix.length())
            }
            (Place::Any(_), Some(_)) | (_, None) => Some(u32::MAX),
        };
        let offers = self.offers.values().flatten();
        offers
            .filter(|offer| offer.slot == slot && *offer.rule == *rule)
            .filter_map(|offer| Some((width(offer)?, offer)))
            .min_by_key(|(width, offer)| (*width, offer.position))
            .map(|(_, offer)| offer)
    }

    fn address_field(&self, offer: &Offer, ip: IpAddr) -> Option<String> {
        let service = &offer.service;
        if service.provider == Provider::Kubernetes {
            let vips = cluster_ips(service, &self.settings().cluster_id);
            let index = vips.iter().position(|vip| *vip == ip)?;
            return Some(format!("spec.clusterIPs[{index}]"));
        }
        let own = match (&service.address, offer.place) {
            (ServiceAddress::Ip(own), Place::Exact(addr)) => Addr::from(*own) == addr,
            (ServiceAddress::Cidr(..), Place::Net(_)) => true,
            _ => false,
        };
        if own {
            return Some(format!("spec.addresses[{}]", service.key.address));
        }
        // Those that a selector picks stand in objects of their own.
        if !service.selector.is_empty() {
            return None;
        }
        let is_it = |address: &EndpointAddress| *address == EndpointAddress::Ip(ip);
        let index = service.endpoints.iter().position(|endpoint| is_it(&endpoint.address))?;
        Some(format!("spec.endpoints[{index}]"))
    }
}

fn port_field(offer: &Offer) -> Option<String> {
    let service = &offer.service;
    if service.provider == Provider::Kubernetes {
        // Its SCTP ports are not among ours, so that positions would be wrong.
        let is_there = service.ports.iter().any(|port| port.number == offer.port);
        return is_there.then(|| format!("spec.ports[port={}]", offer.port));
    }
    let transport = offer.rule.slot.0;
    let is_it = |port: &crate::registry::model::ServicePort| {
        port.number == offer.port && port.protocol.transport() == transport
    };
    service.ports.iter().position(is_it).map(|index| format!("spec.ports[{index}]"))
}

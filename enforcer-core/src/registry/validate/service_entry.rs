//! Rules for ServiceEntries.

use std::collections::BTreeSet;

use crate::name::{Host, Namespace};
use crate::registry::model::{AppProtocol, ServiceAddress};
use crate::registry::report::Report;
use crate::registry::service_entry::{EntryResolution, ServiceEntry};
use crate::registry::validate::{endpoint, export_to, host, ports};

/// Checks a ServiceEntry of `namespace`.
pub(crate) fn check(entry: &ServiceEntry, namespace: &Namespace, report: &mut Report) {
    check_hosts(entry, report);
    check_addresses(entry, report);
    ports::check(&entry.ports, report);
    endpoint::endpoints(entry, report);
    check_selector(entry, report);
    match entry.resolution {
        EntryResolution::None => check_none(entry, report),
        EntryResolution::Static => {}
        EntryResolution::Dns | EntryResolution::DnsRoundRobin => check_dns(entry, report),
        EntryResolution::DynamicDns => check_dynamic(entry, report),
    }
    check_hosts_can_be_told_apart(entry, report);
    export_to::check(&entry.export_to, namespace, "spec.exportTo", report);
}

fn check_hosts(entry: &ServiceEntry, report: &mut Report) {
    if entry.hosts.is_empty() {
        report.error("spec.hosts", "a ServiceEntry needs a host", "list at least one name");
    }
    let mut seen = BTreeSet::new();
    for (index, name) in entry.hosts.iter().enumerate() {
        let field = format!("spec.hosts[{index}]");
        if name == "*" {
            report.error(field, "\"*\" would register every host", "list the names, or *.DOMAIN");
        } else if let Err(why) = host::wildcard(name) {
            report.error(field, why, "write api.example.com or *.example.com");
        } else if !seen.insert(Host::new(name)) {
            report.warning(field, format!("{name:?} is listed twice"), "list it once");
        }
    }
}

fn check_addresses(entry: &ServiceEntry, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, text) in entry.addresses.iter().enumerate() {
        let field = format!("spec.addresses[{index}]");
        let Some(address) = ServiceAddress::parse(text) else {
            report.error(
                field,
                format!("{text:?} is neither an address nor a network"),
                "write 10.0.0.1 or 10.0.0.0/8",
            );
            continue;
        };
        if let ServiceAddress::Cidr(net, _) = &address {
            let given = text.split('/').next().and_then(|ip| ip.parse().ok());
            if given.is_some_and(|ip: std::net::IpAddr| ip != net.addr()) {
                let message = format!("{text:?} has bits set beyond its prefix: all of {net} is meant");
                report.warning(
                    field.clone(),
                    message,
                    format!("write {net}, or the single address without a prefix"),
                );
            }
        }
        // Istio looks at the text: even a network of one address is a CIDR here.
        if text.contains('/') && !matches!(entry.resolution, EntryResolution::None | EntryResolution::Static)
        {
            let hint = "use single addresses, or one of these resolutions";
            report.error(field.clone(), "a network is allowed with resolution NONE or STATIC only", hint);
        }
        if !seen.insert(address) {
            report.warning(field, format!("{text:?} is listed twice"), "list it once");
        }
    }
}

fn check_selector(entry: &ServiceEntry, report: &mut Report) {
    let Some(selector) = &entry.workload_selector else { return };
    let field = "spec.workloadSelector";
    if !entry.endpoints.is_empty() {
        report.error(field, "workloadSelector and endpoints exclude each other", "keep one of them");
    }
    for (key, value) in &selector.labels {
        if key.is_empty() || key.contains('*') || value.contains('*') {
            let message = format!("{key:?}: {value:?}: a selector has no wildcards");
            report.error(format!("{field}.labels"), message, "name the label's value");
        }
    }
    if entry.resolution != EntryResolution::Static {
        let message = format!("a selector has little meaning with resolution {:?}", entry.resolution);
        report.warning(field, message, "use resolution STATIC");
    } else if selector.labels.is_empty() {
        report.warning(field, "without labels it selects every workload of the namespace", "name the labels");
    }
}

fn check_none(entry: &ServiceEntry, report: &mut Report) {
    if !entry.endpoints.is_empty() {
        let hint = "remove them, or use resolution STATIC or DNS";
        report.error("spec.endpoints", "resolution NONE has no endpoints", hint);
    }
}

fn check_dns(entry: &ServiceEntry, report: &mut Report) {
    if entry.endpoints.is_empty() {
        for (index, name) in entry.hosts.iter().enumerate().filter(|(_, name)| name.starts_with('*')) {
            report.error(
                format!("spec.hosts[{index}]"),
                format!("{name:?} cannot be resolved: with resolution DNS and no endpoints every host is a full name"),
                "use resolution NONE, or list endpoints",
            );
        }
    }
    if entry.resolution == EntryResolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        let message = format!("DNS_ROUND_ROBIN has at most one endpoint, not {}", entry.endpoints.len());
        report.error("spec.endpoints", message, "use resolution DNS");
    }
}

fn check_dynamic(entry: &ServiceEntry, report: &mut Report) {
    for (index, name) in entry.hosts.iter().enumerate().filter(|(_, name)| !name.starts_with('*')) {
        let field = format!("spec.hosts[{index}]");
        report.error(
            field,
            format!("DYNAMIC_DNS needs a wildcard, not {name:?}"),
            "use resolution DNS for a full name",
        );
    }
    if !entry.addresses.is_empty() {
        report.error("spec.addresses", "DYNAMIC_DNS has no addresses", "remove them");
    }
    if !entry.endpoints.is_empty() {
        report.error("spec.endpoints", "DYNAMIC_DNS has no endpoints", "remove them");
    }
    for (index, port) in entry.ports.iter().enumerate() {
        let protocol = AppProtocol::parse(&port.protocol);
        if !matches!(protocol, AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc | AppProtocol::Tls)
        {
            report.error(
                format!("spec.ports[{index}].protocol"),
                format!("DYNAMIC_DNS needs the host in the protocol, which {protocol} does not tell"),
                "use HTTP, HTTP2, GRPC or TLS",
            );
        }
    }
}

/// Several hosts on a port whose protocol does not tell them apart.
fn check_hosts_can_be_told_apart(entry: &ServiceEntry, report: &mut Report) {
    if entry.hosts.len() < 2 || entry.resolution == EntryResolution::None {
        return;
    }
    let blind = entry.ports.iter().position(|port| !AppProtocol::parse(&port.protocol).carries_host());
    if let Some(index) = blind {
        report.error(
            format!("spec.ports[{index}].protocol"),
            format!(
                "with {} hosts a connection to this port does not tell which is meant",
                entry.hosts.len()
            ),
            "make one ServiceEntry per host, or use HTTP or TLS",
        );
    }
}

#[cfg(test)]
mod tests;

//! Rules for Kubernetes Services and EndpointSlices. The API server checks most of them; files are checked by nobody else.

use std::collections::BTreeSet;

use crate::registry::kubernetes::{EndpointSlice, KubernetesService, SERVICE_NAME};
use crate::registry::report::Report;
use crate::registry::validate::{host, ports};

/// Checks a Service.
pub(crate) fn service(service: &KubernetesService, report: &mut Report) {
    if service.kind == "ExternalName" {
        if let Err(why) = host::fqdn(&service.external_name) {
            report.error("spec.externalName", why, "write the name it stands for");
        }
        return;
    }
    for (index, ip) in service.cluster_ips().enumerate() {
        if ip.parse::<std::net::IpAddr>().is_err() {
            report.error(
                format!("spec.clusterIPs[{index}]"),
                format!("{ip:?} is not an address"),
                "write the ClusterIP",
            );
        }
    }
    if !service.is_headless() && service.cluster_ips().next().is_none() {
        let hint = "take the object from the cluster, which has spec.clusterIP filled in";
        report.warning("spec.clusterIP", "no ClusterIP: it has no address to be reached at", hint);
    }
    let mut seen = BTreeSet::new();
    for (index, port) in service.ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        ports::check_number(port.port, at("port"), report);
        if service.ports.len() > 1 {
            ports::check_name(&port.name, at("name"), report);
        }
        if !seen.insert((port.port, port.protocol.as_str())) {
            report.error(
                at("port"),
                format!("port {} is listed twice", port.port),
                "list each port once per protocol",
            );
        }
        match port.protocol.as_str() {
            "" | "TCP" | "UDP" => {}
            "SCTP" => {
                report.warning(
                    at("protocol"),
                    "SCTP is always denied",
                    "nothing to do: Istio cannot register it",
                );
            }
            other => report.error(at("protocol"), format!("{other:?} is not a protocol"), "write TCP or UDP"),
        }
    }
}

/// Checks an EndpointSlice.
pub(crate) fn endpoint_slice(slice: &EndpointSlice, service: Option<&String>, report: &mut Report) {
    if service.is_none() {
        let message = format!("no label {SERVICE_NAME}: it belongs to no Service");
        report.warning("metadata.labels", message, "set it to the name of the Service");
    }
    for (index, endpoint) in slice.endpoints.iter().enumerate() {
        for (at, address) in endpoint.addresses.iter().enumerate() {
            let is_ip = address.parse::<std::net::IpAddr>().is_ok();
            if slice.address_type != "FQDN" && !is_ip {
                let field = format!("endpoints[{index}].addresses[{at}]");
                report.error(field, format!("{address:?} is not an address"), "write an IP address");
            }
        }
    }
    for (index, port) in slice.ports.iter().enumerate() {
        if let Some(number) = port.port {
            ports::check_number(number, format!("ports[{index}].port"), report);
        }
    }
}

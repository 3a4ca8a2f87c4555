//! Endpoints of ServiceEntries, and WorkloadEntries.

use std::net::IpAddr;

use crate::registry::report::Report;
use crate::registry::service_entry::endpoint::UNIX;
use crate::registry::service_entry::{EntryResolution, ServiceEntry, WorkloadEntry};
use crate::registry::validate::{host, ports};

/// What an address is, by its form.
enum Form<'a> {
    Missing,
    Ip,
    Unix(&'a str),
    Name,
}

fn form(address: &str) -> Form<'_> {
    match address.strip_prefix(UNIX) {
        Some(path) => Form::Unix(path),
        None if address.is_empty() => Form::Missing,
        None if address.parse::<IpAddr>().is_ok() => Form::Ip,
        None => Form::Name,
    }
}

/// Checks a WorkloadEntry, which may be anything as long as nobody selects it.
pub(crate) fn workload_entry(entry: &WorkloadEntry, report: &mut Report) {
    check_address(entry, true, "spec.address", report);
    check_ports(entry, None, "spec.ports", report);
}

/// Checks `spec.endpoints` of `service`.
pub(crate) fn endpoints(service: &ServiceEntry, report: &mut Report) {
    for (index, entry) in service.endpoints.iter().enumerate() {
        let at = |field: &str| format!("spec.endpoints[{index}].{field}");
        check_address(entry, service.resolution.is_dns(), &at("address"), report);
        check_ports(entry, Some(service), &at("ports"), report);
        if let Form::Unix(_) = form(&entry.address) {
            check_unix(service, &at("address"), report);
        }
    }
}

fn check_address(entry: &WorkloadEntry, may_be_name: bool, field: &str, report: &mut Report) {
    let address = &entry.address;
    match form(address) {
        Form::Ip => {}
        Form::Missing if entry.network.is_empty() => {
            report.error(field, "an endpoint needs an address", "write an IP, a host name or unix:///PATH");
        }
        Form::Missing => {
            let message =
                format!("no address, only the network {:?}: this node cannot reach it", entry.network);
            report.warning(field, message, "set an address if workloads here should reach it");
        }
        Form::Unix(path) if path.starts_with('/') || (path.starts_with('@') && path.len() > 1) => {}
        Form::Unix(path) => {
            report.error(
                field,
                format!("{path:?} is not an absolute path"),
                "write unix:///PATH or unix://@NAME",
            );
        }
        Form::Name if !may_be_name => {
            report.error(
                field,
                format!("{address:?} is not an IP address"),
                "use resolution DNS for endpoints with names",
            );
        }
        Form::Name => {
            if let Err(why) = host::fqdn(address) {
                report.error(
                    field,
                    format!("{address:?} is neither an IP nor a host name: {why}"),
                    "write one of them",
                );
            }
        }
    }
}

/// `service` is `None` for a WorkloadEntry, whose port names no service is known for.
fn check_ports(entry: &WorkloadEntry, service: Option<&ServiceEntry>, field: &str, report: &mut Report) {
    if matches!(form(&entry.address), Form::Unix(_)) && !entry.ports.is_empty() {
        report.error(field, "a Unix socket has no ports", "remove the endpoint's ports");
        return;
    }
    for (name, number) in &entry.ports {
        let at = format!("{field}.{name}");
        ports::check_name(name, at.clone(), report);
        ports::check_number(*number, at.clone(), report);
        let Some(service) = service else { continue };
        if service.ports.iter().any(|port| &port.name == name) {
            continue;
        }
        match service.ports.as_slice() {
            // As in the reference page of ServiceEntry itself.
            [only] if entry.ports.len() == 1 => report.warning(
                at,
                format!("no port is named {name:?}; it is taken as the only one, {:?}", only.name),
                format!("name it {:?}", only.name),
            ),
            _ => report.error(
                at,
                format!("no port of the service is named {name:?}"),
                "use the name of one of spec.ports",
            ),
        }
    }
}

fn check_unix(service: &ServiceEntry, field: &str, report: &mut Report) {
    if service.resolution != EntryResolution::Static {
        report.error(field, "a Unix socket needs resolution STATIC", "set resolution: STATIC");
    }
    if service.ports.len() != 1 {
        let message =
            format!("a Unix socket serves exactly one port, this service has {}", service.ports.len());
        report.error(field, message, "make one ServiceEntry per socket");
    }
}

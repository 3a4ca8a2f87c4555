//! Ports of ServiceEntries.

use std::collections::BTreeSet;

use crate::registry::model::AppProtocol;
use crate::registry::report::Report;
use crate::registry::service_entry::Port;
use crate::registry::validate::host::is_label;

/// The protocols that Istio knows, for hints.
const KNOWN: &str = "HTTP, HTTPS, HTTP2, GRPC, GRPC-Web, TLS, TCP, UDP, MONGO, MYSQL, REDIS";

/// Whether `number` is a port.
pub(crate) fn is_port(number: i64) -> bool {
    (1..=65535).contains(&number)
}

/// Reports `number`, found at `field`, unless it is a port.
pub(crate) fn check_number(number: i64, field: String, report: &mut Report) {
    if !is_port(number) {
        report.error(field, format!("{number} is not a port"), "write a number from 1 to 65535");
    }
}

/// Reports `name`, found at `field`, unless it is a port's name.
pub(crate) fn check_name(name: &str, field: String, report: &mut Report) {
    if name.is_empty() {
        report.error(field, "a port needs a name", "name it after its protocol: https, tcp-db");
    } else if !is_label(name) {
        report.error(field, format!("{name:?} is not a port name"), "use letters, digits and hyphens");
    }
}

/// Checks `spec.ports`.
pub(crate) fn check(ports: &[Port], report: &mut Report) {
    if ports.is_empty() {
        report.warning(
            "spec.ports",
            "no ports: nothing of it can be reached",
            "list the ports that are to be open",
        );
    }
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports[{index}].{field}");
        check_number(port.number, at("number"), report);
        check_name(&port.name, at("name"), report);
        if port.target_port != 0 {
            check_number(port.target_port, at("targetPort"), report);
        }
        if !port.name.is_empty() && !names.insert(&port.name) {
            report.error(
                at("name"),
                format!("the port name {:?} is used twice", port.name),
                "name each port differently",
            );
        }
        if !numbers.insert(port.number) {
            report.error(
                at("number"),
                format!("port {} is listed twice", port.number),
                "list each number once",
            );
        }
        if !port.protocol.is_empty() && AppProtocol::parse(&port.protocol) == AppProtocol::Unsupported {
            let message = format!("{:?} is not a protocol Istio knows", port.protocol);
            report.error(at("protocol"), message, format!("use one of {KNOWN}"));
        }
    }
}

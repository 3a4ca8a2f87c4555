//! What the registry and `--allow` say (§7.2), list by list.

use std::net::IpAddr;

use super::{Model, Protocol, Ruling, allow, deny};

pub(super) fn ask(model: &Model, to: IpAddr, protocol: Protocol, port: u16) -> Ruling {
    if exempt(model, to, protocol, port) {
        return allow("exempt");
    }
    for service in &model.registered {
        if service.net.contains(&to) && service.protocol == protocol && service.port == port {
            return allow("registered");
        }
    }
    deny("not_registered")
}

/// Whether anything is registered there, whatever the port (§6.1).
pub(super) fn ask_any_port(model: &Model, to: IpAddr) -> Ruling {
    for range in &model.exempt {
        // In doubt: a range for a port or a protocol does not speak of ICMP.
        if range.net.contains(&to) && range.port.is_none() && range.protocol.is_none() {
            return allow("exempt");
        }
    }
    for service in &model.registered {
        if service.net.contains(&to) {
            return allow("registered");
        }
    }
    deny("not_registered")
}

/// Whether `--allow` names it.
pub(super) fn exempt(model: &Model, to: IpAddr, protocol: Protocol, port: u16) -> bool {
    for range in &model.exempt {
        let port_fits = range.port.is_none_or(|only| only == port);
        let protocol_fits = range.protocol.is_none_or(|only| only == protocol);
        if range.net.contains(&to) && port_fits && protocol_fits {
            return true;
        }
    }
    false
}

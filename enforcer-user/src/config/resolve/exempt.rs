//! `--allow CIDR[:PORT[/PROTO]]`.

use std::net::IpAddr;

use enforcer_common::addr::{Prefix, Protocol};
use enforcer_core::policy::ExemptRange;
use ipnet::IpNet;

use crate::config::resolve::{Wrong, wrong};

const FORMS: &str = "write 10.0.0.0/8, 10.0.0.1:443/tcp, 2001:db8::/32 or [2001:db8::/32]:443/tcp";

pub(super) fn range(text: &str) -> Result<ExemptRange, Wrong> {
    let (network, port) = split(text)?;
    let prefix = network_of(network)?;
    let Some(port) = port else { return Ok(ExemptRange { prefix, port: None, protocol: None }) };
    let (port, protocol) = match port.split_once('/') {
        None => (port, None),
        Some((port, protocol)) => (port, Some(self::protocol(protocol)?)),
    };
    match port.parse() {
        Ok(port @ 1..) => Ok(ExemptRange { prefix, port: Some(port), protocol }),
        _ => Err(wrong(format!("{port:?} is no port"), "use a number from 1 to 65535")),
    }
}

/// The network, and what stands behind the colon of the port.
fn split(text: &str) -> Result<(&str, Option<&str>), Wrong> {
    if let Some(rest) = text.strip_prefix('[') {
        let (network, rest) =
            rest.split_once(']').ok_or_else(|| wrong("the bracket is not closed", FORMS))?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((network, None)),
            (_, Some(port)) => Ok((network, Some(port))),
            _ => Err(wrong(format!("{rest:?} stands behind the bracket"), FORMS)),
        };
    }
    match text.split_once(':') {
        // More than one colon is an IPv6 address, which has a port only behind a bracket.
        Some((network, port)) if !port.contains(':') => Ok((network, Some(port))),
        _ => Ok((text, None)),
    }
}

fn network_of(text: &str) -> Result<Prefix, Wrong> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Prefix::host(ip.into()));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(wrong(format!("{text:?} is neither an address nor a network"), FORMS));
    };
    if network.trunc() != network {
        let (trunc, ip) = (network.trunc(), network.addr());
        return Err(wrong(
            format!("{text} has bits behind its length"),
            format!("write {trunc} for the network, or {ip} for the address"),
        ));
    }
    Ok(Prefix::of_ip(network.addr(), network.prefix_len()))
}

fn protocol(text: &str) -> Result<Protocol, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::TCP),
        "udp" => Ok(Protocol::UDP),
        _ => Err(wrong(
            format!("{text:?} is no protocol with ports"),
            "use tcp or udp; without one both are allowed",
        )),
    }
}

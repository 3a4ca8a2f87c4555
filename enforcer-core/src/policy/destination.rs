//! Where somebody wants to go: `host:port`, `ip:port`, `[ipv6]:port`, each with `/tcp` or `/udp` behind it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use enforcer_common::addr::Protocol;

use crate::name::Host;

/// A name or an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A host name.
    Host(Host),
    /// An address; an IPv4-mapped one is the IPv4 address.
    Ip(IpAddr),
}

/// A destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// Where.
    pub target: Target,
    /// At which port.
    pub port: u16,
    /// By which protocol; TCP unless said.
    pub protocol: Protocol,
}

/// What is wrong with the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{text}\" is no destination: {what}; write host:port, 192.0.2.1:443 or [2001:db8::1]:443, and /udp behind it for UDP"
)]
pub struct BadDestination {
    text: String,
    what: &'static str,
}

impl FromStr for Destination {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what| BadDestination { text: text.to_owned(), what };
        let (address, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::TCP),
            Some((address, protocol)) => match protocol.to_ascii_lowercase().as_str() {
                "tcp" => (address, Protocol::TCP),
                "udp" => (address, Protocol::UDP),
                "icmp" => (address, Protocol::new(1)),
                _ => return Err(bad("the protocol is neither tcp nor udp (a range is no destination)")),
            },
        };
        let (target, port) = address.rsplit_once(':').ok_or_else(|| bad("the port is missing"))?;
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(bad("the port is no number from 1 to 65535")),
        };
        let target = if let Some(inner) = target.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| bad("the bracket is not closed"))?;
            let ip: std::net::Ipv6Addr = inner.parse().map_err(|_| bad("no IPv6 address in brackets"))?;
            Target::Ip(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        } else if target.contains(':') {
            return Err(bad("an IPv6 address with a port needs brackets"));
        } else if let Ok(ip) = target.parse() {
            Target::Ip(ip)
        } else {
            Target::Host(host(target).ok_or_else(|| bad("the host is neither a name nor an address"))?)
        };
        Ok(Self { target, port, protocol })
    }
}

/// A name that a process can ask for: no wildcard, no address.
pub(crate) fn host(text: &str) -> Option<Host> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let all_numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (!name.is_empty() && !all_numeric && name.split('.').all(label)).then(|| Host::new(name))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Host(host) => write!(f, "{host}:{}/{}", self.port, self.protocol),
            Target::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}/{}", self.port, self.protocol),
            Target::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}/{}", self.port, self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_in_every_notation() {
        for (text, expected) in [
            ("api.example.com:443", Ok("api.example.com:443/tcp")),
            ("API.example.com.:443/TCP", Ok("api.example.com:443/tcp")),
            ("192.0.2.1:53/udp", Ok("192.0.2.1:53/udp")),
            ("[2001:db8::1]:443", Ok("[2001:db8::1]:443/tcp")),
            ("[::ffff:192.0.2.1]:80", Ok("192.0.2.1:80/tcp")),
            ("192.0.2.1", Err("the port is missing")),
            ("192.0.2.1:0", Err("the port is no number from 1 to 65535")),
            ("192.0.2.1:99999", Err("the port is no number from 1 to 65535")),
            ("192.0.2.0/24:80", Err("the protocol is neither tcp nor udp (a range is no destination)")),
            ("2001:db8::1:443", Err("an IPv6 address with a port needs brackets")),
            ("[2001:db8::1:443", Err("the bracket is not closed")),
            ("1.2.3:80", Err("the host is neither a name nor an address")),
            ("a b:80", Err("the host is neither a name nor an address")),
        ] {
            let parsed = text.parse::<Destination>();
            match (&parsed, expected) {
                (Ok(destination), Ok(expected)) => assert_eq!(destination.to_string(), expected, "{text}"),
                (Err(error), Err(what)) => assert_eq!(error.what, what, "{text}"),
                _ => panic!("{text}: {parsed:?}, expected {expected:?}"),
            }
        }
    }
}

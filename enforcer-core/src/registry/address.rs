//! Addresses as the registry writes them: an address, a network, or none.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::registry::model::ServiceAddress;

impl ServiceAddress {
    /// From an address or a network as a ServiceEntry or registryz has it; `None` when it is neither. A network of a single
    /// address is that address (`conversion.go`), and `0.0.0.0` is none (`constants.UnspecifiedIP`).
    pub fn parse(text: &str) -> Option<Self> {
        let ip = if text.contains('/') {
            let net: IpNet = text.parse().ok()?;
            if net.prefix_len() < net.max_prefix_len() {
                return Some(Self::Cidr(net.trunc(), text.into()));
            }
            net.addr()
        } else {
            text.parse::<IpAddr>().ok()?.to_canonical()
        };
        Some(if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) { Self::Unspecified } else { Self::Ip(ip) })
    }
}

impl std::fmt::Display for ServiceAddress {
    /// As `defaultAddress` of registryz: a network as the user wrote it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unspecified => f.pad("0.0.0.0"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Cidr(_, text) => f.pad(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("10.0.0.1/32", Some("10.0.0.1")),
            ("2001:DB8::1/128", Some("2001:db8::1")),
            ("1.1.1.0/16", Some("1.1.1.0/16")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("fe80::1%eth0", None),
            ("10.0.0.1/33", None),
            ("10.0.0", None),
            ("", None),
        ] {
            assert_eq!(ServiceAddress::parse(text).map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
        let net = "1.1.0.0/16".parse().unwrap();
        assert_eq!(ServiceAddress::parse("1.1.1.0/16"), Some(ServiceAddress::Cidr(net, "1.1.1.0/16".into())));
    }
}

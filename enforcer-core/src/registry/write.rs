//! Writing a `ServiceEntry`: YAML for a person to review and apply. What our own parser and validator would not take is never
//! written on purpose: callers check with [`crate::registry::parse()`].

use std::fmt::Write as _;

use enforcer_common::addr::Protocol;

use crate::registry::model::AppProtocol;

/// One port of a `ServiceEntry` to be written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NewPort {
    /// `number`
    pub number: u16,
    /// `name`
    pub name: String,
    /// `protocol`
    pub protocol: AppProtocol,
}

/// A `ServiceEntry` to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewServiceEntry {
    /// `metadata.name`
    pub name: String,
    /// `metadata.namespace`
    pub namespace: String,
    /// `spec.hosts`, one of them.
    pub host: String,
    /// `spec.addresses`: addresses and networks.
    pub addresses: Vec<String>,
    /// `spec.ports`
    pub ports: Vec<NewPort>,
    /// `spec.exportTo`
    pub export_to: Vec<String>,
}

impl NewPort {
    /// With the protocol that is usual there, and a name of it. What is not known is TCP, which fits everything.
    pub fn usual(number: u16, transport: Protocol) -> Self {
        let (protocol, word) = match (transport, number) {
            (Protocol::UDP, _) => (AppProtocol::Udp, "udp"),
            (_, 80 | 8080) => (AppProtocol::Http, "http"),
            (_, 443 | 8443) => (AppProtocol::Tls, "tls"),
            _ => (AppProtocol::Tcp, "tcp"),
        };
        Self { number, name: format!("{word}-{number}"), protocol }
    }
}

/// The YAML of `entry`. With addresses it allows these as they are (resolution NONE); a name alone is found by DNS, and a
/// wildcard, which cannot be resolved, by its names alone (NONE).
pub fn service_entry_yaml(entry: &NewServiceEntry) -> String {
    let resolution = if entry.addresses.is_empty() && !entry.host.starts_with('*') { "DNS" } else { "NONE" };
    let mut yaml = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: {}\n  namespace: {}\nspec:\n  hosts:\n  - {}\n",
        scalar(&entry.name),
        scalar(&entry.namespace),
        scalar(&entry.host),
    );
    list(&mut yaml, "exportTo", &entry.export_to);
    list(&mut yaml, "addresses", &entry.addresses);
    let _ = write!(yaml, "  location: MESH_EXTERNAL\n  resolution: {resolution}\n  ports:\n");
    for NewPort { number, name, protocol } in &entry.ports {
        let _ = write!(yaml, "  - number: {number}\n    name: {}\n    protocol: {protocol}\n", scalar(name));
    }
    yaml
}

fn list(yaml: &mut String, field: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(yaml, "  {field}:");
    for item in items {
        let _ = writeln!(yaml, "  - {}", scalar(item));
    }
}

/// `text` as a scalar that every YAML parser reads as this text: quoted, unless it is plainly a name.
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let letter = text.starts_with(|first: char| first.is_ascii_lowercase());
    // Booleans and null, which YAML 1.1 knows by many names.
    let word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text);
    if letter && !word && text.bytes().all(plain) {
        return text.to_owned();
    }
    // JSON is YAML.
    serde_json::Value::from(text).to_string()
}

/// `text` as the name of an object: `allow-` and what of it is a DNS label (RFC 1123).
pub fn object_name(text: &str) -> String {
    let mut name = String::from("allow");
    for part in text.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()) {
        if !part.is_empty() && name.len() + part.len() < 60 {
            name.push('-');
            name.push_str(part);
        }
    }
    name
}

/// The domain of hosts that nobody has named: nobody can ever own it (RFC 6761, 6.4), and answer for it.
pub const NAMELESS: &str = "invalid";

/// A host for something that has only an address.
pub fn placeholder_host(address: &ipnet::IpNet) -> String {
    let label = address_label(address.network());
    if address.prefix_len() == address.max_prefix_len() {
        format!("{label}.{NAMELESS}")
    } else {
        format!("{label}-{}.{NAMELESS}", address.prefix_len())
    }
}

/// `ip-203-0-113-9`, `ip-2001-db8-0-0-0-0-0-1`: all groups, so that no two hyphens meet.
pub fn address_label(ip: std::net::IpAddr) -> String {
    let parts = match ip {
        std::net::IpAddr::V4(ip) => ip.octets().map(|octet| octet.to_string()).join("-"),
        std::net::IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join("-"),
    };
    format!("ip-{parts}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::parse;

    fn entry(host: &str, addresses: &[&str], ports: &[NewPort]) -> NewServiceEntry {
        NewServiceEntry {
            name: object_name(host),
            namespace: "no".to_owned(),
            host: host.to_owned(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            ports: ports.to_vec(),
            export_to: vec![".".to_owned()],
        }
    }

    #[test]
    fn reads_as_a_person_would_write_it() {
        let ports = [NewPort::usual(443, Protocol::TCP), NewPort::usual(53, Protocol::UDP)];
        assert_eq!(
            service_entry_yaml(&entry("api.example.com", &["192.0.2.1", "2001:db8::/32"], &ports)),
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: allow-api-example-com
  namespace: \"no\"
spec:
  hosts:
  - api.example.com
  exportTo:
  - \".\"
  addresses:
  - \"192.0.2.1\"
  - \"2001:db8::/32\"
  location: MESH_EXTERNAL
  resolution: NONE
  ports:
  - number: 443
    name: tls-443
    protocol: TLS
  - number: 53
    name: udp-53
    protocol: UDP
"
        );
    }

    #[test]
    fn is_valid_for_our_own_parser() {
        let port = |number| [NewPort::usual(number, Protocol::TCP)];
        for entry in [
            entry("api.example.com", &[], &port(443)),
            entry("*.example.com", &[], &port(443)),
            entry("db.example.com", &[], &port(5432)),
            entry("ip-192-0-2-1.invalid", &["192.0.2.1"], &port(1)),
            entry(&placeholder_host(&"2001:db8::/33".parse().unwrap()), &["2001:db8::/33"], &port(65535)),
            entry(&placeholder_host(&"2001:db8::/128".parse().unwrap()), &["2001:db8::"], &port(80)),
        ] {
            let parsed = parse("file:new.yaml", &service_entry_yaml(&entry)).unwrap();
            assert_eq!((parsed.objects.len(), parsed.problems), (1, Vec::new()), "{}", entry.host);
        }
    }

    #[test]
    fn names_are_labels() {
        for (text, expected) in [
            ("192.0.2.1:443/tcp", "allow-192-0-2-1-443-tcp"),
            ("*.Example.com", "allow-example-com"),
            (&"a".repeat(80), "allow"),
        ] {
            assert_eq!(object_name(text), expected);
        }
    }
}

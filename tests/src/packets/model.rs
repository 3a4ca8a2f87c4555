//! The workload that the generated frames come from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::reference::{Exempt, Model, Protocol, Registered};

/// A workload of both families: single addresses and networks that are registered, ranges of `--allow` with and without ports.
pub fn model() -> Model {
    let registered = [
        ("10.1.0.10/32", Protocol::Tcp, 443),
        ("10.1.0.10/32", Protocol::Udp, 53),
        ("10.2.0.0/16", Protocol::Tcp, 8080),
        ("10.2.3.0/24", Protocol::Udp, 8080),
        ("fd01::10/128", Protocol::Tcp, 443),
        ("fd01::10/128", Protocol::Udp, 53),
        ("fd02::/64", Protocol::Tcp, 8080),
    ];
    let exempt = [
        ("255.255.255.255/32", Some(67), Some(Protocol::Udp)),
        ("192.0.2.0/24", None, None),
        ("198.51.100.0/25", Some(123), None),
        ("2001:db8::/64", None, None),
        ("fe80::77/128", Some(546), Some(Protocol::Udp)),
        ("2001:db8:0:1::/64", Some(123), Some(Protocol::Udp)),
    ];
    Model {
        own: ["10.0.0.5", "fd00::5", "fe80::5"].map(parse::<IpAddr>).into(),
        registered: registered
            .map(|(net, protocol, port)| Registered { net: parse(net), protocol, port })
            .into(),
        exempt: exempt.map(|(net, port, protocol)| Exempt { net: parse(net), port, protocol }).into(),
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unreachable!("{text} is written above"))
}

/// What is registered, as `ServiceEntries` that translate nothing.
pub fn registry_yaml(model: &Model) -> String {
    let mut nets: BTreeMap<IpNet, Vec<String>> = BTreeMap::new();
    for Registered { net, protocol, port } in &model.registered {
        let protocol = word(*protocol);
        let port =
            format!("{{number: {port}, name: {}-{port}, protocol: {protocol}}}", protocol.to_lowercase());
        nets.entry(*net).or_default().push(port);
    }
    let entry = |(number, (net, ports)): (usize, (&IpNet, &Vec<String>))| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: n{number}, namespace: web}}\n\
             spec:\n  hosts: [n{number}.example.com]\n  addresses: [\"{net}\"]\n  resolution: NONE\n  ports: [{}]\n",
            ports.join(", ")
        )
    };
    nets.iter().enumerate().map(entry).collect()
}

/// What is exempt, as values of `--allow`.
pub fn allow_flags(model: &Model) -> Vec<String> {
    let flag = |Exempt { net, port, protocol }: &Exempt| {
        let protocol = protocol.map(|by| format!("/{}", word(by).to_lowercase())).unwrap_or_default();
        match (net, port) {
            (_, None) => net.to_string(),
            (IpNet::V4(net), Some(port)) => format!("{net}:{port}{protocol}"),
            (IpNet::V6(net), Some(port)) => format!("[{net}]:{port}{protocol}"),
        }
    };
    model.exempt.iter().map(flag).collect()
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

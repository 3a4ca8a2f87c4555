//! Names of application protocols, and how the protocol of a Kubernetes port is told.
//!
//! Sources: istio `pkg/config/protocol/instance.go` (names), `pkg/config/kube/conversion.go` (`ConvertProtocol`).

use std::fmt;

use crate::registry::model::AppProtocol;

/// Every protocol with the name that Istio writes.
const NAMES: [(AppProtocol, &str); 14] = [
    (AppProtocol::Grpc, "GRPC"),
    (AppProtocol::GrpcWeb, "GRPC-Web"),
    (AppProtocol::Http, "HTTP"),
    (AppProtocol::HttpProxy, "HTTP_PROXY"),
    (AppProtocol::Http2, "HTTP2"),
    (AppProtocol::Https, "HTTPS"),
    (AppProtocol::Tcp, "TCP"),
    (AppProtocol::Tls, "TLS"),
    (AppProtocol::Udp, "UDP"),
    (AppProtocol::Mongo, "Mongo"),
    (AppProtocol::Redis, "Redis"),
    (AppProtocol::MySql, "MySQL"),
    (AppProtocol::Hbone, "HBONE"),
    (AppProtocol::DoubleHbone, "DoubleHBONE"),
];

/// Ports that are TCP unless said otherwise, because the server speaks first: SMTP, DNS, `MySQL`, `MongoDB`.
const SERVER_FIRST: [u16; 4] = [25, 53, 3306, 27017];

impl AppProtocol {
    /// From a name in any case; an unknown or empty one is [`Unsupported`](Self::Unsupported).
    pub fn parse(name: &str) -> Self {
        let known = NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        known.map_or(Self::Unsupported, |(protocol, _)| *protocol)
    }

    /// The name that Istio writes.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(known, _)| *known == self).map_or("UnsupportedProtocol", |(_, name)| name)
    }

    /// Of a Kubernetes port. 1. UDP is UDP; 2. `appProtocol` is asked, else the port's name; 3. what stands before the first
    /// `-` counts; 4. the ports of protocols in which the server speaks first are TCP; 5. the rest is to be detected.
    pub fn of_kubernetes(number: u16, name: &str, transport: &str, app_protocol: Option<&str>) -> Self {
        if transport == "UDP" {
            return Self::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            _ => {}
        }
        let name = app_protocol.unwrap_or(name);
        if name.get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case("grpc-web")) {
            return Self::GrpcWeb;
        }
        match Self::parse(name.split('-').next().unwrap_or(name)) {
            Self::Unsupported if SERVER_FIRST.contains(&number) => Self::Tcp,
            protocol => protocol,
        }
    }
}

impl fmt::Display for AppProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (protocol, name) in NAMES {
            assert_eq!((AppProtocol::parse(name), protocol.to_string()), (protocol, name.to_owned()));
            assert_eq!(AppProtocol::parse(&name.to_ascii_uppercase()), protocol);
        }
        assert_eq!(AppProtocol::parse(""), AppProtocol::Unsupported);
        assert_eq!(AppProtocol::parse("sip"), AppProtocol::Unsupported);
    }

    #[test]
    fn protocol_of_a_kubernetes_port() {
        for (number, name, transport, app_protocol, expected) in [
            (8888, "", "TCP", None, AppProtocol::Unsupported),
            (25, "", "TCP", None, AppProtocol::Tcp),
            (53, "", "UDP", None, AppProtocol::Udp),
            (3306, "http", "TCP", None, AppProtocol::Http),
            (80, "http", "TCP", None, AppProtocol::Http),
            (80, "HTTP-web", "TCP", None, AppProtocol::Http),
            (80, "http-web", "UDP", None, AppProtocol::Udp),
            (80, "httptest", "TCP", None, AppProtocol::Unsupported),
            (80, "httptest", "TCP", Some("http"), AppProtocol::Http),
            (80, "http", "TCP", Some("x.example/odd"), AppProtocol::Unsupported),
            (80, "grpc-web", "TCP", None, AppProtocol::GrpcWeb),
            (80, "grpc-web-x", "TCP", None, AppProtocol::GrpcWeb),
            (80, "grpc-x", "TCP", None, AppProtocol::Grpc),
            (80, "x", "TCP", Some("kubernetes.io/h2c"), AppProtocol::Http2),
            (80, "x", "TCP", Some("kubernetes.io/ws"), AppProtocol::Http),
            (80, "x", "TCP", Some("kubernetes.io/wss"), AppProtocol::Https),
            (6379, "redis", "TCP", None, AppProtocol::Redis),
        ] {
            let got = AppProtocol::of_kubernetes(number, name, transport, app_protocol);
            assert_eq!(got, expected, "{number} {name} {transport} {app_protocol:?}");
        }
    }
}

//! Workloads of a mesh: a proxy stands between the application and the network, and gets no further than the application's own
//! registry and the mesh itself.
//!
//! Root is needed, iptables, and a kernel with cgroup v2 and BTF; a test whose needs are missing fails and says what is missing.

#[path = "mesh/ambient.rs"]
mod ambient;
#[path = "mesh/inbound.rs"]
mod inbound;
#[path = "mesh/sidecar.rs"]
mod sidecar;

use std::path::{Path, PathBuf};

use anyhow::Result;
use enforcer_tests::agent::Until;
use enforcer_tests::capture::Capture;
use enforcer_tests::frame::protocol::{TCP, UDP};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Builder, Node};
use enforcer_tests::pod::Pod;
use enforcer_tests::probe::Probe;
use enforcer_tests::proxy::{INBOUND, MeshProxy, OUTBOUND, Own};
use enforcer_tests::world::Spot;
use serde_json::Value;

/// What the pod may reach: a VIP with an endpoint, an address, a Service with endpoints; and what only its proxy needs.
const REGISTRY: &str = r"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: web}
spec:
  hosts: [payments.example.com]
  addresses: [192.0.2.10]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
  endpoints: [{address: 198.51.100.10}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: clock, namespace: web}
spec:
  hosts: [clock.example.com]
  addresses: [192.0.2.20]
  resolution: NONE
  ports: [{number: 80, name: tcp, protocol: TCP}, {number: 53, name: dns, protocol: UDP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: clock-of-ipv6, namespace: web}
spec:
  hosts: [clock6.example.com]
  addresses: ['2001:db8::20']
  resolution: NONE
  ports: [{number: 80, name: tcp, protocol: TCP}, {number: 53, name: dns, protocol: UDP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: secret, namespace: shop}
spec:
  hosts: [secret.example.com]
  exportTo: ['.']
  addresses: [192.0.2.30]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 198.51.100.30}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: web}
spec:
  clusterIP: 10.96.0.20
  ports: [{name: http, port: 9080, targetPort: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: web, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.250.0.21], conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec:
  clusterIP: 10.96.0.9
  ports: [{name: xds, port: 15012}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: istiod-1, namespace: istio-system, labels: {kubernetes.io/service-name: istiod}}
addressType: IPv4
ports: [{name: xds, port: 15012}]
endpoints: [{addresses: [10.250.0.9], conditions: {ready: true}}]
";

/// Where nothing may come to: registered nowhere, or for another namespace.
const FORBIDDEN: [&str; 4] = ["203.0.113.7", "2001:db8:7::7", "198.51.100.30", "192.0.2.30"];
/// Nor to these ports of what is registered at others.
const FORBIDDEN_PORTS: [(&str, u8, u16); 3] =
    [("198.51.100.10", TCP, 443), ("198.51.100.10", UDP, 15008), ("10.250.0.9", TCP, 80)];

/// What a mesh proxy may reach, and what not, by a socket of its own.
const OF_PROXY: [(&str, &str); 22] = [
    ("tcp 198.51.100.10:8443", "reached 198.51.100.10:8443"),
    ("tcp 198.51.100.10:15008", "reached 198.51.100.10:15008"),
    ("tcp 10.250.0.21:8080", "reached 10.250.0.21:8080"),
    ("tcp 10.250.0.21:15008", "reached 10.250.0.21:15008"),
    ("tcp 10.250.0.9:15012", "reached 10.250.0.9:15012"),
    ("tcp 10.96.0.9:15012", "reached 10.96.0.9:15012"),
    ("tcp 192.0.2.20:80", "reached 192.0.2.20:80"),
    ("udp 192.0.2.20:53", "reached 192.0.2.20:53"),
    ("tcp [2001:db8::20]:80", "reached [2001:db8::20]:80"),
    ("udp [2001:db8::20]:53", "reached [2001:db8::20]:53"),
    // Another port of an endpoint, what only another namespace sees, and strangers.
    ("tcp 198.51.100.10:443", "EPERM"),
    ("udp 198.51.100.10:15008", "EPERM"),
    ("tcp 10.250.0.9:80", "EPERM"),
    ("tcp 198.51.100.30:443", "EPERM"),
    ("tcp 198.51.100.30:15008", "EPERM"),
    ("tcp 203.0.113.7:443", "EPERM"),
    ("tcp 203.0.113.7:15008", "EPERM"),
    ("udp-send 203.0.113.7:53", "EPERM"),
    ("tcp [2001:db8:7::7]:80", "EPERM"),
    ("tcp [2001:db8:7::7]:15008", "EPERM"),
    ("tcp [2001:db8:7::7]:15012", "EPERM"),
    ("udp-send [2001:db8:7::7]:53", "EPERM"),
];

/// The protocol and the destination port of an IPv4 packet without options.
fn ends_at(frame: &[u8]) -> Option<(u8, u16)> {
    Some((*frame.get(14 + 9)?, u16::from_be_bytes(*frame.get(14 + 20 + 2..)?.first_chunk()?)))
}

/// A node whose pod `app` is in a mesh.
struct Mesh {
    proxy: MeshProxy,
    inbound: MeshProxy,
    outside: Capture,
    pod: Pod,
    proxy_cgroup: PathBuf,
    node: Node,
}

impl Mesh {
    /// The pod's sidecar.
    fn sidecar(builder: Builder) -> Result<Self> {
        let fields = "namespace=web,name=app,mesh=sidecar,mesh-proxy=istio-proxy";
        let node = builder.pods().registry(REGISTRY).workload_with("app", fields).prepare()?;
        let cgroup = node.world().make_cgroup("pods/app/istio-proxy")?;
        Self::start(node, cgroup, Own::User)
    }

    /// The node's proxy, in this cgroup.
    fn ambient(builder: Builder, cgroup: &str) -> Result<Self> {
        let fields = "namespace=web,name=app,mesh=ambient";
        let node = builder.pods().registry(REGISTRY).workload_with("app", fields).prepare()?;
        let cgroup = node.world().make_cgroup(cgroup)?;
        Self::start(node, cgroup, Own::Mark)
    }

    fn start(mut node: Node, proxy_cgroup: PathBuf, own: Own) -> Result<Self> {
        let pod = node.world().pod("app")?;
        node.world().redirect(&pod, own)?;
        let tunnels = [("192.0.2.10:443", "198.51.100.10:8443"), ("10.96.0.20:9080", "10.250.0.21:15008")];
        let proxy = MeshProxy::start(node.world(), &pod, (own, &proxy_cgroup), OUTBOUND, &tunnels)?;
        let inbound = MeshProxy::start(node.world(), &pod, (own, &proxy_cgroup), INBOUND, &[])?;
        node.start_agent(Until::Ready)?;
        let outside = node.world().capture_outside()?;
        Ok(Self { proxy, inbound, outside, pod, proxy_cgroup, node })
    }

    /// A process in the pod's network, in another cgroup than the pod's own.
    fn in_pod(&self, name: &str, cgroup: &Path) -> Result<()> {
        let network = self.pod.network();
        let spot = Spot { cgroup: Some(cgroup), network: Some(&network), nobody: false };
        self.node.add_probe(name, Probe::start_at(self.node.world(), spot)?);
        Ok(())
    }

    /// Dials, and what the proxy said of it.
    #[track_caller]
    fn through(&self, who: &str, command: &str, outcome: &str, said: &str) -> Result<()> {
        self.node.expect(who, &[(command, outcome)]);
        assert_eq!(self.proxy.said()?, said, "{who}: {command}");
        Ok(())
    }

    /// Nothing was sent where nobody may be reached.
    #[track_caller]
    fn nothing_left(&self) -> Result<()> {
        for address in FORBIDDEN {
            let seen = self.outside.saw_to(address.parse()?)?;
            assert!(seen.is_empty(), "{address}: {seen:02x?}\n{}", self.node.log());
        }
        for (address, protocol, port) in FORBIDDEN_PORTS {
            let mut seen = self.outside.saw_to(address.parse()?)?;
            seen.retain(|frame| ends_at(frame) == Some((protocol, port)));
            assert!(seen.is_empty(), "{address}:{port}: {seen:02x?}\n{}", self.node.log());
        }
        Ok(())
    }

    /// What the application gets through its proxy, and what not.
    fn application_by_proxy(&self) -> Result<()> {
        let vip = "reached 198.51.100.10:8443 under the name 192.0.2.10:443";
        self.through("app", "tcp 192.0.2.10:443", vip, "192.0.2.10:443 by 198.51.100.10:8443: connected")?;
        self.through(
            "app",
            "tcp 192.0.2.20:80",
            "reached 192.0.2.20:80",
            "192.0.2.20:80 by 192.0.2.20:80: connected",
        )?;
        let service = "reached 10.250.0.21:15008 under the name 10.96.0.20:9080";
        self.through(
            "app",
            "tcp 10.96.0.20:9080",
            service,
            "10.96.0.20:9080 by 10.250.0.21:15008: connected",
        )?;
        self.node.expect(
            "app",
            &[
                ("udp 192.0.2.20:53", "reached 192.0.2.20:53"),
                ("tcp [2001:db8::20]:80", "reached [2001:db8::20]:80"),
                ("tcp [2001:db8:7::7]:443", "EPERM"),
                ("tcp [2001:db8:7::7]:15008", "EPERM"),
                ("udp-send [2001:db8:7::7]:53", "EPERM"),
                ("tcp 203.0.113.7:443", "EPERM"),
                ("udp 203.0.113.7:53", "EPERM"),
                ("udp-send 203.0.113.7:53", "EPERM"),
                ("tcp 192.0.2.30:443", "EPERM"),
                ("tcp 198.51.100.10:8443", "EPERM"),
                ("tcp 198.51.100.10:15008", "EPERM"),
                ("tcp 10.250.0.21:15008", "EPERM"),
                ("tcp 10.250.0.9:15012", "EPERM"),
            ],
        );
        assert!(self.proxy.is_silent(), "what is denied does not come to the proxy");
        self.nothing_left()
    }

    /// Tries a technique, and says how many frames of it got out, with what the process said.
    fn try_out(&self, who: &str, technique: &str, to: &str) -> Result<(usize, Value)> {
        let (name, options) = technique.split_once(' ').unwrap_or((technique, ""));
        let marker = Marker::fresh();
        let answer = self.node.probe(who)?.ask(&format!("try {name} {marker} {to} {options}"))?;
        Ok((self.outside.saw(&marker)?.len(), answer))
    }

    /// The application dials its proxy by loopback, and names a destination.
    fn application_asks_its_proxy_for(&self, destination: &str) -> Result<String> {
        let answer = self.node.probe("app")?.ask(&format!("ask 127.0.0.1:15001 {destination}"))?;
        Ok(format!("{}; {}", self.proxy.said()?, answer["said"].as_str().unwrap_or("missing")))
    }
}

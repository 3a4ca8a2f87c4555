//! Denied flows and what is made of them.

mod never_wider;
mod tables;

use std::net::IpAddr;

use super::*;
use crate::fixture::registry;
use crate::flow::FlowDestination;
use crate::policy::NodePolicy;
use crate::registry::model::OutboundMode;

/// A world in which most things can go wrong.
const WORLD: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.10, ports: [{port: 5432, name: tcp-db}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.5]}]
ports: [{name: tcp-db, port: 5432}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  addresses: [203.0.113.1]
  ports: [{number: 443, name: https, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vip, namespace: shop}
spec:
  hosts: [vip.example.com]
  addresses: [198.51.100.9]
  ports: [{number: 443, name: https, protocol: TLS}, {number: 444, name: none, protocol: TLS}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.99}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: empty, namespace: shop}
spec:
  hosts: [empty.example.com]
  addresses: [198.51.100.8]
  ports: [{number: 443, name: https, protocol: TLS}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ledger, namespace: bank}
spec:
  hosts: [ledger.example.com]
  addresses: [203.0.113.50]
  ports: [{number: 443, name: https, protocol: TLS}]
  exportTo: ['.']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec:
  hosts: ['*.wild.example.com']
  ports: [{number: 8883, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: lab}
spec: {egress: [{hosts: ['shop/*']}]}
";

pub(super) fn settings() -> Settings {
    let outbound_policy = NodePolicy::Fixed(OutboundMode::RegistryOnly);
    Settings { outbound_policy, ..Settings::default() }
}

/// `203.0.113.9:443/tcp` of `shop/cart`, seen twice, as the agent tells it.
pub(super) fn denied(workload: &str, to: &str) -> Denied {
    let (to, host) = match to.split_once(' ') {
        Some((to, host)) => (to, Some(host.to_owned())),
        None => (to, None),
    };
    let (place, protocol) = to.rsplit_once('/').unwrap();
    let place: std::net::SocketAddr = place.parse().unwrap();
    let who = |(namespace, name): (&str, &str)| FlowWorkload {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: BTreeMap::new(),
    };
    Denied {
        workload: workload.split_once('/').map(who),
        protocol: protocol.to_owned(),
        destination: FlowDestination { host, ip: place.ip(), port: place.port() },
        reason: "not_registered".to_owned(),
        rule: None,
        count: 2,
        first: "2026-11-20T10:00:00.5Z".parse().unwrap(),
        last: "2026-11-20T11:00:00Z".parse().unwrap(),
    }
}

fn suggested(flows: &[(&str, &str)]) -> Suggestions {
    let denied: Vec<Denied> = flows.iter().map(|(workload, to)| denied(workload, to)).collect();
    suggest(&registry(WORLD), &settings(), &denied).unwrap()
}

/// `namespace/name host addresses ports`, a line each.
fn lines(suggestions: &Suggestions) -> Vec<String> {
    let line = |entry: &Entry| {
        let addresses: Vec<String> = entry.addresses.iter().map(IpAddr::to_string).collect();
        let ports: Vec<String> =
            entry.ports.iter().map(|port| format!("{}/{}", port.number, port.protocol)).collect();
        let (addresses, ports) = (addresses.join(","), ports.join(","));
        format!("{}/{} {} {addresses} {ports}", entry.namespace, entry.name, entry.hosts.join(","))
    };
    suggestions.entries.iter().map(line).collect()
}

#[test]
fn a_document_is_ready_to_be_reviewed_and_applied() {
    let suggestions = suggested(&[("shop/cart", "203.0.113.9:443/tcp"), ("shop/web", "203.0.113.9:443/tcp")]);
    assert_eq!(suggestions.notes, [""; 0]);
    assert_eq!(suggestions.entries.len(), 1);
    assert_eq!(
        suggestions.entries[0].yaml,
        "\
# Seen 4 times, from 2026-11-20T10:00:00Z to 2026-11-20T11:00:00Z
# by shop/cart, shop/web
# The host is made of the address: rename it to what stands there.
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: suggested-ip-203-0-113-9
  namespace: shop
spec:
  hosts:
  - ip-203-0-113-9.invalid
  addresses:
  - \"203.0.113.9\"
  ports:
  - number: 443
    name: tcp-443
    protocol: TCP
  location: MESH_EXTERNAL
  resolution: NONE
  exportTo:
  - '.'
"
    );
}

#[test]
fn one_address_is_said_as_one() {
    let (first, second) = ("203.0.113.9:443/tcp new.example.com", "203.0.113.10:443/tcp new.example.com");
    for (flows, told) in [
        (&[("shop/cart", first)][..], "# The name may have more addresses than the one that was dialled.\n"),
        (
            &[("shop/cart", first), ("shop/cart", second)],
            "# The name may have more addresses than those that were dialled.\n",
        ),
    ] {
        let suggestions = suggested(flows);
        assert!(suggestions.entries[0].yaml.contains(told), "{suggestions:?}");
    }
}

#[test]
fn an_unknown_policy_is_a_note() {
    let settings = Settings { outbound_policy: NodePolicy::Mesh, ..settings() };
    let denied = [denied("shop/a", "203.0.113.9:443/tcp")];
    let suggestions = suggest(&registry(WORLD), &settings, &denied).unwrap();
    assert!(suggestions.entries.is_empty());
    assert!(suggestions.notes[0].contains("set --outbound-traffic-policy"), "{:?}", suggestions.notes);
}

#[test]
fn what_was_never_denied_is_nobodys_business() {
    let mut fine = denied("shop/a", "203.0.113.1:443/tcp");
    "registered".clone_into(&mut fine.reason);
    assert_eq!(suggest(&registry(WORLD), &settings(), &[fine]).unwrap(), Suggestions::default());
}

/// What was wrong with a packet is no matter of where it went: nobody opens a destination because somebody lied about a source.
#[test]
fn a_refused_packet_becomes_a_note() {
    let mut spoofed = denied("shop/a", "203.0.113.9:443/tcp");
    "spoofed_source".clone_into(&mut spoofed.reason);
    let suggestions = suggest(&registry(WORLD), &settings(), &[spoofed]).unwrap();
    assert!(suggestions.entries.is_empty());
    assert!(
        suggestions.notes[0].contains("no entry changes that (spoofed_source)"),
        "{:?}",
        suggestions.notes
    );
}

#[test]
fn destinations_that_need_the_same_share_a_note() {
    let flows: Vec<(String, String)> =
        (1..=7).map(|host| ("-".to_owned(), format!("203.0.113.{host}:443/tcp"))).collect();
    let flows: Vec<(&str, &str)> = flows.iter().map(|(who, to)| (who.as_str(), to.as_str())).collect();
    let notes = suggested(&flows).notes;
    let expected = "203.0.113.1:443/tcp, 203.0.113.2:443/tcp, 203.0.113.3:443/tcp, 203.0.113.4:443/tcp, \
                    203.0.113.5:443/tcp and 2 more (14 flows of processes without identity): these processes";
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with(expected), "{notes:?}");
}

/// An entry that was applied stays what it is when the next is suggested for the same address.
#[test]
fn what_was_applied_is_not_replaced() {
    let first = suggested(&[("shop/a", "203.0.113.9:443/tcp")]);
    let applied = registry(&format!("{WORLD}---\n{}", first.entries[0].yaml));
    let next = suggest(&applied, &settings(), &[denied("shop/a", "203.0.113.9:80/tcp")]).unwrap();
    assert_eq!(
        lines(&next),
        ["shop/suggested-ip-203-0-113-9-80-tcp ip-203-0-113-9-80-tcp.invalid 203.0.113.9 80/TCP"]
    );
    let again = suggest(&applied, &settings(), &[denied("shop/a", "203.0.113.9:443/tcp")]).unwrap();
    assert!(again.entries.is_empty(), "{:?}", lines(&again));
}

#[test]
fn long_names_are_cut() {
    let host = format!("{}.example.com", ["abcdefghi"; 9].join("."));
    let suggestions = suggested(&[("shop/a", &format!("203.0.113.9:443/tcp {host}"))]);
    assert_eq!(suggestions.entries[0].name.len(), 63);
    assert_eq!(suggestions.entries[0].hosts, [host]);
}

/// Words that `kubectl` (YAML 1.1) would take for something else.
#[test]
fn every_namespace_stays_a_text() {
    for namespace in [
        "no",
        "on",
        "y",
        "off",
        "true",
        "null",
        "123",
        "0x1f",
        "1e5",
        "0o17",
        "017",
        "2001-01-01",
        "2001-1-1",
    ] {
        let suggestions = suggested(&[(&format!("{namespace}/a"), "203.0.113.9:443/tcp")]);
        let yaml = &suggestions.entries[0].yaml;
        let line = yaml.lines().find(|line| line.starts_with("  namespace: ")).unwrap();
        assert!(line.contains(['"', '\'']), "{line}");
    }
}

/// What anybody may have written into a record does not leave its comment.
#[test]
fn records_cannot_write_yaml() {
    let mut denied = denied("shop/a", "203.0.113.9:443/tcp");
    denied.workload.as_mut().unwrap().name = "x\nkind: Secret\r\u{1b}[2J".to_owned();
    let suggestions = suggest(&registry(WORLD), &settings(), &[denied]).unwrap();
    assert!(suggestions.entries[0].yaml.contains("# by shop/x?kind: Secret??[2J\n"), "{suggestions:?}");
}

//! Recorded flows against other registries.

use super::*;
use crate::fixture::registry;
use crate::flow::{Flow, FlowProcess};
use crate::policy::NodePolicy;
use crate::registry::model::OutboundMode;

const WORLD: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  addresses: [203.0.113.1]
  ports: [{number: 443, name: https, protocol: TLS}]
  exportTo: ['.']
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: auto, namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z'}
spec:
  hosts: [auto.example.com]
  ports: [{number: 443, name: https, protocol: TLS}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.99}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns6, namespace: shop}
spec:
  hosts: [six.example.com]
  addresses: ['2001:db8::53']
  ports: [{number: 53, name: udp-dns, protocol: UDP}]
  resolution: STATIC
  endpoints: [{address: 203.0.113.53}]
";

fn settings() -> Settings {
    let outbound_policy = NodePolicy::Fixed(OutboundMode::RegistryOnly);
    Settings { outbound_policy, ..Settings::default() }
}

/// A flow of `namespace/name`, or of nobody, that was allowed.
fn flow(workload: &str, to: &str, host: Option<&str>) -> Flow {
    let (place, protocol) = to.rsplit_once('/').unwrap();
    let place: std::net::SocketAddr = place.parse().unwrap();
    let who = |(namespace, name): (&str, &str)| FlowWorkload {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: [].into(),
    };
    Flow {
        time: "2026-11-20T10:00:00Z".parse().unwrap(),
        hook: "connect4".to_owned(),
        verdict: "allow".to_owned(),
        reason: "registered".to_owned(),
        enforcement: "audit".to_owned(),
        workload: workload.split_once('/').map(who),
        cgroup: 7,
        process: FlowProcess { id: 1, name: "curl".to_owned() },
        protocol: protocol.to_owned(),
        source: None,
        destination: FlowDestination { host: host.map(str::to_owned), ip: place.ip(), port: place.port() },
        translated: None,
        rule: None,
    }
}

fn simulated(flows: &[Flow]) -> Simulation {
    let mut recording = Recording::default();
    for flow in flows {
        recording.add(flow).unwrap();
    }
    simulate(&registry(WORLD), &settings(), &recording).unwrap()
}

#[test]
fn every_flow_has_an_outcome() {
    let unconnected = Flow { hook: "sendmsg6".to_owned(), ..flow("shop/a", "[2001:db8::53]:53/udp", None) };
    for (flow, verdict, reason, message) in [
        (
            flow("shop/a", "203.0.113.1:443/tcp", None),
            "allow",
            "registered",
            "registered by ServiceEntry shop/api",
        ),
        (flow("shop/a", "[::ffff:203.0.113.1]:443/tcp", None), "allow", "registered", "registered by"),
        (
            flow("shop/a", "203.0.113.1:80/tcp", None),
            "deny",
            "not_registered",
            "no service that namespace shop can see",
        ),
        (
            flow("test/a", "203.0.113.1:443/tcp", None),
            "deny",
            "not_registered",
            "no service that namespace test can see",
        ),
        (flow("shop/a", "127.0.0.1:443/tcp", None), "allow", "loopback", "loopback"),
        (flow("shop/a", "203.0.113.1:443/sctp", None), "deny", "protocol", "neither TCP, UDP nor ICMP"),
        (
            flow("shop/a", "203.0.113.1:443/nonsense", None),
            "not_judged",
            "",
            "no protocol is called \"nonsense\"",
        ),
        (flow("-", "203.0.113.1:443/tcp", None), "not_judged", "", "the process had no identity"),
        // Connected, it would be translated; a datagram of its own cannot be.
        (flow("shop/a", "[2001:db8::53]:53/udp", None), "translate", "registered", "a VIP of"),
        (unconnected, "deny", "wrong_family", "has no endpoint of the address family"),
    ] {
        let simulation = simulated(std::slice::from_ref(&flow));
        let [outcome] = &simulation.outcomes[..] else { panic!("{simulation:?}") };
        let found = (outcome.verdict.as_str(), outcome.reason.as_str());
        assert_eq!(found, (verdict, reason), "{flow:?}");
        assert!(outcome.message.contains(message), "{outcome:?}");
        assert_eq!(simulation.denied, u64::from(verdict == "deny"));
        assert_eq!(simulation.not_judged, u64::from(verdict == NOT_JUDGED));
    }
}

#[test]
fn equal_flows_are_counted_and_what_is_denied_comes_first() {
    let later =
        Flow { time: "2026-11-20T12:00:00Z".parse().unwrap(), ..flow("shop/a", "203.0.113.2:443/tcp", None) };
    let simulation = simulated(&[
        flow("shop/a", "203.0.113.1:443/tcp", None),
        later.clone(),
        flow("-", "203.0.113.1:443/tcp", None),
        flow("shop/a", "203.0.113.2:443/tcp", None),
        Flow { hook: "sendmsg6".to_owned(), ..flow("shop/a", "203.0.113.2:443/tcp", None) },
    ]);
    assert_eq!((simulation.flows, simulation.denied, simulation.not_judged), (5, 3, 1));
    let found: Vec<_> =
        simulation.outcomes.iter().map(|outcome| (outcome.verdict.as_str(), outcome.count)).collect();
    assert_eq!(found, [("deny", 3), (NOT_JUDGED, 1), ("allow", 1)]);
    let denied = &simulation.outcomes[0];
    assert_eq!((denied.first, denied.last), (flow("-", "0.0.0.0:0/tcp", None).time, later.time));
}

#[test]
fn a_service_out_of_sight_is_named() {
    let simulation = simulated(&[flow("test/a", "203.0.113.1:443/tcp", None)]);
    assert_eq!(
        simulation.outcomes[0].warnings,
        [
            "ServiceEntry shop/api (api.example.com) has this destination, but is exported to shop only, not to test"
        ]
    );
}

/// The VIP of a host is another one in another registry; the name is the same.
#[test]
fn auto_allocated_addresses_are_found_again_by_their_name() {
    let vip = registry(WORLD).services.iter().find_map(|service| service.auto_v4).unwrap();
    let other = "240.240.77.77:443/tcp";
    for (to, host, verdict, judged) in [
        (format!("{vip}:443/tcp"), None, "translate", vip.to_string()),
        (other.to_owned(), Some("auto.example.com"), "translate", vip.to_string()),
        (other.to_owned(), Some("gone.example.com"), "deny", "240.240.77.77".to_owned()),
        (other.to_owned(), None, "deny", "240.240.77.77".to_owned()),
        // Any other address is what it is.
        ("203.0.113.77:443/tcp".to_owned(), Some("auto.example.com"), "deny", "203.0.113.77".to_owned()),
    ] {
        let outcome = simulated(&[flow("shop/a", &to, host)]).outcomes.remove(0);
        assert_eq!((outcome.verdict.as_str(), outcome.ip.to_string()), (verdict, judged), "{to} {host:?}");
    }
}

#[test]
fn a_sidecar_of_the_flows_own_labels_counts() {
    let narrow = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec: {workloadSelector: {labels: {app: batch}}, egress: [{hosts: ['~/*']}]}
";
    let mut batch = flow("shop/a", "203.0.113.1:443/tcp", None);
    batch.workload.as_mut().unwrap().labels.insert("app".to_owned(), "batch".to_owned());
    let mut recording = Recording::default();
    recording.add(&batch).unwrap();
    recording.add(&flow("shop/a", "203.0.113.1:443/tcp", None)).unwrap();
    let simulation = simulate(&registry(&format!("{WORLD}{narrow}")), &settings(), &recording).unwrap();
    let found: Vec<_> = simulation.outcomes.iter().map(|outcome| outcome.verdict.as_str()).collect();
    assert_eq!(found, ["deny", "allow"]);
    assert!(simulation.outcomes[0].warnings[0].contains("Sidecar shop/narrow does not import it"));
}

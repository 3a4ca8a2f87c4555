//! With the suggestion applied, what was seen is allowed for its namespace, and nothing else changes for anybody.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;
use crate::simulate::judge::Asked;
use enforcer_common::addr::Protocol;

/// Addresses of [`WORLD`] and of nobody, two of them beside each other.
const ADDRESSES: [&str; 9] = [
    "203.0.113.1",
    "203.0.113.9",
    "203.0.113.8",
    "203.0.113.50",
    "198.51.100.9",
    "10.96.0.10",
    "10.1.0.5",
    "169.254.169.254",
    "2001:db8::1",
];
const PORTS: [u16; 5] = [80, 443, 8443, 8883, 5432];
const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::TCP), ("udp", Protocol::UDP)];
const NAMESPACES: [&str; 4] = ["shop", "bank", "lab", "test"];
const HOSTS: [&str; 4] = ["api.example.com", "x.example.com", "ledger.example.com", "a.wild.example.com"];

fn flow() -> impl Strategy<Value = Denied> {
    let host = proptest::option::of(0..HOSTS.len());
    (0..NAMESPACES.len(), 0..ADDRESSES.len(), 0..PORTS.len(), 0..PROTOCOLS.len(), host).prop_map(
        |(namespace, address, port, protocol, host)| {
            let place = std::net::SocketAddr::new(ADDRESSES[address].parse().unwrap(), PORTS[port]);
            let host = host.map(|host| format!(" {}", HOSTS[host])).unwrap_or_default();
            denied(
                &format!("{}/a", NAMESPACES[namespace]),
                &format!("{place}/{}{host}", PROTOCOLS[protocol].0),
            )
        },
    )
}

/// Every question of this small world, with what `judge` says.
fn answers(judge: &Judge) -> BTreeMap<(usize, Asked), (Action, &'static str)> {
    let mut answers = BTreeMap::new();
    for workload in 0..NAMESPACES.len() {
        for (address, (port, (_, protocol))) in ADDRESSES.iter().flat_map(|address| {
            PORTS
                .iter()
                .flat_map(|port| PROTOCOLS.map(|protocol| (port, protocol)))
                .map(move |rest| (address, rest))
        }) {
            let asked = Asked { protocol, ip: address.parse().unwrap(), port: *port, same_family: false };
            let verdict = judge.verdict(workload, &asked);
            answers.insert((workload, asked), (verdict.action, verdict.reason.as_str()));
        }
    }
    answers
}

proptest! {
    #![proptest_config(Config {
        cases: 300,
        rng_seed: RngSeed::Fixed(20_261_121),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn a_suggestion_opens_what_was_seen_and_nothing_else(flows in proptest::collection::vec(flow(), 0..12)) {
        let before = registry(WORLD);
        let suggestions = suggest(&before, &settings(), &flows).unwrap();
        let documents = std::iter::once(WORLD).chain(suggestions.entries.iter().map(|entry| entry.yaml.as_str()));
        let after = registry(&documents.collect::<Vec<_>>().join("---\n"));
        let workloads = NAMESPACES.map(|namespace| denied(&format!("{namespace}/a"), "192.0.2.1:1/tcp").workload.unwrap());
        let mut judge = Judge::new(&before, &settings(), &workloads).unwrap();
        let old = answers(&judge);
        judge.lead_to(&after).unwrap();
        let new = answers(&judge);

        let place = |namespace: &str, ip: IpAddr, port: u16, protocol: &str| {
            (namespace.to_owned(), ip, port, protocol.to_owned())
        };
        let seen: BTreeSet<_> = flows.iter().map(|flow| {
            let (to, who) = (&flow.destination, flow.workload.as_ref().unwrap());
            place(&who.namespace, to.ip, to.port, &flow.protocol)
        }).collect();
        let opened: BTreeSet<_> = suggestions.entries.iter().flat_map(|entry| {
            entry.addresses.iter().flat_map(|ip| entry.ports.iter().map(|port| {
                place(&entry.namespace, *ip, port.number, &port.protocol.to_lowercase())
            }))
        }).collect();
        prop_assert!(opened.is_subset(&seen), "{opened:?} of {seen:?}");
        for ((workload, asked), answer) in &new {
            let here = place(NAMESPACES[*workload], asked.ip, asked.port, &asked.protocol.to_string());
            if opened.contains(&here) {
                prop_assert_eq!(answer.0, Action::Allow, "{} of {}", asked, NAMESPACES[*workload]);
            } else {
                prop_assert_eq!(answer, &old[&(*workload, *asked)], "{} of {}", asked, NAMESPACES[*workload]);
            }
        }
    }
}

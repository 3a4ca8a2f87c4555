//! The verdict's truth table: what stands at which level, and what comes out.

extern crate std;

use std::net::IpAddr;
use std::vec::Vec;

use super::*;
use crate::mode::Enforcement;

/// A level of the search.
#[derive(Clone, Copy, PartialEq)]
enum At {
    ExemptExact,
    ExemptNet,
    OwnExact,
    PublicExact,
    OwnNet,
    PublicNet,
    OwnAny,
    PublicAny,
}
use At::{ExemptExact, ExemptNet, OwnAny, OwnExact, OwnNet, PublicAny, PublicExact, PublicNet};

const OWN: ViewId = ViewId::new(7);

/// Tables that hold one rule per level: the level is the class, and the number of the rule.
#[derive(Default)]
struct Stand {
    rules: Vec<(At, Protocol, Port, RuleAction)>,
    backends: Vec<Backend>,
    faulty: Option<At>,
}

impl Stand {
    fn class(&self, at: At) -> Lookup<ClassId> {
        if self.faulty == Some(at) {
            return Err(TableFault);
        }
        Ok(self.rules.iter().any(|rule| rule.0 == at).then(|| ClassId::new(at as u32)))
    }

    fn rule(&self, at: u32, protocol: Protocol, port: Port) -> Option<Rule> {
        let found = self.rules.iter().find(|rule| (rule.0 as u32, rule.1, rule.2) == (at, protocol, port));
        found.map(|rule| Rule { action: rule.3, id: RuleId::new(at + 1) })
    }
}

impl Tables for Stand {
    fn has_exempt(&self) -> bool {
        true
    }
    fn exact(&self, view: ViewId, _: &Addr) -> Lookup<ClassId> {
        self.class(match view {
            ViewId::EXEMPT => ExemptExact,
            ViewId::PUBLIC => PublicExact,
            _ => OwnExact,
        })
    }
    fn longest_prefix(&self, view: ViewId, _: &Addr) -> Lookup<ClassId> {
        self.class(match view {
            ViewId::EXEMPT => ExemptNet,
            ViewId::PUBLIC => PublicNet,
            _ => OwnNet,
        })
    }
    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        Ok(self.rule(class.get(), protocol, port))
    }
    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        Ok(self.rule(if view == ViewId::PUBLIC { PublicAny } else { OwnAny } as u32, protocol, port))
    }
    fn slots(&self, _: RuleId) -> Lookup<u32> {
        Ok(u32::try_from(self.backends.len()).ok())
    }
    fn backend(&self, _: RuleId, slot: u32) -> Lookup<Backend> {
        Ok(self.backends.get(slot as usize - 1).copied())
    }
    fn has_backend(&self, _: RuleId, backend: &Backend) -> Result<bool, TableFault> {
        Ok(self.backends.contains(backend))
    }
}

fn query(destination: &str, protocol: Protocol) -> Query {
    let workload = Workload::new(OWN, true, OutboundPolicy::RegistryOnly, None);
    let ip: IpAddr = destination.parse().unwrap();
    Query::new(workload, protocol, ip.into(), Port::new(443))
}

fn tcp(at: At, action: RuleAction) -> (At, Protocol, Port, RuleAction) {
    (at, Protocol::TCP, Port::new(443), action)
}

use Reason::{
    Exempt, Grace, Loopback, NeedsName, NoBackend, NotRegistered, NotTranslated, Registered, WrongFamily,
};
use RuleAction::{Allow, NeedsName as Name, Translate};

#[test]
fn the_first_rule_of_the_levels_in_their_order_is_the_answer() {
    let levels = [ExemptExact, ExemptNet, OwnExact, PublicExact, OwnNet, PublicNet, OwnAny, PublicAny];
    for (index, first) in levels.iter().enumerate() {
        let rules = levels[index..].iter().map(|at| tcp(*at, Allow)).collect();
        let verdict = decide(&Stand { rules, ..Stand::default() }, &query("192.0.2.1", Protocol::TCP));
        let reason = if index < 2 { Exempt } else { Registered };
        assert_eq!((verdict.action, verdict.reason), (Action::Allow, reason));
        assert_eq!(verdict.rule, RuleId::new(*first as u32 + 1), "level {index}");
    }
}

#[test]
fn a_level_without_a_rule_for_the_port_falls_through() {
    let other_port = (OwnExact, Protocol::TCP, Port::new(80), Allow);
    let other_protocol = (PublicExact, Protocol::UDP, Port::new(443), Allow);
    let stand = Stand { rules: [other_port, other_protocol, tcp(OwnNet, Allow)].into(), ..Stand::default() };
    assert_eq!(decide(&stand, &query("192.0.2.1", Protocol::TCP)).rule, RuleId::new(OwnNet as u32 + 1));
}

#[test]
fn destinations_and_what_comes_out() {
    let v4 = Backend { addr: IpAddr::from([10, 0, 0, 1]).into(), port: Port::new(8443) };
    let v6 = Backend { addr: "2001:db8::1".parse::<IpAddr>().unwrap().into(), port: Port::new(8443) };
    let whole = (ExemptNet, Protocol::ANY, Port::ANY, Allow);
    let udp_rule = (OwnExact, Protocol::UDP, Port::new(443), Translate);
    for (rules, backends, destination, protocol, expected) in [
        (&[][..], &[][..], "127.9.9.9", Protocol::TCP, (Action::Allow, Loopback)),
        (&[], &[], "::1", Protocol::UDP, (Action::Allow, Loopback)),
        (&[], &[], "0.0.0.0", Protocol::TCP, (Action::Allow, Loopback)),
        (&[], &[], "::", Protocol::TCP, (Action::Allow, Loopback)),
        (&[], &[], "::ffff:127.0.0.1", Protocol::TCP, (Action::Allow, Loopback)),
        (&[], &[], "128.0.0.1", Protocol::TCP, (Action::Deny, NotRegistered)),
        (&[], &[], "255.0.0.1", Protocol::TCP, (Action::Deny, NotRegistered)),
        (&[], &[], "192.0.2.1", Protocol::new(136), (Action::Deny, Reason::Protocol)),
        (&[whole], &[], "192.0.2.1", Protocol::new(1), (Action::Allow, Exempt)),
        (&[tcp(OwnAny, Name)], &[], "192.0.2.1", Protocol::TCP, (Action::Deny, NeedsName)),
        (
            &[tcp(OwnExact, Name), tcp(PublicAny, Allow)],
            &[],
            "192.0.2.1",
            Protocol::TCP,
            (Action::Allow, Registered),
        ),
        (&[tcp(OwnExact, Translate)], &[], "192.0.2.1", Protocol::TCP, (Action::Deny, NoBackend)),
        (&[tcp(OwnExact, Translate)], &[v4], "192.0.2.1", Protocol::TCP, (Action::Translate, Registered)),
        (&[tcp(OwnExact, Translate)], &[v6], "192.0.2.1", Protocol::TCP, (Action::Deny, WrongFamily)),
        (&[tcp(OwnExact, Translate)], &[v4], "2001:db8::9", Protocol::TCP, (Action::Translate, Registered)),
        (&[udp_rule], &[v4], "192.0.2.1", Protocol::UDP, (Action::Translate, Registered)),
        (&[whole], &[], "192.0.2.1", Protocol::UDPLITE, (Action::Deny, Reason::Protocol)),
        (&[], &[], "127.0.0.1", Protocol::UDPLITE, (Action::Deny, Reason::Protocol)),
    ] {
        let stand = Stand { rules: rules.into(), backends: backends.into(), faulty: None };
        let verdict = decide(&stand, &query(destination, protocol));
        assert_eq!((verdict.action, verdict.reason), expected, "{destination}/{protocol}");
    }
}

#[test]
fn the_policy_decides_what_nobody_names() {
    let stand = Stand { rules: [tcp(OwnAny, Name)].into(), ..Stand::default() };
    for (policy, port, expected) in [
        (OutboundPolicy::RegistryOnly, 443, (Action::Deny, NeedsName)),
        (OutboundPolicy::RegistryOnly, 80, (Action::Deny, NotRegistered)),
        (OutboundPolicy::AllowAny, 443, (Action::Allow, Reason::AllowAny)),
        (OutboundPolicy::AllowAny, 80, (Action::Allow, Reason::AllowAny)),
        (OutboundPolicy::Unknown, 443, (Action::Deny, Reason::PolicyUnknown)),
    ] {
        let mut query = query("192.0.2.1", Protocol::TCP);
        query.workload = Workload::new(OWN, true, policy, None);
        query.port = Port::new(port);
        let verdict = decide(&stand, &query);
        assert_eq!((verdict.action, verdict.reason), expected, "{policy} {port}");
    }
}

#[test]
fn a_view_that_does_not_inherit_never_looks_at_the_public_part() {
    let rules = [PublicExact, PublicNet, PublicAny].map(|at| tcp(at, Allow)).into();
    let mut query = query("192.0.2.1", Protocol::TCP);
    query.workload = Workload::new(OWN, false, OutboundPolicy::RegistryOnly, None);
    assert_eq!(decide(&Stand { rules, ..Stand::default() }, &query).reason, NotRegistered);
}

#[test]
fn a_table_that_cannot_be_trusted_denies() {
    for faulty in [ExemptExact, ExemptNet, OwnExact, PublicExact, OwnNet, PublicNet] {
        let stand = Stand { rules: [tcp(PublicAny, Allow)].into(), faulty: Some(faulty), ..Stand::default() };
        let verdict = decide(&stand, &query("192.0.2.1", Protocol::TCP));
        assert_eq!((verdict.action, verdict.reason), (Action::Deny, Reason::TableFault));
    }
}

#[test]
fn a_target_port_keeps_the_address() {
    let backends = [Backend { addr: Addr::UNSPECIFIED, port: Port::new(8443) }].into();
    let stand = Stand { rules: [tcp(OwnNet, Translate)].into(), backends, faulty: None };
    let verdict = decide(&stand, &query("192.0.2.1", Protocol::TCP));
    assert_eq!((verdict.backend.addr.ip(), verdict.backend.port.get()), (IpAddr::from([192, 0, 2, 1]), 8443));
}

#[test]
fn a_flow_stays_with_its_backend_for_as_long_as_the_service_has_it() {
    let backend = |last| Backend { addr: IpAddr::from([10, 0, 0, last]).into(), port: Port::new(53) };
    let rules = [(OwnExact, Protocol::UDP, Port::new(443), Translate)].into();
    let stand = Stand { rules, backends: [backend(1), backend(2), backend(3)].into(), faulty: None };
    let query = query("192.0.2.1", Protocol::UDP);
    let first = decide(&stand, &query);
    assert_eq!(first.backend, backend(1));
    for (previous, expected) in [(1, 1), (3, 3), (9, 1)] {
        let verdict = stay(&stand, &query, first, backend(previous));
        assert_eq!(verdict, Verdict { backend: backend(expected), ..first }, "{previous:?}");
    }
}

#[test]
fn a_datagram_of_an_ipv6_socket_cannot_be_sent_to_an_ipv4_backend() {
    let backends = [Backend { addr: IpAddr::from([10, 0, 0, 1]).into(), port: Port::new(53) }].into();
    let rules = [(OwnExact, Protocol::UDP, Port::new(443), Translate)].into();
    let stand = Stand { rules, backends, faulty: None };
    let query = query("2001:db8::9", Protocol::UDP);
    assert_eq!(decide(&stand, &query).action, Action::Translate);
    assert_eq!(decide(&stand, &Query { same_family: true, ..query }).reason, WrongFamily);
}

#[test]
fn what_goes_into_a_word_comes_out_again() {
    for policy in [OutboundPolicy::RegistryOnly, OutboundPolicy::AllowAny, OutboundPolicy::Unknown] {
        for enforcement in
            [None, Some(Enforcement::Off), Some(Enforcement::Audit), Some(Enforcement::Enforce)]
        {
            let workload = Workload::new(ViewId::new(ViewId::MAX), true, policy, enforcement);
            let read = Workload::from_payload(workload.payload());
            assert_eq!((read.view().get(), read.inherits_public()), (ViewId::MAX, true));
            assert_eq!((read.policy(), read.enforcement()), (policy, enforcement));
        }
    }
    for action in [Allow, Translate, Name] {
        let rule = Rule { action, id: RuleId::new(RuleId::MAX) };
        assert_eq!(Rule::from_payload(rule.payload()), Some(rule));
    }
    assert_eq!(Rule::from_payload(7 << 29), None);
}

#[test]
fn a_process_without_identity_gets_loopback_and_what_is_exempt() {
    let whole = (ExemptNet, Protocol::ANY, Port::ANY, Allow);
    for (rules, destination, allowed, expected) in [
        (&[][..], "127.0.0.1", false, (Action::Allow, Loopback)),
        (&[tcp(PublicExact, Allow)], "192.0.2.1", false, (Action::Deny, Reason::UnknownWorkload)),
        (&[tcp(PublicExact, Allow)], "192.0.2.1", true, (Action::Allow, Reason::UnknownWorkloadAllowed)),
        (&[whole], "192.0.2.1", false, (Action::Allow, Exempt)),
    ] {
        let stand = Stand { rules: rules.into(), ..Stand::default() };
        let query = Query { workload: Workload::UNKNOWN, ..query(destination, Protocol::TCP) };
        let verdict = decide_unknown(&stand, &query, allowed);
        assert_eq!((verdict.action, verdict.reason), expected, "{destination} {allowed}");
    }
}

#[test]
fn an_echo_asks_for_the_address_alone() {
    let icmp = |destination| Query { port: Port::ANY, ..query(destination, Protocol::ICMP) };
    for level in [OwnExact, PublicExact, OwnNet, PublicNet] {
        let stand = Stand { rules: [tcp(level, Allow)].into(), ..Stand::default() };
        assert_eq!(decide(&stand, &icmp("192.0.2.1")).reason, Registered);
    }
    let anywhere = Stand { rules: [tcp(OwnAny, Allow)].into(), ..Stand::default() };
    assert_eq!(decide(&anywhere, &icmp("192.0.2.1")).reason, NotRegistered);
    let faulty = Stand { faulty: Some(PublicNet), ..Stand::default() };
    assert_eq!(decide(&faulty, &icmp("192.0.2.1")).reason, Reason::TableFault);
}

#[test]
fn a_packet_goes_where_its_socket_was_sent() {
    let backend = |last| Backend { addr: IpAddr::from([10, 0, 0, last]).into(), port: Port::new(8443) };
    let several = Stand {
        rules: [tcp(OwnExact, Translate)].into(),
        backends: [backend(1), backend(2)].into(),
        faulty: None,
    };
    let single = Stand { rules: several.rules.clone(), backends: [backend(1)].into(), ..Stand::default() };
    let packet = |endpoint| Query { is_packet: true, endpoint, ..query("240.240.0.1", Protocol::TCP) };
    for (stand, endpoint, expected) in [
        (&several, backend(2), (Action::Allow, Registered)),
        (&several, backend(9), (Action::Allow, Grace)),
        (&several, Backend::NONE, (Action::Deny, NotTranslated)),
        (&single, backend(1), (Action::Allow, Registered)),
        (&single, backend(2), (Action::Allow, Grace)),
    ] {
        let verdict = decide(stand, &packet(endpoint));
        assert_eq!((verdict.action, verdict.reason), expected, "{endpoint:?}");
    }
}

/// What is allowed under the asked address is no reason to go anywhere else.
#[test]
fn a_packet_to_an_endpoint_of_what_translates_no_more_has_missed_it() {
    let backend = |ip: [u8; 4], port| Backend { addr: IpAddr::from(ip).into(), port: Port::new(port) };
    let (asked, endpoint) = (backend([192, 0, 2, 1], 443), backend([10, 0, 0, 2], 8443));
    let packet = |role, endpoint| {
        let query = query("192.0.2.1", Protocol::TCP);
        Query { is_packet: true, endpoint, workload: query.workload.with_role(role), ..query }
    };
    let reason = |rule, role, endpoint| {
        decide(&Stand { rules: [rule].into(), ..Stand::default() }, &packet(role, endpoint)).reason
    };
    for rule in [tcp(OwnExact, Allow), tcp(PublicNet, Allow), tcp(ExemptExact, Allow)] {
        assert_eq!(reason(rule, Role::Alone, endpoint), Grace);
        assert_ne!(reason(rule, Role::Alone, asked), Grace, "it goes where it was asked for");
        assert_ne!(reason(rule, Role::Alone, Backend::NONE), Grace);
    }
    assert_eq!(reason(tcp(OwnExact, Translate), Role::Meshed, endpoint), Grace);
}

#[test]
fn beside_a_mesh_proxy_nothing_is_translated() {
    let stand = Stand { rules: [tcp(OwnExact, Translate)].into(), ..Stand::default() };
    for role in [Role::Meshed, Role::MeshProxy] {
        let mut query = query("240.240.0.1", Protocol::TCP);
        query.workload = query.workload.with_role(role);
        for is_packet in [false, true] {
            let verdict = decide(&stand, &Query { is_packet, ..query });
            assert_eq!((verdict.action, verdict.reason), (Action::Allow, Registered));
        }
    }
}

#[test]
fn role_and_coverage_are_beside_all_else() {
    let workload = Workload::new(ViewId::new(ViewId::MAX), true, OutboundPolicy::Unknown, None);
    for role in [Role::Alone, Role::Meshed, Role::MeshProxy, Role::Root] {
        let now = workload.with_coverage(true).with_role(role);
        assert_eq!((now.role(), now.is_covered(), now.view().get()), (role, true, ViewId::MAX));
        assert_eq!(now.with_role(Role::Alone).with_coverage(false), workload);
    }
}

//! What is kept, what is told, and what is lost.

use std::net::{IpAddr, SocketAddr};

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::event::{Asked, Asker, Hook};
use enforcer_common::id::RuleId;
use enforcer_common::mode::Enforcement;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Backend, Verdict};
use enforcer_core::flow::filter::FilterText;
use enforcer_core::flow::{FlowRule, FlowWorkload};
use enforcer_core::name::{Host, Namespace};
use enforcer_core::registry::model::ObjectRef;
use tokio_stream::StreamExt as _;

use super::denied::DESTINATIONS;
use super::subscription::QUEUE;
use super::*;

/// Knows one workload, the rules 7 and 8, and one address.
struct Known(FlowWorkload, Host);

impl Names for Known {
    fn workload(&self, cgroup: CgroupId) -> Option<&FlowWorkload> {
        (cgroup == CgroupId::new(1)).then_some(&self.0)
    }

    fn rule(&self, rule: RuleId) -> Option<(ObjectRef, Host)> {
        let host = match rule.get() {
            7 => "api.example.com",
            8 => "*.example.com",
            _ => return None,
        };
        let (kind, namespace) = ("ServiceEntry".into(), Namespace::new("shop"));
        Some((ObjectRef { kind, namespace, name: "api".into() }, Host::new(host)))
    }

    fn host(&self, to: SocketAddr, _: Protocol) -> Option<&Host> {
        (to.ip() == ip("192.0.2.9")).then_some(&self.1)
    }
}

fn known() -> Known {
    let labels = [("app".to_owned(), "cart".to_owned())].into();
    let workload = FlowWorkload { namespace: "shop".to_owned(), name: "cart".to_owned(), labels };
    Known(workload, Host::new("vip.example.com"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// At second 100 since boot: cgroup `cgroup` asks for `to` and gets `action` by `rule`.
fn event(cgroup: u64, to: &str, action: Action, rule: u32) -> FlowEvent {
    let mut command = [0; 16];
    command[..4].copy_from_slice(b"curl");
    let cgroup = CgroupId::new(cgroup);
    let who = Asker { time_ns: 100_000_000_000, cgroup, cookie: 1, pid: 42, command };
    let asked = Asked {
        hook: Hook::Connect4,
        protocol: Protocol::TCP,
        destination: Addr::from(ip(to)),
        port: Port::new(443),
        source: Addr::from(ip("0.0.0.0")),
        source_port: Port::ANY,
    };
    let reason = if action == Action::Deny { Reason::NeedsName } else { Reason::Registered };
    let backend = Backend { addr: Addr::from(ip("10.0.0.7")), port: Port::new(8443) };
    let verdict = Verdict { action, backend, ..Verdict::deny(reason, RuleId::new(rule)) };
    FlowEvent::new(who, asked, &verdict, Enforcement::Audit)
}

fn flow(event: &FlowEvent) -> Flow {
    let clocks = Clocks { monotonic_ns: 103_500_000_000, wall: "2025-03-01T12:00:10Z".parse().unwrap() };
    named::flow(event, &known(), clocks)
}

fn filter(change: impl FnOnce(&mut FilterText)) -> Filter {
    let mut text = FilterText::default();
    change(&mut text);
    text.parse().unwrap()
}

/// What is there without waiting.
async fn ready(subscription: &mut Subscription) -> Vec<FlowLine> {
    let mut lines = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(std::time::Duration::ZERO, subscription.next()).await {
        lines.push(line);
    }
    lines
}

fn destinations(lines: &[FlowLine]) -> Vec<String> {
    let text = |line: &FlowLine| match line {
        FlowLine::Flow(flow) => flow.destination.ip.to_string(),
        FlowLine::Lost { lost } => {
            format!("{} of {} ({})", lost.events, lost.workload.as_deref().unwrap_or("-"), lost.why)
        }
    };
    lines.iter().map(text).collect()
}

#[test]
fn an_event_gets_the_names_of_its_moment() {
    let named = flow(&event(1, "192.0.2.1", Action::Translate, 7));
    assert_eq!(named.time, "2025-03-01T12:00:06.5Z".parse().unwrap(), "3.5 s ago");
    assert_eq!((named.hook.as_str(), named.verdict.as_str()), ("connect4", "translate"));
    assert_eq!((named.reason.as_str(), named.enforcement.as_str()), ("registered", "audit"));
    assert_eq!((named.workload, named.cgroup), (Some(known().0), 1));
    assert_eq!((named.process.id, named.process.name.as_str()), (42, "curl"));
    assert_eq!((named.protocol.as_str(), named.source), ("tcp", None));
    assert_eq!(named.translated, Some("10.0.0.7:8443".parse().unwrap()));
    let (object, host) = known().rule(RuleId::new(7)).unwrap();
    assert_eq!(named.rule, Some(FlowRule { id: 7, object }));
    assert_eq!(named.destination.host, Some(host.to_string()));
}

#[test]
fn a_host_is_the_rules_unless_that_is_a_wildcard_and_else_the_addresss() {
    for (to, rule, expected) in [
        ("192.0.2.1", 7, Some("api.example.com")),
        ("192.0.2.9", 7, Some("api.example.com")),
        ("192.0.2.9", 8, Some("vip.example.com")),
        ("192.0.2.9", 0, Some("vip.example.com")),
        ("192.0.2.1", 8, None),
        ("192.0.2.1", 0, None),
    ] {
        let named = flow(&event(1, to, Action::Deny, rule));
        assert_eq!(named.destination.host.as_deref(), expected, "{to} by rule {rule}");
        assert_eq!(named.rule.is_some(), rule > 0, "{to} by rule {rule}");
    }
    assert_eq!(flow(&event(2, "192.0.2.1", Action::Deny, 0)).workload, None);
}

#[test]
fn the_last_flows_are_kept_and_many_that_are_allowed_drive_out_no_denial() {
    let store = FlowStore::default();
    store.record(&event(1, "192.0.2.1", Action::Deny, 0), &known());
    for _ in 0..KEPT {
        store.record(&event(1, "192.0.2.2", Action::Allow, 7), &known());
    }
    store.record(&event(2, "192.0.2.3", Action::Deny, 0), &known());
    let mut allowed = event(1, "192.0.2.4", Action::Allow, 7);
    store.record(&allowed, &known());
    let state = store.state();
    let last = |filter: &Filter, last| {
        let stored = state.stored(filter, last);
        stored.iter().map(|flow| flow.destination.ip.to_string()).collect::<Vec<_>>()
    };
    let any = Filter::default();
    assert_eq!(last(&any, 3), ["192.0.2.2", "192.0.2.3", "192.0.2.4"], "the oldest first");
    assert_eq!(last(&any, 0), [""; 0]);
    let all = last(&any, usize::MAX);
    assert_eq!((all.len(), all[0].as_str()), (KEPT + 2, "192.0.2.1"));
    let denied = filter(|text| text.verdicts.push("denied".to_owned()));
    assert_eq!(last(&denied, 20), ["192.0.2.1", "192.0.2.3"]);
    assert_eq!(last(&denied, 1), ["192.0.2.3"]);
    drop(state);
    allowed = event(1, "192.0.2.5", Action::Deny, 0);
    for _ in 0..KEPT {
        store.record(&allowed, &known());
    }
    let state = store.state();
    assert_eq!(state.stored(&denied, usize::MAX).len(), KEPT, "older denials went");
}

#[test]
fn the_status_has_the_last_denials() {
    let store = FlowStore::default();
    store.record(&event(1, "192.0.2.1", Action::Deny, 0), &known());
    store.record(&event(1, "192.0.2.2", Action::Allow, 7), &known());
    store.record(&event(9, "2001:db8::1", Action::Deny, 0), &known());
    let denials = store.denials();
    let said: Vec<_> =
        denials.iter().map(|d| (d.workload.as_str(), d.destination.as_str(), d.blocked)).collect();
    assert_eq!(
        said,
        [("cgroup 9", "[2001:db8::1]:443/tcp", false), ("shop/cart", "192.0.2.1:443/tcp", false)]
    );
    assert_eq!((denials[0].command.as_str(), denials[0].hook.as_str()), ("curl", "connect4"));
}

#[tokio::test]
async fn one_who_follows_gets_what_is_kept_and_then_what_comes_once_each() {
    let store = FlowStore::default();
    store.record(&event(1, "192.0.2.1", Action::Deny, 0), &known());
    let denied = filter(|text| text.verdicts.push("denied".to_owned()));
    let mut all = store.observe(Filter::default(), 20, true);
    let mut some = store.observe(denied, 0, true);
    let kept = store.observe(Filter::default(), 20, false);
    store.record(&event(1, "192.0.2.2", Action::Allow, 7), &known());
    store.record(&event(1, "192.0.2.3", Action::Deny, 0), &known());
    assert_eq!(destinations(&ready(&mut all).await), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(destinations(&ready(&mut some).await), ["192.0.2.3"]);
    assert_eq!(destinations(&kept.collect::<Vec<_>>().await), ["192.0.2.1"], "and it ends");
    assert!(store.is_observed());
    drop((all, some));
    assert!(!store.is_observed());
    store.tell_suppressed(BTreeMap::new(), &known());
    assert_eq!(store.state().subscribers.len(), 0);
}

#[tokio::test]
async fn one_who_reads_slowly_is_told_how_many_were_lost_and_where() {
    let store = FlowStore::default();
    let mut slow = store.observe(Filter::default(), 0, true);
    for _ in 0..QUEUE + 3 {
        store.record(&event(1, "192.0.2.1", Action::Deny, 0), &known());
    }
    assert_eq!(ready(&mut slow).await.len(), QUEUE);
    store.record(&event(1, "192.0.2.2", Action::Deny, 0), &known());
    assert_eq!(destinations(&ready(&mut slow).await), ["3 of - (slow reader)", "192.0.2.2"]);
    for _ in 0..=QUEUE {
        store.record(&event(1, "192.0.2.1", Action::Deny, 0), &known());
    }
    ready(&mut slow).await;
    store.tell_suppressed(BTreeMap::new(), &known());
    assert_eq!(destinations(&ready(&mut slow).await), ["1 of - (slow reader)"], "also when nothing comes");
}

#[tokio::test]
async fn what_the_kernel_suppressed_is_told_once_and_by_workload() {
    let store = FlowStore::default();
    let totals = |pairs: &[(u64, u64)]| pairs.iter().map(|(id, n)| (CgroupId::new(*id), *n)).collect();
    let mut all = store.observe(Filter::default(), 0, true);
    let mut bank = store.observe(filter(|text| text.namespaces.push("bank".to_owned())), 0, true);
    store.knows_suppressed(totals(&[(0, 5), (1, 70)]));
    store.tell_suppressed(totals(&[(0, 5), (1, 70)]), &known());
    assert_eq!(destinations(&ready(&mut all).await), [""; 0]);
    store.tell_suppressed(totals(&[(0, 6), (1, 100)]), &known());
    store.tell_suppressed(totals(&[(0, 6), (1, 2)]), &known());
    let told = ["1 of - ", "30 of shop/cart ", "2 of shop/cart "]
        .map(|told| format!("{told}({})", Lost::SUPPRESSED));
    assert_eq!(destinations(&ready(&mut all).await), told);
    assert_eq!(destinations(&ready(&mut bank).await), [""; 0]);
}

#[tokio::test]
async fn observers_are_waited_for() {
    let store = Arc::new(FlowStore::default());
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.observed().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let _observer = store.observe(Filter::default(), 0, true);
    waiting.await.unwrap();
}

#[test]
fn denials_add_up_and_what_does_not_fit_is_counted() {
    let store = FlowStore::default();
    for to in ["192.0.2.1", "192.0.2.1", "192.0.2.9"] {
        store.record(&event(1, to, Action::Deny, 7), &known());
    }
    store.record(&event(1, "192.0.2.1", Action::Allow, 7), &known());
    let list = store.denied();
    let said: Vec<_> = list.denied.iter().map(|denied| (denied.destination.ip, denied.count)).collect();
    assert_eq!(said, [(ip("192.0.2.1"), 2), (ip("192.0.2.9"), 1)]);
    let first = &list.denied[0];
    assert!(first.first <= first.last);
    assert_eq!((first.workload.as_ref(), first.reason.as_str()), (Some(&known().0), "needs_name"));
    assert_eq!((first.rule.as_ref().map(|rule| rule.id), list.did_not_fit), (Some(7), 0));
    let mut tally = Tally::default();
    for n in 0..u32::try_from(DESTINATIONS).unwrap() + 2 {
        let mut flow = flow(&event(1, "192.0.2.1", Action::Deny, 0));
        flow.destination.ip = IpAddr::V4(n.into());
        tally.add(&flow);
    }
    tally.add(&flow(&event(1, "0.0.0.0", Action::Deny, 0)));
    assert_eq!((tally.list().denied.len(), tally.list().did_not_fit), (DESTINATIONS, 2));
}

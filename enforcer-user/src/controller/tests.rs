//! The controller's stories, on maps in memory.

mod coverage;
mod failing;
mod refused;

use std::path::PathBuf;

use enforcer_common::addr::Protocol;
use enforcer_common::config::ConfigKey;
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Workload;
use enforcer_core::flow::FlowWorkload;
use enforcer_core::name::Namespace;
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::{DirectEndpoints, NodePolicy};
use enforcer_core::registry::parse;

use enforcer_core::flow::Denied;
use tokio::sync::oneshot;

use super::*;
use crate::config::{PolicyConfig, RegistryConfig, RegistrySource, StaticWorkload};
use crate::dataplane::fake::Fake;
use crate::identity::{Cgroup, Identified};

fn entry(name: &str, address: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: web}}\n\
         spec: {{hosts: [{name}.example.com], addresses: [{address}], ports: [{{number: 80, name: http, protocol: HTTP}}]}}\n"
    )
}

fn snapshot(text: &str) -> Snapshot {
    let parsed = parse("file:test.yaml", text).unwrap();
    Snapshot { index: 0, objects: parsed.objects, problems: parsed.problems, stale_files: Vec::new() }
}

fn workload(name: &str) -> Identified {
    let path = PathBuf::from(format!("/sys/fs/cgroup/{name}"));
    let workload = StaticWorkload::plain(path.clone(), name);
    let id = CgroupId::new(name.bytes().map(u64::from).sum());
    Identified { workload, cgroup: Some(Cgroup { id, level: 1, path }), proxy: None }
}

fn located(names: &[&str]) -> (Roster, Network) {
    (roster(names), Network::default())
}

fn roster(names: &[&str]) -> Roster {
    let workloads: Vec<Identified> = names.iter().map(|name| workload(name)).collect();
    let attach = workloads.iter().filter_map(|identified| identified.cgroup.clone()).collect();
    Roster { workloads, attach, ..Roster::default() }
}

fn config(limits: Limits) -> Config {
    Config {
        enforcement: Enforcement::Enforce,
        registry: RegistryConfig {
            sources: vec![RegistrySource::File("test.yaml".into())],
            vip_allocation: enforcer_core::vip::VipAllocation::IstioV2,
            cluster_id: "Kubernetes".into(),
            cluster_domain: "cluster.local".into(),
            root_namespace: Namespace::new("istio-system"),
        },
        policy: PolicyConfig {
            outbound_policy: NodePolicy::Mesh,
            allow_override: false,
            exempt: Vec::new(),
            permit_any_address: false,
            direct_endpoints: DirectEndpoints::Kubernetes,
            trusted_exporters: None,
        },
        cgroups: Vec::new(),
        workloads: Vec::new(),
        unknown_workload_allowed: false,
        interfaces: crate::config::Interfaces { auto: true, patterns: Vec::new() },
        uplinks: Vec::new(),
        endpoint_grace: std::time::Duration::from_mins(10),
        terminate_existing: false,
        pin_dir: "unused".into(),
        admin: "unused".into(),
        limits,
        event_rate: 100,
        metrics: None,
        log: crate::config::LogConfig::default(),
    }
}

const POLICY: &str = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";

fn started(text: &str, limits: Limits) -> (Controller<Fake>, watch::Receiver<Arc<Applied>>) {
    Controller::start(
        config(limits),
        Fake::default(),
        located(&["curl"]),
        Box::new(|_, _, _| Vec::new()),
        vec![snapshot(text)],
    )
    .unwrap()
}

fn verdict(controller: &Controller<Fake>, destination: &str) -> String {
    controller.explain("curl", destination).unwrap().verdict
}

fn tell(controller: &mut Controller<Fake>, event: Event) {
    if controller.take(event) {
        controller.update();
    }
}

#[test]
fn a_registry_is_in_force_before_anything_is_attached_and_published() {
    let (controller, applied) = started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    assert_eq!(verdict(&controller, "192.0.2.1:80"), "allow");
    assert_eq!(verdict(&controller, "192.0.2.2:80"), "deny");
    let status = &applied.borrow().status;
    assert_eq!((status.revision, status.ready, status.services), (1, true, 1));
    assert_eq!(status.attached, ["/sys/fs/cgroup/curl"]);
    let settings = controller.dataplane.settings.clone().unwrap();
    assert_eq!((settings.enforcement, settings.levels), (Enforcement::Enforce, vec![1]));
}

#[test]
fn maps_that_fail_half_way_are_read_back_and_brought_to_the_registry() {
    let (mut controller, applied) =
        started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    // One address comes, a barrier, one goes.
    for fail_after in 0..3 {
        let address = format!("192.0.2.{}", 10 + fail_after);
        controller.dataplane.fail_after = Some(fail_after);
        tell(&mut controller, Event::Source(snapshot(&format!("{POLICY}{}", entry("a", &address)))));
        assert_eq!(controller.dataplane.fail_after, None, "it did fail");
        assert_eq!(verdict(&controller, &format!("{address}:80")), "allow", "after {fail_after}");
        assert_eq!(verdict(&controller, "192.0.2.1:80"), "deny", "after {fail_after}");
        assert!(applied.borrow().status.ready);
        assert!(controller.explain("curl", "192.0.2.1:80").unwrap().warnings.is_empty());
    }
}

#[test]
fn without_a_mesh_config_the_policy_is_unknown_and_the_agent_not_ready() {
    let (controller, applied) = started(&entry("a", "192.0.2.1"), Limits::default());
    assert_eq!(verdict(&controller, "192.0.2.1:80"), "allow");
    assert_eq!(controller.explain("curl", "192.0.2.2:80").unwrap().reason, "policy_unknown");
    assert!(!applied.borrow().status.ready);
}

#[test]
fn workloads_come_and_go() {
    let (mut controller, applied) =
        started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), Network::default()));
    assert_eq!(controller.dataplane.image.workloads.len(), 2);
    assert_eq!(applied.borrow().status.attached.len(), 2);
    let mut gone = roster(&["job"]);
    gone.workloads.push(Identified { cgroup: None, ..workload("curl") });
    tell(&mut controller, Event::Roster(gone, Network::default()));
    assert_eq!(controller.dataplane.image.workloads.len(), 1);
    assert!(applied.borrow().status.not_ready[0].contains("/sys/fs/cgroup/curl"));
}

/// What `enforcer mode` does, without the controller knowing.
fn turn(controller: &mut Controller<Fake>, switch: Switch) {
    controller.dataplane.config[ConfigKey::Enforcement.index() as usize] = switch.word();
}

#[test]
fn a_switch_turned_at_run_time_is_seen_and_outlives_updates_and_restarts() {
    let text = format!("{POLICY}{}", entry("a", "192.0.2.1"));
    let (mut controller, applied) = started(&text, Limits::default());
    let in_force = |applied: &watch::Receiver<Arc<Applied>>| {
        let status = &applied.borrow().status;
        assert!(status.ready, "{:?}", status.not_ready);
        let until = status.enforcement_until.is_some();
        (
            status.enforcement.clone(),
            status.enforcement_from.clone(),
            until,
            status.workloads[0].enforcement.clone(),
        )
    };
    let expected = |node: &str, from: &str, until| (node.to_owned(), from.to_owned(), until, node.to_owned());
    assert_eq!(in_force(&applied), expected("enforce", "flag", false));

    let later = Some((Enforcement::Enforce, crate::clock::since_boot() + 1_000));
    turn(&mut controller, Switch { now: Enforcement::Audit, later });
    tell(&mut controller, Event::Tick);
    assert_eq!(in_force(&applied), expected("audit", "mode", true));
    tell(&mut controller, Event::Source(snapshot(POLICY)));
    assert_eq!(in_force(&applied), expected("audit", "mode", true), "after an update");

    let restart = |controller: Controller<Fake>, enforcement| {
        let config = Config { enforcement, ..config(Limits::default()) };
        Controller::start(
            config,
            controller.dataplane,
            located(&["curl"]),
            Box::new(|_, _, _| Vec::new()),
            vec![snapshot(POLICY)],
        )
        .unwrap()
    };
    let (mut controller, applied) = restart(controller, Enforcement::Enforce);
    assert_eq!(in_force(&applied), expected("audit", "mode", true), "after a restart");

    // The time is up: nobody has written anything.
    turn(&mut controller, Switch { now: Enforcement::Audit, later: Some((Enforcement::Enforce, 1)) });
    tell(&mut controller, Event::Tick);
    assert_eq!(in_force(&applied), expected("enforce", "flag", false));

    turn(&mut controller, Switch::to(Enforcement::Off));
    let (_, applied) = restart(controller, Enforcement::Audit);
    assert_eq!(in_force(&applied), expected("audit", "flag", false), "after a restart with another flag");
}

#[test]
fn rules_workloads_and_addresses_have_names_for_those_who_read_events() {
    let (mut controller, applied) =
        started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    let before = Arc::clone(&applied.borrow());
    let rule = |controller: &Controller<Fake>, destination| {
        RuleId::new(controller.explain("curl", destination).unwrap().rule.unwrap().id)
    };
    let first = rule(&controller, "192.0.2.1:80");
    assert_eq!(before.rules.get(first).unwrap().object.to_string(), "ServiceEntry web/a");
    let names: Vec<String> = before.workloads.values().map(FlowWorkload::full_name).collect();
    assert_eq!(names, ["web/curl"]);
    let host = |applied: &Applied, to: &str| {
        applied.hosts.host(to.parse().unwrap(), Protocol::TCP).map(ToString::to_string)
    };
    assert_eq!(host(&before, "192.0.2.1:80").as_deref(), Some("a.example.com"));

    tell(&mut controller, Event::Source(snapshot(&format!("{POLICY}{}", entry("b", "192.0.2.2")))));
    let after = Arc::clone(&applied.borrow());
    assert_eq!((host(&after, "192.0.2.1:80"), host(&before, "192.0.2.2:80")), (None, None));
    assert_eq!(host(&after, "192.0.2.2:80").as_deref(), Some("b.example.com"));
    let second = rule(&controller, "192.0.2.2:80");
    assert!(
        [first, second].iter().all(|rule| after.rules.get(*rule).is_some()),
        "events of both may be on their way"
    );

    for _ in ["its class goes", "and then the rule"] {
        controller.started -= std::time::Duration::from_mins(1);
        tell(&mut controller, Event::Tick);
    }
    assert!(after.rules.get(first).is_none() && after.rules.get(second).is_some());
    let last = Arc::clone(&applied.borrow());
    assert!(Arc::ptr_eq(&last.hosts, &after.hosts), "the same registry is not looked through again");
}

#[test]
fn a_question_about_an_unknown_workload_lists_those_there_are() {
    let (mut controller, _) = started(POLICY, Limits::default());
    tell(&mut controller, Event::Roster(roster(&["curl", "job"]), Network::default()));
    for (workload, expected) in [
        ("web/curl", Ok(())),
        ("namespace=web,name=job", Ok(())),
        ("cgroup=/sys/fs/cgroup/job", Ok(())),
        ("nobody", Err("no workload of this node is \"nobody\"; there are: web/job, web/curl")),
        (
            "namespace=web",
            Err("\"namespace=web\" is more than one workload: web/curl, web/job; write namespace/name, \
                 namespace=NS,name=N,labels=k=v;k2=v2 or cgroup=PATH"),
        ),
    ] {
        let found = controller.explain(workload, "192.0.2.1:80").map(drop);
        assert_eq!(found, expected.map_err(str::to_owned), "{workload}");
    }
}

#[test]
fn suggestions_are_worked_out_by_the_registry_in_force() {
    let (mut controller, _) = started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    let denied = |ip: &str| -> Denied {
        serde_json::from_value(serde_json::json!({
            "workload": {"namespace": "web", "name": "curl"}, "protocol": "tcp",
            "destination": {"ip": ip, "port": 80}, "reason": "not_registered", "rule": null, "count": 1,
            "first": "2026-11-20T10:00:00Z", "last": "2026-11-20T10:00:00Z"
        }))
        .unwrap()
    };
    let (reply, answer) = oneshot::channel();
    let denied = vec![denied("192.0.2.1"), denied("192.0.2.2")];
    tell(&mut controller, Event::Question(Question::Suggest { denied, reply }));
    let suggestions = answer.blocking_recv().unwrap().unwrap();
    let names: Vec<&str> = suggestions.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["suggested-ip-192-0-2-2"]);
    assert!(suggestions.notes[0].contains("is allowed by the registry as it is now"), "{suggestions:?}");
}

#[test]
fn an_answer_tells_how_the_workload_was_recognised_and_what_does_not_count() {
    let (controller, _) = started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    let explanation = controller.explain("curl", "http://192.0.2.1/x").unwrap();
    let told: Vec<&str> = explanation.steps.iter().take(2).map(|step| &*step.detail).collect();
    assert_eq!(
        told,
        [
            "The workload is web/curl: the processes at or below the cgroup /sys/fs/cgroup/curl (id 438), by --workload.",
            "Enforcement is enforce (the node's switch): denied is denied."
        ]
    );
    assert_eq!(explanation.warnings, ["of the URL only this counts: 192.0.2.1:80/tcp"]);
    let error = controller.explain("curl", "a.example.com").unwrap_err();
    assert!(error.ends_with("registered there: 80/tcp"), "{error}");
}

#[test]
fn a_workload_that_the_maps_know_otherwise_is_a_warning() {
    let (mut controller, _) = started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    let warning = |controller: &Controller<Fake>| {
        controller.explain("curl", "192.0.2.1:80").unwrap().warnings.into_iter().next().unwrap_or_default()
    };
    assert_eq!(warning(&controller), "");
    let workloads = &mut controller.dataplane.image.workloads;
    for workload in workloads.values_mut() {
        *workload = Workload::new(workload.view(), false, workload.policy(), workload.enforcement());
    }
    assert!(
        warning(&controller).starts_with(
            "of this workload the maps hold view v2, REGISTRY_ONLY; compiled was view v2 and the public part, REGISTRY_ONLY:"
        ),
        "{}",
        warning(&controller)
    );
    controller.dataplane.image.workloads.clear();
    assert!(warning(&controller).contains("hold nothing: to them its processes have no identity"));
}

#[test]
fn after_a_detach_the_agent_claims_nothing_and_puts_nothing_back() {
    let (mut controller, applied) =
        started(&format!("{POLICY}{}", entry("a", "192.0.2.1")), Limits::default());
    controller.dataplane.detached = true;
    tell(&mut controller, Event::Tick);
    tell(&mut controller, Event::Source(snapshot(POLICY)));
    let status = &applied.borrow().status;
    assert_eq!((status.ready, status.attached.len(), status.enforcement.as_str()), (false, 0, "off"));
    assert!(status.not_ready[0].contains("detach"), "{:?}", status.not_ready);
    assert_eq!(controller.dataplane.image.exact.len(), 1, "the maps are left alone");
}

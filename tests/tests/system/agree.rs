//! Kernel, `explain` and oracle give one answer: registries are generated as YAML, the real agent enforces them, real
//! sockets are dialled, and every outcome is held against both.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use enforcer_common::addr::{Prefix, Protocol};
use enforcer_common::key::CgroupId;
use enforcer_core::name::{Labels, Namespace};
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::policy::destination::{Destination, Target as Name};
use enforcer_core::policy::{DirectEndpoints, ExemptRange, Settings, WorkloadSpec};
use enforcer_core::registry::{BuildOptions, build, parse};
use enforcer_tests::agent::Until;
use enforcer_tests::generate::universe::NAMESPACES;
use enforcer_tests::generate::{Target, questions};
use enforcer_tests::node::{Node, PORTS};
use enforcer_tests::oracle::{self, Answer};
use enforcer_tests::probe::Outcome;

use dice::Dice;

#[path = "agree/dice.rs"]
mod dice;
#[path = "agree/yaml.rs"]
mod yaml;

/// Registries, and how many destinations each workload dials in one.
const REGISTRIES: u64 = 6;
const DIALS: usize = 60;
/// One in so many is also asked of the running agent.
const ASKED: usize = 20;

#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    allowed: usize,
    denied: usize,
    translated: usize,
    asked: usize,
}

#[test]
fn kernel_explain_and_oracle_agree() -> Result<()> {
    let mut tally = Tally::default();
    for seed in 0..REGISTRIES {
        one_registry(seed, &mut tally).with_context(|| format!("registry {seed}"))?;
    }
    println!("{} pairs of workload and destination compared: {tally:?}", tally.compared);
    assert!(tally.compared >= 1_000, "{tally:?}");
    assert!(tally.allowed.min(tally.denied).min(tally.translated) >= 50, "too little of a kind: {tally:?}");
    Ok(())
}

fn one_registry(seed: u64, tally: &mut Tally) -> Result<()> {
    let mut dice = Dice::new(seed);
    let text = yaml::registry(&mut dice);
    let (settings, flags) = settings(seed);
    let specs: Vec<WorkloadSpec> = NAMESPACES.iter().zip(1..).map(|(name, id)| workload(name, id)).collect();
    let mut node = Node::new().registry(&text);
    for spec in &specs {
        let labels: Vec<String> =
            spec.labels.iter().map(|(key, value)| format!(",labels={key}={value}")).collect();
        let fields = format!("namespace={},name={}{}", spec.namespace, spec.name, labels.concat());
        node = node.workload_with(&spec.name, &fields);
    }
    for (flag, value) in flags {
        node = node.flag(flag, value);
    }
    let node = node.start_until(Until::Answers)?;

    let parsed = parse("file:registry.yaml", &text).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let (registry, _) = build(&parsed.objects, &BuildOptions::default());
    let registry = Arc::new(registry);
    ensure!(
        registry.services.len() >= 15,
        "only {} services: {:#?}",
        registry.services.len(),
        parsed.problems
    );
    let mut compiler = Compiler::new(settings.clone(), Limits::default());
    compiler.update(&registry, &specs, Duration::ZERO).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;

    let mut targets = questions(&registry, &settings);
    targets.retain(|target| [Protocol::TCP, Protocol::UDP].contains(&target.protocol) && target.port > 0);
    for spec in &specs {
        dice.shuffle(&mut targets);
        for target in &targets[..DIALS.min(targets.len())] {
            let expected = oracle::answer(&registry, &settings, &target.asked_by(spec)).answer;
            let what = format!("{}/{} to {target:?}", spec.namespace, spec.name);
            explained(&compiler, spec, target, &expected).with_context(|| what.clone())?;
            let outcome = node.dial(&spec.name, &command(target, &mut dice))?;
            dialled(target, &expected, &outcome)
                .with_context(|| format!("{what}: the oracle says {expected:?}, the kernel {outcome}"))?;
            if tally.compared.is_multiple_of(ASKED) {
                asked(&node, spec, target, &expected).with_context(|| what.clone())?;
                tally.asked += 1;
            }
            tally.compared += 1;
            *match expected {
                Answer::Allow(_) => &mut tally.allowed,
                Answer::Deny(_) => &mut tally.denied,
                Answer::Translate(_) => &mut tally.translated,
            } += 1;
        }
    }
    Ok(())
}

/// The node's side, as the compiler takes it and as it is typed.
fn settings(seed: u64) -> (Settings, Vec<(&'static str, &'static str)>) {
    let mut settings = Settings::default();
    let mut flags = vec![("--outbound-traffic-policy", "mesh")];
    if seed % 2 == 1 {
        settings.direct_endpoints = DirectEndpoints::All;
        settings.allow_override = true;
        flags.extend([("--direct-endpoints", "all"), ("--allow-override", "")]);
    }
    if seed % 3 == 1 {
        let prefix = Prefix::of_ip(IpAddr::from([10, 1, 2, 0]), 24);
        settings.exempt = vec![ExemptRange { prefix, port: Some(9000), protocol: Some(Protocol::TCP) }];
        settings.trusted_exporters = Some(["shop", "north"].map(Namespace::new).into());
        flags.extend([("--allow", "10.1.2.0/24:9000/tcp"), ("--trusted-exporters", "shop,north")]);
    }
    if seed % 3 == 2 {
        settings.permit_any_address = true;
        settings.direct_endpoints = DirectEndpoints::None;
        flags.retain(|(flag, _)| *flag != "--direct-endpoints");
        flags.extend([("--permit-any-address", ""), ("--direct-endpoints", "none")]);
    }
    (settings, flags)
}

fn workload(namespace: &str, id: u64) -> WorkloadSpec {
    let labels: Labels =
        if id.is_multiple_of(2) { [("app".to_owned(), "web".to_owned())].into() } else { Labels::new() };
    let name = format!("in-{namespace}");
    WorkloadSpec { labels, ..WorkloadSpec::new(CgroupId::new(id), Namespace::new(namespace), &name) }
}

fn command(target: &Target, dice: &mut Dice) -> String {
    let how = match target.protocol {
        Protocol::TCP => "tcp",
        _ if dice.one_in(2) => "udp",
        _ => "udp-send",
    };
    format!("{how} {}", SocketAddr::new(target.ip, target.port))
}

/// What became of the dial is what the oracle says.
fn dialled(target: &Target, expected: &Answer, outcome: &Outcome) -> Result<()> {
    let is_denied = *outcome == Outcome::Errno("EPERM".to_owned());
    ensure!(is_denied == matches!(expected, Answer::Deny(_)), "denied or not, that is the question");
    let ip = target.ip.to_canonical();
    match (expected, outcome) {
        (Answer::Allow(_), Outcome::Reached { at, .. }) if !ip.is_unspecified() => {
            ensure!(*at == SocketAddr::new(ip, target.port), "an allowed destination was changed");
        }
        (Answer::Translate(backends), Outcome::Reached { at, peer }) => {
            ensure!(backends.contains(&(at.ip(), at.port())), "that is no backend");
            ensure!(*peer == Some(SocketAddr::new(ip, target.port)), "the socket has another peer");
        }
        (Answer::Translate(backends), other) => {
            let served = backends.iter().all(|(_, port)| PORTS.contains(port));
            ensure!(!served, "{other} at a backend that is there");
        }
        (Answer::Allow(_), other) => {
            // The kernel refuses some itself: the broadcast address of a network, say.
            let lost = matches!(other, Outcome::Silence)
                || matches!(other, Outcome::Errno(name) if ["EAGAIN", "EINPROGRESS", "ETIMEDOUT"].contains(&&**name));
            let served = PORTS.contains(&target.port) && !ip.is_unspecified() && !ip.is_multicast();
            ensure!(!(served && lost), "{other} at an address that is allowed");
        }
        _ => {}
    }
    Ok(())
}

/// `explain` over the compiled image says the same.
fn explained(compiler: &Compiler, spec: &WorkloadSpec, target: &Target, expected: &Answer) -> Result<()> {
    let destination = Destination {
        target: Name::Ip(target.ip.to_canonical()),
        port: target.port,
        protocol: target.protocol,
    };
    let explanation = compiler.explain(compiler.image(), spec, &destination);
    same(&explanation.verdict, &explanation.reason, expected)
}

/// `enforcer explain` over the live maps says the same.
fn asked(node: &Node, spec: &WorkloadSpec, target: &Target, expected: &Answer) -> Result<()> {
    let destination = Destination {
        target: Name::Ip(target.ip.to_canonical()),
        port: target.port,
        protocol: target.protocol,
    };
    let workload = format!("{}/{}", spec.namespace, spec.name);
    let answer = node.explain(&workload, &destination.to_string())?;
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    same(&text("verdict"), &text("reason"), expected)
}

fn same(verdict: &str, reason: &str, expected: &Answer) -> Result<()> {
    let (expected_verdict, expected_reason) = match expected {
        Answer::Allow(reason) => ("allow", reason.as_str()),
        Answer::Deny(reason) => ("deny", reason.as_str()),
        Answer::Translate(_) => ("translate", "registered"),
    };
    ensure!(
        (verdict, reason) == (expected_verdict, expected_reason),
        "explained as {verdict} ({reason}), the oracle says {expected_verdict} ({expected_reason})"
    );
    Ok(())
}

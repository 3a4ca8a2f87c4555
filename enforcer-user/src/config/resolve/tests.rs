//! What can be typed, and what becomes of it.

use clap::{ArgMatches, Args as _, Command};
use enforcer_common::mode::Enforcement;
use enforcer_core::policy::Settings;
use enforcer_core::policy::budget::Limits;
use enforcer_core::registry::BuildOptions;

use super::*;
use crate::cli::args::run::RunArgs;
use crate::config::{LogFormat, RegistrySource};

mod network;

/// Resolves the flags of `enforcer run`, beside a registry unless they have one.
fn resolve(flags: &[&str]) -> Result<Config, Vec<String>> {
    let registry: &[&str] =
        if flags.iter().any(|flag| flag.starts_with("--registry")) { &[] } else { &["--registry=file:/r"] };
    resolve_bare(&[registry, flags].concat())
}

fn resolve_bare(flags: &[&str]) -> Result<Config, Vec<String>> {
    let given = Given::merge(&typed(flags), None).unwrap();
    run(&given).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn typed(flags: &[&str]) -> ArgMatches {
    let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
    command.try_get_matches_from(flags).unwrap()
}

#[test]
fn nothing_but_a_registry_is_the_defaults() {
    let config = resolve(&[]).unwrap();
    assert_eq!(config.enforcement, Enforcement::Audit);
    assert_eq!(config.registry.sources, [RegistrySource::File("/r".into())]);
    assert_eq!(config.registry.build_options(), BuildOptions::default());
    let settings = crate::config::settings(&config.policy, &config.registry, [].into());
    assert_eq!(settings, Settings::default());
    assert_eq!(config.registry.cluster_domain, "cluster.local");
    assert_eq!(config.policy.outbound_policy, enforcer_core::policy::NodePolicy::Mesh);
    assert_eq!(config.pin_dir, Path::new("/sys/fs/bpf/enforcer"));
    assert_eq!(config.limits, Limits::default());
    assert!(!config.unknown_workload_allowed);
    assert_eq!(config.metrics, Some(([127, 0, 0, 1], 15_090).into()));
    assert_eq!((config.log.format, config.log.directives.as_str()), (LogFormat::Text, "info"));
}

#[test]
fn everything_given() {
    let config = resolve(&[
        "--enforcement=ENFORCE",
        "--outbound-traffic-policy=registry_only",
        "--registry=file:a//b/",
        "--registry=file:c",
        "--cgroup=/sys/fs/cgroup/apps/",
        "--workload=cgroup=/sys/fs/cgroup/apps/x,namespace=shop,labels=app=x;v=1,enforcement=off",
        "--allow=10.0.0.0/8,[2001:db8::/32]:53/udp",
        "--trusted-exporters=a,b",
        "--map-entries=exact=1_000",
        "--unknown-workload=allow",
        "--allow-override",
    ])
    .unwrap();
    assert_eq!(config.enforcement, Enforcement::Enforce);
    assert_eq!(config.registry.sources, ["a/b", "c"].map(|path| RegistrySource::File(path.into())));
    let [workload] = &config.workloads[..] else { panic!("{:?}", config.workloads) };
    assert_eq!((workload.namespace.as_str(), workload.name.as_str()), ("shop", "x"));
    assert_eq!(workload.labels.len(), 2);
    assert_eq!(workload.enforcement, Some(Enforcement::Off));
    assert_eq!(config.policy.exempt.len(), 2);
    assert_eq!(config.policy.trusted_exporters.unwrap().len(), 2);
    assert_eq!(config.limits.exact, 1_000);
    assert!(config.unknown_workload_allowed && config.policy.allow_override);
}

/// Each flag with the beginning of the one fault it makes.
#[test]
#[rustfmt::skip]
fn faults() {
    for (flag, expected) in [
        ("--enforcement=on", "--enforcement \"on\": not one of the known values; use enforce, audit or off"),
        ("--outbound-traffic-policy=x", "--outbound-traffic-policy \"x\": not one of the known values; use REGISTRY_ONLY, ALLOW_ANY or mesh"),
        ("--direct-endpoints=", "--direct-endpoints: not one of the known values; use none, kubernetes or all"),
        ("--vip-allocation=v2", "--vip-allocation \"v2\": not one of the known values; use istio-v2, istio-legacy or off"),
        ("--unknown-workload=x", "--unknown-workload \"x\": not one of the known values; use deny or allow"),
        ("--registry=", "--registry: no source given"),
        ("--registry=file:", "--registry \"file:\": the path is empty; write file:PATH"),
        ("--registry=/etc/x", "--registry \"/etc/x\": the kind of source is missing; for a path, write file:/etc/x"),
        ("--registry=istiod:a:15012", "--registry \"istiod:a:15012\": this version has no istiod: source; use file:PATH"),
        ("--registry=registryz:http://a/x", "--registry \"registryz:http://a/x\": this version has no registryz: source"),
        ("--registry=kube:", "--registry \"kube:\": this version has no kube: source"),
        ("--registry=http://a", "--registry \"http://a\": not a known kind of source"),
        ("--registry=file:/a\nfile:/a/", "--registry \"file:/a/\": the source is there twice"),
        ("--cgroup=apps", "--cgroup \"apps\": the path is not absolute"),
        ("--cgroup=/a/../b", "--cgroup \"/a/../b\": the path has \"..\" in it"),
        ("--admin=x.sock", "--admin \"x.sock\": the path is not absolute"),
        ("--cluster-id=", "--cluster-id: the name is empty"),
        ("--cluster-domain=a..b", "--cluster-domain \"a..b\": not a domain"),
        ("--root-namespace=A", "--root-namespace \"A\": \"A\" is not the name of a namespace"),
        ("--trusted-exporters=a,-b", "--trusted-exporters \"-b\": \"-b\" is not the name of a namespace"),
        ("--metrics=", "--metrics: neither an address with a port nor off; write ADDRESS:PORT"),
        ("--metrics=15090", "--metrics \"15090\": neither an address with a port nor off; write ADDRESS:PORT"),
        ("--metrics=:15090", "--metrics \":15090\": neither an address with a port nor off; for every address of the node write 0.0.0.0:15090"),
        ("--metrics=localhost:1", "--metrics \"localhost:1\": neither an address with a port nor off; write 127.0.0.1:1 or"),
        ("--log-format=xml", "--log-format \"xml\": not one of the known values; use text or json"),
        ("--log-level=", "--log-level: no level; use error, warn"),
        ("--log-level=inof", "--log-level \"inof\": \"inof\" is not a level; use error, warn"),
        ("--log-level=info,a::b=loud", "--log-level \"info,a::b=loud\": not log directives: "),
        ("--event-rate=0", "--event-rate \"0\": not a rate"),
        ("--map-entries=EXACT", "--map-entries \"EXACT\": no number"),
        ("--map-entries=X=1", "--map-entries \"X=1\": no map is called \"X\"; use WORKLOADS, EXACT"),
        ("--map-entries=EXACT=0", "--map-entries \"EXACT=0\": \"0\" is no number of entries"),
        ("--map-entries=EXACT=1,exact=2", "--map-entries \"EXACT=2\": the map is there twice"),
        ("--workload=namespace=a", "--workload \"namespace=a\": no cgroup; add cgroup=PATH"),
        ("--workload=cgroup=/a", "--workload \"cgroup=/a\": no namespace; add namespace=NS"),
        ("--workload=cgroup=a,namespace=b", "--workload \"cgroup=a,namespace=b\": cgroup: the path is not absolute"),
        ("--workload=cgroup=/a,namespace=b,x=y", "--workload \"cgroup=/a,namespace=b,x=y\": x: no such field; use cgroup, namespace, name, labels, enforcement, interface, address, mesh or mesh-proxy"),
        ("--workload=cgroup=/a,namespace=b,labels=x", "--workload \"cgroup=/a,namespace=b,labels=x\": labels: \"x\" is not a label"),
        ("--workload=cgroup=/a,namespace=b,labels=x=y;x=z", "--workload \"cgroup=/a,namespace=b,labels=x=y;x=z\": labels: the label \"x\" is there twice"),
        ("--workload=cgroup=/a,namespace=b,enforcement=no", "--workload \"cgroup=/a,namespace=b,enforcement=no\": enforcement: not one of"),
        ("--workload=cgroup=/a,namespace=b,name=", "--workload \"cgroup=/a,namespace=b,name=\": name: empty"),
        ("--workload=cgroup=/a,namespace=b,nmae=x", "--workload \"cgroup=/a,namespace=b,nmae=x\": nmae: no such field; did you mean name?"),
        ("--workload=cgroup=/a,namespace=b,name=x,name=y", "--workload \"cgroup=/a,namespace=b,name=x,name=y\": name: there twice"),
        ("--allow-override=maybe", "--allow-override \"maybe\": neither true nor false; use true or false"),
        ("--workload=cgroup=/a,namespace=b\ncgroup=/a/,namespace=c", "--workload \"cgroup=/a/,namespace=c\": the cgroup /a has an identity already"),
    ] {
        let faults = resolve(&[flag]).unwrap_err();
        assert_eq!(faults.len(), 1, "{flag}: {faults:?}");
        assert!(faults[0].starts_with(expected), "{flag}: {}", faults[0]);
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    let faults =
        resolve_bare(&["--enforcement=x", "--allow=1.2.3.4/40", "--pin-dir=p", "--allow=a"]).unwrap_err();
    let flags: Vec<_> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    assert_eq!(flags, ["--enforcement", "--allow", "--allow", "--pin-dir", "--registry:"]);
}

#[test]
fn what_is_logged_and_where_metrics_are() {
    for (level, expected) in [
        ("DEBUG", "DEBUG"),
        ("enforcer_user::sources=debug", "info,enforcer_user::sources=debug"),
        (" warn , hyper=off,", "warn,hyper=off"),
    ] {
        let config = resolve(&["--log-level", level, "--log-format=JSON"]).unwrap();
        assert_eq!((config.log.directives.as_str(), config.log.format), (expected, LogFormat::Json));
    }
    for (text, expected) in [("off", None), ("[::1]:1", Some("[::1]:1")), ("0.0.0.0:0", Some("0.0.0.0:0"))] {
        let address = resolve(&["--metrics", text]).unwrap().metrics.map(|address| address.to_string());
        assert_eq!(address.as_deref(), expected);
    }
}

#[test]
fn a_workload_outside_every_cgroup_is_a_fault() {
    let faults = resolve(&["--cgroup=/a", "--workload=cgroup=/ab,namespace=x"]).unwrap_err();
    assert!(faults[0].contains("the cgroup /ab is not below any --cgroup"), "{faults:?}");
}

/// Also of one workload.
#[test]
fn every_field_of_a_workload_is_looked_at() {
    let faults = resolve(&["--workload=cgroup=a,namespace=B,enforcement=x"]).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.split(": ").nth(1).unwrap()).collect();
    assert_eq!(fields, ["cgroup", "namespace", "enforcement"], "{faults:?}");
}

/// What is on in a file or the environment can be turned off by a flag.
#[test]
fn switches_take_a_value() {
    for (flag, expected) in [
        ("--allow-override", true),
        ("--allow-override=true", true),
        ("--allow-override=YES", true),
        ("--allow-override=0", false),
        ("--allow-override=false", false),
        ("--allow-override=", false),
    ] {
        assert_eq!(resolve(&[flag]).unwrap().policy.allow_override, expected, "{flag}");
    }
}

#[test]
fn ranges_in_every_notation() {
    for (text, expected) in [
        ("10.0.0.1", Ok("10.0.0.1/32 None None")),
        ("10.0.0.0/8", Ok("10.0.0.0/8 None None")),
        ("10.0.0.0/8:443", Ok("10.0.0.0/8 Some(443) None")),
        ("10.0.0.1:53/UDP", Ok("10.0.0.1/32 Some(53) Some(udp)")),
        ("2001:db8::/32", Ok("2001:db8::/32 None None")),
        ("2001:db8::1", Ok("2001:db8::1/128 None None")),
        ("[2001:db8::/32]:443/tcp", Ok("2001:db8::/32 Some(443) Some(tcp)")),
        ("[2001:db8::1]", Ok("2001:db8::1/128 None None")),
        ("::ffff:10.0.0.1", Ok("10.0.0.1/32 None None")),
        ("0.0.0.0/0", Ok("0.0.0.0/0 None None")),
        ("10.0.0.1/8", Err("10.0.0.1/8 has bits behind its length")),
        ("10.0.0.0/33", Err("\"10.0.0.0/33\" is neither an address nor a network")),
        ("example.com:443", Err("\"example.com\" is neither an address nor a network")),
        ("10.0.0.1:0", Err("\"0\" is no port")),
        ("10.0.0.1:65536", Err("\"65536\" is no port")),
        ("10.0.0.1:", Err("\"\" is no port")),
        ("10.0.0.1:53/icmp", Err("\"icmp\" is no protocol with ports")),
        ("10.0.0.0/8/tcp", Err("\"10.0.0.0/8/tcp\" is neither an address nor a network")),
        ("[2001:db8::1", Err("the bracket is not closed")),
        ("[2001:db8::1]443", Err("\"443\" stands behind the bracket")),
    ] {
        let parsed = exempt::range(text);
        let shown =
            parsed.as_ref().map(|range| format!("{} {:?} {:?}", range.prefix, range.port, range.protocol));
        match expected {
            Ok(expected) => assert_eq!(shown.as_deref(), Ok(expected), "{text}"),
            Err(expected) => {
                assert_eq!(shown.map_err(|(what, _)| what.clone()), Err(expected.to_owned()), "{text}");
            }
        }
    }
}

#[test]
fn a_question_without_the_agent_names_a_workload() {
    let named = workload::name("namespace=shop,labels=app=cart").unwrap();
    assert_eq!((named.namespace.as_str(), named.name.as_str()), ("shop", ""));
    assert_eq!(named.labels.get("app").map(String::as_str), Some("cart"));
    let named = workload::name("shop/cart").unwrap();
    assert_eq!((named.namespace.as_str(), named.name.as_str()), ("shop", "cart"));
    for (text, expected) in [
        ("cart", "\"cart\" is not key=value"),
        ("", "\"\" is not key=value"),
        ("Shop/cart", "\"Shop\" is not the name of a namespace"),
        ("cgroup=/a,namespace=b", "cgroup: a cgroup is known to the running agent only"),
        ("pid=1", "pid: a pid is known to the running agent only"),
        ("name=x", "no namespace"),
    ] {
        assert_eq!(workload::name(text).unwrap_err().0, expected, "{text}");
    }
}

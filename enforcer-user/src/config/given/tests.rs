//! Files: what they may say, all that may be wrong with them, and what wins over them.

use std::path::Path;

use clap::{Args as _, Command};
use enforcer_common::mode::Enforcement;

use super::*;
use crate::config::{Config, Mesh, RegistrySource, resolve, show};

const EXAMPLE: &str = include_str!("../../../../deploy/examples/enforcer.yaml");

fn matches(flags: &[&str]) -> ArgMatches {
    // A variable that every environment has, since a test cannot set one.
    let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
    let command =
        command.mut_arg("cluster_id", |arg| arg.env(if flags.is_empty() { "UNSET_" } else { "PATH" }));
    command.try_get_matches_from(flags).unwrap()
}

fn given(flags: &[&str], text: &str) -> Given {
    Given::merge(&matches(flags), Some(File::parse("e.yaml", text, &settings::all()))).unwrap()
}

fn resolved(flags: &[&str], text: &str) -> Config {
    resolve::run(&given(flags, text)).unwrap_or_else(|faults| panic!("{}", resolve::Faulty(faults)))
}

fn faults(flags: &[&str], text: &str) -> Vec<String> {
    let faults = resolve::run(&given(flags, text)).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_says_what_flags_say() {
    let text = "
enforcement: off
registry: [file:a, 'file:b']
workload:
- cgroup: /x,y/cart
  namespace: shop
  labels: {app: cart, v: 1}
  interface: [veth1, 'veth2']
  address:
  - 10.0.0.7
  - 2001:db8::7
  mesh: sidecar
  mesh-proxy: a,b
- cgroup=/z,namespace=bank,labels=app=x,interface=veth3;veth4
map-entries: {exact: 1_000, RULE_HITS: 7, FLOWS: 256}
interface: [auto, 'cali*']
uplink: [eth?]
endpoint-grace: 0s
terminate-existing: on
allow: [10.0.0.0/8, '[2001:db8::/32]:53/udp']
allow-override: yes
trusted-exporters: []
event-rate: 5
";
    let config = resolved(&[], text);
    assert_eq!(config.enforcement, Enforcement::Off);
    assert_eq!(config.registry.sources, ["a", "b"].map(|path| RegistrySource::File(path.into())));
    let [cart, bank] = &config.workloads[..] else { panic!("{:?}", config.workloads) };
    assert_eq!(cart.cgroup, Path::new("/x,y/cart"), "a mapping can say what a text cannot");
    assert_eq!((cart.name.as_str(), bank.name.as_str()), ("cart", "z"));
    assert_eq!(cart.labels.get("v").map(String::as_str), Some("1"));
    assert_eq!(bank.labels.get("app").map(String::as_str), Some("x"));
    assert_eq!(
        (&cart.interfaces[..], bank.interfaces.len()),
        (&["veth1".to_owned(), "veth2".to_owned()][..], 2)
    );
    assert_eq!((cart.addresses.len(), bank.addresses.len()), (2, 0));
    assert_eq!(cart.mesh, Some(Mesh::Sidecar { proxy: "/x,y/cart/a,b".into() }));
    assert_eq!((config.limits.exact, config.limits.rules, config.limits.flows), (1_000, 7, 256));
    assert!(config.interfaces.auto && config.interfaces.patterns[0].matches("cali1"));
    assert!(
        config.uplinks[0].matches("eth0") && config.endpoint_grace.is_zero() && config.terminate_existing
    );
    assert_eq!((config.policy.exempt.len(), config.policy.allow_override, config.event_rate), (2, true, 5));
    assert_eq!(config.policy.trusted_exporters, None);
    assert_eq!(config.registry.cluster_domain, "cluster.local", "a default");
}

#[test]
fn flag_variable_file_default_in_this_order() {
    let path = std::env::var("PATH").unwrap();
    let text = "registry: [file:f]\ncluster-id: f\nallow: [10.0.0.0/8, 11.0.0.0/8]\nallow-override: true\nevent-rate: 7";
    let file = resolved(&[], text);
    assert_eq!((file.registry.cluster_id.as_str(), file.policy.exempt.len(), file.event_rate), ("f", 2, 7));
    let variable = resolved(&["--allow-override=false", "--allow=12.0.0.0/8"], text);
    assert_eq!((variable.registry.cluster_id, variable.policy.exempt.len()), (path, 1));
    assert!(file.policy.allow_override && !variable.policy.allow_override);
    let flag = resolved(&["--cluster-id=t", "--registry=file:t"], text);
    assert_eq!(flag.registry.cluster_id, "t");
    assert_eq!(flag.registry.sources, [RegistrySource::File("t".into())], "lists are not mixed");
    assert_eq!(resolved(&[], "registry: [file:f]").registry.cluster_id, "Kubernetes");
}

/// A file, beside a registry, with the beginning of the one fault it makes.
#[test]
#[rustfmt::skip]
fn faults_of_files() {
    for (text, expected) in [
        ("\nenforcement: on", "e.yaml:3: enforcement \"on\": not one of the known values; use enforce, audit or off"),
        ("enforcement:", "e.yaml:2: enforcement: no value; give one, or take the key out"),
        ("enforcement: [audit]", "e.yaml:2: enforcement: a list; write one value"),
        ("enforcement: {a: b}", "e.yaml:2: enforcement: a mapping; write one value"),
        ("enforcement: !x audit", "e.yaml:2: enforcement: a value with the tag !x, which is not understood"),
        ("enforcment: audit", "e.yaml:2: enforcment: no such key; did you mean enforcement?"),
        ("event_rate: 1", "e.yaml:2: event_rate: no such key; did you mean event-rate?"),
        ("--event-rate: 1", "e.yaml:2: --event-rate: no such key; did you mean event-rate?"),
        ("zzz: 1", "e.yaml:2: zzz: no such key; `enforcer run --help` lists"),
        ("config: x", "e.yaml:2: config: no such key"),
        ("registry: [file:y]", "e.yaml:2: registry: the key is there twice, first on line 1; keep one"),
        ("allow: 10.0.0.0/8", "e.yaml:2: allow: a single value; write a list: `allow: [...]`"),
        ("allow:", "e.yaml:2: allow: no value; write a list"),
        ("allow: [10.0.0.0/8, '']", "e.yaml:2: allow[1]: the value is empty"),
        ("allow:\n- 10.0.0.0/8\n-", "e.yaml:4: allow[1]: no value"),
        ("allow:\n- 10.0.0.0/8\n- 10.0.0.1/8", "e.yaml:4: allow[1] \"10.0.0.1/8\": 10.0.0.1/8 has bits behind its length"),
        ("allow:\n- 10.0.0.0/8,11.0.0.0/8", "e.yaml:3: allow[0] \"10.0.0.0/8,11.0.0.0/8\": \"10.0.0.0/8,11.0.0.0/8\" is neither"),
        ("allow: [&a 10.0.0.0/8, *a]", "e.yaml:2: allow[1]: an alias, which is not followed"),
        ("allow-override: perhaps", "e.yaml:2: allow-override \"perhaps\": neither true nor false"),
        ("event-rate: 0", "e.yaml:2: event-rate \"0\": not a rate"),
        ("pin-dir: ''", "e.yaml:2: pin-dir: the path is not absolute"),
        ("map-entries: {EXACT: x}", "e.yaml:2: map-entries.EXACT \"EXACT=x\": \"x\" is no number"),
        ("map-entries:\n  EXACT: 1\n  EXACT: 2", "e.yaml:4: map-entries.EXACT: the key is there twice, first on line 3"),
        ("map-entries:\n  EXACT: 1\n  exact: 2", "e.yaml:4: map-entries.exact \"EXACT=2\": the map is there twice"),
        ("map-entries: [EXACT]", "e.yaml:2: map-entries[0] \"EXACT\": no number"),
        ("workload: {cgroup: /a}", "e.yaml:2: workload: a mapping; write a list"),
        ("workload: [{}]", "e.yaml:2: workload[0]: the value is empty"),
        ("workload:\n- cgroup: /a", "e.yaml:3: workload[0] \"cgroup=/a\": no namespace; add namespace=NS"),
        ("workload:\n- cgroup: /a\n  namespace: A", "e.yaml:4: workload[0].namespace \"A\": \"A\" is not the name of a namespace"),
        ("workload:\n- cgroup: /a\n  namespace:", "e.yaml:4: workload[0].namespace: no value"),
        ("interface: veth0", "e.yaml:2: interface: a single value; write a list"),
        ("interface: []", "e.yaml:2: interface: no interface given, which might be a mistake"),
        ("interface:\n- auto\n- '*'", "e.yaml:4: interface[1] \"*\": the pattern is every interface's"),
        ("interface: ['a*,b*']", "e.yaml:2: interface[0] \"a*,b*\": ',' is in no name of an interface"),
        ("uplink: [eth0, lo]", "e.yaml:2: uplink[1] \"lo\": the pattern is lo's, too"),
        ("endpoint-grace: 8d", "e.yaml:2: endpoint-grace \"8d\": longer than 7 days"),
        ("terminate-existing: perhaps", "e.yaml:2: terminate-existing \"perhaps\": neither true nor false"),
        ("map-entries: {FLOWS: 1}", "e.yaml:2: map-entries.FLOWS \"FLOWS=1\": \"1\" is no number of entries; use a number from 256"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  interface:\n  - v1\n  - v*", "e.yaml:7: workload[0].interface[1] \"v*\": \"v*\" is a pattern"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  interface:\n  - v1\n  - v1", "e.yaml:7: workload[0].interface[1] \"v1\": the interface v1 is there twice"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  interface: [v1;v2]", "e.yaml:5: workload[0].interface[0] \"v1;v2\": ';' is in no name"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  interface: []", "e.yaml:5: workload[0].interface: the list is empty; give it values, or leave it out"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  address: [10.0.0.1, [x]]", "e.yaml:5: workload[0].address[1]: a list; write one value"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  address: 10.0.0.1;10.0.0.0/8", "e.yaml:5: workload[0].address \"10.0.0.1;10.0.0.0/8\": \"10.0.0.0/8\" is not a single address"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  mesh: [ambient]", "e.yaml:5: workload[0].mesh: a list; write one value"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  mesh: sidecar", "e.yaml:5: workload[0].mesh \"sidecar\": nobody could tell the sidecar"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  mesh: sidecar\n  mesh-proxy: /b", "e.yaml:6: workload[0].mesh-proxy \"/b\": /b is not below the workload's cgroup /a"),
        ("workload:\n- {cgroup: /a, namespace: a, interface: [v]}\n- {cgroup: /b, namespace: a, interface: v}", "e.yaml:4: workload[1] \"cgroup=/b,namespace=a,interface=v\": the interface v of a/b (/b) is a/a (/a)'s already"),
        ("workload:\n- {cgroup: /a, namespace: a, interface: [v]}\ninterface: [none]", "e.yaml:3: workload[0] \"cgroup=/a,namespace=a,interface[0]=v\": the interface v would not be looked at"),
        ("workload:\n- cgroup: [/a]\n  namespace: a", "e.yaml:3: workload[0].cgroup: a list; write one value"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  nam: x", "e.yaml:5: workload[0].nam \"x\": no such field; did you mean name?"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  namespace: b", "e.yaml:5: workload[0].namespace: the key is there twice"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  labels:\n    a b: c", "e.yaml:6: workload[0].labels.a b \"c\": the label a b=c has ' ' in it"),
        ("workload:\n- cgroup: /a\n  namespace: a\n  labels:\n    a:", "e.yaml:6: workload[0].labels.a: no value"),
        ("workload:\n- {cgroup: /a, namespace: a}\n- cgroup=/a,namespace=b", "e.yaml:4: workload[1] \"cgroup=/a,namespace=b\": the cgroup /a has an identity already"),
        ("workload:\n- cgroup=/a", "e.yaml:3: workload[0] \"cgroup=/a\": no namespace"),
        ("? [a]\n: b", "e.yaml:2: a key that is not a name"),
        ("---\na: b", "e.yaml:2: a second document begins; keep one"),
    ] {
        let text = format!("registry: [file:x]\n{text}");
        let faults = faults(&[], &text);
        assert_eq!(faults.len(), 1, "{text}: {faults:#?}");
        assert!(faults[0].starts_with(expected), "{text}: {}", faults[0]);
    }
}

#[test]
fn a_file_that_is_no_mapping() {
    for (text, expected) in [
        ("- a", "e.yaml:1: a list, where keys should stand; write `key: value` lines"),
        ("just a text", "e.yaml:1: a single value, where keys should stand"),
        ("a: [1\nb: 2", "e.yaml:2: not YAML: "),
        ("a: b: c", "e.yaml:1: not YAML: "),
        ("a: \"b", "e.yaml:1: not YAML: "),
    ] {
        let faults = faults(&["--registry=file:x"], text);
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{text}: {faults:#?}");
    }
}

#[test]
fn nothing_in_a_file_is_no_keys() {
    for text in ["", "\n", "# a\n", "---\n", "{}", "null", "\u{feff}"] {
        assert_eq!(resolved(&["--registry=file:x"], text).event_rate, 100, "{text:?}");
        assert!(faults(&[], text)[0].starts_with("--registry: no source given"), "{text:?}");
    }
}

/// Flags first, then the file, line by line.
#[test]
fn every_fault_is_told_at_once() {
    let text = "registy: [file:x]\nenforcement: on\nworkload:\n- cgroup: a\n  namespace: B\n  labels: {x y: z}\npin-dir: p\nevent-rate: 0";
    let faults = faults(&["--allow=a", "--admin=b"], text);
    let places: Vec<_> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    let lines = [1, 2, 4, 5, 6, 7, 8].map(|line| format!("e.yaml:{line}:"));
    assert_eq!(places[..2], ["--allow", "--admin"], "{faults:#?}");
    assert_eq!(places[2..], lines, "{faults:#?}");
}

/// What a file that cannot be read may have said is not told to be missing.
#[test]
fn a_broken_file_hides_nothing_and_invents_nothing() {
    let faults = faults(&["--allow=a"], "registry: [");
    assert!(
        faults.len() == 2 && faults[0].starts_with("--allow") && faults[1].starts_with("e.yaml:"),
        "{faults:#?}"
    );
}

#[test]
fn a_variable_is_named_in_its_faults() {
    let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
    let command = command.mut_arg("root_namespace", |arg| arg.env("PATH"));
    let matches = command.try_get_matches_from(["--registry=file:x"]).unwrap();
    let faults = resolve::run(&Given::merge(&matches, None).unwrap()).unwrap_err();
    assert!(faults[0].to_string().starts_with("ENFORCER_ROOT_NAMESPACE \"/"), "{faults:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("bytes"), b"enforcement: audit\npin-dir: \xff\n").unwrap();
    std::fs::write(path("long"), vec![b'#'; 2 << 20]).unwrap();
    for (path, expected) in [
        (path("none"), ": cannot read the file: No such file or directory (os error 2); give the path"),
        (path(""), ": cannot read the file: Is a directory (os error 21); give the path of a file in it"),
        (path("bytes"), ":2: not UTF-8; save the file as UTF-8"),
        (path("long"), ": longer than 1 MiB"),
    ] {
        let given = Given::read(&matches(&["--config", &path])).unwrap();
        let faults = resolve::run(&given).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].to_string().starts_with(&format!("{path}{expected}")), "{}", faults[0]);
    }
    let faults = resolve::run(&Given::read(&matches(&["--config="])).unwrap()).unwrap_err();
    assert_eq!(faults[0].what, "--config is empty");
}

#[test]
fn the_example_has_every_key_and_no_fault() {
    let given = given(&[], EXAMPLE);
    let config = resolve::run(&given).unwrap_or_else(|faults| panic!("{}", resolve::Faulty(faults)));
    assert_eq!(config.workloads.len(), 4);
    for setting in settings::all() {
        assert!(
            matches!(given.value(&setting.key), Some((Origin::File(_), _))),
            "{} is not in it",
            setting.key
        );
    }
}

/// What --check-config prints is a file that says the same.
#[test]
fn what_is_printed_says_the_same() {
    for (flags, text) in [
        (&[][..], EXAMPLE),
        (&["--registry=file:a b", "--allow=10.0.0.0/8", "--enforcement=off", "--map-entries=EXACT=5"], ""),
        (
            &["--workload=cgroup=/a,namespace=b"],
            "registry: ['file:yes: #', file:1e3]\ncluster-id: '007'\ntrusted-exporters: [on]",
        ),
        (&[], "registry: [file:x]\nworkload: [{cgroup: '/a: #b', namespace: 'null', labels: {on: ''}}]"),
        (
            &["--uplink=eth?"],
            "registry: [file:x]\nworkload: [{labels: {a: b, c: d}, interface: [v, '1'], address: ['::2', '2001:db8::'], \
             cgroup: /a, namespace: b, mesh: sidecar, mesh-proxy: 'p: #'}]\ninterface: ['*x', 'auto']",
        ),
    ] {
        let given = given(flags, text);
        let printed = show::yaml(&given);
        assert_eq!(resolved(&[], &printed), resolve::run(&given).unwrap(), "{printed}");
        for setting in settings::all() {
            let line = printed.lines().find(|line| line.starts_with(&format!("{}:", setting.key)));
            assert!(line.is_some_and(|line| line.contains(" # ")), "{}: where from?\n{printed}", setting.key);
        }
    }
}

#[test]
fn what_is_printed_says_where_it_comes_from() {
    let printed =
        show::yaml(&given(&["--event-rate=5", "--registry=file:x"], "admin: /x\nallow:\n- 10.0.0.0/8"));
    for line in [
        "event-rate: 5 # --event-rate",
        "registry: # --registry\n- file:x",
        "admin: /x # e.yaml:1",
        "allow: # e.yaml:2\n- \"10.0.0.0/8\"",
        "pin-dir: /sys/fs/bpf/enforcer # default",
        "# ENFORCER_CLUSTER_ID",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
}

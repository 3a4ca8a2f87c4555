//! `enforcer simulate` and `enforcer suggest` over files, as a pipeline runs them: what they print, and what they end with.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const REGISTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  addresses: [203.0.113.1]
  ports: [{number: 443, name: https, protocol: TLS}]
";

/// A line of a flow of `shop/cart`.
fn flow(ip: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-20T10:00:00Z\",\"hook\":\"connect4\",\"verdict\":\"deny\",\"reason\":\"not_registered\",\
         \"enforcement\":\"audit\",\"workload\":{{\"namespace\":\"shop\",\"name\":\"cart\"}},\"cgroup\":7,\
         \"process\":{{\"id\":1,\"name\":\"curl\"}},\"protocol\":\"tcp\",\
         \"destination\":{{\"ip\":\"{ip}\",\"port\":443}}}}\n"
    )
}

/// A directory with a registry, and flows beside it.
fn files(flows: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("registry.yaml"), REGISTRY).unwrap();
    std::fs::write(dir.path().join("flows.jsonl"), flows).unwrap();
    dir
}

fn enforcer(dir: &Path, command: &str) -> Command {
    let mut enforcer = Command::new(env!("CARGO_BIN_EXE_enforcer"));
    enforcer.current_dir(dir).args(command.split(' ')).env_clear();
    enforcer
}

const SIMULATE: &str =
    "simulate --registry file:registry.yaml --flows flows.jsonl --outbound-traffic-policy REGISTRY_ONLY";
const SUGGEST: &str =
    "suggest --registry file:registry.yaml --flows flows.jsonl --outbound-traffic-policy REGISTRY_ONLY";

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_gate_ends_with_what_it_found() {
    let (allowed, denied) = (flow("203.0.113.1"), flow("203.0.113.9"));
    let nobody = allowed.replace("{\"namespace\":\"shop\",\"name\":\"cart\"}", "null");
    for (story, flows, more, code, last) in [
        ("allowed", allowed.clone(), "", 0, "1 flow, 0 would be denied\n"),
        ("denied", format!("{allowed}{denied}"), "", 1, "2 flows, 1 would be denied\n"),
        ("junk, and otherwise allowed", format!("{allowed}junk\n"), "", 2, "1 flow, 0 would be denied\n"),
        (
            "junk that is skipped",
            format!("{allowed}junk\n"),
            " --skip-junk",
            0,
            "1 flow, 0 would be denied\n",
        ),
        ("junk and a denial", format!("{denied}junk\n"), " --skip-junk", 1, "1 flow, 1 would be denied\n"),
        ("no flow", "\n{\"lost\":{\"events\":3}}\n".to_owned(), " --skip-junk", 2, ""),
        ("nobody's flow among others", format!("{allowed}{nobody}"), "", 0, "2 flows, 0 would be denied\n"),
        ("nothing but nobody's flows", nobody.clone(), "", 2, "1 flow, 0 would be denied\n"),
    ] {
        let dir = files(&flows);
        let output = enforcer(dir.path(), &format!("{SIMULATE}{more}")).output().unwrap();
        let (found, stdout, stderr) = texts(&output);
        assert_eq!(found, Some(code), "{story}: {stdout}{stderr}");
        assert!(stdout.ends_with(last), "{story}: {stdout}{stderr}");
        assert_eq!(stderr.contains("error: "), code == 2, "{story}: {stderr}");
    }
}

#[test]
fn junk_is_told_with_its_line() {
    let dir = files(&format!("{}{{\"time\":1}}\n", flow("203.0.113.1")));
    let (_, _, stderr) = texts(&enforcer(dir.path(), SIMULATE).output().unwrap());
    assert!(stderr.starts_with("flows.jsonl:2: no flow: "), "{stderr}");
    assert!(stderr.contains("\nerror: 1 line of the file could not be read as a flow"), "{stderr}");
}

#[test]
fn flows_come_from_standard_input_too() {
    let dir = files("");
    let mut child = enforcer(dir.path(), &format!("{} -o json", SIMULATE.replace("flows.jsonl", "-")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("{}{{\"lost\":{{\"events\":2}}}}\n", flow("203.0.113.9")).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let numbers =
        ["flows", "denied", "not_judged", "lost", "junk"].map(|field| report[field].as_u64().unwrap());
    assert_eq!(numbers, [1, 1, 0, 2, 0]);
    let outcome = &report["outcomes"][0];
    assert_eq!(outcome["verdict"], "deny");
    assert_eq!(outcome["reason"], "not_registered");
    assert_eq!(outcome["destination"]["ip"], "203.0.113.9");
}

/// `enforcer simulate ... | head -1` still tells whether the flows pass.
#[test]
fn a_closed_pipe_does_not_open_the_gate() {
    let many: String = (0..5_000).map(|host| flow(&format!("203.0.{}.{}", host / 250, host % 250))).collect();
    let dir = files(&many);
    for (command, expected) in [(SIMULATE, Some(1)), (SUGGEST, Some(0))] {
        let mut child = enforcer(dir.path(), &format!("{command} -o json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (expected, ""), "{command}");
    }
}

#[test]
fn without_a_registry_there_is_nothing_to_judge_by() {
    let dir = files(&flow("203.0.113.1"));
    let (code, _, stderr) = texts(&enforcer(dir.path(), "simulate --flows flows.jsonl").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--registry file:PATH") && stderr.contains("no endpoints"), "{stderr}");
    let (code, _, stderr) = texts(&enforcer(dir.path(), "suggest --flows flows.jsonl").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--registry"), "{stderr}");
    let (code, _, stderr) =
        texts(&enforcer(dir.path(), "suggest --registry file:registry.yaml").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--flows FILE"), "{stderr}");
}

/// The circle: what is suggested goes to the registry, and the same flows pass the gate.
#[test]
fn what_is_suggested_opens_the_gate() {
    let dir = files(&format!("{}{}", flow("203.0.113.9"), flow("2001:db8::1")));
    assert_eq!(enforcer(dir.path(), SIMULATE).output().unwrap().status.code(), Some(1));
    let (code, yaml, stderr) = texts(&enforcer(dir.path(), SUGGEST).output().unwrap());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(yaml.starts_with("# 2 ServiceEntries for 2 flows"), "{yaml}");
    std::fs::write(dir.path().join("suggested.yaml"), yaml).unwrap();
    let both = SIMULATE.replace("simulate", "simulate --registry file:suggested.yaml");
    assert_eq!(enforcer(dir.path(), &both).output().unwrap().status.code(), Some(0));
    let again = SUGGEST.replace("suggest", "suggest --registry file:suggested.yaml");
    let (code, yaml, _) = texts(&enforcer(dir.path(), &again).output().unwrap());
    assert_eq!(code, Some(0));
    assert!(yaml.starts_with("# No ServiceEntry to suggest."), "{yaml}");
    let (code, yaml, _) =
        texts(&enforcer(dir.path(), &format!("{SUGGEST} --namespace bank")).output().unwrap());
    assert_eq!((code, yaml.as_str()), (Some(0), "# Nothing to suggest: no flow that was seen is denied.\n"));
}

/// The address that `suggest` says to give to `--allow` is one that the flag takes.
#[test]
fn an_allow_that_is_told_is_one_that_is_taken() {
    let dir = files(&format!("{}{}", flow("169.254.169.254"), flow("ff02::fb")));
    let (_, yaml, _) = texts(&enforcer(dir.path(), SUGGEST).output().unwrap());
    let text = yaml.replace("\n#   ", " ");
    let values: Vec<&str> =
        text.split("--allow ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(values, ["[ff02::fb/128]:443/tcp", "169.254.169.254/32:443/tcp"], "{text}");
    let allowed = format!("{SIMULATE} --allow {}", values.join(","));
    assert_eq!(enforcer(dir.path(), &allowed).output().unwrap().status.code(), Some(0));
}

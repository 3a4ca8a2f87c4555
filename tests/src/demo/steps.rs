//! What is shown, in this order. Every step stands on the ones before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_common::names::{CGROUP_PROGRAMS, map};
use serde_json::Value;

use super::screen::Screen;
use super::stage::{CURL, Stage, TELLER};
use crate::needs;
use crate::node::decisions;

type Step = fn(&mut Stage, &mut Screen) -> Result<()>;

/// Titles and what they do.
pub(super) const STEPS: &[(&str, Step)] = &[
    ("A node of its own", introduce),
    ("Audit: what would be denied is recorded, and nothing is blocked", audit),
    ("Enforce: what is registered is reachable, and nothing else", enforce),
    ("A service without an address gets one, which leads to its endpoints", translate),
    ("A private service is there for its own namespace only", private),
    ("Why?", explain),
    ("How is the agent?", status),
    ("What the kernel has loaded", kernel),
    ("The agent dies, enforcement stays", outlive),
    ("Detach: everything is reachable again", detach),
];

fn introduce(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    Screen::say(
        "In a network namespace where every address answers, two processes run in a cgroup each: web/curl and \
         bank/teller. The registry is deploy/examples/registry: the examples of Istio's documentation, some \
         services for this demo, and a mesh that says REGISTRY_ONLY. Nobody enforces it yet.",
    );
    stage.legend();
    stage.dial(screen, CURL, "tcp 192.0.2.10:5432", "reached 192.0.2.10:5432")?;
    stage.dial(screen, CURL, "tcp 203.0.113.9:443", "reached 203.0.113.9:443")
}

fn audit(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    stage.run("audit")?;
    stage.dial(screen, CURL, "tcp 192.0.2.10:5432", "reached 192.0.2.10:5432")?;
    stage.dial(screen, CURL, "tcp 203.0.113.9:8080", "reached 203.0.113.9:8080")?;
    stage.dial(screen, CURL, "udp 203.0.113.9:53", "reached 203.0.113.9:53")?;
    let status = soon(stage, |status| status["denials"].as_array().is_some_and(|all| all.len() == 2))?;
    let (enforced, audited) = decisions(&status, "not_registered");
    screen.check("denied", "0", &enforced.to_string());
    screen.check("would be denied: not_registered", "2", &audited.to_string());
    let of = |denial: &Value| denial["destination"].as_str().unwrap_or_default().to_owned();
    screen.check("the last of them", "203.0.113.9:53/udp", &of(&status["denials"][0]));
    Ok(())
}

fn enforce(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    Screen::say("The same agent again, with the switch at enforce: it adopts what is in the kernel.");
    stage.run("enforce")?;
    Screen::say("Registered: ServiceEntry shop/warehouse, by IPv4, IPv6, and IPv4 on an IPv6 socket.");
    stage.dial(screen, CURL, "tcp 192.0.2.10:5432", "reached 192.0.2.10:5432")?;
    stage.dial(screen, CURL, "tcp [2001:db8::10]:5432", "reached [2001:db8::10]:5432")?;
    stage.dial(screen, CURL, "tcp [::ffff:192.0.2.10]:5432", "reached 192.0.2.10:5432")?;
    Screen::gap();
    Screen::say("Not registered: another port, another address, another protocol, the cloud's metadata.");
    for command in [
        "tcp 192.0.2.10:80",
        "tcp 203.0.113.9:8080",
        "tcp [2001:db8::11]:5432",
        "tcp [::ffff:203.0.113.9]:8080",
        "udp 203.0.113.9:53",
        "udp-send 203.0.113.9:53",
        "tcp 169.254.169.254:80",
    ] {
        stage.dial(screen, CURL, command, "EPERM")?;
    }
    stage.dial(screen, CURL, "tcp 127.0.0.1:8080", "reached 127.0.0.1:8080")
}

fn translate(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let vip = stage.explain(CURL, "orders.shop.example:80")?;
    let vip = vip["destination"]["ip"].as_str().context("orders.shop.example has no address")?.to_owned();
    Screen::say(&format!(
        "ServiceEntry shop/orders has two endpoints and no address; {vip} was allocated for it, as Istio would. \
         connect() to port 80 of it is sent to port 8080 of an endpoint:"
    ));
    let counts: BTreeMap<String, u64> =
        serde_json::from_value(stage.repeat(&format!("repeat 50 tcp {vip}:80"))?)?;
    for (outcome, count) in &counts {
        println!("   {count:>3} of 50 {outcome}");
    }
    Screen::gap();
    for endpoint in ["198.51.100.1:8080", "198.51.100.2:8080"] {
        let is_used = counts.contains_key(&format!("reached {endpoint}"));
        screen.check(&format!("endpoint {endpoint}"), "used", if is_used { "used" } else { "not used" });
    }
    screen.check("other outcomes", "0", &(counts.len().saturating_sub(2)).to_string());
    screen.check("connections that arrived", "50", &counts.values().sum::<u64>().to_string());
    stage.dial(screen, CURL, "tcp 198.51.100.1:8080", "EPERM")?;
    stage.dial(screen, CURL, &format!("tcp {vip}:8080"), "EPERM")
}

fn private(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    Screen::say("ServiceEntry bank/ledger has exportTo \".\": only namespace bank sees it.");
    stage.dial(screen, TELLER, "tcp 192.0.2.20:5432", "reached 192.0.2.20:5432")?;
    stage.dial(screen, CURL, "tcp 192.0.2.20:5432", "EPERM")?;
    stage.dial(screen, TELLER, "tcp 192.0.2.10:5432", "reached 192.0.2.10:5432")
}

fn explain(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    for (number, (who, destination, code, verdict)) in [
        (CURL, "192.0.2.20:5432", 1, "deny not_registered"),
        (TELLER, "192.0.2.20:5432", 0, "allow registered"),
        (CURL, "orders.shop.example:80", 0, "translate registered"),
        (CURL, "en.wikipedia.org:443", 1, "deny needs_name"),
    ]
    .into_iter()
    .enumerate()
    {
        if number > 0 {
            Screen::gap();
        }
        let finished = stage.ask(&["explain", "--workload", who, destination])?;
        screen.check("exit code", &code.to_string(), &finished.code.unwrap_or(-1).to_string());
        let answer = stage.explain(who, destination)?;
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        screen.check("verdict and reason", verdict, &format!("{} {}", text("verdict"), text("reason")));
    }
    Ok(())
}

fn status(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let finished = stage.ask(&["status"])?;
    screen.check("exit code", "0", &finished.code.unwrap_or(-1).to_string());
    let status = stage.status()?;
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    screen.check("enforcement", "enforce", &text("enforcement"));
    screen.check("outbound policy, from", "REGISTRY_ONLY mesh", &{
        format!("{} {}", text("outbound_policy"), text("outbound_policy_from"))
    });
    screen.check("ready", "true", &status["ready"].to_string());
    Ok(())
}

fn kernel(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let cgroup = stage.cgroup(CURL);
    let list = bpftool(&["cgroup", "list"], &cgroup)?;
    Screen::command(&[
        "bpftool".into(),
        "cgroup".into(),
        "list".into(),
        stage.shortened(&cgroup.to_string_lossy()),
    ]);
    Screen::output(&list);
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let ids: Vec<String> = list.lines().skip(1).map(first).collect();
    let mut maps = BTreeSet::new();
    let mut shown = String::new();
    for id in &ids {
        let program = bpftool(&["prog", "show", "id"], Path::new(id))?;
        shown.extend(program.lines().take(1).chain(["\n"]));
        let of_program = program.split("map_ids ").nth(1).and_then(|rest| rest.split_whitespace().next());
        maps.extend(of_program.into_iter().flat_map(|ids| ids.split(',')).map(str::to_owned));
    }
    Screen::command(&["bpftool", "prog", "show", "id", "N", " # the first line of each"].map(str::to_owned));
    Screen::output(&shown);
    shown.clear();
    for id in &maps {
        let map = bpftool(&["map", "show", "id"], Path::new(id))?;
        shown.extend(map.lines().take(1).chain(["\n"]));
    }
    Screen::command(&["bpftool", "map", "show", "id", "N", " # of each of their maps"].map(str::to_owned));
    Screen::output(&shown);
    screen.check("programs", &CGROUP_PROGRAMS.len().to_string(), &ids.len().to_string());
    let named = map::ALL.iter().filter(|name| shown.contains(&format!("name {name} "))).count();
    // Whose an interface is, only the programs of interfaces ask; look-ups are counted by a test only.
    let asked = map::ALL.iter().filter(|name| ![map::INTERFACES, map::LOOKUPS].contains(name));
    screen.check("maps", &asked.count().to_string(), &named.to_string());
    Ok(())
}

fn outlive(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    stage.kill()?;
    stage.dial(screen, CURL, "tcp 192.0.2.10:5432", "reached 192.0.2.10:5432")?;
    stage.dial(screen, CURL, "tcp 203.0.113.9:8080", "EPERM")
}

fn detach(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let finished = stage.detach()?;
    screen.check("exit code", "0", &finished.code.unwrap_or(-1).to_string());
    stage.dial(screen, CURL, "tcp 203.0.113.9:8080", "reached 203.0.113.9:8080")?;
    stage.dial(screen, CURL, "tcp 192.0.2.20:5432", "reached 192.0.2.20:5432")?;
    stage.dial(screen, CURL, "udp 203.0.113.9:53", "reached 203.0.113.9:53")?;
    let left = bpftool(&["cgroup", "list"], &stage.cgroup(CURL))?;
    screen.check(
        "programs left",
        "0",
        &left.lines().filter(|line| line.contains("enforcer")).count().to_string(),
    );
    Ok(())
}

/// Runs `bpftool` to its end; the last argument may be a path.
fn bpftool(arguments: &[&str], last: &Path) -> Result<String> {
    let output = needs::tool("bpftool").args(arguments).arg(last).output().context("running bpftool")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The status, as soon as it is as it should be, or the last one: events take a moment.
fn soon(stage: &Stage, is_there: impl Fn(&Value) -> bool) -> Result<Value> {
    let since = Instant::now();
    loop {
        let status = stage.status()?;
        if is_there(&status) || since.elapsed() > Duration::from_secs(2) {
            return Ok(status);
        }
        sleep(Duration::from_millis(20));
    }
}

//! A node with an enforced pod and its neighbour, captures of all that could leave, and what is asked of each technique.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use enforcer_tests::capture::Capture;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Builder, Node, decisions};
use serde_json::Value;

use crate::events::{Denial, Events};
use crate::table::{self, Row};
use crate::targets::{self, Targets, is_udp_to};

/// An address of each family, registered for TCP and UDP; one for another port only; and a VIP.
pub(crate) const REGISTRY: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: web}
spec:
  hosts: [payments.example.com]
  addresses: [192.0.2.10, "2001:db8::10"]
  resolution: NONE
  ports:
  - {number: 9000, name: tcp, protocol: TCP}
  - {number: 9100, name: tcp-late, protocol: TCP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: metrics, namespace: web}
spec:
  hosts: [metrics.example.com]
  addresses: [192.0.2.10, "2001:db8::10"]
  resolution: NONE
  ports:
  - {number: 9000, name: udp, protocol: UDP}
  - {number: 53, name: dns, protocol: UDP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: resolver, namespace: web}
spec:
  hosts: [resolver.example.com]
  addresses: [192.0.2.53, "2001:db8::53"]
  resolution: NONE
  ports:
  - {number: 53, name: dns, protocol: UDP}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: web}
spec:
  hosts: [orders.example.com]
  addresses: [192.0.2.80, "2001:db8::80"]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
  - {number: 53, name: dns, protocol: UDP, targetPort: 9000}
  endpoints: [{address: 198.51.100.1}, {address: "2001:db8:1::1"}]
"#;

/// What `{ok4}` and `{ok6}` stand for.
pub(crate) const REGISTERED: (&str, &str) = ("192.0.2.10:9000", "[2001:db8::10]:9000");

/// As many frames as somebody reads.
const SHOWN: usize = 8;

/// What shows that a technique is stopped, not broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Control {
    /// It arrives where it may go.
    Same,
    /// There is no legal form of it. What is like it but legal arrives: under this name, by these commands.
    Like(&'static str, &'static [&'static str]),
}

/// A technique: what the table calls it, where it is stopped and why, what shows that it works, and each way to try it.
///
/// In a command `{4}` and `{6}` stand for a fresh address that is not registered, with a port; `{ok4}` and `{ok6}` for those that
/// are.
pub(crate) type Case = (&'static str, &'static str, &'static str, Control, &'static [&'static str]);

type Frames = Vec<Vec<u8>>;

/// The node.
pub(crate) struct Stage {
    pub(crate) outside: Capture,
    /// Where something could be that does not leave the node, by name; none for a workload without an interface.
    pub(crate) inside: Vec<(&'static str, Capture)>,
    /// What leaves the pod, before any program.
    pub(crate) sent: Option<Capture>,
    pub(crate) events: Events,
    pub(crate) node: Node,
    /// Who tries.
    pub(crate) who: &'static str,
    fresh: u8,
}

impl Stage {
    /// With the pods `curl` and `other`.
    pub(crate) fn new() -> Result<Self> {
        Self::of(builder())
    }

    /// As it is told.
    pub(crate) fn of(builder: Builder) -> Result<Self> {
        Self::around(builder.start()?)
    }

    /// Around a node that runs, with both pods.
    pub(crate) fn around(node: Node) -> Result<Self> {
        let world = node.world();
        let past = world.capture_past_programs("curl")?;
        let inside = vec![("past the programs", past), ("in the other pod", world.capture_pod("other")?)];
        let (outside, sent) = (world.capture_outside()?, Some(world.capture_sent("curl")?));
        let events = Events::follow(world)?;
        Ok(Self { outside, inside, sent, events, node, who: "curl", fresh: 0 })
    }

    /// Around a node that runs, with a workload that has no network of its own.
    pub(crate) fn around_plain(node: Node, who: &'static str) -> Result<Self> {
        let (outside, events) = (node.world().capture_outside()?, Events::follow(node.world())?);
        Ok(Self { outside, inside: Vec::new(), sent: None, events, node, who, fresh: 0 })
    }

    /// Forgets all that was.
    pub(crate) fn begin(&mut self) -> Result<()> {
        for capture in self.inside.iter().map(|(_, it)| it).chain(&self.sent).chain([&self.outside]) {
            capture.clear()?;
        }
        let mut probe = self.node.probe(self.who)?;
        self.events.drain(&mut probe)
    }

    /// Tries all, says what is otherwise than it should be, and publishes the rows.
    pub(crate) fn all(&mut self, family: &str, cases: &[Case]) -> Result<()> {
        let before = self.node.status()?;
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        for case in cases {
            rows.push(self.case(case, &mut faults));
        }
        let after = self.node.status()?;
        for (reason, tries) in tries_by_reason(cases) {
            let counted = decisions(&after, reason).0.saturating_sub(decisions(&before, reason).0);
            if counted < tries {
                faults.push(format!("{reason} was counted {counted} times only, of {tries}"));
            }
        }
        ensure!(faults.is_empty(), "not as they should be:\n{}\n{}", faults.join("\n"), self.node.log());
        table::publish(family, &rows)
    }

    /// Tries one in every way.
    fn case(&mut self, case: &Case, faults: &mut Vec<String>) -> Row {
        let (name, hook, reason, control, tries) = case;
        let (like, controls) = match control {
            Control::Same => ("itself", *tries),
            Control::Like(like, commands) => (*like, *commands),
        };
        let mut row = Row { technique: (*name).to_owned(), control: like.to_owned(), ..Row::default() };
        for command in *tries {
            let expected = (*hook, *reason);
            match self.stopped(command) {
                Ok(met) => {
                    if (&*met.hook, &*met.reason) != expected {
                        faults.push(format!(
                            "{name}: {command}: {} {}, not {expected:?}",
                            met.hook, met.reason
                        ));
                    }
                    row.stopped_at.insert(met.hook);
                    row.reasons.insert(met.reason);
                }
                Err(error) => faults.push(format!("{name}: {command}: {error:#}")),
            }
        }
        for command in controls {
            if let Err(error) = self.arrives(command) {
                faults.push(format!("{name}: the control {command}: {error:#}"));
            }
        }
        row
    }

    /// Tries what must not arrive: who stopped it.
    pub(crate) fn stopped(&mut self, command: &str) -> Result<Denial> {
        self.begin()?;
        let (v4, v6) = self.strangers();
        let targets = Targets::of_command(command, v4, v6);
        self.stopped_at(&targets, |stage, marker| stage.attempt(&filled(command, v4, v6), marker))
    }

    /// Does what must not arrive, to addresses that nobody has talked to: who stopped it.
    pub(crate) fn stopped_if(
        &mut self,
        act: impl FnOnce(&Self, &Marker, (SocketAddr, SocketAddr)) -> Result<Value>,
    ) -> Result<Denial> {
        self.begin()?;
        let (v4, v6) = self.strangers();
        self.stopped_at(&Targets::strangers(v4, v6), |stage, marker| act(stage, marker, (v4, v6)))
    }

    /// Does what must not arrive any more at an address that others may be talking to: who stopped it.
    pub(crate) fn stopped_to(
        &mut self,
        to: IpAddr,
        act: impl FnOnce(&Self, &Marker) -> Result<Value>,
    ) -> Result<Denial> {
        self.begin()?;
        self.stopped_at(&Targets::known(to), act)
    }

    /// Does what must not arrive there.
    pub(crate) fn stopped_at(
        &self,
        targets: &Targets,
        act: impl FnOnce(&Self, &Marker) -> Result<Value>,
    ) -> Result<Denial> {
        let marker = Marker::fresh();
        let answer = act(self, &marker)?;
        let denial = self.events.first_of(self.who, |to| targets.meet(to))?;
        self.is_nowhere(&marker, targets).with_context(|| format!("the probe said {answer}"))?;
        let denial = denial.with_context(|| format!("nobody denied it: the probe said {answer}"))?;
        if let Some(other) = targets.flipped_to() {
            let seen = self.seen(|frame| marker.is_in(frame) && is_udp_to(frame, other))?;
            ensure!(seen.is_some(), "it was never one to {other}: the probe said {answer}");
        }
        if let ("interface", Some(sent)) = (&*denial.hook, &self.sent) {
            let own = |frame: &Vec<u8>| marker.is_in(frame) || targets.are_in(frame);
            ensure!(sent.all()?.iter().any(own), "it did not leave the pod: the probe said {answer}");
        }
        Ok(denial)
    }

    /// Fails when anything with the marker, or to addresses where nobody else sends, is anywhere beyond the pod.
    pub(crate) fn is_nowhere(&self, marker: &Marker, targets: &Targets) -> Result<()> {
        if let Some((place, frames)) = self.seen(|frame| targets.forbid(frame, marker))? {
            let shown: Vec<String> = frames.iter().take(SHOWN).map(|frame| hex(frame)).collect();
            bail!("PASSES: seen {place}: {} times: {}", frames.len(), shown.join(" "));
        }
        Ok(())
    }

    /// The first place beyond the pod that has such frames, and which.
    fn seen(&self, is: impl Fn(&[u8]) -> bool) -> Result<Option<(&'static str, Frames)>> {
        let inside = self.inside.iter().map(|(place, capture)| (*place, capture));
        for (place, capture) in inside.chain([("outside", &self.outside)]) {
            let mut frames = capture.all()?;
            frames.retain(|frame| is(frame));
            if !frames.is_empty() {
                return Ok(Some((place, frames)));
            }
        }
        Ok(None)
    }

    /// Tries what must arrive.
    pub(crate) fn arrives(&mut self, command: &str) -> Result<()> {
        self.begin()?;
        let (v4, v6) = registered();
        let command = filled(command, v4, v6);
        let marker = Marker::fresh();
        let answer = self.attempt(&command, &marker)?;
        let begins = command.starts_with("syn ");
        let mut seen = self.outside.saw(&marker)?;
        if begins {
            let frames = [self.outside.saw_to(v4.ip())?, self.outside.saw_to(v6.ip())?].concat();
            seen.extend(frames.into_iter().filter(|frame| targets::begins(frame)));
        }
        for (_, capture) in &self.inside {
            seen.extend(capture.saw(&marker)?);
        }
        ensure!(
            !seen.is_empty(),
            "DOES NOT ARRIVE: the probe said {answer}; denied: {:?}",
            self.events.first_of(self.who, |_| true)?
        );
        Ok(())
    }

    fn attempt(&self, command: &str, marker: &Marker) -> Result<Value> {
        let (name, rest) = command.split_once(' ').context("no target")?;
        self.node.probe(self.who)?.ask(&format!("try {name} {marker} {rest}"))
    }

    /// What `who` answers in words.
    pub(crate) fn said(&self, who: &str, command: &str) -> Result<String> {
        let answer = self.node.probe(who)?.ask(command)?;
        Ok(answer["said"].as_str().map_or_else(|| answer.to_string(), str::to_owned))
    }

    /// What `who` answers.
    pub(crate) fn ask(&self, who: &str, command: &str) -> Result<Value> {
        self.node.probe(who)?.ask(command)
    }

    /// Addresses that nobody has talked to.
    pub(crate) fn strangers(&mut self) -> (SocketAddr, SocketAddr) {
        self.fresh = self.fresh % 250 + 1;
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, self.fresh.into());
        (
            SocketAddr::new(Ipv4Addr::new(203, 0, 113, self.fresh).into(), 9000),
            SocketAddr::new(v6.into(), 9000),
        )
    }
}

/// How often each reason has to be met, over the whole family.
fn tries_by_reason(cases: &[Case]) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for (_, _, reason, _, tries) in cases {
        *all.entry(*reason).or_default() += tries.len() as u64;
    }
    all
}

/// A registry, the pods, and an agent that tells everything.
pub(crate) fn builder() -> Builder {
    Node::new()
        .pods()
        .registry(REGISTRY)
        .workload("web", "curl")
        .workload("web", "other")
        .flag("--event-rate", "100000")
}

pub(crate) fn registered() -> (SocketAddr, SocketAddr) {
    let parsed = |text: &str| text.parse().unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
    (parsed(REGISTERED.0), parsed(REGISTERED.1))
}

fn filled(command: &str, v4: SocketAddr, v6: SocketAddr) -> String {
    let (ip4, ip6) = (v4.ip().to_string(), v6.ip().to_string());
    command
        .replace("{4}", &v4.to_string())
        .replace("{6}", &v6.to_string())
        .replace("{ip4}", &ip4)
        .replace("{ip6}", &ip6)
        .replace("{ok4}", REGISTERED.0)
        .replace("{ok6}", REGISTERED.1)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

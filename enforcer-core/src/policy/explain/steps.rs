//! The chain of reasons, in the order in which the kernel decided, one plain sentence each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::addr::{Addr, Prefix};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::mode::{Enforcement, OutboundPolicy};
use enforcer_common::reason::{Reason, Subject};
use enforcer_common::verdict::{Action, Role, Rule, RuleAction, Workload};

use crate::policy::compile::Compiler;
use crate::policy::destination::Destination;
use crate::policy::explain::trace::{Level, Look};
use crate::policy::explain::{Asker, Judged, Step, action_word, backends};
use crate::policy::{NodePolicy, WorkloadSpec};
use crate::registry::model::OutboundMode;

/// How many things of a kind are listed.
const LISTED: usize = 8;

pub(super) fn step(step: &str, found: &str, detail: impl Into<String>) -> Step {
    Step { step: step.to_owned(), found: found.to_owned(), detail: detail.into() }
}

impl Compiler {
    /// All of them.
    pub(super) fn steps(
        &self,
        asker: &Asker,
        workload: Workload,
        to: &Destination,
        judged: &Judged,
    ) -> Vec<Step> {
        let spec = asker.spec;
        let mut steps =
            vec![recognised(asker), enforcement(asker), self.view_step(spec), self.policy_step(spec)];
        steps.extend(judged.named.clone());
        if judged.range.as_ref().is_some_and(|range| !range.uniform) {
            return steps;
        }
        let verdict = &judged.verdict;
        match verdict.reason {
            Reason::Loopback => {
                let what = judged.ip.map(|ip| format!("{ip} is loopback, which is always allowed."));
                steps.push(step("loopback", "allow", what.unwrap_or_default()));
                return steps;
            }
            Reason::Protocol => {
                let what = format!(
                    "{} is neither TCP, UDP nor ICMP: no registry can name it, and nothing can allow it.",
                    to.protocol
                );
                steps.push(step("protocol", "deny", what));
                return steps;
            }
            _ => {}
        }
        if let Some(ip) = judged.ip {
            steps.push(self.exempt_step(ip, to, &judged.looks));
            let levels = judged.looks.iter().filter(|look| look.view != ViewId::EXEMPT);
            steps.extend(levels.map(|look| self.level_step(look, spec, ip, to)));
        }
        steps.extend(self.last_step(workload, judged));
        steps
    }

    fn view_step(&self, spec: &WorkloadSpec) -> Step {
        let mut step = self.plain_view_step(spec);
        if spec.role == Role::MeshProxy {
            step.detail.push_str(
                " It is a mesh proxy, which sees what the mesh needs, too: endpoints, tunnels, waypoints, network gateways, istiod.",
            );
        }
        step
    }

    fn plain_view_step(&self, spec: &WorkloadSpec) -> Step {
        let namespace = &spec.namespace;
        match self.sidecar(spec) {
            Some(sidecar) if sidecar.narrows() => step(
                "view",
                "narrowed",
                format!(
                    "It sees only what {} ({}) imports into namespace {namespace}; the public part is not looked at.",
                    sidecar.object, sidecar.source
                ),
            ),
            Some(sidecar) => step(
                "view",
                "inherits_public",
                format!(
                    "It sees what is exported to namespace {namespace}, then the public part; {} ({}) narrows nothing.",
                    sidecar.object, sidecar.source
                ),
            ),
            None => step(
                "view",
                "inherits_public",
                format!(
                    "It sees what is exported to namespace {namespace}, then the public part; no Sidecar narrows it."
                ),
            ),
        }
    }

    /// The policy, and who says so.
    fn policy_step(&self, spec: &WorkloadSpec) -> Step {
        let settings = self.settings();
        let sidecar = self.sidecar(spec).filter(|sidecar| sidecar.outbound_policy.is_some());
        let policy =
            crate::policy::outbound_policy(self.registry(), settings, sidecar.map(|sidecar| &**sidecar));
        let mesh = self.registry().mesh.as_ref();
        let from = match (settings.outbound_policy, sidecar, mesh) {
            (NodePolicy::Fixed(_), _, _) => "from --outbound-traffic-policy, which is final".to_owned(),
            (NodePolicy::Mesh, Some(sidecar), _)
                if sidecar.outbound_policy == Some(OutboundMode::RegistryOnly) || settings.allow_override =>
            {
                format!("from {} ({})", sidecar.object, sidecar.source)
            }
            (NodePolicy::Mesh, Some(sidecar), Some(mesh)) => format!(
                "from the MeshConfig ({}); {} may not loosen it without --allow-override",
                mesh.source, sidecar.object
            ),
            (NodePolicy::Mesh, None, Some(mesh)) => format!("from the MeshConfig ({})", mesh.source),
            (NodePolicy::Mesh, _, None) => {
                "because it is the mesh's, and no source has a MeshConfig".to_owned()
            }
        };
        step("policy", policy.as_str(), format!("Its outbound policy is {policy}, {from}."))
    }

    fn exempt_step(&self, ip: IpAddr, to: &Destination, looks: &[Look]) -> Step {
        let looks: Vec<&Look> = looks.iter().filter(|look| look.view == ViewId::EXEMPT).collect();
        if looks.is_empty() {
            return step("exempt", "nothing", "No --allow range is set.");
        }
        if looks.iter().any(|look| look.rule.is_err()) {
            return step("exempt", "fault", FAULT);
        }
        if let Some(rule) = looks.iter().find_map(|look| look.rule.unwrap_or(None)) {
            let name =
                self.rule(rule.id).map_or_else(|| "a range".to_owned(), |rule| rule.object.name.to_string());
            return step("exempt", "allow", format!("--allow {name} holds it."));
        }
        let classes = looks.iter().filter_map(|look| self.image().classes.get(&look.class?));
        let rules = classes.flat_map(|class| class.values()).filter_map(|rule| self.rule(rule.id));
        let ranges: BTreeSet<&str> = rules.map(|rule| &*rule.object.name).collect();
        if ranges.is_empty() {
            return step("exempt", "nothing", format!("No --allow range holds {ip}."));
        }
        let ranges: Vec<&str> = ranges.into_iter().take(LISTED).collect();
        let told =
            format!("--allow {} holds {ip}, but not {}/{}.", ranges.join(" and "), to.port, to.protocol);
        step("exempt", "other_ports", told)
    }

    fn level_step(&self, look: &Look, spec: &WorkloadSpec, ip: IpAddr, to: &Destination) -> Step {
        let public = look.view == ViewId::PUBLIC;
        let whose = if public {
            "in the public part".to_owned()
        } else {
            match self.sidecar(spec).filter(|sidecar| sidecar.narrows()) {
                Some(sidecar) => format!("among what {} imports", sidecar.object),
                None => format!("in {}'s own view", spec.namespace),
            }
        };
        let network = (look.level == Level::Prefix).then(|| self.network(look, ip)).flatten();
        let (name, what) = match (look.level, network) {
            (Level::Exact, _) => ("exact", format!("Exactly {ip}")),
            (Level::Prefix, Some(network)) => {
                ("prefix", format!("The longest network around {ip}, {network},"))
            }
            (Level::Prefix, None) => ("prefix", format!("A network around {ip}")),
            (Level::Any, _) => ("any", format!("Port {}/{} at any address", to.port, to.protocol)),
        };
        let name = format!("{name}_{}", if public { "public" } else { "own" });
        let found = match (look.rule, look.class) {
            (Err(_), _) => return step(&name, "fault", FAULT),
            (Ok(Some(rule)), _) => {
                return step(&name, action_word(rule.action), self.hit(&what, &whose, rule, ip, to));
            }
            (Ok(None), Some(class)) if !to.protocol.is_registrable() => {
                return step(&name, "allow", self.echo_hit(&what, &whose, class));
            }
            (Ok(None), Some(class)) => self.ports_of(class),
            (Ok(None), None) => Vec::new(),
        };
        match &found[..] {
            [] => step(&name, "nothing", format!("{what} {whose}: nothing.")),
            ports => step(&name, "other_ports", format!("{what} {whose}: {}.", ports.join("; "))),
        }
    }

    /// Somebody has the address, whatever the ports.
    fn echo_hit(&self, what: &str, whose: &str, class: ClassId) -> String {
        let rules = self.image().classes.get(&class);
        let rules = rules.into_iter().flat_map(|rules| rules.values());
        let objects: BTreeSet<String> =
            rules.filter_map(|rule| Some(self.rule(rule.id)?.object.to_string())).collect();
        let objects: Vec<String> = objects.into_iter().take(LISTED).collect();
        let of = if objects.is_empty() { "somebody".to_owned() } else { objects.join(" and ") };
        format!("{what} {whose}: of {of}; an ICMP echo asks for the address alone, whatever its ports.")
    }

    /// A rule for the port, with the lines that made it.
    fn hit(&self, what: &str, whose: &str, rule: Rule, ip: IpAddr, to: &Destination) -> String {
        let Some(key) = self.rule(rule.id) else {
            return format!("{what} {whose}: a rule of an earlier agent.");
        };
        let source = self.service_of(key).map(|service| format!(" ({})", service.source)).unwrap_or_default();
        let fields = self.fields(key, to, Some(ip));
        let fields = if fields.is_empty() { String::new() } else { format!(", {}", fields.join(", ")) };
        let of = format!("{}{source}{fields}", key.object);
        match rule.action {
            RuleAction::Allow => format!("{what} {whose}: allowed by {of}."),
            RuleAction::Translate => format!("{what} {whose}: a VIP of {of}."),
            RuleAction::NeedsName => format!(
                "{what} {whose}: {of} has this port, but only a host name could tell whether the address is its own. The search goes on."
            ),
        }
    }

    /// The network whose class was found.
    fn network(&self, look: &Look, ip: IpAddr) -> Option<Prefix> {
        let (prefix, class) = self.image().longest_around(look.view, &Prefix::host(Addr::from(ip)))?;
        (Some(class) == look.class).then_some(prefix)
    }

    /// `shop/warehouse has this address, with 5432/tcp only`, for each object with rules in a class.
    pub(super) fn ports_of(&self, class: ClassId) -> Vec<String> {
        let mut by_object: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let rules = self.image().classes.get(&class);
        for ((protocol, port), rule) in rules.into_iter().flat_map(|rules| rules.iter()) {
            let object =
                self.rule(rule.id).map_or_else(|| "somebody".to_owned(), |rule| rule.object.to_string());
            by_object.entry(object).or_default().push(format!("{port}/{protocol}"));
        }
        let told = by_object.iter().take(LISTED).map(|(object, ports)| {
            let more = if ports.len() > LISTED { ", ..." } else { "" };
            let ports = ports.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
            format!("{object} has this address, with {ports}{more} only")
        });
        told.collect()
    }

    fn translates(&self, rule: RuleId) -> bool {
        self.rule(rule).is_some_and(|rule| rule.action == RuleAction::Translate)
    }

    /// What came of it, where a level alone does not say so.
    fn last_step(&self, workload: Workload, judged: &Judged) -> Option<Step> {
        match judged.verdict.reason.subject() {
            Subject::Registry => self.registry_step(workload, judged),
            Subject::Destination | Subject::Workload | Subject::Kernel | Subject::Packet => None,
        }
    }

    fn registry_step(&self, workload: Workload, judged: &Judged) -> Option<Step> {
        let verdict = &judged.verdict;
        let of = || {
            self.rule(verdict.rule).map_or_else(|| "The service".to_owned(), |rule| rule.object.to_string())
        };
        let default = |found, detail: String| Some(step("default", found, detail));
        match verdict.reason {
            Reason::Registered if verdict.action == Action::Translate => {
                let to = self.rule(verdict.rule).map(|rule| backends(rule, judged.ip)).unwrap_or_default();
                let more = if to.len() > LISTED { ", ..." } else { "" };
                let to = to.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
                Some(step("backend", "translate", format!("It goes to one of {to}{more}.")))
            }
            Reason::Registered if workload.is_meshed() && self.translates(verdict.rule) => {
                Some(step("backend", "allow", "It passes as it is: the mesh proxy chooses the endpoint."))
            }
            Reason::NoBackend => Some(step(
                "backend",
                "no_backend",
                format!("{} has no endpoint whose address is known and which is ready.", of()),
            )),
            Reason::WrongFamily => Some(step(
                "backend",
                "wrong_family",
                format!("{} has no endpoint of this address family.", of()),
            )),
            Reason::AllowAny => {
                default("allow", "No rule names it; the policy ALLOW_ANY allows it.".to_owned())
            }
            Reason::NotRegistered | Reason::NeedsName => {
                default("deny", format!("No rule allows it; the policy {} denies it.", workload.policy()))
            }
            Reason::PolicyUnknown => default(
                "deny",
                format!("No rule allows it, and the policy is {}, which denies.", OutboundPolicy::Unknown),
            ),
            // Its level has said so.
            _ => None,
        }
    }
}

const FAULT: &str =
    "An element of the map was another one's twice in a row: what cannot be trusted is denied.";

fn recognised(asker: &Asker) -> Step {
    if let Some(how) = &asker.recognised {
        return step("workload", "recognised", how.clone());
    }
    let spec = asker.spec;
    let name = if spec.name.is_empty() { String::new() } else { format!(" {}", spec.name) };
    let what = format!("The workload{name} of namespace {} is as the question has it.", spec.namespace);
    step("workload", "given", what)
}

/// What is done with a denial.
fn enforcement(asker: &Asker) -> Step {
    let Some(enforcement) = asker.spec.enforcement.or(asker.enforcement) else {
        let what = "Whether denials are enforced, only the running agent knows.";
        return step("enforcement", "unknown", what);
    };
    let of = match (asker.spec.enforcement, asker.enforcement) {
        (Some(_), _) => "the workload's own switch",
        (None, _) => "the node's switch",
    };
    let what = match enforcement {
        Enforcement::Enforce => "denied is denied",
        Enforcement::Audit => "a denial is recorded, and nothing is stopped",
        Enforcement::Off => "nothing is looked at",
    };
    step("enforcement", enforcement.as_str(), format!("Enforcement is {enforcement} ({of}): {what}."))
}

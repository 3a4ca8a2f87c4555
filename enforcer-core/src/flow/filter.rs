//! Which flows somebody wants to see. Of several values of one kind any may fit; every kind that is given must.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use enforcer_common::addr::Protocol;
use enforcer_common::reason::Reason;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::flow::{Flow, FlowWorkload};
use crate::name::Host;
use crate::policy::destination;

/// A filter as it was typed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FilterText {
    /// `allowed`, `denied`, `translated` or `all`.
    pub verdicts: Vec<String>,
    /// Namespaces of workloads.
    pub namespaces: Vec<String>,
    /// `namespace/name`, or a name.
    pub workloads: Vec<String>,
    /// Reasons.
    pub reasons: Vec<String>,
    /// `IP`, `CIDR` or `HOST`, each with `:PORT` behind it, or `:PORT` alone.
    pub to: Vec<String>,
    /// `tcp`, `udp`, ...
    pub protocols: Vec<String>,
}

/// What is wrong with a filter: every fault, a line each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(String);

/// A filter. The default one lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only flows since then.
    pub since: Option<Timestamp>,
    verdicts: Vec<&'static str>,
    namespaces: Vec<String>,
    workloads: Vec<(Option<String>, String)>,
    reasons: Vec<Reason>,
    to: Vec<To>,
    protocols: Vec<String>,
}

/// The words of `--verdict`, and the verdict that each stands for.
const VERDICTS: [(&str, &str); 3] = [("allowed", "allow"), ("denied", "deny"), ("translated", "translate")];

impl FilterText {
    /// The filter that the text means.
    pub fn parse(&self) -> Result<Filter, BadFilter> {
        let mut faults = Vec::new();
        let all = self.verdicts.iter().any(|word| word == "all");
        let verdicts = each(&self.verdicts, &mut faults, |word| match word {
            "all" => Ok(""),
            _ => verdict(word),
        });
        let filter = Filter {
            since: None,
            verdicts: if all { Vec::new() } else { verdicts },
            namespaces: self.namespaces.clone(),
            workloads: each(&self.workloads, &mut faults, workload),
            reasons: each(&self.reasons, &mut faults, reason),
            to: each(&self.to, &mut faults, str::parse),
            protocols: each(&self.protocols, &mut faults, protocol),
        };
        if faults.is_empty() { Ok(filter) } else { Err(BadFilter(faults.join("\n"))) }
    }
}

fn each<'a, T>(
    texts: &'a [String],
    faults: &mut Vec<String>,
    parse: impl Fn(&'a str) -> Result<T, String>,
) -> Vec<T> {
    let parsed = texts.iter().map(|text| parse(text));
    parsed.filter_map(|parsed| parsed.map_err(|fault| faults.push(fault)).ok()).collect()
}

fn verdict(word: &str) -> Result<&'static str, String> {
    let known = VERDICTS.iter().find(|(known, verdict)| word == *known || word == *verdict);
    let known = known.map(|(_, verdict)| *verdict);
    known.ok_or_else(|| format!("no verdict is called \"{word}\"; use allowed, denied, translated or all"))
}

fn reason(word: &str) -> Result<Reason, String> {
    let known = Reason::ALL.iter().find(|reason| reason.as_str() == word).copied();
    known.ok_or_else(|| {
        let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        format!("no reason is called \"{word}\"; there are: {}", all.join(", "))
    })
}

/// As flows have it: by name where there is one, else by number.
fn protocol(word: &str) -> Result<String, String> {
    let word = word.to_ascii_lowercase();
    let is = |protocol: &Protocol| protocol.to_string() == word || protocol.get().to_string() == word;
    let known = (0..=u8::MAX).map(Protocol::new).find(is).map(|protocol| protocol.to_string());
    known.ok_or_else(|| {
        format!("no protocol is called \"{word}\"; use tcp, udp, icmp, icmpv6, sctp or a number")
    })
}

fn workload(text: &str) -> Result<(Option<String>, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((Some(namespace.to_owned()), name.to_owned()))
        }
        None if !text.is_empty() => Ok((None, text.to_owned())),
        _ => Err(format!("\"{text}\" is no workload; write namespace/name, or a name")),
    }
}

impl Filter {
    /// Whether `flow` is wanted.
    pub fn matches(&self, flow: &Flow) -> bool {
        self.since.is_none_or(|since| flow.time >= since)
            && any_of(&self.verdicts, |verdict| flow.verdict == *verdict)
            && self.matches_workload(flow.workload.as_ref())
            && any_of(&self.reasons, |reason| flow.reason == reason.as_str())
            && any_of(&self.to, |to| to.matches(flow))
            && any_of(&self.protocols, |protocol| flow.protocol == *protocol)
    }

    /// Whether flows of `workload` may be wanted; `None` stands for processes without identity.
    pub fn matches_workload(&self, workload: Option<&FlowWorkload>) -> bool {
        let is = |test: &dyn Fn(&FlowWorkload) -> bool| workload.is_some_and(test);
        any_of(&self.namespaces, |namespace| is(&|workload| workload.namespace == *namespace))
            && any_of(&self.workloads, |(namespace, name)| {
                is(&|workload| {
                    workload.name == *name
                        && namespace.as_ref().is_none_or(|namespace| workload.namespace == *namespace)
                })
            })
    }

    /// Whether a flow that is not denied can pass: only then it is worth that the kernel sends them.
    pub fn wants_allowed(&self) -> bool {
        any_of(&self.verdicts, |verdict| *verdict != "deny")
            && any_of(&self.reasons, |reason| reason.allows())
    }
}

/// Nothing given is everything wanted.
fn any_of<T>(wanted: &[T], test: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(test)
}

/// Where to.
#[derive(Clone, PartialEq, Eq, Debug)]
struct To {
    place: Place,
    port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Anywhere,
    Net(IpNet),
    Host(Host),
}

impl To {
    /// By what was asked for, or by where it went instead.
    fn matches(&self, flow: &Flow) -> bool {
        let asked = SocketAddr::new(flow.destination.ip, flow.destination.port);
        let protocol = self.protocol.as_ref().is_none_or(|protocol| flow.protocol == *protocol);
        protocol
            && std::iter::once(asked).chain(flow.translated).any(|to| {
                let place = match &self.place {
                    Place::Anywhere => true,
                    Place::Net(net) => net.contains(&to.ip()),
                    Place::Host(pattern) => {
                        let host = flow.destination.host.as_deref().map(Host::new);
                        host.is_some_and(|host| host.is_subset_of(pattern))
                    }
                };
                place && self.port.is_none_or(|port| port == to.port())
            })
    }
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |what: &str| {
            format!(
                "\"{text}\" is no destination: {what}; write an address, a CIDR or a host, and :PORT behind it, \
                 [2001:db8::1]:443 for IPv6"
            )
        };
        // As flows are printed.
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, word @ ("tcp" | "udp"))) => (rest, Some(word.to_owned())),
            _ => (text, None),
        };
        if let Some(net) = net(rest) {
            return Ok(Self { place: Place::Net(net), port: None, protocol });
        }
        let (place, port) = match rest.rsplit_once(':') {
            Some((place, port)) if !port.ends_with(']') => (place, Some(port)),
            _ => (rest, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(bad("the port is no number from 1 to 65535")),
        };
        let place = if let Some(inner) = place.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| bad("the bracket is not closed"))?;
            Place::Net(net(inner).ok_or_else(|| bad("no IPv6 address or CIDR in brackets"))?)
        } else if place.is_empty() && port.is_some() {
            Place::Anywhere
        } else if place.contains(':') {
            return Err(bad("an IPv6 address with a port needs brackets"));
        } else if let Some(net) = net(place) {
            Place::Net(net)
        } else {
            Place::Host(pattern(place).ok_or_else(|| bad("it is neither a name nor an address"))?)
        };
        Ok(Self { place, port, protocol })
    }
}

fn net(text: &str) -> Option<IpNet> {
    let address = || text.parse().ok().map(|ip: IpAddr| IpNet::from(ip.to_canonical()));
    text.parse().ok().map(|net: IpNet| net.trunc()).or_else(address)
}

/// A host, or `*.` and one.
fn pattern(text: &str) -> Option<Host> {
    destination::host(text)
}

#[cfg(test)]
mod tests;

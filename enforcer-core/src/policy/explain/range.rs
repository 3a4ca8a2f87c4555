//! Networks: one answer when every address has the same, else where the answers differ.
//!
//! The compiled image says where a verdict *can* change: at its addresses, at both ends of its networks, and around loopback. One
//! address of each stretch between is judged, by the same function as any other.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use enforcer_common::addr::{Addr, Prefix};
use enforcer_common::id::ViewId;
use enforcer_common::verdict::{Tables, Verdict, Workload};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::policy::compile::Compiler;
use crate::policy::destination::Destination;
use crate::policy::explain::steps::step;
use crate::policy::explain::{Judged, judge};

/// How many stretches are judged at most.
const JUDGED: usize = 20_000;
/// How many of them are told.
const TOLD: usize = 20;

/// The answers within a network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RangeAnswer {
    /// Whether every address has the same verdict and reason.
    pub uniform: bool,
    /// Stretches of addresses with one answer, in their order: the first ones.
    pub parts: Vec<RangePart>,
    /// How many more there are.
    pub more: usize,
}

/// Addresses next to each other with one answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RangePart {
    /// The first address.
    pub first: std::net::IpAddr,
    /// The last one.
    pub last: std::net::IpAddr,
    /// Their verdict.
    pub verdict: String,
    /// Their reason.
    pub reason: String,
    /// The object that decided.
    pub object: Option<String>,
}

impl Compiler {
    /// Judges every address of `net`. A mixed answer has the verdict of its first address, and says that it is mixed.
    pub(super) fn judge_range<T: Tables>(
        &self,
        tables: &T,
        workload: Workload,
        net: IpNet,
        to: &Destination,
    ) -> Judged {
        let prefix = Prefix::of_ip(net.addr(), net.prefix_len());
        let starts = self.starts(workload, prefix);
        let mut judged = Judged::of(tables, workload, net.addr(), to);
        let mut stretches: Vec<(u128, Verdict)> = Vec::new();
        for start in starts.iter().take(JUDGED) {
            let addr = addr(*start);
            // The IPv4 addresses lie within ::/0, and are not meant by it.
            if addr.is_v4() != prefix.is_v4() {
                continue;
            }
            let verdict = judge(tables, workload, addr, to);
            if stretches.last().is_none_or(|(_, last)| !same_rule(last, &verdict)) {
                stretches.push((*start, verdict));
            }
        }
        let first = judged.verdict;
        let whole = starts.len() <= JUDGED;
        let uniform = stretches.iter().all(|(_, verdict)| same_answer(verdict, &first));
        if !whole {
            let told =
                format!("only the first {JUDGED} of {} stretches of {net} were looked at", starts.len());
            judged.warnings.push(told);
        }
        judged.named = Some(if uniform {
            let all = if whole { "Every address" } else { "Every address that was looked at" };
            let what = format!("{all} of {net} has the same answer; {} stands for them.", net.addr());
            step("range", "uniform", what)
        } else {
            let what =
                format!("{net} has no one answer: there are {} stretches of addresses.", stretches.len());
            step("range", "mixed", what)
        });
        judged.range = Some(RangeAnswer {
            // What was not looked at may differ.
            uniform: uniform && whole,
            more: stretches.len().saturating_sub(TOLD),
            parts: self.parts(&stretches, prefix),
        });
        judged
    }

    fn parts(&self, stretches: &[(u128, Verdict)], prefix: Prefix) -> Vec<RangePart> {
        let end = number(prefix.last());
        let ends = stretches.iter().skip(1).map(|(start, _)| start - 1).chain([end]);
        let told = stretches.iter().zip(ends).take(TOLD);
        told.map(|((start, verdict), end)| RangePart {
            first: addr(*start).ip(),
            last: addr(end).ip(),
            verdict: verdict.action.as_str().to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            object: self.rule(verdict.rule).map(|rule| rule.object.to_string()),
        })
        .collect()
    }

    /// The first addresses of all stretches in which the verdict cannot change.
    fn starts(&self, workload: Workload, net: Prefix) -> BTreeSet<u128> {
        let (first, last) = (net.addr(), net.last());
        let mut starts: BTreeSet<u128> = [number(first)].into();
        let mut around = |from: Addr, to: Addr| {
            starts.insert(number(from));
            starts.extend(number(to).checked_add(1));
        };
        let local = ["::ffff:0:0/128", "::ffff:127.0.0.0/104", "::/128", "::1/128", "::ffff:0:0/96"];
        for local in local.iter().filter_map(|local| local.parse::<ipnet::Ipv6Net>().ok()) {
            around(Addr::from(local.network()), Addr::from(local.broadcast()));
        }
        let public = workload.inherits_public().then_some(ViewId::PUBLIC);
        for view in [ViewId::EXEMPT, workload.view()].into_iter().chain(public) {
            for ((_, addr), _) in self.image().exact.range((view, first)..=(view, last)) {
                around(*addr, *addr);
            }
            for nested in self.image().nested(view, net) {
                around(nested.addr(), nested.last());
            }
        }
        starts.retain(|start| (number(first)..=number(last)).contains(start));
        starts
    }
}

fn same_answer(one: &Verdict, other: &Verdict) -> bool {
    (one.action, one.reason) == (other.action, other.reason)
}

fn same_rule(one: &Verdict, other: &Verdict) -> bool {
    same_answer(one, other) && one.rule == other.rule
}

fn number(addr: Addr) -> u128 {
    u128::from_be_bytes(addr.octets())
}

fn addr(number: u128) -> Addr {
    Addr::from(Ipv6Addr::from(number))
}

//! Where packets of workloads can be judged: whose programs are on the interfaces, and which interfaces have no other end here.

use crate::dataplane::probe::attached::AttachedProgram;
use crate::doctor::{Area, Check};

const AREA: Area = Area("interfaces");

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Interfaces {
    /// Whether programs are attached by TCX, or why that cannot be told.
    pub(super) tcx: Result<bool, String>,
    /// The node's side of pods' interfaces, and what runs there in order; or why that cannot be told.
    pub(super) programs: Result<Vec<OnInterface>, String>,
    /// Workloads with a network of their own, or why that cannot be told.
    pub(super) pods: Result<Vec<Pod>, String>,
}

/// Programs of one interface.
#[derive(Clone, Debug)]
pub(super) struct OnInterface {
    pub(super) name: String,
    pub(super) programs: Vec<AttachedProgram>,
}

/// A workload with a network of its own.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) cgroup: String,
    /// Its interfaces by which packets leave it, and that have no other end here.
    pub(super) uncovered: Vec<String>,
}

/// How many are named.
const NAMED: usize = 5;
const ROOT: &str = "run on the host as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN";

pub(super) fn checks(interfaces: &Interfaces) -> Vec<Check> {
    vec![attaching(&interfaces.tcx), programs(&interfaces.programs), pods(&interfaces.pods)]
}

fn attaching(tcx: &Result<bool, String>) -> Check {
    match tcx {
        Ok(true) => AREA.ok("traffic control", "TCX: links that are pinned, and ours come first"),
        Ok(false) => AREA.warn(
            "traffic control",
            "clsact: filters are not pinned, and whoever manages the interface can take them off",
            "have a kernel of 6.6 or later",
        ),
        Err(why) => AREA.not_looked_at("traffic control", why, ROOT),
    }
}

fn is_ours(program: &AttachedProgram) -> bool {
    program.name.starts_with("enforcer_")
}

fn programs(found: &Result<Vec<OnInterface>, String>) -> Check {
    const CHECK: &str = "programs of others";
    let interfaces = match found {
        Ok(interfaces) => interfaces,
        Err(why) => return AREA.not_looked_at(CHECK, why, ROOT),
    };
    let before: Vec<String> = interfaces.iter().filter_map(before_ours).collect();
    if !before.is_empty() {
        return AREA.warn(
            CHECK,
            format!("before ours: {}", shortened(&before)),
            "they decide what ours sees; the running agent puts its own first again: if that does not last, have theirs attached \
             behind (without BPF_F_BEFORE), and see order_lost in `enforcer status -o json`",
        );
    }
    let foreign: Vec<String> = interfaces.iter().filter_map(foreign).collect();
    if foreign.is_empty() {
        return AREA.ok(CHECK, format!("none at {} of pods", count(interfaces.len(), "interface")));
    }
    AREA.note(
        CHECK,
        shortened(&foreign),
        "ours are attached before them, and both have to allow: what either denies is denied",
    )
}

/// What runs before ours, where ours is.
fn before_ours(interface: &OnInterface) -> Option<String> {
    let hooks = ["TCX ingress", "TCX egress"].into_iter();
    let before: Vec<&AttachedProgram> = hooks
        .flat_map(|hook| {
            let of_hook = || interface.programs.iter().filter(move |program| program.hook == hook);
            let ours = of_hook().position(is_ours).unwrap_or(0);
            of_hook().take(ours)
        })
        .collect();
    told(&interface.name, &before)
}

fn foreign(interface: &OnInterface) -> Option<String> {
    let foreign: Vec<&AttachedProgram> =
        interface.programs.iter().filter(|program| !is_ours(program)).collect();
    told(&interface.name, &foreign)
}

/// `veth1 (12 cil_from_contai at TCX ingress)`
fn told(name: &str, programs: &[&AttachedProgram]) -> Option<String> {
    let one = |program: &&AttachedProgram| {
        let who = format!("{} {}", program.id, program.name);
        format!("{} at {}", who.trim_end(), program.hook)
    };
    let all: Vec<String> = programs.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("{name} ({})", all.join(", ")))
}

fn pods(found: &Result<Vec<Pod>, String>) -> Check {
    const CHECK: &str = "pods' interfaces";
    let pods = match found {
        Ok(pods) => pods,
        Err(why) => return AREA.not_looked_at(CHECK, why, ROOT),
    };
    let uncovered: Vec<String> = pods
        .iter()
        .filter(|pod| !pod.uncovered.is_empty())
        .map(|pod| format!("{} of {}", pod.uncovered.join(", "), pod.cgroup))
        .collect();
    if uncovered.is_empty() {
        let pods = count(pods.len(), "pod");
        return AREA.ok(
            CHECK,
            format!("{pods} with a network of their own, each interface with its other end here"),
        );
    }
    AREA.warn(
        CHECK,
        format!("without another end on this node: {}", shortened(&uncovered)),
        "what is sent there is judged at its sockets only: name the node's interface that it leaves by with --uplink, or the \
         node's side of the pod's with interface=",
    )
}

fn shortened(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{named}; and {more} more"),
        _ => named,
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Ok as Fine, Warn};
    use crate::doctor::{named, told as results};

    fn program(hook: &'static str, id: u32, name: &str) -> AttachedProgram {
        AttachedProgram { hook, id, name: name.to_owned() }
    }

    fn found(programs: Vec<AttachedProgram>, uncovered: &[&str]) -> Vec<Check> {
        let uncovered = uncovered.iter().map(|name| (*name).to_owned()).collect();
        checks(&Interfaces {
            tcx: Ok(true),
            programs: Ok(vec![OnInterface { name: "veth1".to_owned(), programs }]),
            pods: Ok(vec![Pod { cgroup: "/kubepods/pod1".to_owned(), uncovered }]),
        })
    }

    #[test]
    fn who_comes_before_ours_is_named() {
        let ours = |hook| program(hook, 1, "enforcer_tc_in");
        let theirs = |hook| program(hook, 12, "cil_from_contai");
        for (programs, result, said) in [
            (vec![], Fine, "none at 1 interface of pods"),
            (
                vec![ours("TCX ingress"), theirs("TCX ingress")],
                Fine,
                "veth1 (12 cil_from_contai at TCX ingress)",
            ),
            (
                vec![theirs("TCX ingress"), ours("TCX egress")],
                Fine,
                "veth1 (12 cil_from_contai at TCX ingress)",
            ),
            (
                vec![theirs("TCX egress"), ours("TCX egress"), ours("TCX ingress")],
                Warn,
                "before ours: veth1 (12 cil_from_contai at TCX egress)",
            ),
        ] {
            let checks = found(programs, &[]);
            let check = named(&checks, "programs of others");
            assert_eq!((check.result, &*check.found), (result, said));
        }
    }

    #[test]
    fn interfaces_without_another_end_are_named_with_what_to_do() {
        let checks = found(vec![], &["net1", "net2"]);
        let check = named(&checks, "pods' interfaces");
        assert_eq!(check.found, "without another end on this node: net1, net2 of /kubepods/pod1");
        assert!(check.advice.as_deref().is_some_and(|advice| advice.contains("--uplink")), "{check:?}");
        assert_eq!(named(&found(vec![], &[]), "pods' interfaces").result, Fine);
    }

    #[test]
    fn what_could_not_be_looked_at_is_no_pass() {
        let why = || "not permitted".to_owned();
        let checks = checks(&Interfaces { tcx: Err(why()), programs: Err(why()), pods: Err(why()) });
        assert!(results(&checks).iter().all(|(_, result)| *result == Warn), "{checks:?}");
        let all: Vec<String> = (0..7).map(|number| number.to_string()).collect();
        assert_eq!(shortened(&all), "0; 1; 2; 3; 4; and 2 more");
    }
}

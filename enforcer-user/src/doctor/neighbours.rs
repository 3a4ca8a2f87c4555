//! Who else is here: other eBPF agents on the cgroups above ours, and Istio's own pieces.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::dataplane::probe::attached::AttachedProgram;
use crate::doctor::{Area, Check};

const AREA: Area = Area("neighbours");

/// What is attached to one cgroup.
#[derive(Clone, Debug)]
pub(super) struct Attachments {
    pub(super) cgroup: PathBuf,
    /// Whether our own programs go there, not only below.
    pub(super) target: bool,
    pub(super) programs: Vec<AttachedProgram>,
}

/// A process of the host.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// `/proc/PID/comm`: fifteen characters.
    pub(super) comm: String,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    /// From the root cgroup down to where ours go, or why that cannot be told.
    pub(super) attached: Result<Vec<Attachments>, String>,
    /// The names of all loaded programs.
    pub(super) loaded: Vec<String>,
    /// `None`: this process sees its own container's only.
    pub(super) processes: Option<Vec<Process>>,
    /// Those of Istio's files that are there.
    pub(super) files: Vec<PathBuf>,
}

/// Beginnings of program names, as the kernel keeps them, and whose they are.
const KNOWN: &[(&str, &str)] = &[
    ("enforcer_", OURS),
    ("sd_", "systemd"),
    ("cil_", "Cilium"),
    ("cali_", "Calico"),
    ("calico_", "Calico"),
    ("kmesh", "Kmesh"),
    ("cgroup_connect", "Kmesh"),
    ("cgroup_sendmsg", "Kmesh"),
    ("cgroup_recvmsg", "Kmesh"),
    ("handle_ingress", "AWS network policy agent"),
    ("handle_egress", "AWS network policy agent"),
    ("antrea_", "Antrea"),
];
const OURS: &str = "enforcer";
const UNKNOWN: &str = "unknown programs";

/// Where a program can send a connection somewhere else.
const REWRITING: &[&str] = &["connect4", "connect6", "sendmsg4", "sendmsg6"];

pub(super) fn checks(neighbours: &Neighbours) -> Vec<Check> {
    let mut checks = agents(neighbours);
    checks.extend(traffic_control(&neighbours.loaded));
    checks.extend(istio(neighbours));
    checks
}

fn whose(name: &str) -> &'static str {
    KNOWN.iter().find(|(start, _)| name.starts_with(start)).map_or(UNKNOWN, |(_, agent)| agent)
}

fn agents(neighbours: &Neighbours) -> Vec<Check> {
    let attached = match &neighbours.attached {
        Ok(attached) => attached,
        Err(why) => {
            let advice = "run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN";
            return vec![AREA.not_looked_at("programs on cgroups", why, advice)];
        }
    };
    let mut by_agent: BTreeMap<&str, Vec<(&Attachments, &AttachedProgram)>> = BTreeMap::new();
    for place in attached {
        for program in &place.programs {
            by_agent.entry(whose(&program.name)).or_default().push((place, program));
        }
    }
    by_agent.remove(OURS);
    if by_agent.is_empty() {
        let looked: Vec<String> = attached.iter().map(|place| place.cgroup.display().to_string()).collect();
        return vec![AREA.ok("programs on cgroups", format!("none of others at {}", looked.join(", ")))];
    }
    by_agent.into_iter().map(|(agent, programs)| judged(agent, &programs)).collect()
}

/// Ours are below most others and so run first: they see what the process asked for. What the others make of it is not seen
/// again.
fn judged(agent: &str, programs: &[(&Attachments, &AttachedProgram)]) -> Check {
    let found = listed(programs);
    let rewrites = |(_, program): &&(&Attachments, &AttachedProgram)| REWRITING.contains(&program.hook);
    let Some((_, first)) = programs.iter().find(rewrites) else {
        return AREA.ok(agent, found);
    };
    let beside = programs.iter().filter(rewrites).any(|(place, _)| place.target);
    let see = format!("bpftool prog show id {}", first.id);
    match agent {
        "systemd" => AREA.ok(agent, found),
        _ if beside => AREA.warn(
            agent,
            found,
            format!(
                "it is on the same cgroup as ours: whichever was attached first runs first, and ours may see \
                 addresses that it has changed already; attach ours further down (--cgroup), or take that one off \
                 ({see})"
            ),
        ),
        "Cilium" | "Calico" => AREA.note(
            agent,
            found,
            "it runs after ours and translates Services that ours has allowed: nothing to do",
        ),
        _ => AREA.warn(
            agent,
            found,
            format!("it runs after ours and may send an allowed connection somewhere else; find out whose it is: {see}"),
        ),
    }
}

/// A few of them, and how many more.
fn listed(programs: &[(&Attachments, &AttachedProgram)]) -> String {
    const SHOWN: usize = 4;
    let each = programs.iter().take(SHOWN).map(|(place, program)| {
        let name = if program.name.is_empty() { "(no name)" } else { &program.name };
        format!("{name} (id {}) at {} of {}", program.id, program.hook, place.cgroup.display())
    });
    let mut text = each.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = programs.len().checked_sub(SHOWN) {
        text.push_str(", and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}

/// Loaded, wherever they are attached: what is on interfaces is on those of the pods.
fn traffic_control(loaded: &[String]) -> Option<Check> {
    let mut agents: Vec<&str> = loaded.iter().map(|name| whose(name)).collect();
    agents.sort_unstable();
    agents.dedup();
    agents.retain(|agent| ![OURS, UNKNOWN, "systemd"].contains(agent));
    (!agents.is_empty()).then(|| {
        AREA.note(
            "loaded programs",
            format!("of {}", agents.join(", ")),
            "their policies and ours both have to allow: what either denies is denied",
        )
    })
}

fn istio(neighbours: &Neighbours) -> Vec<Check> {
    let Some(processes) = &neighbours.processes else {
        return vec![AREA.not_looked_at(
            "Istio",
            "this process sees its own container's processes only",
            "run on the host, or in a pod with hostPID: true",
        )];
    };
    let running = |comm: &str| processes.iter().find(|process| process.comm == comm);
    let ztunnel = match running("ztunnel") {
        Some(process) => AREA.note(
            "ztunnel",
            format!("runs (pid {}): this node is in ambient mode", process.pid),
            "it passes on what is not registered; ours denies that before it gets there",
        ),
        None => AREA.ok("ztunnel", "does not run here"),
    };
    let files: Vec<String> = neighbours.files.iter().map(|path| path.display().to_string()).collect();
    let cni = match (running("install-cni"), &files[..]) {
        (Some(process), _) => AREA.ok("istio-cni", format!("runs (pid {})", process.pid)),
        (None, []) => AREA.ok("istio-cni", "not here"),
        (None, files) => AREA.ok("istio-cni", format!("does not run; files: {}", files.join(", "))),
    };
    let sidecars = processes.iter().filter(|process| process.comm == "pilot-agent").count();
    let sidecars =
        AREA.ok("sidecars", if sidecars == 0 { "none".to_owned() } else { format!("{sidecars} run here") });
    vec![ztunnel, cni, sidecars]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Ok as Fine, Warn};
    use crate::doctor::{named, told};

    fn place(cgroup: &str, target: bool, programs: &[(&'static str, u32, &str)]) -> Attachments {
        let programs = programs.iter().map(|(hook, id, name)| AttachedProgram {
            hook,
            id: *id,
            name: (*name).to_owned(),
        });
        Attachments { cgroup: cgroup.into(), target, programs: programs.collect() }
    }

    fn on(attached: Vec<Attachments>) -> Neighbours {
        let processes = Some(Vec::new());
        Neighbours { attached: Ok(attached), loaded: Vec::new(), processes, files: Vec::new() }
    }

    #[test]
    fn those_who_may_change_what_ours_has_judged_are_named() {
        let cilium: &[_] = &[("connect4", 12, "cil_sock4_connect"), ("sock_release", 13, "cil_sock_releas")];
        let found = checks(&on(vec![
            place("/c", false, &[cilium, &[("egress", 3, "sd_fw_egress"), ("connect6", 9, "")]].concat()),
            place("/c/kubepods", true, &[("connect4", 40, "enforcer_conn4")]),
        ]));
        assert_eq!(named(&found, "Cilium").result, Fine);
        assert_eq!(named(&found, "systemd").found, "sd_fw_egress (id 3) at egress of /c");
        let unknown = named(&found, "unknown programs");
        assert_eq!(unknown.found, "(no name) (id 9) at connect6 of /c");
        assert!(unknown.advice.as_deref().unwrap().ends_with("bpftool prog show id 9"), "{unknown:?}");
        assert!(!told(&found).iter().any(|(name, _)| name == "enforcer"));

        let beside = checks(&on(vec![place("/c/kubepods", true, cilium)]));
        assert_eq!(named(&beside, "Cilium").result, Warn);
        let kmesh = checks(&on(vec![place("/c", false, &[("connect4", 5, "cgroup_connect4")])]));
        assert_eq!(named(&kmesh, "Kmesh").result, Warn);
        let nobody = checks(&on(vec![place("/c", false, &[])]));
        assert_eq!(named(&nobody, "programs on cgroups").result, Fine);
        let blind = Neighbours { attached: Err("not permitted".to_owned()), ..on(Vec::new()) };
        assert_eq!(named(&checks(&blind), "programs on cgroups").result, Warn);
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let many: Vec<_> = (1..=7).map(|id| ("sock_ops", id, "sd_x")).collect();
        let found = checks(&on(vec![place("/c", false, &many)]));
        assert!(named(&found, "systemd").found.ends_with(", and 3 more"), "{found:?}");
    }

    #[test]
    fn istio_is_seen_by_its_processes_and_files() {
        let process = |pid, comm: &str| Process { pid, comm: comm.to_owned() };
        let processes = vec![process(7, "ztunnel"), process(8, "pilot-agent"), process(9, "install-cni")];
        let loaded = ["cil_from_contai", "sd_devices", "handle_ingress", "x"].map(str::to_owned).to_vec();
        let found = checks(&Neighbours { processes: Some(processes), loaded, ..on(Vec::new()) });
        assert!(named(&found, "ztunnel").found.starts_with("runs (pid 7)"));
        assert_eq!(named(&found, "istio-cni").found, "runs (pid 9)");
        assert_eq!(named(&found, "sidecars").found, "1 run here");
        assert_eq!(named(&found, "loaded programs").found, "of AWS network policy agent, Cilium");
        let inside = checks(&Neighbours { processes: None, ..on(Vec::new()) });
        assert_eq!(named(&inside, "Istio").result, Warn);
        told(&found);
    }
}

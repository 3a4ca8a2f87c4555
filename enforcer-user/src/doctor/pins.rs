//! What enforcer itself has left here: pins, links in the air, and who keeps them.

use std::path::PathBuf;

use enforcer_common::ABI_VERSION;
use enforcer_common::mode::{Enforcement, Switch};

use crate::dataplane::probe::pinned::{PinnedAbi, PinnedTarget};
use crate::doctor::{Area, Check};

const AREA: Area = Area("pins");

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    pub(super) dir: PathBuf,
    /// What is there, or why that cannot be told.
    pub(super) abis: Result<Vec<PinnedAbi>, String>,
    pub(super) holder: Holder,
    /// The switch as it is now, and the agent's flag.
    pub(super) switch: Option<Result<(Switch, Option<Enforcement>), String>>,
}

/// Who holds the lock of the pin directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Holder {
    /// Nobody.
    #[default]
    Nobody,
    /// A process, by its name.
    Process(u32, String),
    /// Not to be told from here, and why.
    Unknown(String),
}

pub(super) fn checks(pinned: &Pinned) -> Vec<Check> {
    let abis = match &pinned.abis {
        Ok(abis) => abis,
        Err(why) => return vec![AREA.not_looked_at("pins", why, "run as root"), agent(pinned, false)],
    };
    let ours = abis.iter().find(|abi| abi.ours);
    let mut checks = vec![match ours {
        None => AREA
            .ok("pins", format!("nothing of this version (v{ABI_VERSION}) below {}", pinned.dir.display())),
        Some(abi) => AREA.ok("pins", described(abi)),
    }];
    checks.extend(abis.iter().filter(|abi| !abi.ours).map(|abi| stale(abi, &pinned.dir)));
    checks.extend(ours.into_iter().flat_map(links));
    checks.push(agent(pinned, !abis.is_empty()));
    checks.extend(pinned.switch.as_ref().map(switch));
    checks
}

fn described(abi: &PinnedAbi) -> String {
    let links: usize = targets(abi).map(|(_, target)| target.links).sum();
    let (cgroups, interfaces) = (abi.cgroups.len(), abi.interfaces.len());
    format!(
        "{} with {} maps, {links} links, {cgroups} cgroups and {interfaces} interfaces",
        abi.name, abi.maps
    )
}

/// What has links, and what that is.
fn targets(abi: &PinnedAbi) -> impl Iterator<Item = (&'static str, &PinnedTarget)> {
    let cgroups = abi.cgroups.iter().map(|cgroup| ("cgroup", cgroup));
    cgroups.chain(abi.interfaces.iter().map(|interface| ("interface", interface)))
}

fn stale(abi: &PinnedAbi, dir: &std::path::Path) -> Check {
    AREA.warn(
        "another version",
        format!("{}; this enforcer speaks v{ABI_VERSION}", described(abi)),
        format!(
            "an agent of v{ABI_VERSION} takes it off once its own programs are attached; `enforcer detach` takes off \
             everything; or use the enforcer of that version with --pin-dir {}",
            dir.display()
        ),
    )
}

fn links(abi: &PinnedAbi) -> Vec<Check> {
    let mut checks = Vec::new();
    let dangling: usize = targets(abi).map(|(_, target)| target.dangling).sum();
    if dangling > 0 {
        checks.push(AREA.warn(
            "dangling links",
            format!("{dangling} whose cgroup or interface has gone"),
            "harmless; an agent takes them off at its next start or change of workloads",
        ));
    }
    for (kind, target) in targets(abi) {
        let gone = target.links > 0 && target.dangling == target.links;
        if !target.missing.is_empty() && !gone && target.unseen.is_none() {
            checks.push(AREA.fail(
                format!("{kind} {}", target.id),
                format!("lacks {}", target.missing.join(", ")),
                "what these judge passes unseen: start the agent again, and look at its log",
            ));
        }
        if let Some(why) = &target.unseen {
            checks.push(AREA.not_looked_at(format!("{kind} {}", target.id), why, "run as root"));
        }
    }
    if checks.is_empty() && targets(abi).next().is_some() {
        checks.push(AREA.ok("links", "complete, and none in the air"));
    }
    checks
}

fn agent(pinned: &Pinned, left: bool) -> Check {
    match &pinned.holder {
        Holder::Process(pid, name) => {
            AREA.ok("agent", format!("{name} (pid {pid}) holds {}", pinned.dir.display()))
        }
        Holder::Unknown(why) => {
            AREA.not_looked_at("agent", why, "`enforcer status` asks it, where its admin socket is")
        }
        Holder::Nobody if left => AREA.warn(
            "agent",
            "none holds the lock: what is pinned stays in force and gets old",
            "start the agent; or `enforcer mode off` or `enforcer detach`, which lift it",
        ),
        Holder::Nobody => AREA.ok("agent", "none yet"),
    }
}

fn switch(read: &Result<(Switch, Option<Enforcement>), String>) -> Check {
    let (switch, flag) = match read {
        Ok(read) => read,
        Err(why) => return AREA.not_looked_at("enforcement", why, "run as root"),
    };
    let now = switch.now;
    match flag {
        Some(flag) if now < *flag => AREA.warn(
            "enforcement",
            format!("{now}, by `enforcer mode`; the agent's flag is {flag}"),
            format!("when what it was for is over: enforcer mode {flag}"),
        ),
        Some(flag) if now > *flag => {
            AREA.ok("enforcement", format!("{now}, by `enforcer mode`; the agent's flag is {flag}"))
        }
        _ => AREA.ok("enforcement", now.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Fail, Ok as Fine, Warn};
    use crate::doctor::{named, told};

    fn pinned(cgroups: Vec<PinnedTarget>) -> Pinned {
        let abi = PinnedAbi { name: "v2".to_owned(), ours: true, maps: 11, cgroups, interfaces: Vec::new() };
        Pinned {
            dir: "/sys/fs/bpf/enforcer".into(),
            abis: Ok(vec![abi]),
            holder: Holder::Process(42, "enforcer".to_owned()),
            switch: Some(Ok((Switch::to(Enforcement::Enforce), Some(Enforcement::Enforce)))),
        }
    }

    fn cgroup(dangling: usize, missing: &[&'static str]) -> PinnedTarget {
        PinnedTarget { id: "7".to_owned(), links: 4, missing: missing.to_vec(), dangling, unseen: None }
    }

    #[test]
    fn what_is_left_and_who_keeps_it() {
        let found = checks(&pinned(vec![cgroup(0, &[]), cgroup(0, &[])]));
        assert!(told(&found).iter().all(|(_, result)| *result == Fine), "{found:#?}");
        assert_eq!(named(&found, "pins").found, "v2 with 11 maps, 8 links, 2 cgroups and 0 interfaces");
        let dead = checks(&Pinned { holder: Holder::Nobody, ..pinned(vec![cgroup(2, &["enforcer_send6"])]) });
        let gone = checks(&pinned(vec![cgroup(4, &["enforcer_send6"])]));
        assert!(!told(&gone).iter().any(|(name, _)| name == "cgroup 7"), "{gone:#?}");
        for (name, result) in [("dangling links", Warn), ("cgroup 7", Fail), ("agent", Warn)] {
            assert_eq!(named(&dead, name).result, result, "{name}");
        }
        told(&dead);
        let fresh = checks(&Pinned {
            abis: Ok(Vec::new()),
            switch: None,
            holder: Holder::Nobody,
            ..pinned(Vec::new())
        });
        assert_eq!(named(&fresh, "agent").result, Fine);
        let blind = checks(&Pinned {
            abis: Err("not permitted".to_owned()),
            holder: Holder::Unknown("another PID namespace".to_owned()),
            switch: None,
            ..pinned(Vec::new())
        });
        assert_eq!(told(&blind), [("pins".to_owned(), Warn), ("agent".to_owned(), Warn)]);
    }

    #[test]
    fn an_interface_without_its_judge_is_a_fault() {
        let half = PinnedTarget { links: 1, ..cgroup(0, &["enforcer_tc_in"]) };
        let abi = PinnedAbi { interfaces: vec![half], ours: true, ..PinnedAbi::default() };
        let found = checks(&Pinned { abis: Ok(vec![abi]), ..pinned(Vec::new()) });
        let check = named(&found, "interface 7");
        assert_eq!((check.result, check.found.as_str()), (Fail, "lacks enforcer_tc_in"));
        assert!(!told(&found).iter().any(|(name, _)| name == "links"), "{found:#?}");
    }

    #[test]
    fn another_version_and_a_switch_that_lifts_are_told() {
        let old = PinnedAbi { name: "v1".to_owned(), ..PinnedAbi::default() };
        let off = (Switch::to(Enforcement::Off), Some(Enforcement::Enforce));
        let found = checks(&Pinned { abis: Ok(vec![old]), switch: Some(Ok(off)), ..pinned(Vec::new()) });
        assert_eq!(named(&found, "another version").result, Warn);
        let switch = named(&found, "enforcement");
        assert_eq!(
            (switch.result, switch.found.as_str()),
            (Warn, "off, by `enforcer mode`; the agent's flag is enforce")
        );
        told(&found);
    }
}

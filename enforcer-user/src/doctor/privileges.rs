//! What this process may do: the agent needs the same.

use crate::doctor::{Area, Check};

const AREA: Area = Area("privileges");

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Privileges {
    /// The effective user is root.
    pub(super) root: bool,
    /// `/proc/self/status`.
    pub(super) status: Option<String>,
}

const CAP_SYS_ADMIN: u32 = 21;

/// `linux/capability.h`: bit, name, what for, and whether `CAP_SYS_ADMIN` stands for it.
const CAPABILITIES: &[(u32, &str, &str, bool)] = &[
    (39, "CAP_BPF", "programs and maps", true),
    (12, "CAP_NET_ADMIN", "attaching to cgroups and interfaces", false),
    (38, "CAP_PERFMON", "loading programs that the verifier checks in full", true),
    (CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "other processes' programs and network namespaces", false),
];

pub(super) fn checks(privileges: &Privileges) -> Vec<Check> {
    let user = if privileges.root {
        AREA.ok("user", "root")
    } else {
        AREA.not_looked_at("user", "not root", "run `enforcer doctor` as the agent runs: as root")
    };
    let Some(effective) = privileges.status.as_deref().and_then(effective) else {
        let unseen = AREA.not_looked_at("capabilities", "no CapEff in /proc/self/status", "mount /proc");
        return vec![user, unseen];
    };
    let has = |bit: u32| effective >> bit & 1 == 1;
    let stands = |admin: bool| admin && has(CAP_SYS_ADMIN);
    let missing = CAPABILITIES.iter().filter(|(bit, _, _, admin)| !has(*bit) && !stands(*admin));
    let missing: Vec<String> = missing.map(|(_, name, what, _)| format!("{name} ({what})")).collect();
    let capabilities = if missing.is_empty() {
        AREA.ok("capabilities", "all that are needed")
    } else if !privileges.root && missing.len() == CAPABILITIES.len() {
        AREA.not_looked_at(
            "capabilities",
            "this user has none",
            "run `enforcer doctor` as the agent runs: as root",
        )
    } else {
        AREA.fail(
            "capabilities",
            format!("missing: {}", missing.join(", ")),
            "give them to the agent: capabilities.add in its securityContext, or AmbientCapabilities in its unit",
        )
    };
    vec![user, capabilities]
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Fail, Ok, Warn};
    use crate::doctor::{named, told};

    #[test]
    fn missing_capabilities_fail_only_for_somebody_who_has_some() {
        for (root, caps, user, expected, text) in [
            (true, "000001fffeffffff", Ok, Ok, "all"),
            // An older kernel, or a container with the old way: SYS_ADMIN stands for BPF and PERFMON.
            (true, "0000000000201000", Ok, Ok, "all"),
            (true, "00000000a80425fb", Ok, Fail, "CAP_BPF (programs and maps), CAP_NET_ADMIN"),
            (false, "0000000000000000", Warn, Warn, "not looked at"),
            (false, "0000008000000000", Warn, Fail, "missing: CAP_NET_ADMIN"),
        ] {
            let status = Some(format!("Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t{caps}\n"));
            let found = checks(&Privileges { root, status });
            let capabilities = named(&found, "capabilities");
            assert_eq!((named(&found, "user").result, capabilities.result), (user, expected), "{caps}");
            assert!(capabilities.found.contains(text), "{capabilities:?}");
            told(&found);
        }
        assert_eq!(named(&checks(&Privileges::default()), "capabilities").result, Warn);
    }
}

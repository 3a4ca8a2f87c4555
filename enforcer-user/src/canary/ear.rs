//! Hearing of canaries: the programs send an event of each that they deny.

use std::collections::BTreeSet;
use std::time::Duration;

use enforcer_common::event::FlowEvent;
use enforcer_common::key::CgroupId;
use tokio::sync::watch;

/// Who reads events tells it, and who sends canaries listens.
#[derive(Debug, Default)]
pub struct Ear(watch::Sender<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Whom the programs may take the canary for.
    of: BTreeSet<CgroupId>,
    is_heard: bool,
}

impl Ear {
    /// Takes in the event of a canary; nobody waits for those of others.
    pub fn hear(&self, event: &FlowEvent) {
        self.0.send_if_modified(|heard| {
            let is_new = !heard.is_heard && heard.of.contains(&event.cgroup());
            heard.is_heard |= is_new;
            is_new
        });
    }

    /// Listens from now on for a canary of one of these cgroups.
    pub(super) fn listen(&self, of: BTreeSet<CgroupId>) {
        self.0.send_replace(Heard { of, is_heard: false });
    }

    /// Whether it was heard, or is before `patience` ends.
    pub(super) async fn heard(&self, patience: Duration) -> bool {
        let mut news = self.0.subscribe();
        let heard = news.wait_for(|heard| heard.is_heard);
        tokio::time::timeout(patience, heard).await.is_ok_and(|heard| heard.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use enforcer_common::addr::{Port, Protocol};
    use enforcer_common::event::{Asked, Asker, Hook};
    use enforcer_common::id::RuleId;
    use enforcer_common::mode::Enforcement;
    use enforcer_common::reason::Reason;
    use enforcer_common::verdict::Verdict;

    use super::*;
    use crate::canary::{DESTINATION, NAME};

    fn event(cgroup: u64) -> FlowEvent {
        let mut command = [0; 16];
        command[..NAME.len()].copy_from_slice(NAME.as_bytes());
        let who = Asker { time_ns: 0, cgroup: CgroupId::new(cgroup), cookie: 1, pid: 1, command };
        let asked = Asked {
            hook: Hook::Connect4,
            protocol: Protocol::UDP,
            destination: std::net::IpAddr::from(*DESTINATION.ip()).into(),
            port: Port::new(DESTINATION.port()),
            source: std::net::Ipv4Addr::UNSPECIFIED.into(),
            source_port: Port::ANY,
        };
        FlowEvent::new(who, asked, &Verdict::deny(Reason::NotRegistered, RuleId::NONE), Enforcement::Audit)
    }

    #[tokio::test]
    async fn a_canary_is_heard_once_and_of_its_own_cgroups_only() {
        let (ear, soon) = (Ear::default(), Duration::from_millis(10));
        ear.hear(&event(7));
        ear.listen([7, 8].map(CgroupId::new).into());
        ear.hear(&event(9));
        assert!(!ear.heard(soon).await, "nobody's event, and one of before");
        ear.hear(&event(8));
        assert!(ear.heard(soon).await);
        ear.listen([7].map(CgroupId::new).into());
        assert!(!ear.heard(soon).await, "the next one");
    }
}

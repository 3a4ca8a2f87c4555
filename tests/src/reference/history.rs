//! What earlier frames did: first fragments (§2.4), and what came in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::flows::Flows;
use super::{Ruling, Spoken, allow, deny};

/// How long after a first fragment the later ones pass.
const FRAGMENT_TIME: Duration = Duration::from_secs(30);
/// The first offset, in units of 8 bytes, at which a later fragment of TCP leaves ports and flags alone.
const TCP_OFFSET: u16 = 3;

/// What a workload has sent and received so far. Time is what its owner says.
#[derive(Clone, Debug, Default)]
pub struct History {
    now: Duration,
    allowed: BTreeMap<Datagram, Duration>,
    pub(super) flows: Flows,
}

/// What the fragments of a datagram have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Datagram {
    pub(super) destination: IpAddr,
    pub(super) identification: u32,
    pub(super) protocol: u8,
}

impl History {
    /// It is now so long since the beginning.
    pub fn set_time(&mut self, since_beginning: Duration) {
        self.now = since_beginning;
        self.flows.now = since_beginning;
    }

    /// Remembers what became of a first fragment.
    pub(super) fn first_fragment(&mut self, datagram: Datagram, allowed: bool) {
        if allowed {
            self.allowed.insert(datagram, self.now);
        } else {
            self.allowed.remove(&datagram);
        }
    }

    /// What becomes of a later fragment.
    pub(super) fn later_fragment(&self, datagram: &Datagram, offset: u16) -> Spoken<Ruling> {
        let Some(first) = self.allowed.get(datagram) else { return Err(deny("fragment")) };
        if self.now.saturating_sub(*first) >= FRAGMENT_TIME {
            return Err(deny("fragment"));
        }
        let least = if datagram.protocol == 6 { TCP_OFFSET } else { 1 };
        if offset < least {
            return Err(deny("fragment"));
        }
        Ok(allow("fragment_of_allowed"))
    }
}

//! What the programs decide, asked of the maps through handles of its own: whoever asks waits for nobody.

use std::net::SocketAddr;

use anyhow::Result;
use enforcer_common::addr::{Port, Protocol};
use enforcer_common::config::ConfigKey;
use enforcer_common::key::CgroupId;
use enforcer_common::limits;
use enforcer_common::mode::{Enforcement, Switch};
use enforcer_common::verdict::{Backend, Query, TableFault, Verdict, Workload, decide, decide_unknown};

use crate::clock;
use crate::dataplane::maps::Maps;
use crate::dataplane::pin::Pins;

/// The maps, read only.
pub struct Judge {
    maps: Maps,
}

impl Judge {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self { maps: Maps::open(pins, limits::FLOWS as usize)? })
    }

    /// The node's switch as it stands now.
    pub fn switch(&self) -> Result<Switch> {
        let word = self.maps.configured(ConfigKey::Enforcement)?;
        Ok(Switch::from_word(word).settled(clock::since_boot()))
    }

    /// What becomes of a call of a process in this cgroup, and whether that is done or only recorded. A cgroup without identity
    /// stands for everything below it that has none.
    pub fn call(
        &self,
        cgroup: CgroupId,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Result<(Verdict, Enforcement)> {
        let node = self.switch()?.now;
        let query = |workload| Query::new(workload, protocol, to.ip().into(), Port::new(to.port()));
        let Some(workload) = self.workload(cgroup)? else {
            let unknown = Workload::UNKNOWN;
            let allowed = self.maps.configured(ConfigKey::UnknownWorkloadAllowed)? != 0;
            return Ok((decide_unknown(&self.maps, &query(unknown), allowed), node));
        };
        Ok((decide(&self.maps, &query(workload)), effective(workload, node)))
    }

    /// Whether packets of an established connection go on by the registry as it is now: the workload asked for `asked`, and they go
    /// to `endpoint`. What is only recorded goes on.
    pub fn goes_on(
        &self,
        cgroup: CgroupId,
        protocol: Protocol,
        asked: SocketAddr,
        endpoint: SocketAddr,
    ) -> Result<bool> {
        let Some(workload) = self.workload(cgroup)? else { return Ok(true) };
        if effective(workload, self.switch()?.now) != Enforcement::Enforce {
            return Ok(true);
        }
        let went = Backend { addr: endpoint.ip().into(), port: Port::new(endpoint.port()) };
        let endpoint = if asked == endpoint { Backend::NONE } else { went };
        let query = Query::new(workload, protocol, asked.ip().into(), Port::new(asked.port()));
        let verdict = decide(&self.maps, &Query { is_packet: true, endpoint, ..query });
        Ok(verdict.reason.allows())
    }

    fn workload(&self, cgroup: CgroupId) -> Result<Option<Workload>> {
        let workload = self.maps.workload(cgroup);
        workload.map_err(|TableFault| anyhow::anyhow!("the map WORKLOADS has changed while it was read"))
    }
}

/// The node's `off` ends a workload's own.
fn effective(workload: Workload, node: Enforcement) -> Enforcement {
    workload.enforcement().filter(|_| node != Enforcement::Off).unwrap_or(node)
}

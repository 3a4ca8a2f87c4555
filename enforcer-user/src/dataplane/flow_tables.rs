//! The tables of flows: one for each workload, in the map of maps `FLOWS`.

use std::mem::size_of;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use enforcer_common::flow::{Flow, FlowKey, UNSEEN_SECONDS};
use enforcer_common::key::CgroupId;
use enforcer_common::limits;
use enforcer_common::names::map;
use enforcer_common::word::{Tagged as _, Word};

use crate::clock;
use crate::dataplane::pin::Pins;
use crate::dataplane::places::InboundFlow;
use crate::dataplane::sys;

/// The open map of maps.
pub struct FlowTables {
    map: OwnedFd,
    entries: u32,
}

impl FlowTables {
    /// Opens it; tables that are made from now on have room for so many flows.
    pub fn open(pins: &Pins, flows: usize) -> Result<Self> {
        let path = pins.map(map::FLOWS);
        let map = sys::get(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { map, entries: u32::try_from(flows).unwrap_or(limits::FLOWS) })
    }

    /// Makes the table of a workload, if there is none: what is in one that is there stays.
    pub fn add(&mut self, workload: CgroupId) -> Result<()> {
        let key = workload.get().to_ne_bytes();
        if sys::has_element(self.map.as_fd(), &key).context("cannot read FLOWS")? {
            return Ok(());
        }
        let table = sys::create_lru(size_of::<FlowKey>(), size_of::<u64>(), self.entries)
            .context("cannot make a table of flows")?;
        sys::insert_map(self.map.as_fd(), &key, table.as_fd()).context("cannot write to FLOWS")
    }

    /// Remembers a flow that began before there were programs.
    pub fn remember(&mut self, flow: &InboundFlow) -> Result<()> {
        let (key, value) = flow.entry();
        let workload = flow.workload.get().to_ne_bytes();
        let table = sys::inner_map(self.map.as_fd(), &workload).context("cannot open a table of flows")?;
        let word = Word::new(&key, value.payload()).raw();
        sys::insert_element(table.as_fd(), &key, word).context("cannot write to a table of flows")
    }

    /// Whether within a minute a connection has reached a workload unseen, by the interface that it knows as number `inside`.
    pub fn has_unseen(&self, workload: CgroupId, inside: u32) -> Result<bool> {
        let key = FlowKey::unseen(inside);
        let table = sys::inner_map(self.map.as_fd(), &workload.get().to_ne_bytes());
        let table = table.context("cannot open a table of flows")?;
        let word = sys::element_of(table.as_fd(), &key).context("cannot read a table of flows")?;
        let payload = word.and_then(|raw| Word::from_raw(raw).open(key.tag()));
        let second = u32::try_from(clock::since_boot()).unwrap_or(u32::MAX);
        Ok(payload.is_some_and(|payload| Flow::from_payload(payload).is_within(UNSEEN_SECONDS, second)))
    }

    /// Whose tables there are.
    pub fn workloads(&self) -> Result<Vec<CgroupId>> {
        let keys = sys::keys(self.map.as_fd()).context("cannot read FLOWS")?;
        Ok(keys.into_iter().map(|key| CgroupId::new(u64::from_ne_bytes(key))).collect())
    }

    /// Forgets the flows of a workload.
    pub fn remove(&mut self, workload: CgroupId) -> Result<()> {
        sys::remove_element(self.map.as_fd(), &workload.get().to_ne_bytes()).context("cannot write to FLOWS")
    }
}

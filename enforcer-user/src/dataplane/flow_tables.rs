//! The tables of flows: one for each workload, in the map of maps `FLOWS`.

use std::mem::size_of;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

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

/// A flow's key, as the kernel copies it.
type KeyBytes = [u8; size_of::<FlowKey>()];

/// The open map of maps.
pub struct FlowTables {
    map: OwnedFd,
    entries: u32,
    /// What a table has beyond what it is made for.
    spare: u32,
}

impl FlowTables {
    /// Opens it; tables that are made from now on have room for so many flows.
    pub fn open(pins: &Pins, flows: usize) -> Result<Self> {
        let path = pins.map(map::FLOWS);
        let map = sys::get(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}"));
        let cpus = u32::try_from(cpus.context("cannot tell how many CPUs there can be")?)?;
        let spare = limits::LRU_SPARE_PER_CPU.saturating_mul(cpus);
        Ok(Self { map, entries: u32::try_from(flows).unwrap_or(limits::FLOWS), spare })
    }

    /// Makes the table of a workload, if there is none: what is in one that is there stays.
    pub fn add(&mut self, workload: CgroupId) -> Result<()> {
        if sys::has_element(self.map.as_fd(), &key(workload)).context("cannot read FLOWS")? {
            return Ok(());
        }
        let table = self.create(self.entries)?;
        self.put(workload, table.as_fd())
    }

    /// Remembers flows of a workload that began before there were programs, in a table that has room for them and for as many that
    /// are to come. Returns how many of them are in it.
    pub fn remember(&mut self, workload: CgroupId, flows: &[InboundFlow]) -> Result<usize> {
        let entries = self.entries_for(flows.len());
        let table = self.table_of(workload, entries)?;
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        for flow in flows.iter().take(entries) {
            let (key, value) = flow.entry();
            let word = Word::new(&key, value.payload()).raw();
            sys::insert_element(table.as_fd(), &key, word).context("cannot write to a table of flows")?;
        }
        self.count(workload, flows)
    }

    /// How many of these are remembered.
    pub fn count(&self, workload: CgroupId, flows: &[InboundFlow]) -> Result<usize> {
        let table = self.table(workload)?;
        let mut remembered = 0;
        for flow in flows {
            let found =
                sys::look_up(table.as_fd(), &flow.entry().0).context("cannot read a table of flows")?;
            remembered += usize::from(found.is_some());
        }
        Ok(remembered)
    }

    /// Whether within a minute a connection has reached a workload unseen, by the interface that it knows as number `inside`.
    pub fn has_unseen(&self, workload: CgroupId, inside: u32) -> Result<bool> {
        let key = FlowKey::unseen(inside);
        let table = sys::inner_map(self.map.as_fd(), &workload.get().to_ne_bytes());
        let table = table.context("cannot open a table of flows")?;
        let word = sys::look_up(table.as_fd(), &key).context("cannot read a table of flows")?;
        let payload = word.and_then(|raw| Word::from_raw(raw).open(key.tag()));
        let second = u32::try_from(clock::since_boot()).unwrap_or(u32::MAX);
        Ok(payload.is_some_and(|payload| Flow::from_payload(payload).is_within(UNSEEN_SECONDS, second)))
    }

    /// Whose tables there are.
    pub fn workloads(&self) -> Result<Vec<CgroupId>> {
        let (mut workloads, mut last) = (Vec::new(), None);
        while let Some(key) = sys::next_key(self.map.as_fd(), last.as_ref()).context("cannot read FLOWS")? {
            workloads.push(CgroupId::new(u64::from_ne_bytes(key)));
            last = Some(key);
        }
        Ok(workloads)
    }

    /// Forgets the flows of a workload.
    pub fn remove(&mut self, workload: CgroupId) -> Result<()> {
        sys::remove_element(self.map.as_fd(), &key(workload)).context("cannot write to FLOWS")
    }

    /// How many flows a table is made for that has to hold so many at once.
    fn entries_for(&self, flows: usize) -> u32 {
        let twice = u32::try_from(flows.saturating_mul(2)).unwrap_or(u32::MAX);
        let wanted = twice.checked_next_power_of_two().unwrap_or(u32::MAX);
        if twice <= self.entries { self.entries } else { wanted.min(limits::MOST_FLOWS).max(self.entries) }
    }

    /// The table of a workload, made larger if it is smaller than this.
    fn table_of(&self, workload: CgroupId, entries: u32) -> Result<OwnedFd> {
        let table = self.table(workload)?;
        let there = sys::max_entries(table.as_fd()).context("cannot tell how large a table of flows is")?;
        if there >= self.with_spare(entries) {
            return Ok(table);
        }
        let larger = self.create(entries)?;
        copy(table.as_fd(), larger.as_fd()).context("cannot copy a table of flows")?;
        self.put(workload, larger.as_fd())?;
        // No program writes to the old one any more: the kernel has waited for those that did. What they wrote meanwhile:
        copy(table.as_fd(), larger.as_fd()).context("cannot copy a table of flows")?;
        Ok(larger)
    }

    fn table(&self, workload: CgroupId) -> Result<OwnedFd> {
        sys::inner_map(self.map.as_fd(), &key(workload)).context("cannot open a table of flows")
    }

    fn create(&self, entries: u32) -> Result<OwnedFd> {
        let entries = self.with_spare(entries);
        sys::create_lru(size_of::<FlowKey>(), size_of::<u64>(), entries)
            .context("cannot make a table of flows")
    }

    fn put(&self, workload: CgroupId, table: BorrowedFd<'_>) -> Result<()> {
        sys::insert_map(self.map.as_fd(), &key(workload), table).context("cannot write to FLOWS")
    }

    fn with_spare(&self, entries: u32) -> u32 {
        entries.saturating_add(self.spare)
    }
}

fn key(workload: CgroupId) -> [u8; 8] {
    workload.get().to_ne_bytes()
}

/// Writes to `to` what is in `from` and not in `to`.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> std::io::Result<()> {
    let mut last: Option<KeyBytes> = None;
    // A key that goes while it is looked at makes the kernel begin anew: no more looks than that takes as a rule.
    for _ in 0..u64::from(sys::max_entries(from)?) * 4 {
        let Some(key) = sys::next_key(from, last.as_ref())? else { break };
        if let Some(value) = sys::look_up(from, &key)?
            && sys::look_up(to, &key)?.is_none()
        {
            sys::insert_element(to, &key, value)?;
        }
        last = Some(key);
    }
    Ok(())
}

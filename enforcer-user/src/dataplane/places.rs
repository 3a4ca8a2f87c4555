//! Where the workloads are in the network, as the programs read it: interfaces, network namespaces, own addresses; and the flows that
//! began before there were programs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use aya::Pod;
use aya::maps::{Array, HashMap, MapData, MapError};
use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::flow::{Flow, FlowKey};
use enforcer_common::id::ViewId;
use enforcer_common::key::{CgroupId, InterfaceId, NetnsCookie, OwnAddressKey, PlaceWordTag};
use enforcer_common::layout::{PLACE_HAS_PROXY, PLACE_IS_JUDGED, PlaceValue};
use enforcer_common::limits::GENERATIONS;
use enforcer_common::names::map;
use enforcer_common::word::{Tagged, Word};

use crate::clock;
use crate::dataplane::maps::{gone, open};
use crate::dataplane::pin::Pins;

/// No workload's cgroup.
const NOBODY: CgroupId = CgroupId::new(0);

/// Where the workloads are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// The node's side of each workload's interfaces, and the interfaces of workloads that nobody knows.
    pub interfaces: BTreeMap<u32, Placed>,
    /// The node's own interfaces that are looked at.
    pub uplinks: BTreeMap<u32, String>,
    /// All other interfaces: what comes in by them is nobody's that is judged here.
    pub others: BTreeSet<u32>,
    /// The network namespaces in which a mesh proxy from elsewhere has sockets, by their cookies.
    pub namespaces: BTreeMap<u64, CgroupId>,
    /// The interfaces by which workloads were given a way outside past the node's: the inode of a network namespace, and the number there.
    pub exits: BTreeMap<(u32, u32), CgroupId>,
    /// The own addresses of each workload.
    pub addresses: BTreeMap<CgroupId, BTreeSet<IpAddr>>,
}

impl Layout {
    /// What the interface of this number is called; nothing for one that is not in it.
    pub fn name(&self, index: u32) -> &str {
        let of_workload = self.interfaces.get(&index).map(|placed| &placed.name);
        of_workload.or_else(|| self.uplinks.get(&index)).map_or("", String::as_str)
    }
}

/// An interface of a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// Whose it is; `None` for a workload that nobody knows.
    pub workload: Option<CgroupId>,
    /// Whether a mesh proxy from elsewhere has sockets behind it.
    pub ambient: bool,
}

impl Placed {
    /// As the programs have it, with this flag.
    fn value(&self, index: u32, flag: u32) -> PlaceValue {
        let proxy = if self.ambient { PLACE_HAS_PROXY } else { 0 };
        value(InterfaceId::new(index), self.workload.unwrap_or(NOBODY), proxy | flag)
    }
}

/// A connection that somebody has made to a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InboundFlow {
    /// To whom.
    pub workload: CgroupId,
    /// TCP.
    pub protocol: Protocol,
    /// By whom.
    pub remote: IpAddr,
    /// From which port.
    pub remote_port: u16,
    /// To which port.
    pub local_port: u16,
}

impl InboundFlow {
    /// As the programs have it, heard of just now.
    pub(super) fn entry(&self) -> (FlowKey, Flow) {
        let (remote, port) = (Addr::from(self.remote), Port::new(self.remote_port));
        let key = FlowKey::transport(self.protocol, remote, port, Port::new(self.local_port));
        let second = u32::try_from(clock::since_boot()).unwrap_or(u32::MAX);
        (key, Flow::begun_by_remote(second))
    }
}

/// The maps that say so.
pub struct Places {
    interfaces: HashMap<MapData, InterfaceId, PlaceValue>,
    namespaces: HashMap<MapData, NetnsCookie, PlaceValue>,
    addresses: HashMap<MapData, OwnAddressKey, u64>,
}

impl Places {
    /// Opens them.
    pub fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            interfaces: open(pins, map::INTERFACES)?,
            namespaces: open(pins, map::NAMESPACES)?,
            addresses: open(pins, map::ADDRESSES)?,
        })
    }

    /// Writes what is new: before the programs of a new interface look. What cannot be written of one workload is told of its interfaces;
    /// it is nobody else's fault.
    pub fn add(&mut self, layout: &Layout) -> Result<BTreeMap<u32, String>> {
        let mut faults: BTreeMap<CgroupId, String> = BTreeMap::new();
        for (workload, addresses) in &layout.addresses {
            let added = self.add_addresses(*workload, addresses);
            faults.extend(added.err().map(|error| (*workload, format!("{error:#}"))));
        }
        let mut failed = BTreeMap::new();
        for (index, placed) in &layout.interfaces {
            let fault = placed.workload.and_then(|workload| faults.get(&workload));
            failed.extend(fault.map(|fault| (*index, fault.clone())));
            let judged = placed.value(*index, PLACE_IS_JUDGED);
            let is_judged =
                self.interfaces.get(&InterfaceId::new(*index), 0).is_ok_and(|last| last == judged);
            if !is_judged {
                self.set_interface(*index, placed.value(*index, 0))?;
            }
        }
        for index in &layout.others {
            self.set_interface(*index, value(InterfaceId::new(*index), NOBODY, PLACE_IS_JUDGED))?;
        }
        for (cookie, workload) in &layout.namespaces {
            let key = NetnsCookie::new(*cookie);
            let value = value(key, *workload, PLACE_HAS_PROXY);
            self.namespaces.insert(key, value, 0).context("cannot write to NAMESPACES")?;
        }
        for ((network, interface), workload) in &layout.exits {
            let key = NetnsCookie::exit(*network, *interface);
            self.namespaces.insert(key, value(key, *workload, 0), 0).context("cannot write to NAMESPACES")?;
        }
        Ok(failed)
    }

    /// Writes own addresses of a workload, or of the node ([`CgroupId::NODE`]).
    pub fn add_addresses(&mut self, workload: CgroupId, addresses: &BTreeSet<IpAddr>) -> Result<()> {
        addresses.iter().try_for_each(|address| self.add_address(workload, *address))
    }

    fn add_address(&mut self, workload: CgroupId, address: IpAddr) -> Result<()> {
        let key = OwnAddressKey::new(workload, address.into());
        let word = Word::new(&key, 1).raw();
        self.addresses.insert(key, word, 0).context("cannot write to ADDRESSES")
    }

    /// Writes of which interfaces programs judge what comes in; `failed` have none.
    pub fn judged(&mut self, layout: &Layout, failed: &BTreeMap<u32, String>) -> Result<()> {
        for (index, placed) in &layout.interfaces {
            let flag = if failed.contains_key(index) { 0 } else { PLACE_IS_JUDGED };
            self.set_interface(*index, placed.value(*index, flag))?;
        }
        Ok(())
    }

    fn set_interface(&mut self, index: u32, value: PlaceValue) -> Result<()> {
        self.interfaces.insert(InterfaceId::new(index), value, 0).context("cannot write to INTERFACES")
    }

    /// Takes away what is no more.
    pub fn remove(&mut self, layout: &Layout) -> Result<()> {
        let is_own = |key: &OwnAddressKey| {
            layout.addresses.get(&key.workload()).is_some_and(|known| known.contains(&key.addr().ip()))
        };
        take(&mut self.addresses, is_own).context("cannot write to ADDRESSES")?;
        let is_there = |key: &InterfaceId| {
            layout.interfaces.contains_key(&key.get()) || layout.others.contains(&key.get())
        };
        take(&mut self.interfaces, is_there).context("cannot write to INTERFACES")?;
        let exits: BTreeSet<u64> = layout
            .exits
            .keys()
            .map(|(network, interface)| NetnsCookie::exit(*network, *interface).get())
            .collect();
        let is_known =
            |key: &NetnsCookie| layout.namespaces.contains_key(&key.get()) || exits.contains(&key.get());
        take(&mut self.namespaces, is_known).context("cannot write to NAMESPACES")
    }
}

/// What an earlier agent knew of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// Whose each interface is; nobody's are left out.
    pub interfaces: BTreeMap<u32, CgroupId>,
    /// The own addresses of each workload.
    pub addresses: BTreeMap<CgroupId, BTreeSet<IpAddr>>,
}

impl Known {
    /// Reads it. What does not carry its key's tag is left out: no program believes it either.
    pub fn read(pins: &Pins) -> Result<Self> {
        let places = Places::open(pins)?;
        let mut known = Self::default();
        for entry in &places.interfaces {
            let (key, value) = entry.context("cannot read INTERFACES")?;
            let owner = workload(key, value).filter(|workload| *workload != NOBODY);
            known.interfaces.extend(owner.map(|workload| (key.get(), workload)));
        }
        for entry in &places.addresses {
            let (key, word) = entry.context("cannot read ADDRESSES")?;
            if Word::from_raw(word).open(key.tag()).is_some() {
                known.addresses.entry(key.workload()).or_default().insert(key.addr().ip());
            }
        }
        Ok(known)
    }
}

/// Removes every key that is not to be kept.
fn take<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, keep: impl Fn(&K) -> bool) -> Result<()> {
    let keys: Result<Vec<K>, MapError> = map.keys().collect();
    let mut others = keys?.into_iter().filter(|key| !keep(key));
    others.try_for_each(|key| gone(map.remove(&key)))
}

#[allow(clippy::cast_possible_truncation)] // the two halves
fn value<K: Tagged + Copy>(key: K, workload: CgroupId, flags: u32) -> PlaceValue {
    let id = workload.get();
    let mut index = 0;
    [id as u32, (id >> 32) as u32, flags].map(|payload| {
        let word = Word::new(&PlaceWordTag(key, index), payload).raw();
        index += 1;
        word
    })
}

/// Whose it is.
fn workload<K: Tagged + Copy>(key: K, value: PlaceValue) -> Option<CgroupId> {
    let half = |index: u32| {
        let word = Word::from_raw(value[index as usize]);
        word.open(PlaceWordTag(key, index).tag()).map(u64::from)
    };
    Some(CgroupId::new(half(1)? << 32 | half(0)?))
}

/// When each view was narrowed last: the programs' own memory.
pub struct Generations {
    map: Array<MapData, [u64; GENERATIONS]>,
    values: Box<[u64; GENERATIONS]>,
}

impl Generations {
    /// Opens them, and begins: nothing that a socket remembers from before counts.
    pub fn open(pins: &Pins) -> Result<Self> {
        let values = Box::new([clock::since_boot_ns(); GENERATIONS]);
        let mut generations = Self { map: open(pins, map::GENERATIONS)?, values };
        generations.write()?;
        Ok(generations)
    }

    /// What was decided by `view` until now is to be decided anew.
    pub fn narrow(&mut self, view: ViewId) -> Result<()> {
        self.values[view.get() as usize % GENERATIONS] = clock::since_boot_ns();
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.map.set(0, *self.values, 0).context("cannot write to GENERATIONS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_interface_is_can_be_read_back_and_not_from_another_ones_value() {
        let (key, workload_id) = (InterfaceId::new(7), CgroupId::new(0x1234_5678_9abc));
        let value = value(key, workload_id, PLACE_IS_JUDGED);
        assert_eq!(workload(key, value), Some(workload_id));
        assert_eq!(workload(InterfaceId::new(8), value), None);
    }
}

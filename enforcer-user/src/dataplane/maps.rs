//! Typed handles of the maps, and the operations of the compiler on them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use aya::Pod;
use aya::maps::lpm_trie::Key as TrieKey;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError};
use enforcer_common::config::ConfigKey;
use enforcer_common::event::EventBudget;
use enforcer_common::id::RuleId;
use enforcer_common::key::{BackendKey, BackendWordTag, CgroupId, ExactKey, PortKey, PrefixKey};
use enforcer_common::layout::{BackendValue, PrefixValue};
use enforcer_common::names::map;
use enforcer_common::verdict::{Backend, Role, Tables as _, Workload};
use enforcer_common::word::{Tagged, Word};
use enforcer_core::policy::image::{Class, MapOp, members};

use crate::dataplane::flow_tables::FlowTables;
use crate::dataplane::pin::Pins;
use crate::dataplane::places::{Generations, Places};
use crate::dataplane::sys;
use crate::dataplane::tables::word;

/// `BPF_NOEXIST`: a counter that is there keeps counting.
const ONLY_NEW: u64 = 1;

/// What stands in `WORKLOADS` for a directory above workloads.
const ROOT: Workload = Workload::UNKNOWN.with_role(Role::Root);

/// The maps that the agent writes.
pub struct Maps {
    pub(super) workloads: HashMap<MapData, CgroupId, u64>,
    pub(super) exact: HashMap<MapData, ExactKey, u64>,
    pub(super) prefixes: LpmTrie<MapData, PrefixKey, PrefixValue>,
    pub(super) class_rules: HashMap<MapData, PortKey, u64>,
    pub(super) any_rules: HashMap<MapData, PortKey, u64>,
    pub(super) backends: HashMap<MapData, BackendKey, BackendValue>,
    pub(super) rule_hits: HashMap<MapData, RuleId, u64>,
    pub(super) event_budget: HashMap<MapData, CgroupId, EventBudget>,
    pub(super) config: Array<MapData, u64>,
    pub(super) flows: FlowTables,
    pub(super) places: Places,
    /// Only with the one who writes the maps: whoever else wrote them would turn back what that one has written.
    generations: Option<Generations>,
}

/// Opens a pinned map as what its type says.
pub(super) fn open<T>(pins: &Pins, name: &str) -> Result<T>
where
    T: TryFrom<Map, Error = MapError>,
{
    let path = pins.map(name);
    let data = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let map = Map::from_map_data(data).with_context(|| format!("{} is no map of ours", path.display()))?;
    T::try_from(map).with_context(|| format!("{} is a map of another type", path.display()))
}

impl Maps {
    /// Opens all of them; each workload gets room for so many flows.
    pub fn open(pins: &Pins, flows: usize) -> Result<Self> {
        Ok(Self {
            workloads: open(pins, map::WORKLOADS)?,
            exact: open(pins, map::EXACT)?,
            prefixes: open(pins, map::PREFIXES)?,
            class_rules: open(pins, map::CLASS_RULES)?,
            any_rules: open(pins, map::ANY_RULES)?,
            backends: open(pins, map::BACKENDS)?,
            rule_hits: open(pins, map::RULE_HITS)?,
            event_budget: open(pins, map::EVENT_BUDGET)?,
            config: open(pins, map::CONFIG)?,
            flows: FlowTables::open(pins, flows)?,
            places: Places::open(pins)?,
            generations: None,
        })
    }

    /// The same, for the one who writes them. What an agent left that died while it made or removed a workload goes.
    pub fn open_to_write(pins: &Pins, flows: usize) -> Result<Self> {
        let mut maps = Self { generations: Some(Generations::open(pins)?), ..Self::open(pins, flows)? };
        maps.sweep()?;
        Ok(maps)
    }

    /// Removes the tables of flows and the room for events that no workload has; key 0 is nobody's workload.
    fn sweep(&mut self) -> Result<()> {
        let known: Result<BTreeSet<CgroupId>, MapError> = self.workloads.keys().collect();
        let known = known.context("cannot read WORKLOADS")?;
        let is_left = |cgroup: &CgroupId| cgroup.get() != 0 && !known.contains(cgroup);
        for cgroup in self.flows.workloads()?.into_iter().filter(is_left) {
            self.flows.remove(cgroup)?;
        }
        let budgets: Result<Vec<CgroupId>, MapError> = self.event_budget.keys().collect();
        for cgroup in budgets.context("cannot read EVENT_BUDGET")?.into_iter().filter(is_left) {
            gone(self.event_budget.remove(&cgroup)).context("cannot write to EVENT_BUDGET")?;
        }
        Ok(())
    }

    /// Writes one setting.
    pub fn configure(&mut self, key: ConfigKey, value: u64) -> Result<()> {
        self.config.set(key.index(), value, 0).with_context(|| format!("cannot write {key:?} to CONFIG"))
    }

    /// Reads one setting.
    pub fn configured(&self, key: ConfigKey) -> Result<u64> {
        self.config.get(&key.index(), 0).with_context(|| format!("cannot read {key:?} from CONFIG"))
    }

    /// Room for the events of `cgroup`; key 0 is for all processes without identity.
    pub fn allow_events(&mut self, cgroup: CgroupId) -> Result<()> {
        match self.event_budget.insert(cgroup, EventBudget::default(), ONLY_NEW) {
            Err(error) if !is_errno(&error, libc::EEXIST) => {
                Err(error).context("cannot write to EVENT_BUDGET")
            }
            _ => Ok(()),
        }
    }

    /// Marks the cgroups whose processes have no identity, and no others.
    pub fn set_roots(&mut self, roots: &[CgroupId]) -> Result<()> {
        let known: Result<Vec<CgroupId>, MapError> = self.workloads.keys().collect();
        for cgroup in known.context("cannot read WORKLOADS")? {
            let is_root = word(&cgroup, self.workloads.get(&cgroup, 0)) == Ok(Some(ROOT.payload()));
            if is_root && !roots.contains(&cgroup) {
                gone(self.workloads.remove(&cgroup)).context("cannot write to WORKLOADS")?;
            }
        }
        let mut roots = roots.iter();
        roots
            .try_for_each(|root| put(&mut self.workloads, *root, ROOT.payload()))
            .context("cannot write to WORKLOADS")
    }

    /// A table for the flows of `cgroup`; key 0 is for all packets without identity.
    pub fn allow_flows(&mut self, cgroup: CgroupId) -> Result<()> {
        self.flows.add(cgroup)
    }

    /// Does one operation.
    pub fn apply(&mut self, op: &MapOp) -> Result<()> {
        self.apply_op(op).with_context(|| format!("cannot do {op:?}"))
    }

    fn apply_op(&mut self, op: &MapOp) -> Result<()> {
        match op {
            MapOp::AddRule(rule, backends) => self.add_rule(*rule, backends.as_deref()),
            MapOp::RemoveRule(rule) => self.remove_rule(*rule),
            MapOp::AddClass(class, rules) => {
                let mut keys = class_keys(*class, rules);
                keys.try_for_each(|(key, payload)| put(&mut self.class_rules, key, payload))
            }
            MapOp::RemoveClass(class, rules) => {
                let mut keys = class_keys(*class, rules);
                keys.try_for_each(|(key, _)| gone(self.class_rules.remove(&key)))
            }
            MapOp::SetExact(view, addr, class) => {
                put(&mut self.exact, ExactKey::new(*view, *addr), class.get())
            }
            MapOp::RemoveExact(view, addr) => gone(self.exact.remove(&ExactKey::new(*view, *addr))),
            MapOp::SetPrefix(view, prefix, class) => {
                let key = PrefixKey::entry(*view, prefix);
                let tag = key.tag_of(prefix.length());
                let value = PrefixValue {
                    class: Word::new(&tag, class.get()).raw(),
                    length: u64::from(prefix.length()),
                };
                Ok(self.prefixes.insert(&trie_key(key, prefix.length()), value, 0)?)
            }
            MapOp::RemovePrefix(view, prefix) => {
                let key = trie_key(PrefixKey::entry(*view, prefix), prefix.length());
                gone(self.prefixes.remove(&key))
            }
            MapOp::SetAny(view, slot, rule) => {
                put(&mut self.any_rules, PortKey::any_address(*view, slot.0, slot.1), rule.payload())
            }
            MapOp::RemoveAny(view, slot) => {
                gone(self.any_rules.remove(&PortKey::any_address(*view, slot.0, slot.1)))
            }
            MapOp::SetWorkload(cgroup, workload) => {
                self.allow_events(*cgroup)?;
                self.allow_flows(*cgroup)?;
                put(&mut self.workloads, *cgroup, workload.payload())
            }
            MapOp::RemoveWorkload(cgroup) => {
                gone(self.workloads.remove(cgroup))?;
                gone(self.event_budget.remove(cgroup))?;
                self.flows.remove(*cgroup)
            }
            MapOp::SetHasExempt(has) => self.configure(ConfigKey::HasExempt, u64::from(*has)),
            MapOp::Narrow(view) => self.generations.as_mut().context("opened to be read")?.narrow(*view),
            MapOp::Barrier => {
                sys::wait_for_programs();
                Ok(())
            }
        }
    }

    /// Backends, then the members, then their number, then the counter.
    fn add_rule(&mut self, rule: RuleId, backends: Option<&[Backend]>) -> Result<()> {
        if let Some(backends) = backends {
            let slots = u32::try_from(backends.len()).context("too many backends")?;
            for (slot, backend) in (1..=slots).zip(backends) {
                let key = BackendKey::new(rule, slot);
                self.backends.insert(key, backend_value(key, *backend), 0)?;
            }
            for backend in members(backends) {
                let key = BackendKey::member(rule, &backend);
                self.backends.insert(key, backend_value(key, backend), 0)?;
            }
            let key = BackendKey::new(rule, 0);
            self.backends.insert(key, slots_value(key, slots), 0)?;
        }
        match self.rule_hits.insert(rule, 0, ONLY_NEW) {
            Err(error) if !is_errno(&error, libc::EEXIST) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn remove_rule(&mut self, rule: RuleId) -> Result<()> {
        gone(self.rule_hits.remove(&rule))?;
        let key = BackendKey::new(rule, 0);
        let slots = match self.backends.get(&key, 0) {
            Ok(value) => Word::from_raw(value[0]).open(BackendWordTag(key, 0).tag()).unwrap_or(0),
            Err(MapError::KeyNotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for slot in 1..=slots {
            if let Ok(Some(backend)) = self.backend(rule, slot) {
                gone(self.backends.remove(&BackendKey::member(rule, &backend)))?;
            }
            gone(self.backends.remove(&BackendKey::new(rule, slot)))?;
        }
        gone(self.backends.remove(&key))
    }
}

fn class_keys(
    class: enforcer_common::id::ClassId,
    rules: &Class,
) -> impl Iterator<Item = (PortKey, u32)> + '_ {
    rules.iter().map(move |(slot, rule)| (PortKey::in_class(class, slot.0, slot.1), rule.payload()))
}

pub(super) fn trie_key(key: PrefixKey, length: u32) -> TrieKey<PrefixKey> {
    TrieKey::new(PrefixKey::SCOPE_BITS + length, key)
}

fn put<K: Pod + Tagged>(map: &mut HashMap<MapData, K, u64>, key: K, payload: u32) -> Result<()> {
    let word = Word::new(&key, payload).raw();
    Ok(map.insert(key, word, 0)?)
}

/// What is not there need not be removed.
pub(super) fn gone(result: Result<(), MapError>) -> Result<()> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(error) if is_errno(&error, libc::ENOENT) => Ok(()),
        Err(error) => bail!(error),
    }
}

fn is_errno(error: &MapError, errno: i32) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(errno))
}

fn backend_value(key: BackendKey, backend: Backend) -> BackendValue {
    let [a, b, c, d] = backend.addr.words();
    let mut index = 0;
    [a, b, c, d, backend.port.to_ctx()].map(|payload| {
        let word = Word::new(&BackendWordTag(key, index), payload).raw();
        index += 1;
        word
    })
}

fn slots_value(key: BackendKey, slots: u32) -> BackendValue {
    [Word::new(&BackendWordTag(key, 0), slots).raw(), 0, 0, 0, 0]
}

#[cfg(test)]
mod tests;

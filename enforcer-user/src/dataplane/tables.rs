//! The verdict's tables over the live maps, read from the outside: what `explain` asks.

use aya::maps::MapError;
use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::config::ConfigKey;
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::key::{BackendKey, BackendWordTag, CgroupId, ExactKey, PortKey, PrefixKey};
use enforcer_common::verdict::{Backend, Lookup, Rule, TableFault, Tables, Workload};
use enforcer_common::word::{Tagged, Word};

use crate::dataplane::maps::{Maps, trie_key};

impl Tables for Maps {
    fn has_exempt(&self) -> bool {
        self.configured(ConfigKey::HasExempt).is_ok_and(|has| has != 0)
    }

    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        let key = ExactKey::new(view, *addr);
        Ok(word(&key, self.exact.get(&key, 0))?.map(ClassId::new))
    }

    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        let key = PrefixKey::look_up(view, *addr);
        let value = match self.prefixes.get(&trie_key(key, 128), 0) {
            Ok(value) => value,
            Err(MapError::KeyNotFound) => return Ok(None),
            Err(_) => return Err(TableFault),
        };
        let length = u32::try_from(value.length).map_err(|_| TableFault)?;
        let class = Word::from_raw(value.class).open(key.tag_of(length).tag()).ok_or(TableFault)?;
        Ok(Some(ClassId::new(class)))
    }

    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        let key = PortKey::in_class(class, protocol, port);
        rule(word(&key, self.class_rules.get(&key, 0))?)
    }

    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        let key = PortKey::any_address(view, protocol, port);
        rule(word(&key, self.any_rules.get(&key, 0))?)
    }

    fn slots(&self, rule: RuleId) -> Lookup<u32> {
        let key = BackendKey::new(rule, 0);
        word(&BackendWordTag(key, 0), self.backends.get(&key, 0).map(|value| value[0]))
    }

    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend> {
        self.backend_at(BackendKey::new(rule, slot))
    }

    fn has_backend(&self, rule: RuleId, backend: &Backend) -> Result<bool, TableFault> {
        Ok(self.backend_at(BackendKey::member(rule, backend))? == Some(*backend))
    }
}

impl Maps {
    /// What a program reads of a workload; a directory above workloads is none.
    pub(super) fn workload(&self, cgroup: CgroupId) -> Lookup<Workload> {
        let workload = word(&cgroup, self.workloads.get(&cgroup, 0))?.map(Workload::from_payload);
        Ok(workload.filter(|workload| !workload.is_root()))
    }

    fn backend_at(&self, key: BackendKey) -> Lookup<Backend> {
        let value = match self.backends.get(&key, 0) {
            Ok(value) => value,
            Err(MapError::KeyNotFound) => return Ok(None),
            Err(_) => return Err(TableFault),
        };
        let mut words = [0; 5];
        for ((index, raw), word) in (0..).zip(value).zip(&mut words) {
            *word = Word::from_raw(raw).open(BackendWordTag(key, index).tag()).ok_or(TableFault)?;
        }
        let [a, b, c, d, port] = words;
        Ok(Some(Backend { addr: Addr::from_words([a, b, c, d]), port: Port::from_ctx(port) }))
    }
}

#[expect(clippy::needless_pass_by_value)] // look-ups give their answer away
pub(super) fn word<K: Tagged>(key: &K, raw: Result<u64, MapError>) -> Lookup<u32> {
    match raw {
        Ok(raw) => Word::from_raw(raw).open(key.tag()).map(Some).ok_or(TableFault),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(_) => Err(TableFault),
    }
}

fn rule(payload: Option<u32>) -> Lookup<Rule> {
    payload.map(|payload| Rule::from_payload(payload).ok_or(TableFault)).transpose()
}

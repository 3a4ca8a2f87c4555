//! Reading the maps back: what an earlier agent left, and whether the maps hold what they should.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use enforcer_common::addr::Prefix;
use enforcer_common::config::ConfigKey;
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::key::{BackendKey, PrefixKey};
use enforcer_common::verdict::{Backend, Rule, Tables as _, Workload};
use enforcer_common::word::{Tagged, Word};
use enforcer_core::policy::image::{Class, Image};

use crate::dataplane::maps::Maps;

impl Maps {
    /// The content of all maps. What does not carry its key's tag is left out: no program believes it either.
    pub fn read(&self) -> Result<Image> {
        let mut image = Image { has_exempt: self.configured(ConfigKey::HasExempt)? != 0, ..Image::default() };
        self.read_cells(&mut image).context("cannot read the maps back")?;
        self.read_rules(&mut image).context("cannot read the maps back")?;
        Ok(image)
    }

    fn read_cells(&self, image: &mut Image) -> Result<()> {
        for entry in &self.workloads {
            let (cgroup, raw) = entry?;
            let workload = open(&cgroup, raw).map(Workload::from_payload);
            // Directories above workloads are no part of what is compiled.
            let workload = workload.filter(|workload| !workload.is_root());
            image.workloads.extend(workload.map(|workload| (cgroup, workload)));
        }
        for entry in &self.exact {
            let (key, raw) = entry?;
            let class = open(&key, raw).map(ClassId::new);
            image.exact.extend(class.map(|class| ((key.view(), key.addr()), class)));
        }
        for entry in &self.prefixes {
            let (key, value) = entry?;
            let length = key.prefix_len().saturating_sub(PrefixKey::SCOPE_BITS);
            let key = key.data();
            let class = open(&key.tag_of(length), value.class).map(ClassId::new);
            image.prefixes.extend(class.map(|class| ((key.view(), Prefix::new(key.addr(), length)), class)));
        }
        for entry in &self.any_rules {
            let (key, raw) = entry?;
            let rule = open(&key, raw).and_then(Rule::from_payload);
            image.any.extend(rule.map(|rule| ((ViewId::new(key.scope()), key.protocol(), key.port()), rule)));
        }
        Ok(())
    }

    fn read_rules(&self, image: &mut Image) -> Result<()> {
        let mut classes: BTreeMap<ClassId, Class> = BTreeMap::new();
        for entry in &self.class_rules {
            let (key, raw) = entry?;
            if let Some(rule) = open(&key, raw).and_then(Rule::from_payload) {
                let class = classes.entry(ClassId::new(key.scope())).or_default();
                class.insert((key.protocol(), key.port()), rule);
            }
        }
        image.classes = classes.into_iter().map(|(id, class)| (id, Arc::new(class))).collect();
        for rule in self.rule_hits.keys() {
            image.rules.insert(rule?);
        }
        for key in self.backends.keys() {
            let key: BackendKey = key?;
            if key.slot() == 0 {
                image.backends.insert(key.rule(), self.read_backends(key.rule()).into());
            }
        }
        Ok(())
    }

    fn read_backends(&self, rule: RuleId) -> Vec<Backend> {
        let slots = self.slots(rule).ok().flatten().unwrap_or(0);
        (1..=slots).filter_map(|slot| self.backend(rule, slot).ok().flatten()).collect()
    }
}

fn open<K: Tagged>(key: &K, raw: u64) -> Option<u32> {
    Word::from_raw(raw).open(key.tag())
}

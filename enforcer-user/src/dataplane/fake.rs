//! Maps in memory: what the controller's tests run on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use enforcer_common::config::{ConfigKey, pack_levels};
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Switch;
use enforcer_common::verdict::{Lookup, Workload};
use enforcer_core::policy::image::{Image, MapOp};

use crate::dataplane::{Dataplane, Inbound, Layout, Misplaced, NodeSettings, switch};

/// Does what the kernel's maps would, and fails when told to.
#[derive(Debug, Default)]
pub struct Fake {
    /// What the maps hold.
    pub image: Image,
    /// The settings last written.
    pub settings: Option<NodeSettings>,
    /// The words of `CONFIG` that say what is enforced: the flag and the switch.
    pub config: [u64; ConfigKey::COUNT as usize],
    /// How many operations succeed before one fails, if any is to.
    pub fail_after: Option<usize>,
    /// Whether somebody has taken the programs off.
    pub detached: bool,
    /// Where the workloads are.
    pub layout: Layout,
    /// Interfaces that cannot have programs, and why.
    pub unplaceable: BTreeMap<u32, String>,
    /// What the maps held of the workloads when the interfaces were placed last.
    pub workloads_at_place: BTreeMap<CgroupId, Workload>,
    /// How often interfaces were placed.
    pub placements: usize,
    /// What the next look at the order of programs finds.
    pub misplaced: Vec<Misplaced>,
    /// Interfaces by which connections reach workloads unseen, as the workloads know them.
    pub unseen: BTreeSet<(CgroupId, u32)>,
    /// Cgroups that no programs can be attached to.
    pub unattachable: BTreeSet<CgroupId>,
    attached: Vec<(CgroupId, PathBuf)>,
}

impl Dataplane for Fake {
    type Tables = Image;

    fn read(&self) -> Result<Image> {
        Ok(self.image.clone())
    }

    fn apply(&mut self, ops: &[MapOp]) -> Result<()> {
        for op in ops {
            match &mut self.fail_after {
                Some(0) => {
                    self.fail_after = None;
                    bail!("told to fail");
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.image.apply(op);
        }
        Ok(())
    }

    fn place(&mut self, layout: &Layout, _: &Inbound<'_>) -> Result<BTreeMap<u32, String>> {
        self.layout = layout.clone();
        self.workloads_at_place = self.image.workloads.clone();
        self.placements += 1;
        Ok(self.unplaceable.clone())
    }

    fn check_order(&mut self, _: &Inbound<'_>) -> Result<Vec<Misplaced>> {
        Ok(std::mem::take(&mut self.misplaced))
    }

    fn has_unseen(&self, workload: CgroupId, inside: u32) -> Result<bool> {
        Ok(self.unseen.contains(&(workload, inside)))
    }

    fn configure(&mut self, settings: &NodeSettings) -> Result<()> {
        ensure!(pack_levels(&settings.levels).is_some(), "too many depths");
        self.settings = Some(settings.clone());
        let stored = self.config[ConfigKey::EnforcementFlag.index() as usize];
        for (key, value) in switch::writes(stored, settings.enforcement) {
            self.config[key.index() as usize] = value;
        }
        Ok(())
    }

    fn switch(&self) -> Result<Switch> {
        Ok(Switch::from_word(self.config[ConfigKey::Enforcement.index() as usize]))
    }

    fn attach(&mut self, cgroups: &[(CgroupId, PathBuf)], _: &Inbound<'_>) -> Result<()> {
        let (failed, attached) =
            cgroups.iter().cloned().partition(|(cgroup, _)| self.unattachable.contains(cgroup));
        let failed: Vec<_> = failed;
        self.attached = attached;
        ensure!(failed.is_empty(), "cannot attach to {failed:?}");
        Ok(())
    }

    fn is_intact(&self) -> bool {
        !self.detached
    }

    fn attached(&self) -> &[(CgroupId, PathBuf)] {
        &self.attached
    }

    fn tables(&self) -> &Image {
        &self.image
    }

    fn workload(&self, cgroup: CgroupId) -> Lookup<Workload> {
        Ok(self.image.workloads.get(&cgroup).copied())
    }

    fn flows(&self, _: RuleId) -> u64 {
        0
    }
}

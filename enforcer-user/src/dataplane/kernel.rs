//! One node's kernel, as the controller sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use enforcer_common::config::{ConfigKey, pack_levels};
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Switch;
use enforcer_common::names::Side;
use enforcer_common::verdict::{Lookup, Workload};
use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::image::{Image, MapOp};

use crate::dataplane::attach;
use crate::dataplane::elders::Elders;
use crate::dataplane::interface::{self, Target};
use crate::dataplane::load::{self, Options, Programs};
use crate::dataplane::maps::Maps;
use crate::dataplane::misplaced::{self, Misplaced};
use crate::dataplane::pin::{PinLock, Pins};
use crate::dataplane::{Dataplane, Inbound, InboundFlow, Layout, NodeSettings, Whose, detach, probe, switch};

/// Loaded programs and open maps. Dropping it changes nothing that is in force; one that was never attached takes back
/// the maps it has made.
pub struct Kernel {
    pins: Pins,
    programs: Programs,
    maps: Maps,
    /// The cgroups that have all their links.
    attached: Vec<(CgroupId, PathBuf)>,
    /// Interfaces that have programs, and whose they are.
    placed: Vec<(Target, Option<CgroupId>)>,
    /// Interfaces on which there may be connections that are older than their programs.
    elders: Elders,
    /// Made its maps, and nothing is attached to them yet.
    fresh: bool,
    /// What older ABIs have attached may be there still.
    has_predecessors: bool,
    _lock: PinLock,
}

impl Kernel {
    /// Loads the programs over the maps that are pinned, or new ones. Nothing is attached and nothing in force
    /// changes.
    pub fn load(pin_dir: &Path, limits: &Limits, options: Options) -> Result<Self> {
        let faults = probe::faults(pin_dir);
        if !faults.is_empty() {
            bail!("this machine cannot enforce:\n  {}", faults.join("\n  "));
        }
        let lock = PinLock::take(pin_dir)?;
        let pins = Pins::new(pin_dir);
        let fresh = load::is_fresh(&pins);
        let programs = load::load(&pins, limits, options)?;
        let mut maps = Maps::open_to_write(&pins, limits.flows)?;
        maps.allow_events(CgroupId::new(0))?;
        maps.allow_flows(CgroupId::new(0))?;
        if fresh {
            switch::inherit(&pins, &mut maps)?;
        }
        Ok(Self {
            pins,
            programs,
            maps,
            attached: Vec::new(),
            placed: Vec::new(),
            elders: Elders::default(),
            fresh,
            has_predecessors: true,
            _lock: lock,
        })
    }

    /// Where everything is pinned.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// What older ABIs have attached goes last, and only when all of ours is there: until now it enforced beside us. An interface that
    /// cannot have programs of ours keeps none of theirs either: they would judge by a registry that nobody changes any more.
    fn replace_predecessors(&mut self) -> Result<()> {
        if !self.has_predecessors {
            return Ok(());
        }
        for abi in self.pins.other_abis()? {
            detach::detach_abi(&abi, &mut detach::DetachReport::default())
                .with_context(|| format!("cannot take off what {} keeps", abi.display()))?;
        }
        self.has_predecessors = false;
        Ok(())
    }

    /// `enforcer detach` may have been at work meanwhile: what was attached after it had looked goes, too. Nobody would fill its maps.
    fn give_way(&self) -> Result<()> {
        if detach::is_in_force(&self.pins) {
            return Ok(());
        }
        interface::detach_others(&self.pins, &[])?;
        attach::detach_others(&self.pins, &[])?;
        bail!("`enforcer detach` has taken the programs off")
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if self.fresh {
            load::unpin_maps(&self.pins);
        }
    }
}

/// What began before there were programs goes on.
fn remember(maps: &mut Maps, flows: &[InboundFlow]) -> Result<()> {
    let mut of_workloads: BTreeMap<CgroupId, Vec<InboundFlow>> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| maps.workload(flow.workload) != Ok(None)) {
        of_workloads.entry(flow.workload).or_default().push(*flow);
    }
    let mut connections = 0;
    for (workload, flows) in of_workloads {
        let remembered = maps.flows.remember(workload, &flows)?;
        connections += remembered;
        if remembered < flows.len() {
            tracing::warn!(
                cgroup = workload.get(),
                connections = flows.len(),
                remembered,
                "a workload has more inbound connections than its table of flows holds: what it answers on the others is judged as if \
                 it had begun them; make the tables larger with --map-entries flows=N"
            );
        }
    }
    if connections > 0 {
        tracing::info!(connections, "inbound connections that are older than the programs go on");
    }
    Ok(())
}

/// The same for one workload only: to ask for all of them at each interface would take the square of the workloads.
fn remember_of(workload: Option<CgroupId>, maps: &mut Maps, inbound: &Inbound<'_>) -> Result<()> {
    workload.map_or(Ok(()), |workload| remember(maps, &inbound(Whose::Workload(workload))))
}

impl Dataplane for Kernel {
    type Tables = Maps;

    fn read(&self) -> Result<Image> {
        self.maps.read()
    }

    fn apply(&mut self, ops: &[MapOp]) -> Result<()> {
        ops.iter().try_for_each(|op| self.maps.apply(op))
    }

    fn configure(&mut self, settings: &NodeSettings) -> Result<()> {
        let levels = pack_levels(&settings.levels).context(
            "workloads and --cgroup directories are at more than eight depths of the cgroup hierarchy",
        )?;
        self.maps.set_roots(&settings.roots)?;
        // Before the programs are attached that would take them for others'.
        self.maps.places.add_addresses(CgroupId::NODE, &settings.addresses)?;
        self.maps.configure(ConfigKey::WorkloadLevels, levels)?;
        self.maps
            .configure(ConfigKey::UnknownWorkloadAllowed, u64::from(settings.unknown_workload_allowed))?;
        self.maps.configure(ConfigKey::EventRate, settings.event_rate)?;
        self.maps.configure(ConfigKey::EndpointGrace, settings.endpoint_grace)?;
        let stored = self.maps.configured(ConfigKey::EnforcementFlag)?;
        let mut writes = switch::writes(stored, settings.enforcement).into_iter();
        writes.try_for_each(|(key, value)| self.maps.configure(key, value))
    }

    fn switch(&self) -> Result<Switch> {
        self.maps.configured(ConfigKey::Enforcement).map(Switch::from_word)
    }

    fn attach(&mut self, cgroups: &[(CgroupId, PathBuf)], inbound: &Inbound<'_>) -> Result<()> {
        // Maps are not taken back from below links, whatever comes in between.
        let fresh = std::mem::replace(&mut self.fresh, false);
        let (mut done, mut errors) = (Vec::new(), Vec::new());
        // Each for itself: one that cannot be attached leaves none of the others open.
        for (cgroup, path) in cgroups {
            let maps = &mut self.maps;
            let between = &mut || remember(maps, &inbound(Whose::Below(path)));
            match attach::attach(&self.pins, *cgroup, path, &self.programs.cgroup, between) {
                Ok(()) => done.push((*cgroup, path.clone())),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        self.attached = done;
        let keep: Vec<CgroupId> = cgroups.iter().map(|(cgroup, _)| *cgroup).collect();
        let others = attach::detach_others(&self.pins, &keep);
        errors.extend(others.err().map(|error| format!("{error:#}")));
        if errors.is_empty() {
            return self.give_way();
        }
        if fresh {
            // A first start leaves nothing half done.
            self.attached.clear();
            attach::detach_others(&self.pins, &[])?;
            self.fresh = true;
        }
        bail!("{}", errors.join("; "))
    }

    fn place(&mut self, layout: &Layout, inbound: &Inbound<'_>) -> Result<BTreeMap<u32, String>> {
        self.fresh = false;
        self.elders.look()?;
        let maps = &mut self.maps;
        let mut failed = maps.places.add(layout)?;
        let workloads =
            layout.interfaces.iter().map(|(index, placed)| (*index, &placed.name, Side::Workload));
        let uplinks = layout.uplinks.iter().map(|(index, name)| (*index, name, Side::Uplink));
        let mut keep = Vec::new();
        self.placed.clear();
        for (index, name, side) in workloads.chain(uplinks) {
            let target = Target { index, name: name.clone(), side };
            let workload = layout.interfaces.get(&index).and_then(|placed| placed.workload);
            let asked = workload.filter(|_| self.elders.has(index));
            let between = &mut || remember_of(asked, maps, inbound);
            keep.push(index);
            match interface::attach(&self.pins, &target, &mut self.programs, between) {
                Ok(()) => {
                    self.elders.add(index);
                    self.placed.push((target, workload));
                }
                Err(error) => drop(failed.insert(index, format!("{error:#}"))),
            }
        }
        maps.places.judged(layout, &failed)?;
        interface::detach_others(&self.pins, &keep)?;
        maps.places.remove(layout)?;
        self.give_way()?;
        self.replace_predecessors()?;
        Ok(failed)
    }

    fn check_order(&mut self, inbound: &Inbound<'_>) -> Result<Vec<Misplaced>> {
        let Self { pins, programs, maps, placed, .. } = self;
        let looked = placed.iter().filter_map(|(target, workload)| {
            let between = &mut || remember_of(*workload, maps, inbound);
            misplaced::put_right(pins, target, programs, between)
        });
        let found = looked.collect();
        self.give_way()?;
        Ok(found)
    }

    fn has_unseen(&self, workload: CgroupId, inside: u32) -> Result<bool> {
        self.maps.flows.has_unseen(workload, inside)
    }

    fn is_intact(&self) -> bool {
        let links = |cgroup: &CgroupId| self.pins.links(*cgroup).exists();
        detach::is_in_force(&self.pins) && self.attached.iter().all(|(cgroup, _)| links(cgroup))
    }

    fn attached(&self) -> &[(CgroupId, PathBuf)] {
        &self.attached
    }

    fn tables(&self) -> &Maps {
        &self.maps
    }

    fn workload(&self, cgroup: CgroupId) -> Lookup<Workload> {
        self.maps.workload(cgroup)
    }

    fn flows(&self, rule: RuleId) -> u64 {
        self.maps.rule_hits.get(&rule, 0).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;

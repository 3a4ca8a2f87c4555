//! Loading: the maps that are pinned or new ones, and the programs over them.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, bail};
use aya::maps::MapInfo;
use aya::programs::{Program, ProgramError, SchedClassifier};
use aya::{Btf, Ebpf, EbpfLoader};
use enforcer_common::limits::{EVENTS_BYTES, HEADROOM};
use enforcer_common::names::{
    CGROUP_PROGRAMS, COUNTS_LOOKUPS, CgroupProgram, HAS_MPTCP_HELPER, IGNORES_INTERFACES, INTERFACE_PROGRAMS,
    InterfaceProgram, KERNEL, MEMORY, NODE_NETWORK, TELLS_NAMESPACE, map,
};
use enforcer_core::policy::budget::Limits;

use crate::dataplane::interface::Mechanism;
use crate::dataplane::pin::Pins;
use crate::dataplane::{OBJECT, offsets, probe};

/// The end of a verifier log is where it says what it does not like.
const VERIFIER_LOG_END: usize = 2_000;

/// A loaded program.
#[derive(Debug)]
pub struct LoadedProgram {
    /// Which one.
    pub program: CgroupProgram,
    /// Its descriptor.
    pub fd: OwnedFd,
}

/// All loaded programs.
#[derive(Debug)]
pub struct Programs {
    /// Those of cgroups.
    pub cgroup: Vec<LoadedProgram>,
    /// Those of interfaces.
    pub interface: Vec<(InterfaceProgram, OwnedFd)>,
    /// How those of interfaces are attached on this kernel.
    pub(super) mechanism: Mechanism,
    /// What they came from.
    ebpf: Ebpf,
}

impl Programs {
    /// The descriptor of a program of interfaces.
    pub(super) fn interface(&self, program: &InterfaceProgram) -> Result<BorrowedFd<'_>> {
        let found = self.interface.iter().find(|(loaded, _)| loaded == program);
        Ok(found.with_context(|| format!("{} is not loaded", program.name))?.1.as_fd())
    }

    /// The same as aya knows it, which has filters of traffic control.
    pub(super) fn classifier(&mut self, program: &InterfaceProgram) -> Result<&mut SchedClassifier> {
        let found = self.ebpf.program_mut(program.name);
        let found = found.with_context(|| format!("the kernel object has no program {}", program.name))?;
        found.try_into().with_context(|| format!("{} is no classifier", program.name))
    }

    /// Loads a program of interfaces once more: the kernel takes one program only once at a hook. What is attached stays.
    pub(super) fn load_again(&mut self, program: &InterfaceProgram) -> Result<()> {
        let classifier = self.classifier(program)?;
        classifier.unload().with_context(|| format!("cannot let go of the program {}", program.name))?;
        let fd = load_program(&mut self.ebpf, program.name)?;
        let mut loaded = self.interface.iter_mut();
        let place = loaded.find(|(loaded, _)| loaded == program);
        place.with_context(|| format!("{} is not loaded", program.name))?.1 = fd;
        Ok(())
    }
}

/// What the programs are told when they are loaded.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Look-ups are counted: for tests.
    pub counts_lookups: bool,
    /// Nobody looks where workloads are in the network: what comes to a socket otherwise than by loopback is taken to come from outside.
    pub ignores_interfaces: bool,
}

/// Loads all programs over the pinned maps; maps that are not there yet are made and pinned. On failure nothing is
/// left that was not there before.
pub fn load(pins: &Pins, limits: &Limits, options: Options) -> Result<Programs> {
    let fresh = is_fresh(pins);
    check_sizes(pins, limits)?;
    pins.create()?;
    let loaded = load_programs(pins, limits, options);
    if loaded.is_err() && fresh {
        unpin_maps(pins);
    }
    loaded
}

/// Whether no agent has pinned maps here yet.
pub(super) fn is_fresh(pins: &Pins) -> bool {
    !pins.map(map::CONFIG).exists()
}

/// Takes back what a start has made that came to nothing, up to the directories of the ABI. What is not there need not go.
pub(super) fn unpin_maps(pins: &Pins) {
    for name in map::ALL {
        let _ = std::fs::remove_file(pins.map(name));
    }
    for directory in [pins.maps().as_path(), &pins.all_links(), &pins.all_interfaces(), pins.abi()] {
        let _ = std::fs::remove_dir(directory);
    }
}

fn load_programs(pins: &Pins, limits: &Limits, options: Options) -> Result<Programs> {
    let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF from /sys/kernel/btf/vmlinux")?;
    let paths: Vec<_> = map::ALL.iter().map(|name| (*name, pins.map(name))).collect();
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&btf));
    for (name, path) in paths {
        loader.map_pin_path(if name == map::GENERATIONS { MEMORY } else { name }, path);
    }
    for (name, entries) in map_entries(limits) {
        loader.map_max_entries(name, entries);
    }
    let has_mptcp_helper = u8::from(probe::has_mptcp_helper());
    loader.override_global(HAS_MPTCP_HELPER, &has_mptcp_helper, true);
    let counts_lookups = u8::from(options.counts_lookups);
    loader.override_global(COUNTS_LOOKUPS, &counts_lookups, true);
    let tells_namespace = u8::from(probe::tells_namespace());
    loader.override_global(TELLS_NAMESPACE, &tells_namespace, true);
    let kernel = offsets::of_this_kernel()?;
    loader.override_global(KERNEL, &kernel, true);
    let node_network = offsets::own_network()?;
    loader.override_global(NODE_NETWORK, &node_network, true);
    let ignores_interfaces = u8::from(options.ignores_interfaces);
    loader.override_global(IGNORES_INTERFACES, &ignores_interfaces, true);
    let mut ebpf = loader.load(OBJECT).context("cannot create the eBPF maps")?;
    let cgroup = CGROUP_PROGRAMS
        .iter()
        .map(|program| Ok(LoadedProgram { program: *program, fd: load_program(&mut ebpf, program.name)? }));
    let cgroup = cgroup.collect::<Result<_>>()?;
    let interface =
        INTERFACE_PROGRAMS.iter().map(|program| Ok((*program, load_program(&mut ebpf, program.name)?)));
    let interface = interface.collect::<Result<_>>()?;
    Ok(Programs { cgroup, interface, mechanism: Mechanism::of_kernel()?, ebpf })
}

fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<OwnedFd> {
    let loaded =
        ebpf.program_mut(name).with_context(|| format!("the kernel object has no program {name}"))?;
    let result = match loaded {
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => bail!("the program {name} is of a type that this agent does not attach"),
    };
    match result {
        Ok(()) => {}
        Err(ProgramError::LoadError { io_error, verifier_log }) => {
            let log = verifier_log.to_string();
            let tail = log.get(log.len().saturating_sub(VERIFIER_LOG_END)..).unwrap_or(&log);
            bail!(
                "the kernel refuses the program {name}: {io_error}; the end of the verifier's log:\n{tail}"
            );
        }
        Err(error) => return Err(error).with_context(|| format!("cannot load the program {name}")),
    }
    loaded.fd()?.as_fd().try_clone_to_owned().context("cannot duplicate a program's descriptor")
}

/// The size of each map whose size can be chosen.
fn map_entries(limits: &Limits) -> Vec<(&'static str, u32)> {
    let entries = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX).saturating_mul(HEADROOM);
    vec![
        (map::WORKLOADS, entries(limits.workloads)),
        (map::EVENT_BUDGET, entries(limits.workloads)),
        (map::EXACT, entries(limits.exact)),
        (map::PREFIXES, entries(limits.prefixes)),
        (map::CLASS_RULES, entries(limits.class_rules)),
        (map::ANY_RULES, entries(limits.any_rules)),
        (map::BACKENDS, entries(limits.backends)),
        (map::RULE_HITS, entries(limits.rules)),
        (map::FLOWS, entries(limits.workloads)),
    ]
}

/// A pinned map cannot grow: asking for another size is refused while the old ones are in force.
fn check_sizes(pins: &Pins, limits: &Limits) -> Result<()> {
    let sizes = map_entries(limits).into_iter().chain([(map::EVENTS, EVENTS_BYTES)]);
    for (name, wanted) in sizes {
        let path = pins.map(name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path)
            .with_context(|| format!("cannot read the pinned map {}", path.display()))?;
        if info.max_entries() != wanted {
            bail!(
                "the map {name} is in force with room for {} entries, and {} are wanted: start with the old \
                 --map-entries, or run `enforcer detach` first (which lifts enforcement until the next start)",
                info.max_entries() / HEADROOM,
                wanted / HEADROOM
            );
        }
    }
    Ok(())
}

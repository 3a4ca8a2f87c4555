//! The node's switch: one word of the pinned `CONFIG` map, which programs read at every decision. Read and turned here
//! without an agent, so that it can be turned when the agent hangs or is dead.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use enforcer_common::ABI_VERSION;
use enforcer_common::config::ConfigKey;
use enforcer_common::key::CgroupId;
use enforcer_common::limits::{HEADROOM, WORKLOADS};
use enforcer_common::mode::{Enforcement, Switch};
use enforcer_common::names::map;
use enforcer_common::verdict::Workload;
use enforcer_common::word::{Tagged as _, Word};

use crate::dataplane::maps::Maps;
use crate::dataplane::pin::{Pins, directories};

/// Why the switch cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// No agent has been here.
    #[error(
        "nothing is pinned below {}, so nothing is enforced from there; start the agent (`enforcer run`), or give the \
         --pin-dir that it has",
        dir.display()
    )]
    NothingPinned {
        /// The pin directory.
        dir: PathBuf,
    },
    /// An enforcer of another version has been here.
    #[error(
        "below {} is only {}, and this enforcer speaks v{ABI_VERSION}: use the enforcer of the version that runs here (the one \
         in the agent's container); `enforcer detach` takes off any version's",
        dir.display(), abis.join(" and ")
    )]
    OtherAbi {
        /// The pin directory.
        dir: PathBuf,
        /// `v1` and the like.
        abis: Vec<String>,
    },
    /// The kernel, or the bpffs, lets only root.
    #[error("not permitted at {}: run as root, or with CAP_BPF and access to the directory", path.display())]
    Denied {
        /// What was asked for.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot use {}: {what}", path.display())]
    Failed {
        /// What was asked for.
        path: PathBuf,
        /// What went wrong.
        what: String,
    },
}

/// The pinned switch, and what else a person who turns it should know.
pub struct NodeSwitch {
    pins: Pins,
    config: Array<MapData, u64>,
}

impl NodeSwitch {
    /// Opens what is pinned below `pin_dir`.
    pub fn open(pin_dir: &Path) -> Result<Self, SwitchError> {
        let pins = Pins::new(pin_dir);
        let path = pins.map(map::CONFIG);
        // Not `exists()`, for which what may not be looked at is not there.
        if let Err(error) = std::fs::symlink_metadata(&path) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => not_pinned(pin_dir, &pins),
                _ => failed(&path, &error),
            });
        }
        Ok(Self { config: open_map(&path)?, pins })
    }

    /// The switch as it was turned last.
    pub fn read(&self) -> Result<Switch, SwitchError> {
        Ok(Switch::from_word(self.word(ConfigKey::Enforcement)?))
    }

    /// The value of `--enforcement` that the last agent had.
    pub fn flag(&self) -> Result<Option<Enforcement>, SwitchError> {
        Ok(match self.word(ConfigKey::EnforcementFlag)? {
            0 => None,
            bits => Some(Enforcement::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
        })
    }

    /// Turns it: one write, in force for every decision after it.
    pub fn write(&mut self, switch: Switch) -> Result<(), SwitchError> {
        let written = self.config.set(ConfigKey::Enforcement.index(), switch.word(), 0);
        written.map_err(|error| map_failed(&self.pins.map(map::CONFIG), &error))
    }

    /// The workloads that have their own enforcement, whatever the node's is.
    pub fn workloads_with_own(&self) -> Result<Vec<(CgroupId, Enforcement)>, SwitchError> {
        let path = self.pins.map(map::WORKLOADS);
        let workloads: HashMap<MapData, CgroupId, u64> = open_map(&path)?;
        // Bounded: a map that changes all the time could be walked through for ever.
        let bound = WORKLOADS.saturating_mul(HEADROOM) as usize;
        let mut own = Vec::new();
        for entry in workloads.iter().take(bound) {
            let (cgroup, raw) = entry.map_err(|error| map_failed(&path, &error))?;
            let workload = Word::from_raw(raw).open(cgroup.tag()).map(Workload::from_payload);
            own.extend(workload.and_then(|workload| Some((cgroup, workload.enforcement()?))));
        }
        own.sort_unstable();
        Ok(own)
    }

    /// How many cgroups have programs.
    pub fn attached(&self) -> usize {
        directories(&self.pins.all_links()).map_or(0, |cgroups| cgroups.len())
    }

    /// Other versions whose programs decide beside ours: `v1` and the like.
    pub fn other_abis(&self) -> Vec<String> {
        abi_names(&self.pins)
    }

    fn word(&self, key: ConfigKey) -> Result<u64, SwitchError> {
        let word = self.config.get(&key.index(), 0);
        word.map_err(|error| map_failed(&self.pins.map(map::CONFIG), &error))
    }
}

/// What an agent with this flag writes, in order, where the last one stored `stored`. Nothing while the flag is what it was: whoever has
/// turned the switch since then keeps it. Else the switch goes between two writes of the flag: an agent that dies in between leaves
/// none behind, and the next one, whatever its flag, writes the switch again instead of taking a half-made one for a person's.
pub(super) fn writes(stored: u64, flag: Enforcement) -> Vec<(ConfigKey, u64)> {
    let bits = u64::from(flag.bits());
    if stored == bits {
        return Vec::new();
    }
    vec![
        (ConfigKey::EnforcementFlag, 0),
        (ConfigKey::Enforcement, Switch::to(flag).word()),
        (ConfigKey::EnforcementFlag, bits),
    ]
}

/// Fresh maps take the switch from those of another ABI that they replace: an update of the agent is a restart, too. Only where a flag
/// is stored, which the first ABI did not do: then switch and flag have the places and the meaning that they have here.
pub(super) fn inherit(pins: &Pins, maps: &mut Maps) -> Result<()> {
    for abi in pins.other_abis()? {
        let path = abi.join("maps").join(map::CONFIG);
        let words = open_map::<Array<MapData, u64>>(&path).and_then(|config| {
            let word =
                |key: ConfigKey| config.get(&key.index(), 0).map_err(|error| map_failed(&path, &error));
            Ok((word(ConfigKey::Enforcement)?, word(ConfigKey::EnforcementFlag)?))
        });
        match words {
            Ok((_, 0)) => {}
            Ok((switch, flag)) => {
                maps.configure(ConfigKey::Enforcement, switch)?;
                maps.configure(ConfigKey::EnforcementFlag, flag)?;
            }
            Err(error) => tracing::warn!("{error}: if `enforcer mode` has turned that switch, turn it again"),
        }
    }
    Ok(())
}

fn not_pinned(dir: &Path, pins: &Pins) -> SwitchError {
    let dir = dir.to_path_buf();
    match abi_names(pins) {
        abis if abis.is_empty() => SwitchError::NothingPinned { dir },
        abis => SwitchError::OtherAbi { dir, abis },
    }
}

fn abi_names(pins: &Pins) -> Vec<String> {
    let paths = pins.other_abis().unwrap_or_default();
    paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

fn open_map<T>(path: &Path) -> Result<T, SwitchError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = MapData::from_pin(path).and_then(Map::from_map_data).and_then(T::try_from);
    map.map_err(|error| map_failed(path, &error))
}

fn map_failed(path: &Path, error: &MapError) -> SwitchError {
    // aya wraps the system's error more or less deeply, depending on the call.
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    match io {
        Some(io) => failed(path, io),
        None => SwitchError::Failed { path: path.to_path_buf(), what: error.to_string() },
    }
}

fn failed(path: &Path, error: &io::Error) -> SwitchError {
    let path = path.to_path_buf();
    match error.kind() {
        io::ErrorKind::PermissionDenied => SwitchError::Denied { path },
        _ => SwitchError::Failed { path, what: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flag and switch after the first `count` writes.
    fn after(start: (u64, Switch), flag: Enforcement, count: usize) -> (u64, Switch) {
        writes(start.0, flag).into_iter().take(count).fold(
            start,
            |(stored, switch), (key, value)| match key {
                ConfigKey::EnforcementFlag => (value, switch),
                _ => (stored, Switch::from_word(value)),
            },
        )
    }

    #[test]
    fn a_switch_that_a_person_turned_stays_until_the_flag_changes() {
        use Enforcement::{Audit, Enforce, Off};
        let stored = |flag: Enforcement| u64::from(flag.bits());
        let limited = Switch { now: Off, later: Some((Enforce, 900)) };
        for (start, flag, expected) in [
            ((0, Switch::from_word(0)), Audit, Switch::to(Audit)),
            ((stored(Enforce), Switch::to(Enforce)), Enforce, Switch::to(Enforce)),
            ((stored(Enforce), limited), Enforce, limited),
            ((stored(Enforce), limited), Audit, Switch::to(Audit)),
            ((stored(Audit), Switch::to(Off)), Enforce, Switch::to(Enforce)),
        ] {
            assert_eq!(after(start, flag, 9), (stored(flag), expected), "{start:?} {flag}");
        }
    }

    #[test]
    fn an_agent_that_dies_between_the_writes_leaves_nothing_half_made() {
        let all = [Enforcement::Off, Enforcement::Audit, Enforcement::Enforce];
        for (old, new, next) in all
            .into_iter()
            .flat_map(|old| all.map(|new| (old, new)))
            .flat_map(|(a, b)| all.map(|c| (a, b, c)))
        {
            let start = (u64::from(old.bits()), Switch::to(old));
            for count in 0..=3 {
                let (stored, switch) = after(start, new, count);
                assert!(switch.now >= old.min(new), "{old} to {new}, {count} writes");
                let (stored, switch) = after((stored, switch), next, 9);
                assert_eq!(
                    (stored, switch),
                    (u64::from(next.bits()), Switch::to(next)),
                    "{old} {new} {next}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart_from_what_is_anothers() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("enforcer");
        let error = |dir: &Path| NodeSwitch::open(dir).err().unwrap().to_string();
        assert!(error(&dir).starts_with("nothing is pinned below "), "{}", error(&dir));
        std::fs::create_dir_all(dir.join("v1/maps")).unwrap();
        std::fs::create_dir_all(dir.join("notes")).unwrap();
        assert!(error(&dir).contains(" is only v1, and this enforcer speaks v"), "{}", error(&dir));
        // A file that is no pin: the kernel says so.
        let pins = Pins::new(&dir);
        pins.create().unwrap();
        std::fs::write(pins.map(map::CONFIG), "").unwrap();
        assert!(error(&dir).contains("maps/CONFIG"), "{}", error(&dir));
    }
}

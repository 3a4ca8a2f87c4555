//! Where things are pinned, and who may.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use enforcer_common::ABI_VERSION;
use enforcer_common::key::CgroupId;
use nix::fcntl::{Flock, FlockArg};

/// The pins of one ABI below a pin directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pins {
    root: PathBuf,
    abi: PathBuf,
}

impl Pins {
    /// Those of this build's ABI.
    pub fn new(pin_dir: &Path) -> Self {
        Self { root: pin_dir.to_path_buf(), abi: pin_dir.join(format!("v{ABI_VERSION}")) }
    }

    /// The pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// All maps.
    pub fn maps(&self) -> PathBuf {
        self.abi.join("maps")
    }

    /// The links of one cgroup.
    pub fn links(&self, cgroup: CgroupId) -> PathBuf {
        self.all_links().join(cgroup.get().to_string())
    }

    /// All links: a directory per cgroup.
    pub fn all_links(&self) -> PathBuf {
        self.abi.join("links")
    }

    /// What is pinned for one interface.
    pub fn interface(&self, index: u32) -> PathBuf {
        self.all_interfaces().join(index.to_string())
    }

    /// All interfaces: a directory for each, by its index.
    pub fn all_interfaces(&self) -> PathBuf {
        self.abi.join("interfaces")
    }

    /// This ABI's directory.
    pub fn abi(&self) -> &Path {
        &self.abi
    }

    /// The directories of other ABIs.
    pub fn other_abis(&self) -> Result<Vec<PathBuf>> {
        let entries = directories(&self.root)?;
        Ok(entries.into_iter().filter(|path| *path != self.abi && is_abi(path)).collect())
    }

    /// Makes the directories.
    pub fn create(&self) -> Result<()> {
        for directory in [self.maps(), self.all_links(), self.all_interfaces()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {} in the bpffs", directory.display()))?;
        }
        Ok(())
    }
}

/// The lock that one agent holds over a pin directory for as long as it lives.
#[derive(Debug)]
pub struct PinLock {
    _lock: Flock<File>,
}

impl PinLock {
    /// Takes it, or says who has it.
    pub fn take(pin_dir: &Path) -> Result<Self> {
        fs::create_dir_all(pin_dir)
            .with_context(|| format!("cannot create --pin-dir {}", pin_dir.display()))?;
        let directory = File::open(pin_dir).with_context(|| format!("cannot open {}", pin_dir.display()))?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
                "another agent holds --pin-dir {}: stop it first, or give this one a pin directory of its own",
                pin_dir.display()
            ),
            Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", pin_dir.display())),
        }
    }
}

/// What is in `path`, in order; nothing when it is not there.
pub fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.with_context(|| format!("cannot read {}", path.display()))?;
    paths.sort();
    Ok(paths)
}

/// The directories in `path`.
pub fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(path)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// Whether it is named `v<number>`, as an ABI's directory is.
pub fn is_abi(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.strip_prefix('v'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

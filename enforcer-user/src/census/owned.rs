//! Which sockets are a workload's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Subject;
use super::listeners::{LISTEN, Listeners};
use crate::links::inside;
use crate::sockets::{self, Protocol, SocketEntry};

// States of `net/tcp_states.h` that are no connection, or none any more.
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
/// `SYN_SENT`: nobody has answered, so it did not come in.
const SYN_SENT: u8 = 2;

/// At most so many sockets of a subject are looked at: some 30 MB.
const MOST: usize = 100_000;

/// Lists the sockets of subjects.
pub(super) struct Lister<'a> {
    /// What is stored with sockets comes from these.
    maps: &'a [BorrowedFd<'a>],
    /// Those of the node's own network namespace, which many subjects share.
    node: BTreeMap<Protocol, Vec<SocketEntry>>,
}

/// The sockets of a subject.
pub(super) struct Owned {
    /// Connected or listening.
    entries: Vec<SocketEntry>,
    /// Where it listens.
    ports: BTreeSet<u16>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(maps: &'a [BorrowedFd<'a>]) -> Self {
        Self { maps, node: BTreeMap::new() }
    }

    /// All sockets of the subject's own network namespace, or those of its cgroups in the node's.
    pub(super) fn owned(&mut self, protocol: Protocol, subject: &Subject) -> Result<Owned> {
        let entries = match &subject.network {
            Some(network) => inside(network.as_fd(), || sockets::list(protocol, self.maps))?,
            None => of_cgroups(self.of_node(protocol)?, &cgroups(subject)?),
        };
        Ok(Owned::new(bounded(entries, MOST, &subject.path)))
    }

    fn of_node(&mut self, protocol: Protocol) -> Result<&[SocketEntry]> {
        if !self.node.contains_key(&protocol) {
            self.node.insert(protocol, sockets::list(protocol, self.maps)?);
        }
        Ok(&self.node[&protocol])
    }
}

impl Owned {
    fn new(entries: Vec<SocketEntry>) -> Self {
        let listening = entries.iter().filter(|entry| entry.state == LISTEN);
        let ports = listening.map(|entry| entry.local.port()).collect();
        Self { entries, ports }
    }

    /// Those that are connected to somebody.
    pub(super) fn connections(&self) -> impl Iterator<Item = &SocketEntry> {
        self.entries.iter().filter(|entry| !matches!(entry.state, TIME_WAIT | CLOSE | LISTEN))
    }

    /// Those connections that are at a port at which the subject listens.
    pub(super) fn inbound(&self) -> impl Iterator<Item = &SocketEntry> {
        self.connections().filter(|entry| self.is_inbound(entry))
    }

    /// Whether this connection is at a port at which the subject listens. What is accepted belongs to the listener's
    /// cgroup (`sk_clone`), so nobody else's listener counts.
    pub(super) fn is_inbound(&self, entry: &SocketEntry) -> bool {
        entry.state != SYN_SENT && self.ports.contains(&entry.local.port())
    }
}

fn of_cgroups(entries: &[SocketEntry], cgroups: &BTreeSet<u64>) -> Vec<SocketEntry> {
    let listeners = Listeners::among(entries);
    let is_own = |entry: &SocketEntry| match entry.cgroup {
        Some(cgroup) => cgroups.contains(&cgroup),
        None => listeners.cgroups(entry).iter().any(|cgroup| cgroups.contains(cgroup)),
    };
    entries.iter().filter(|entry| is_own(entry)).cloned().collect()
}

/// Listeners come first, as the kernel lists them first, too.
fn bounded(mut entries: Vec<SocketEntry>, most: usize, cgroup: &Path) -> Vec<SocketEntry> {
    let found = entries.len();
    if found > most {
        let cgroup = cgroup.display();
        tracing::warn!(%cgroup, found, most, "a workload has more sockets than are looked at; the rest is left alone");
        entries.sort_by_key(|entry| entry.state != LISTEN);
        entries.truncate(most);
    }
    entries
}

/// The ids of the subject's cgroup and of those below it.
fn cgroups(subject: &Subject) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::from([subject.cgroup.get()]);
    let mut waiting = vec![subject.path.clone()];
    while let Some(directory) = waiting.pop() {
        let below = children(&directory)
            .with_context(|| format!("cannot look into the cgroup {}", directory.display()))?;
        for (path, id) in below {
            found.insert(id);
            waiting.push(path);
        }
    }
    Ok(found)
}

/// The cgroups directly below, with their ids: the inode numbers of the directories. None when it has just gone.
fn children(cgroup: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV));
    let entries = match fs::read_dir(cgroup) {
        Err(error) if gone(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
            Ok((path, metadata)) if metadata.is_dir() => found.push((path, metadata.ino())),
            Err(error) if !gone(&error) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use enforcer_common::key::CgroupId;

    use super::*;
    use crate::sockets::Family;

    #[test]
    fn all_cgroups_below_are_the_subjects() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("container/below");
        fs::create_dir_all(&deep).unwrap();
        fs::write(root.path().join("cgroup.procs"), "").unwrap();
        let id = |path: &Path| fs::metadata(path).unwrap().ino();
        let subject = Subject { cgroup: CgroupId::new(1), path: root.path().to_owned(), network: None };
        let expected = BTreeSet::from([1, id(&deep), id(deep.parent().unwrap())]);
        assert_eq!(cgroups(&subject).unwrap(), expected);
        root.close().unwrap();
        assert_eq!(cgroups(&subject).unwrap(), BTreeSet::from([1]), "it has gone");
    }

    #[test]
    fn of_too_many_sockets_the_listeners_are_kept() {
        let entry = |state, port| SocketEntry {
            protocol: Protocol::Tcp,
            state,
            family: Family::V4,
            local: SocketAddr::from(([192, 0, 2, 1], port)),
            remote: SocketAddr::from(([192, 0, 2, 2], 0)),
            interface: 0,
            cookie: 0,
            cgroup: None,
            storage: BTreeMap::new(),
        };
        let entries = vec![entry(1, 1), entry(1, 2), entry(LISTEN, 3)];
        let ports = |most| {
            let kept = bounded(entries.clone(), most, Path::new("/pod"));
            kept.iter().map(|entry| entry.local.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(2), [3, 1]);
        assert_eq!(ports(3), [1, 2, 3]);
    }
}

//! Which sockets are a workload's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Subject;
use super::kept::{Kept, MOST};
use super::listeners::{LISTEN, Listeners};
use super::room::Room;
use crate::sockets::{self, Protocol, SocketEntry, States};

/// `SYN_SENT` of `net/tcp_states.h`: nobody has answered, so it did not come in.
const SYN_SENT: u8 = 2;

/// Lists the sockets of subjects.
pub(super) struct Lister<'a> {
    subjects: &'a [Subject],
    /// What is stored with sockets comes from these.
    maps: &'a [BorrowedFd<'a>],
    /// Those of the node's own network namespace, which many subjects share.
    node: BTreeMap<Protocol, Kept>,
}

/// The sockets of a subject in one network namespace.
pub(super) struct Owned {
    /// Where they are.
    pub(super) room: Room,
    /// Connected or listening.
    entries: Vec<SocketEntry>,
    /// Where it listens.
    ports: BTreeSet<u16>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(subjects: &'a [Subject], maps: &'a [BorrowedFd<'a>]) -> Self {
        Self { subjects, maps, node: BTreeMap::new() }
    }

    /// All sockets of the subject's own network namespace, and those of its cgroups in the node's and wherever else its processes are:
    /// a namespace that it has not alone is not its own. Each error is for a namespace, or for all that were not found.
    pub(super) fn owned(&mut self, protocol: Protocol, subject: &Subject) -> Vec<Result<Owned>> {
        let (rooms, lost) = Room::all(subject);
        let found = cgroups(subject);
        let mut owned: Vec<Result<Owned>> = Vec::new();
        for room in rooms {
            match (&found, room) {
                (_, room @ Room::Own(_)) => owned.push(self.all_of(protocol, subject, room)),
                (Ok(cgroups), room) => owned.push(self.of_cgroups(protocol, subject, room, cgroups)),
                (Err(_), _) => {}
            }
        }
        // What keeps the cgroup from being read keeps its processes from being found, too.
        owned.extend(found.err().or(lost).map(Err));
        owned
    }

    fn all_of(&self, protocol: Protocol, subject: &Subject, room: Room) -> Result<Owned> {
        let mut kept = Kept::default();
        self.list(protocol, &room, &mut |entry| kept.take_any(entry, MOST))?;
        if kept.is_any_full() {
            left_alone(subject);
        }
        Ok(Owned::new(room, kept.entries))
    }

    fn of_cgroups(
        &mut self,
        protocol: Protocol,
        subject: &Subject,
        room: Room,
        cgroups: &BTreeSet<u64>,
    ) -> Result<Owned> {
        let other = match room {
            Room::Node => None,
            _ => Some(self.kept(protocol, &room, cgroups)?),
        };
        let kept = match &other {
            Some(kept) => kept,
            None => self.of_node(protocol)?,
        };
        if cgroups.iter().any(|cgroup| kept.is_full(*cgroup)) {
            left_alone(subject);
        }
        let entries = of_cgroups(&kept.entries, cgroups);
        Ok(Owned::new(room, entries))
    }

    fn of_node(&mut self, protocol: Protocol) -> Result<&Kept> {
        if !self.node.contains_key(&protocol) {
            let cgroups =
                self.subjects.iter().filter_map(|subject| cgroups(subject).ok()).flatten().collect();
            self.node.insert(protocol, self.kept(protocol, &Room::Node, &cgroups)?);
        }
        Ok(&self.node[&protocol])
    }

    /// What may be of these cgroups: whoever listens says whose half-open connections are.
    fn kept(&self, protocol: Protocol, room: &Room, cgroups: &BTreeSet<u64>) -> Result<Kept> {
        let mut kept = Kept::default();
        self.list(protocol, room, &mut |entry| {
            if entry.state == LISTEN || entry.cgroup.is_none_or(|cgroup| cgroups.contains(&cgroup)) {
                kept.take(entry, MOST);
            }
            ControlFlow::Continue(())
        })?;
        Ok(kept)
    }

    fn list(
        &self,
        protocol: Protocol,
        room: &Room,
        take: &mut (dyn FnMut(SocketEntry) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let states = match protocol {
            Protocol::Tcp => States::CONNECTED_OR_LISTENING,
            Protocol::Udp => States::CONNECTED,
        };
        room.within(|| sockets::each(protocol, states, self.maps, take))
    }
}

fn left_alone(subject: &Subject) {
    let cgroup = subject.path.display();
    tracing::warn!(
        %cgroup,
        most = MOST,
        "a workload has more sockets than are looked at; the rest is left alone: what came in before the agent may be cut, and \
         what may not stay is not closed"
    );
}

impl Owned {
    fn new(room: Room, entries: Vec<SocketEntry>) -> Self {
        let listening = entries.iter().filter(|entry| entry.state == LISTEN);
        let ports = listening.map(|entry| entry.local.port()).collect();
        Self { room, entries, ports }
    }

    /// Those that are connected to somebody.
    pub(super) fn connections(&self) -> impl Iterator<Item = &SocketEntry> {
        self.entries.iter().filter(|entry| States::CONNECTED.has(entry.state))
    }

    /// Those connections that somebody else made: at a port at which the subject listens, from outside of this namespace. One whose other
    /// end is here as well is answered here, too.
    pub(super) fn inbound(&self) -> impl Iterator<Item = &SocketEntry> {
        let ends: BTreeSet<(End, End)> =
            self.connections().map(|entry| (end(entry.local), end(entry.remote))).collect();
        let is_within = move |entry: &SocketEntry| ends.contains(&(end(entry.remote), end(entry.local)));
        let entries = self.connections().filter(|_| self.room.leads_outside());
        entries.filter(move |entry| self.is_inbound(entry) && !is_within(entry))
    }

    /// Whether this connection is at a port at which the subject listens. What is accepted belongs to the listener's
    /// cgroup (`sk_clone`), so nobody else's listener counts.
    pub(super) fn is_inbound(&self, entry: &SocketEntry) -> bool {
        entry.state != SYN_SENT && self.ports.contains(&entry.local.port())
    }
}

/// An address and a port: IPv4 as such, and without the scope, which only one of two ends may tell.
type End = (IpAddr, u16);

fn end(address: SocketAddr) -> End {
    (address.ip().to_canonical(), address.port())
}

fn of_cgroups(entries: &[SocketEntry], cgroups: &BTreeSet<u64>) -> Vec<SocketEntry> {
    let listeners = Listeners::among(entries);
    let is_own = |entry: &SocketEntry| match entry.cgroup {
        Some(cgroup) => cgroups.contains(&cgroup),
        None => listeners.cgroups(entry).iter().any(|cgroup| cgroups.contains(cgroup)),
    };
    entries.iter().filter(|entry| is_own(entry)).cloned().collect()
}

/// The ids of the subject's cgroup and of those below it.
pub(super) fn cgroups(subject: &Subject) -> Result<BTreeSet<u64>> {
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
    use enforcer_common::key::CgroupId;

    use super::*;

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
}

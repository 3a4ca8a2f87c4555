//! Closing connections that may not stay.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use anyhow::{Result, bail};
use enforcer_common::addr::Protocol;

use super::Subject;
use super::connection::Connection;
use super::owned::{Lister, Owned, cgroups};
use super::room::Room;
use crate::sockets::{self, SocketEntry, States};

/// A map of type `BPF_MAP_TYPE_SK_STORAGE`.
#[derive(Clone, Copy, Debug)]
pub struct StorageMap<'a> {
    /// The map.
    pub map: BorrowedFd<'a>,
    /// Its id, by which the kernel names it in its answers.
    pub id: u32,
}

/// What the kernel's programs remember of connections.
#[derive(Clone, Copy, Debug)]
pub struct StorageMaps<'a> {
    /// `PEERS`: what was translated.
    pub peers: StorageMap<'a>,
    /// `JUDGED`: what was decided.
    pub judged: StorageMap<'a>,
}

/// What became of connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terminated {
    /// They might not stay.
    pub closed: usize,
    /// They might not stay and are there still, or were not even listed (then one for each list). Each is logged.
    pub failed: usize,
    /// They might not stay, as far as is known, but too little is ([`Connection::is_certain`]): they do.
    pub spared: usize,
    /// All that were judged.
    pub looked_at: usize,
}

/// Closes the connections of which `judge` says that they may not stay: the program's next call fails with ECONNABORTED,
/// and a TCP peer gets a RST. Those over loopback are not looked at, nor those of other cgroups in the node's own
/// network namespace. One that ends meanwhile counts as looked at only.
pub fn terminate(
    subjects: &[Subject],
    maps: &StorageMaps<'_>,
    judge: &dyn Fn(&Subject, &Connection) -> bool,
) -> Terminated {
    let descriptors = [maps.peers.map, maps.judged.map];
    let mut lister = Lister::new(subjects, &descriptors);
    let mut total = Terminated::default();
    for subject in subjects {
        for protocol in [sockets::Protocol::Tcp, sockets::Protocol::Udp] {
            for owned in lister.owned(protocol, subject) {
                match owned {
                    Ok(owned) => {
                        let forbidden = forbidden(subject, &owned, maps, judge, &mut total);
                        close(subject, &owned.room, &forbidden, &mut total);
                    }
                    Err(error) => {
                        total.failed += 1;
                        let cgroup = subject.path.display();
                        tracing::warn!(%cgroup, "cannot look for connections that may not stay: {error:#}");
                    }
                }
            }
        }
    }
    total
}

/// The sockets whose connections certainly may not stay.
fn forbidden<'a>(
    subject: &Subject,
    owned: &'a Owned,
    maps: &StorageMaps<'_>,
    judge: &dyn Fn(&Subject, &Connection) -> bool,
    total: &mut Terminated,
) -> Vec<&'a SocketEntry> {
    let mut found = Vec::new();
    for entry in owned.connections() {
        let Some(connection) = Connection::of(entry, owned, maps) else { continue };
        total.looked_at += 1;
        match judge(subject, &connection) {
            true => {}
            false if connection.is_certain => found.push(entry),
            false => total.spared += 1,
        }
    }
    found
}

/// Closes these sockets of the subject.
fn close(subject: &Subject, room: &Room, entries: &[&SocketEntry], total: &mut Terminated) {
    if entries.is_empty() {
        return;
    }
    let each = || Ok(entries.iter().map(|entry| sockets::destroy(entry)).collect());
    let results: Vec<Result<bool>> = match room.within(each) {
        Ok(results) => results,
        Err(error) => {
            total.failed += entries.len() - 1;
            vec![Err(error)]
        }
    };
    for result in results {
        match result {
            Ok(was_there) => total.closed += usize::from(was_there),
            Err(error) => {
                total.failed += 1;
                let cgroup = subject.path.display();
                tracing::warn!(%cgroup, "a connection that may not stay does: {error:#}");
            }
        }
    }
}

/// Closes the connected socket of a packet that was denied, as its program would wait for an answer until its timer
/// ends. `local` and `remote` are the packet's; with TCP they may differ from the socket's, as NAT comes before the
/// programs at a cgroup. False when there is no such socket.
pub fn destroy_one(
    subject: &Subject,
    cookie: u64,
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<bool> {
    let kind = match protocol {
        Protocol::TCP => sockets::Protocol::Tcp,
        Protocol::UDP => sockets::Protocol::Udp,
        other => bail!(
            "only sockets of TCP and UDP can be closed from outside, not those of protocol {}",
            other.get()
        ),
    };
    let (rooms, lost) = Room::all(subject);
    let searches: [&(dyn Fn() -> Result<Option<SocketEntry>> + Sync); 2] = [
        // One question, however many sockets there are; nobody waits at one of UDP.
        &|| if kind == sockets::Protocol::Tcp { sockets::find(local, remote, cookie) } else { Ok(None) },
        &|| search(kind, cookie, local, remote),
    ];
    for search in searches {
        for room in &rooms {
            let found = room.within(search)?.filter(|entry| States::CONNECTED.has(entry.state));
            if let Some(entry) = found
                && is_of(&entry, subject, room)?
            {
                return room.within(|| sockets::destroy(&entry));
            }
        }
    }
    lost.map_or(Ok(false), Err)
}

/// Looks at all sockets: NAT may have changed the packet's addresses, or the socket is bound to an interface.
fn search(
    kind: sockets::Protocol,
    cookie: u64,
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<Option<SocketEntry>> {
    let of = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    // Programs connect one UDP socket to many, one after the other.
    let is_same = |entry: &SocketEntry| {
        kind == sockets::Protocol::Tcp || (entry.local, entry.remote) == (of(local), of(remote))
    };
    let mut found = None;
    sockets::each(kind, States::CONNECTED, &[], &mut |entry| {
        if entry.cookie != cookie || !is_same(&entry) {
            return ControlFlow::Continue(());
        }
        found = Some(entry);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Whether a socket there is the subject's. One without a cgroup is half-open or an orphan: nobody waits at it.
fn is_of(entry: &SocketEntry, subject: &Subject, room: &Room) -> Result<bool> {
    Ok(match (room, entry.cgroup) {
        (Room::Own(_), _) => true,
        (_, Some(cgroup)) => cgroup == subject.cgroup.get() || cgroups(subject)?.contains(&cgroup),
        (_, None) => false,
    })
}

//! What is known of a socket's connection.

use std::net::SocketAddr;

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::key::CgroupId;
use enforcer_common::socket::Translation;
use enforcer_common::verdict::Backend;

use super::owned::Owned;
use super::terminate::StorageMaps;
use crate::sockets::{self, SocketEntry};

/// `FIN_WAIT2` and `SYN_RECV` of `net/tcp_states.h`.
const FIN_WAIT2: u8 = 5;
const SYN_RECV: u8 = 3;

/// A connection of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// TCP, or UDP for a connected socket.
    pub protocol: Protocol,
    /// The workload's end.
    pub local: SocketAddr,
    /// The other end: the endpoint when the connection was translated.
    pub remote: SocketAddr,
    /// What the socket asked for when that was translated.
    pub asked: Option<SocketAddr>,
    /// Whether the other end made it.
    pub is_inbound: bool,
    /// Whether all of this is known. The kernel does not tell what is stored with UDP sockets, half-open connections and
    /// orphaned ones.
    pub is_certain: bool,
    /// The socket's cookie.
    pub cookie: u64,
    /// The socket's own cgroup. In a pod's network namespace it need not be the pod's: the mesh proxy of an ambient
    /// mesh has sockets there.
    pub cgroup: Option<CgroupId>,
}

impl Connection {
    /// `None` for what stays within its host.
    pub(super) fn of(entry: &SocketEntry, owned: &Owned, maps: &StorageMaps<'_>) -> Option<Self> {
        if Addr::from(entry.remote.ip()).is_local() {
            return None;
        }
        let (peer, judged) = (entry.storage.get(&maps.peers.id), entry.storage.get(&maps.judged.id));
        let asked = peer.and_then(|bytes| asked(bytes, entry.remote));
        let known = judged.and_then(|bytes| Judged::from_bytes(bytes));
        // What is there and cannot be read is just being written; and a translation of another peer is an earlier one or
        // the next.
        let is_read = peer.is_some() == asked.is_some() && judged.is_some() == known.is_some();
        Some(Self {
            protocol: protocol(entry.protocol),
            local: entry.local,
            remote: entry.remote,
            asked,
            is_inbound: known
                .and_then(|judged| came_in(entry, &judged))
                .unwrap_or_else(|| owned.is_inbound(entry)),
            is_certain: is_read && tells_storage(entry),
            cookie: entry.cookie,
            cgroup: entry.cgroup.map(CgroupId::new),
        })
    }
}

pub(super) fn protocol(protocol: sockets::Protocol) -> Protocol {
    match protocol {
        sockets::Protocol::Tcp => Protocol::TCP,
        sockets::Protocol::Udp => Protocol::UDP,
    }
}

/// Whether nothing being stored means that nothing is.
fn tells_storage(entry: &SocketEntry) -> bool {
    match entry.protocol {
        // The orphan of a connection is half a socket (`struct inet_timewait_sock`), as a half-open one is.
        sockets::Protocol::Tcp => {
            let is_half = entry.state == FIN_WAIT2 && entry.cgroup.is_none() || entry.state == SYN_RECV;
            !is_half
        }
        sockets::Protocol::Udp => !entry.storage.is_empty(),
    }
}

fn asked(bytes: &[u8], remote: SocketAddr) -> Option<SocketAddr> {
    let remote = Backend { addr: remote.ip().into(), port: Port::new(remote.port()) };
    let asked = Translation::from_bytes(bytes)?.asked_for(&remote)?;
    Some(SocketAddr::new(asked.addr.ip(), asked.port.get()))
}

/// Whether it came in, as the kernel's programs remember it; `None` when they do not.
fn came_in(entry: &SocketEntry, judged: &Judged) -> Option<bool> {
    let remote = Addr::from(entry.remote.ip());
    let remote_port = Port::new(entry.remote.port());
    let protocol = protocol(entry.protocol);
    let flow = Tuple {
        local: entry.local.ip().into(),
        remote,
        local_port: Port::new(entry.local.port()),
        remote_port,
        protocol,
        interface: judged.interface(),
    };
    let is_known = judged.is_of(&flow) || judged.is_of(&Tuple::announced(protocol, remote, remote_port));
    match judged.decided() {
        Decided::Inbound => is_known.then_some(true),
        Decided::Allowed | Decided::Audited => is_known.then_some(false),
        Decided::Nothing => None,
    }
}

//! Listing sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result};
use netlink_packet_core::{
    DecodeError, DefaultNla, NLA_TYPE_MASK, Nla as _, NlaBuffer, NlasIterator, parse_u32, parse_u64,
};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::request::Request;
use super::{Family, Protocol, SocketEntry, States, cookie};
use crate::netlink;

// Attributes of an answer (linux/inet_diag.h, linux/sock_diag.h).
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
const SK_DIAG_BPF_STORAGE: u16 = 1;
const SK_DIAG_BPF_STORAGE_MAP_ID: u16 = 2;
const SK_DIAG_BPF_STORAGE_MAP_VALUE: u16 = 3;

/// Gives the sockets of one protocol in these states, first those of IPv4, then those of IPv6, to `take`, each family until that has
/// enough. They are those of the network namespace that the calling thread is in, with what `maps` (of type
/// `BPF_MAP_TYPE_SK_STORAGE`) store with them. Not a snapshot: sockets come and go meanwhile.
pub fn each(
    protocol: Protocol,
    states: States,
    maps: &[BorrowedFd<'_>],
    take: &mut dyn FnMut(SocketEntry) -> ControlFlow<()>,
) -> Result<()> {
    for family in [Family::V4, Family::V6] {
        let mut unreadable = None;
        let mut read = |answer: SockDiagMessage| {
            let SockDiagMessage::InetResponse(response) = answer else { return ControlFlow::Continue(()) };
            match entry(protocol, &response) {
                Ok(entry) => take(entry),
                Err(error) => {
                    unreadable = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let request = Request::new(request(protocol, family, states), maps);
        match netlink::dump_each(NETLINK_SOCK_DIAG, request, &mut read) {
            // A kernel without IPv6 has no such sockets.
            Err(error) if family == Family::V6 && error.kind() == io::ErrorKind::NotFound => {}
            listed => listed.with_context(|| format!("cannot list {family:?} sockets of {protocol:?}"))?,
        }
        unreadable.map_or(Ok(()), Err).context("cannot read the kernel's list of sockets")?;
    }
    Ok(())
}

/// The one socket of TCP that a packet between these addresses is of, if it has this cookie: a single question. Not found is one that
/// is bound to an interface, or whose packets NAT changes; and a listener may be.
pub fn find(local: SocketAddr, remote: SocketAddr, cookie: u64) -> Result<Option<SocketEntry>> {
    let (local, remote) = (canonical(local), canonical(remote));
    let family = if local.is_ipv4() { Family::V4 } else { Family::V6 };
    let inet = InetRequest {
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            cookie: cookie::encode(cookie),
        },
        ..request(Protocol::Tcp, family, States::CONNECTED)
    };
    let answers = match netlink::ask(NETLINK_SOCK_DIAG, Request::new(inet, &[])) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        answers => answers.with_context(|| format!("cannot look for the socket {local} -> {remote}"))?,
    };
    let response = answers.into_iter().find_map(|answer| match answer {
        SockDiagMessage::InetResponse(response) => Some(response),
        _ => None,
    });
    let found = response.map(|response| entry(Protocol::Tcp, &response)).transpose();
    Ok(found.context("cannot read what the kernel tells of a socket")?.filter(|found| found.cookie == cookie))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn request(protocol: Protocol, family: Family, states: States) -> InetRequest {
    InetRequest {
        family: family.number(),
        protocol: protocol.number(),
        extensions: ExtensionFlags::empty(),
        // Also those that the crate has no name for.
        states: StateFlags::from_bits_retain(states.0),
        socket_id: SocketId::new_v6(),
    }
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }
}

fn entry(protocol: Protocol, response: &InetResponse) -> Result<SocketEntry, DecodeError> {
    let id = &response.header.socket_id;
    let mut entry = SocketEntry {
        protocol,
        state: response.header.state,
        family: if response.header.family == AF_INET { Family::V4 } else { Family::V6 },
        local: canonical(SocketAddr::new(id.source_address, id.source_port)),
        remote: canonical(SocketAddr::new(id.destination_address, id.destination_port)),
        interface: id.interface_id,
        cookie: cookie::decode(id.cookie),
        cgroup: None,
        storage: BTreeMap::new(),
    };
    for attribute in &response.nlas {
        let Nla::Other(attribute) = attribute else { continue };
        // The crate keeps the flag for nested ones with the type.
        match attribute.kind() & NLA_TYPE_MASK {
            INET_DIAG_CGROUP_ID => entry.cgroup = Some(parse_u64(&value(attribute))?),
            INET_DIAG_SK_BPF_STORAGES => entry.storage = storages(&value(attribute))?,
            _ => {}
        }
    }
    Ok(entry)
}

fn value(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.value_len()];
    attribute.emit_value(&mut bytes);
    bytes
}

/// What is in `INET_DIAG_SK_BPF_STORAGES`: an id and a value for each map that has something for the socket.
fn storages(bytes: &[u8]) -> Result<BTreeMap<u32, Vec<u8>>, DecodeError> {
    let mut found = BTreeMap::new();
    for storage in NlasIterator::new(bytes) {
        let storage = storage?;
        if storage.kind() == SK_DIAG_BPF_STORAGE {
            found.extend(map_and_value(&storage)?);
        }
    }
    Ok(found)
}

fn map_and_value(storage: &NlaBuffer<&[u8]>) -> Result<Option<(u32, Vec<u8>)>, DecodeError> {
    let (mut map, mut stored) = (None, None);
    for attribute in NlasIterator::new(storage.value()) {
        let attribute = attribute?;
        match attribute.kind() {
            SK_DIAG_BPF_STORAGE_MAP_ID => map = Some(parse_u32(attribute.value())?),
            SK_DIAG_BPF_STORAGE_MAP_VALUE => stored = Some(attribute.value().to_vec()),
            _ => {}
        }
    }
    Ok(map.zip(stored))
}

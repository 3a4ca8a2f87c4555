//! Listing sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
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
use super::{Family, Protocol, SocketEntry, cookie};
use crate::netlink;

// Attributes of an answer (linux/inet_diag.h, linux/sock_diag.h).
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
const SK_DIAG_BPF_STORAGE: u16 = 1;
const SK_DIAG_BPF_STORAGE_MAP_ID: u16 = 2;
const SK_DIAG_BPF_STORAGE_MAP_VALUE: u16 = 3;

/// The sockets of one protocol, of both families, in the network namespace that the calling thread is in, with what
/// `maps` (of type `BPF_MAP_TYPE_SK_STORAGE`) store with them. Not a snapshot: sockets come and go meanwhile.
pub fn list(protocol: Protocol, maps: &[BorrowedFd<'_>]) -> Result<Vec<SocketEntry>> {
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        let answers = match netlink::dump(NETLINK_SOCK_DIAG, Request::new(request(protocol, family), maps)) {
            // A kernel without IPv6 has no such sockets.
            Err(error) if family == Family::V6 && error.kind() == io::ErrorKind::NotFound => Vec::new(),
            answers => answers.with_context(|| format!("cannot list {family:?} sockets of {protocol:?}"))?,
        };
        for answer in answers {
            if let SockDiagMessage::InetResponse(response) = answer {
                found.push(entry(protocol, &response).context("cannot read the kernel's list of sockets")?);
            }
        }
    }
    Ok(found)
}

fn request(protocol: Protocol, family: Family) -> InetRequest {
    InetRequest {
        family: family.number(),
        protocol: protocol.number(),
        extensions: ExtensionFlags::empty(),
        // Also of states that the crate has no name for.
        states: StateFlags::from_bits_retain(u32::MAX),
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
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        remote: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
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

//! Closing a socket from outside.

use std::io;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{Family, SocketEntry, cookie};
use crate::netlink;

/// Closes exactly this socket of the network namespace that the calling thread is in: its owner gets ECONNABORTED, a
/// TCP peer a RST. False when the kernel does not find it. Then it is gone, or, for sockets that are connected to
/// nobody, another one with the same address is found before it.
pub fn destroy(entry: &SocketEntry) -> Result<bool> {
    let message = SockDiagMessage::InetRequest(request(entry));
    match netlink::ask::<_, SockDiagMessage>(NETLINK_SOCK_DIAG, SockDiagDestroy::new(message)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| {
            format!("cannot close the {:?} socket {} -> {}", entry.protocol, entry.local, entry.remote)
        }),
    }
}

fn request(entry: &SocketEntry) -> InetRequest {
    let form = |address: IpAddr| match address {
        // The kernel looks for an IPv6 socket with two mapped addresses among the IPv4 ones, but only in this form
        // for one that is bound to such an address and connected to nobody.
        IpAddr::V4(address) if entry.family == Family::V6 => IpAddr::V6(address.to_ipv6_mapped()),
        address => address,
    };
    InetRequest {
        family: entry.family.number(),
        protocol: entry.protocol.number(),
        extensions: ExtensionFlags::empty(),
        states: StateFlags::from_bits_retain(u32::MAX),
        socket_id: SocketId {
            source_port: entry.local.port(),
            destination_port: entry.remote.port(),
            source_address: form(entry.local.ip()),
            destination_address: form(entry.remote.ip()),
            interface_id: entry.interface,
            cookie: cookie::encode(entry.cookie),
        },
    }
}

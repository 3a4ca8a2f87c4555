//! `getpeername`: a socket that was connected to an endpoint is connected to the VIP that was asked for.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

use crate::ctx::{SockAddr, V4, V6};
use crate::socket;

/// The peer of an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
pub fn enforcer_peer4(ctx: SockAddrContext) -> i32 {
    socket::show_peer(&SockAddr::<V4>::new(ctx))
}

/// The peer of an IPv6 socket; an IPv4-mapped one, too.
#[cgroup_sock_addr(getpeername6)]
pub fn enforcer_peer6(ctx: SockAddrContext) -> i32 {
    socket::show_peer(&SockAddr::<V6>::new(ctx))
}

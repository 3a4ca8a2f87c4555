//! `connect`: TCP and connected UDP.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use enforcer_common::event::Hook;

use crate::ctx::{SockAddr, V4, V6};
use crate::judge::judge;

/// An IPv4 socket connects.
#[cgroup_sock_addr(connect4)]
pub fn enforcer_conn4(ctx: SockAddrContext) -> i32 {
    judge(&SockAddr::<V4>::new(ctx), Hook::Connect4)
}

/// An IPv6 socket connects; to an IPv4-mapped address, too.
#[cgroup_sock_addr(connect6)]
pub fn enforcer_conn6(ctx: SockAddrContext) -> i32 {
    judge(&SockAddr::<V6>::new(ctx), Hook::Connect6)
}

//! `sendto` and `sendmsg` with an address: UDP that is not connected.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use enforcer_common::event::Hook;

use crate::ctx::{SockAddr, V4, V6};
use crate::judge::judge;

/// An IPv4 destination; also an IPv6 socket's when it is IPv4-mapped.
#[cgroup_sock_addr(sendmsg4)]
pub fn enforcer_send4(ctx: SockAddrContext) -> i32 {
    judge(&SockAddr::<V4>::new(ctx), Hook::Sendmsg4)
}

/// An IPv6 destination.
#[cgroup_sock_addr(sendmsg6)]
pub fn enforcer_send6(ctx: SockAddrContext) -> i32 {
    judge(&SockAddr::<V6>::new(ctx), Hook::Sendmsg6)
}

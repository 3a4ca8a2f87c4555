//! `recvfrom` and `recvmsg` of UDP: an answer from an endpoint comes from the VIP that was asked.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

use crate::ctx::{SockAddr, V4, V6};
use crate::socket;

/// An answer at an IPv4 socket.
#[cgroup_sock_addr(recvmsg4)]
pub fn enforcer_recv4(ctx: SockAddrContext) -> i32 {
    socket::show_sender(&SockAddr::<V4>::new(ctx))
}

/// An answer at an IPv6 socket; from an IPv4-mapped address, too.
#[cgroup_sock_addr(recvmsg6)]
pub fn enforcer_recv6(ctx: SockAddrContext) -> i32 {
    socket::show_sender(&SockAddr::<V6>::new(ctx))
}

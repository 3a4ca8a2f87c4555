//! `socket`: protocols that no registry can name are refused before they can be connected, because some of them
//! (UDP-Lite, SCTP, DCCP) meet no other hook when they are.

use aya_ebpf::{macros::cgroup_sock, programs::SockContext};

use crate::ctx::Sock;
use crate::judge::judge_new;

/// A socket of either family is made.
#[cgroup_sock(sock_create)]
pub fn enforcer_sock(ctx: SockContext) -> i32 {
    judge_new(&Sock::new(ctx))
}

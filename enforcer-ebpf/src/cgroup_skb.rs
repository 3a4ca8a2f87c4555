//! Packets of the sockets of workloads without an interface of their own.

// The macros make the contexts.
#![allow(clippy::needless_pass_by_value)]

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};
use enforcer_common::event::Hook;
use enforcer_common::packet::Packet;

use crate::arrived;
use crate::ctx::skb::Skb;
use crate::established::{self, NO_ETHERNET};
use crate::sent::{self, Sent};

/// It goes on.
const PASS: i32 = 1;
/// It goes no further; a datagram's sender is told EPERM.
const DROP: i32 = 0;

/// What a socket sends.
#[cgroup_skb(egress)]
pub fn enforcer_skb_out(ctx: SkBuffContext) -> i32 {
    let skb = Skb::of_cgroup(&ctx);
    if established::is_allowed(skb, NO_ETHERNET, 0) {
        return PASS;
    }
    let mut packet = Packet::EMPTY;
    match sent::judge(skb, Hook::Packet, &mut packet) {
        Sent::Passes => PASS,
        Sent::Denied { .. } => DROP,
    }
}

/// What a socket receives: nothing is dropped.
#[cgroup_skb(ingress)]
pub fn enforcer_skb_in(ctx: SkBuffContext) -> i32 {
    arrived::record(Skb::of_cgroup(&ctx), Hook::Packet);
    PASS
}

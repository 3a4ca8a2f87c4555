//! What passes the host's side of a workload's interface, and what leaves the node.

// The macros make the contexts.
#![allow(clippy::needless_pass_by_value)]

use aya_ebpf::{macros::classifier, programs::TcContext};
use enforcer_common::event::Hook;
use enforcer_common::packet::Packet;

use crate::ctx::skb::{Pulled, Skb};
use crate::established::{self, ETHERNET};
use crate::sent::{self, Sent};
use crate::{arrived, ctx, refuse};

/// The next program looks (`TCX_NEXT`, `TC_ACT_UNSPEC`).
const NEXT: i32 = -1;
/// It goes no further (`TC_ACT_SHOT`).
const DROP: i32 = 2;

/// What a workload sends.
#[classifier]
pub fn enforcer_tc_in(ctx: TcContext) -> i32 {
    let skb = Skb::of_interface(&ctx);
    if established::is_allowed(Pulled(skb), ETHERNET, skb.interface()) {
        return NEXT;
    }
    let mut packet = Packet::EMPTY;
    match sent::judge(skb, Hook::Interface, &mut packet) {
        Sent::Passes => NEXT,
        Sent::Denied { workload, reason } => {
            ctx::forget(&mut packet);
            refuse::refuse(skb, workload, reason, &packet).unwrap_or(DROP)
        }
    }
}

/// What a workload receives: nothing is dropped.
#[classifier]
pub fn enforcer_tc_out(ctx: TcContext) -> i32 {
    arrived::record(Skb::of_interface(&ctx), Hook::Interface);
    NEXT
}

/// What leaves the node by one of its own interfaces: packets of workloads that no program has seen on their way.
#[classifier]
pub fn enforcer_uplink(ctx: TcContext) -> i32 {
    let skb = Skb::of_interface(&ctx);
    if established::is_allowed(Pulled(skb), ETHERNET, 0) {
        return NEXT;
    }
    let mut packet = Packet::EMPTY;
    match sent::judge(skb, Hook::Uplink, &mut packet) {
        Sent::Passes => NEXT,
        Sent::Denied { .. } => DROP,
    }
}

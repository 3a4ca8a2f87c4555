//! The kernel programs: what every socket of an enforced workload meets before a packet exists.
//!
//! Each entry point reads its context, asks the one verdict ([`enforcer_common::verdict::decide`]) and acts. What is
//! unsafe lives in [`ctx`] (the kernel's context) and [`maps`] (the kernel's maps).
#![no_std]
// One instruction each in `maps` and `ctx`.
#![feature(asm_experimental_arch)]
#![no_main]

mod arrived;
mod cgroup_skb;
mod checksum;
mod connect;
mod create;
mod ctx;
mod emit;
mod established;
mod identity;
mod judge;
mod maps;
mod outcome;
mod peername;
mod read;
mod recvmsg;
mod refuse;
mod sendmsg;
mod sent;
mod socket;
mod tables;
mod tc;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers in use are open to GPL-compatible programs only.
// SAFETY: the loader reads this section by its name; nothing else is called "license".
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

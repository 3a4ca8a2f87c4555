//! The flows of each workload, in a table of its own.

use core::ptr::read_volatile;

use aya_ebpf::btf_maps::{HashOfMaps, LruHashMap};
use aya_ebpf::macros::btf_map;
use enforcer_common::flow::{Flow, FlowKey, Heard};
use enforcer_common::key::CgroupId;
use enforcer_common::limits;
use enforcer_common::word::{Tagged as _, Word};

use crate::maps::lookups::{Looked, looked};

/// A workload's flows. Full: the one that was looked at longest ago goes, and costs a fresh decision.
type Table = LruHashMap<FlowKey, u64, { limits::FLOWS as usize }>;

/// Made by the agent with each workload (and key 0 for the unknown), written by the packet programs. Full: the agent refuses the
/// workload, which stays unknown.
#[btf_map]
static FLOWS: HashOfMaps<CgroupId, Table, { (limits::WORKLOADS * limits::HEADROOM) as usize }> =
    HashOfMaps::new();

/// What is known of a flow of `workload`. An element that was recycled under our eyes is no flow: that costs a decision.
#[inline(always)]
pub fn get(workload: CgroupId, key: &FlowKey) -> Option<Flow> {
    looked(Looked::Map);
    // SAFETY: an inner map lives for as long as a program that has found it.
    let table = unsafe { FLOWS.get(&workload) }?;
    let pointer = table.get_ptr(key)?;
    // SAFETY: an aligned 8-byte value of a live map.
    let word = Word::from_raw(unsafe { read_volatile(pointer) });
    Some(Flow::from_payload(word.open(key.tag())?))
}

/// The same as a program hears of it there: at a socket, what was heard on the host's side counts as well. The key is then that of
/// what was heard there.
#[inline(always)]
pub fn get_heard(workload: CgroupId, key: &mut FlowKey, heard: Heard) -> Option<Flow> {
    let flow = get(workload, key);
    if flow.is_some() || matches!(heard, Heard::Interface) {
        return flow;
    }
    key.hear(heard);
    get(workload, key)
}

/// Remembers a flow of `workload`. One that cannot be remembered costs a decision, too.
#[inline(always)]
pub fn set(workload: CgroupId, key: &FlowKey, flow: Flow) {
    looked(Looked::Map);
    // SAFETY: as above.
    if let Some(table) = unsafe { FLOWS.get(&workload) } {
        let _ = table.insert(key, Word::new(key, flow.payload()).raw(), 0);
    }
}

/// Forgets a flow of `workload`.
#[inline(always)]
pub fn remove(workload: CgroupId, key: &FlowKey) {
    looked(Looked::Map);
    // SAFETY: as above.
    if let Some(table) = unsafe { FLOWS.get(&workload) } {
        let _ = table.remove(key);
    }
}

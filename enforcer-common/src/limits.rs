//! How much fits. Each number is what the agent accepts of compiled entries; the maps hold [`HEADROOM`] times as
//! many, because a restarted agent builds beside what is in force, and a class that nothing points to any more
//! lives on for a second.
//!
//! Nothing is preallocated but the ring and the arrays: programs count into elements that the agent has made. The bytes per entry are
//! the kernel's: a hash element is 48 bytes of bookkeeping plus key and value rounded up to 8, a trie node 40 plus
//! key and value, and at worst one intermediate node for each.

use crate::names::map;

/// Entries of a map per entry of the registry's limit.
pub const HEADROOM: u32 = 2;

/// Workloads on this node. 48 + 8 + 8 = 64 B each: 256 KiB when full.
pub const WORKLOADS: u32 = 4_096;
/// (view, address) pairs. 48 + 24 + 8 = 80 B each: 40 MiB when full.
pub const EXACT: u32 = 524_288;
/// (view, prefix) pairs. 2 × (40 + 24 + 16) = 160 B each: 20 MiB when full.
pub const PREFIXES: u32 = 131_072;
/// (class, protocol, port) triples. 48 + 8 + 8 = 64 B each: 32 MiB when full.
pub const CLASS_RULES: u32 = 524_288;
/// (view, protocol, port) triples. 64 B each: 1 MiB when full.
pub const ANY_RULES: u32 = 16_384;
/// Backend slots, the count and the members of each rule included. 48 + 8 + 40 = 96 B each: 48 MiB when full.
pub const BACKENDS: u32 = 524_288;
/// Rules. 64 B each: 32 MiB when full.
pub const RULES: u32 = 524_288;
/// Bytes of the event ring: a power of two and of pages. About 8,700 events.
pub const EVENTS_BYTES: u32 = 1 << 20;
/// VIPs that one unconnected UDP socket can have answers from at a time. 40 B each, 640 B for a socket that sends to a
/// VIP at all. With one more, the answers of another are shown under the endpoint's address until the socket sends there again.
pub const REPLIES_PER_SOCKET: usize = 16;
/// Flows of one workload that no socket remembers: what came in, what went out as a datagram, fragments, neighbours. An LRU element is
/// 56 bytes of bookkeeping plus key and value, and 16 of a bucket: 104 B each, 416 KiB for each workload that has an
/// interface or a cgroup of its own, 45 MiB for 110 of them.
pub const FLOWS: u32 = 4_096;
/// Own addresses of one workload that are found: it may give itself any number.
pub const ADDRESSES_PER_WORKLOAD: usize = 256;
/// Most flows that the table of a workload is made for when the workload has more connections from others than a table holds, at the
/// time at which its packets begin to be judged. 104 B each: 26 MiB for such a workload.
pub const MOST_FLOWS: u32 = 262_144;
/// Elements that an LRU table has beyond those asked for, for each CPU that there can be: up to so many free ones lie aside for each
/// (`LOCAL_FREE_TARGET` of `kernel/bpf/bpf_lru_list.c`; fewer since Linux 6.16), and one that finds none evicts what is in use. With 32
/// CPUs that is all of 4,096. 13 KiB for each CPU and workload.
pub const LRU_SPARE_PER_CPU: u32 = 128;
/// Own addresses of all workloads. 48 + 24 + 8 = 80 B each: 1.3 MiB when full.
pub const ADDRESSES: u32 = 16_384;
/// Interfaces of workloads, and as many network namespaces. 48 + 8 + 24 = 80 B each: 640 KiB when full.
pub const INTERFACES: u32 = 8_192;
/// Generations of views: two views whose numbers are equal modulo this share one, which costs a look more, never less.
pub const GENERATIONS: usize = 1_024;
/// ICMP messages that tell a workload of its denied packets, in a second: a tenth of what routers send by default is enough for a
/// person, and no flood.
pub const REFUSALS_PER_SECOND: u64 = 100;
/// Backend slots of one rule: weights are approximated within it.
pub const SLOTS_PER_RULE: usize = 1_024;

/// Bytes of kernel memory of one entry of `map`, by the same arithmetic; 0 for maps whose size is fixed.
pub fn entry_bytes(map_name: &str) -> u64 {
    match map_name {
        map::WORKLOADS | map::CLASS_RULES | map::ANY_RULES | map::RULE_HITS => 64,
        map::EXACT => 80,
        map::PREFIXES => 160,
        map::BACKENDS => 96,
        _ => 0,
    }
}

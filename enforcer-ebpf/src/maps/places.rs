//! Whose an interface, a network namespace and an address is, and when a view was narrowed last.

use core::cell::UnsafeCell;
use core::ptr::read_volatile;

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use enforcer_common::addr::Addr;
use enforcer_common::id::ViewId;
use enforcer_common::key::{CgroupId, InterfaceId, NetnsCookie, OwnAddressKey, PlaceWordTag};
use enforcer_common::layout::{PLACE_HAS_PROXY, PLACE_IS_JUDGED, PlaceValue};
use enforcer_common::limits::{self, GENERATIONS as SLOTS, HEADROOM};
use enforcer_common::verdict::{Lookup, TableFault};
use enforcer_common::word::{Tagged, Word};

use crate::maps::lookups::{Looked, looked};
use crate::maps::word;

/// Written by the agent, read by the programs of interfaces and uplinks. Full: the interface stays an unknown workload's.
#[map]
static INTERFACES: HashMap<InterfaceId, PlaceValue> =
    HashMap::with_max_entries(limits::INTERFACES * HEADROOM, BPF_F_NO_PREALLOC);

/// Written by the agent, read by the connect and sendmsg programs for tasks without an identity. Full: they stay without.
#[map]
static NAMESPACES: HashMap<NetnsCookie, PlaceValue> =
    HashMap::with_max_entries(limits::INTERFACES * HEADROOM, BPF_F_NO_PREALLOC);

/// Written by the agent, read by every program. Full: packets from that address are taken for spoofed.
#[map]
static ADDRESSES: HashMap<OwnAddressKey, u64> =
    HashMap::with_max_entries(limits::ADDRESSES * HEADROOM, BPF_F_NO_PREALLOC);

/// Written by the agent as one map of one value (`.bss`), read by the packet programs as their own memory.
#[repr(transparent)]
struct Generations(UnsafeCell<[u64; SLOTS]>);

// SAFETY: programs only read it, word by word.
unsafe impl Sync for Generations {}

static GENERATIONS: Generations = Generations(UnsafeCell::new([0; SLOTS]));

/// Whose it is.
#[derive(Clone, Copy)]
pub struct Place {
    /// The workload's cgroup.
    pub cgroup: CgroupId,
    /// What else is said of it: `PLACE_HAS_PROXY`, `PLACE_IS_JUDGED`.
    flags: u32,
}

impl Place {
    /// Whether a mesh proxy of it from elsewhere has sockets there.
    #[inline(always)]
    pub const fn has_proxy(&self) -> bool {
        self.flags & PLACE_HAS_PROXY != 0
    }

    /// Whether what comes from there is judged where it comes in, or nobody wants it to be judged.
    #[inline(always)]
    pub const fn is_judged(&self) -> bool {
        self.flags & PLACE_IS_JUDGED != 0
    }
}

/// The workload behind an interface.
#[inline(always)]
pub fn of_interface(interface: InterfaceId) -> Lookup<Place> {
    place(&interface, || INTERFACES.get_ptr(interface))
}

/// The workload in a network namespace.
#[inline(always)]
pub fn of_namespace(cookie: NetnsCookie) -> Lookup<Place> {
    place(&cookie, || NAMESPACES.get_ptr(cookie))
}

/// The workload that was given this interface of a network namespace, by which it reaches the outside past the node's interfaces.
#[inline(always)]
pub fn of_exit(network: u32, interface: u32) -> Lookup<Place> {
    of_namespace(NetnsCookie::exit(network, interface))
}

#[inline(always)]
fn place<K: Tagged + Copy>(key: &K, look_up: impl Fn() -> Option<*const PlaceValue>) -> Lookup<Place> {
    match place_once(key, &look_up) {
        Err(TableFault) => place_once(key, &look_up),
        answer => answer,
    }
}

#[inline(always)]
fn place_once<K: Tagged + Copy>(key: &K, look_up: &impl Fn() -> Option<*const PlaceValue>) -> Lookup<Place> {
    looked(Looked::Map);
    let Some(value) = look_up() else { return Ok(None) };
    // SAFETY: three aligned words of a live map value.
    let (low, high, flags) = unsafe {
        (
            read_volatile(&raw const (*value)[0]),
            read_volatile(&raw const (*value)[1]),
            read_volatile(&raw const (*value)[2]),
        )
    };
    let open = |index: u32, word: u64| Word::from_raw(word).open(PlaceWordTag(*key, index).tag());
    let (Some(low), Some(high), Some(flags)) = (open(0, low), open(1, high), open(2, flags)) else {
        return Err(TableFault);
    };
    Ok(Some(Place { cgroup: CgroupId::new((high as u64) << 32 | low as u64), flags }))
}

/// Whether `addr` is one of the workload's own.
#[inline(always)]
pub fn is_own(workload: CgroupId, addr: Addr) -> Result<bool, TableFault> {
    let key = OwnAddressKey::new(workload, addr);
    Ok(word(&key, || ADDRESSES.get_ptr(key))?.is_some())
}

/// Whether `addr` is one of the node's own, loopback left out.
#[inline(always)]
pub fn is_of_node(addr: Addr) -> bool {
    is_own(CgroupId::NODE, addr) == Ok(true)
}

/// When `view`, or what all views share, was narrowed last, in nanoseconds since boot. 0: nobody has said yet, and nothing may be
/// remembered.
#[inline(always)]
pub fn generation(view: ViewId) -> u64 {
    let own = slot(view.get() as usize % SLOTS);
    let public = slot(ViewId::PUBLIC.get() as usize);
    if own > public { own } else { public }
}

#[inline(always)]
fn slot(index: usize) -> u64 {
    // SAFETY: within the array, by the modulus, which the verifier sees; the agent writes whole words.
    unsafe { read_volatile((GENERATIONS.0.get().cast::<u64>()).add(index & (SLOTS - 1))) }
}

//! The kernel's maps behind typed accessors. All are pinned below `<pin-dir>/v<ABI>/maps/<NAME>`.
//!
//! Those of single sockets are in [`sockets`]. Beside each map stands who writes it, who reads it, and what happens when it is full.

pub mod flows;
mod lookups;
pub mod places;
pub mod sockets;

use core::arch::asm;
use core::ptr::read_volatile;

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key as TrieKey, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use enforcer_common::addr::{Addr, Port};
use enforcer_common::config::ConfigKey;
use enforcer_common::event::{EventBudget, FlowEvent};
use enforcer_common::id::{RuleId, ViewId};
use enforcer_common::key::{BackendKey, BackendWordTag, CgroupId, ExactKey, PortKey, PrefixKey};
use enforcer_common::layout::{BackendValue, PrefixValue};
use enforcer_common::limits::{self, HEADROOM};
use enforcer_common::mode::Enforcement;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Backend, Lookup, TableFault, Verdict};
use enforcer_common::word::{Tagged, Word};

use crate::ctx;

use lookups::{Looked, looked};

/// Written by the agent, read by every program. Full: the agent refuses the workload, which stays unknown.
#[map]
static WORKLOADS: HashMap<CgroupId, u64> =
    HashMap::with_max_entries(limits::WORKLOADS * HEADROOM, BPF_F_NO_PREALLOC);

/// Written by the agent, read by the verdict. Full: the agent refuses the registry, the last one stays.
#[map]
static EXACT: HashMap<ExactKey, u64> = HashMap::with_max_entries(limits::EXACT * HEADROOM, BPF_F_NO_PREALLOC);

/// As `EXACT`.
#[map]
static PREFIXES: LpmTrie<PrefixKey, PrefixValue> =
    LpmTrie::with_max_entries(limits::PREFIXES * HEADROOM, BPF_F_NO_PREALLOC);

/// As `EXACT`. Written before any address points to the class, removed a second after none does.
#[map]
static CLASS_RULES: HashMap<PortKey, u64> =
    HashMap::with_max_entries(limits::CLASS_RULES * HEADROOM, BPF_F_NO_PREALLOC);

/// As `EXACT`.
#[map]
static ANY_RULES: HashMap<PortKey, u64> =
    HashMap::with_max_entries(limits::ANY_RULES * HEADROOM, BPF_F_NO_PREALLOC);

/// As `CLASS_RULES`: the backends of a rule never change.
#[map]
static BACKENDS: HashMap<BackendKey, BackendValue> =
    HashMap::with_max_entries(limits::BACKENDS * HEADROOM, BPF_F_NO_PREALLOC);

/// Made by the agent, counted up by programs, read by the agent. Shared by all CPUs: per CPU it would be 200 MB at
/// a hundred thousand rules. Full: the rule is not counted.
#[map]
static RULE_HITS: HashMap<RuleId, u64> =
    HashMap::with_max_entries(limits::RULES * HEADROOM, BPF_F_NO_PREALLOC);

/// Counted up by programs, read by the agent: one counter per reason and enforcement (audit, enforce).
#[map]
static REASON_HITS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2 * Reason::COUNT, 0);

/// Made by the agent with each workload (and key 0 for the unknown), written by programs. Full: no events for that workload.
#[map]
static EVENT_BUDGET: HashMap<CgroupId, EventBudget> =
    HashMap::with_max_entries(limits::WORKLOADS * HEADROOM, BPF_F_NO_PREALLOC);

/// Written by programs, read by the agent. Full: the event is counted as suppressed.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(limits::EVENTS_BYTES, 0);

/// Written by the agent, read by every program.
#[map]
static CONFIG: Array<u64> = Array::with_max_entries(ConfigKey::COUNT, 0);

#[inline(always)]
fn config(key: ConfigKey) -> u64 {
    looked(Looked::Map);
    CONFIG.get(key.index()).copied().unwrap_or(0)
}

/// The node's switch. Before the agent has written it nothing is enforced: it writes it last.
///
/// Masked, or LLVM returns the unmasked word itself where its lower half is 1, and the verifier says "At program exit
/// the register R0 has unknown scalar value should have been in [0, 1]".
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // masked
pub fn enforcement() -> Enforcement {
    let word = config(ConfigKey::Enforcement);
    let bits = if is_over(word >> 16) { word >> 8 } else { word } & 0xff;
    match bits {
        0 => Enforcement::Off,
        bits => Enforcement::from_bits(bits as u32),
    }
}

/// Whether nothing is looked at: one word that is not zero for a node that enforces, read before everything else.
#[inline(always)]
pub fn is_off() -> bool {
    enforcement() == Enforcement::Off
}

/// Whether the second has come at which a switch that was turned for a time turns back; the clock is read only then.
#[inline(always)]
fn is_over(until: u64) -> bool {
    until != 0 && ctx::now_ns() / 1_000_000_000 >= until
}

/// Whether a process without identity may do as it likes.
#[inline(always)]
pub fn unknown_workload_allowed() -> bool {
    config(ConfigKey::UnknownWorkloadAllowed) == 1
}

/// The depths at which workloads are.
#[inline(always)]
pub fn workload_levels() -> u64 {
    config(ConfigKey::WorkloadLevels)
}

/// Seconds for which an established flow may go on to an endpoint that its service does not have any more.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // days
pub fn endpoint_grace() -> u32 {
    config(ConfigKey::EndpointGrace) as u32
}

/// Whether `--allow` ranges exist.
#[inline(always)]
pub fn has_exempt() -> bool {
    config(ConfigKey::HasExempt) != 0
}

/// Whether allowed connections make events.
#[inline(always)]
pub fn events_for_allowed() -> bool {
    config(ConfigKey::EventsForAllowed) != 0
}

/// Reads the word of `key`, and once more if it is another key's; see [`enforcer_common::word`].
#[inline(always)]
fn word<K: Tagged, L: Fn() -> Option<*const u64>>(key: &K, look_up: L) -> Lookup<u32> {
    let tag = key.tag();
    match once(tag, &look_up) {
        Err(TableFault) => once(tag, &look_up),
        answer => answer,
    }
}

#[inline(always)]
fn once<L: Fn() -> Option<*const u64>>(tag: u32, look_up: &L) -> Lookup<u32> {
    looked(Looked::Map);
    let Some(pointer) = look_up() else { return Ok(None) };
    // SAFETY: the map gave the pointer to an aligned 8-byte value; elements are not unmapped under a program.
    match Word::from_raw(unsafe { read_volatile(pointer) }).open(tag) {
        Some(payload) => Ok(Some(payload)),
        None => Err(TableFault),
    }
}

/// The workload of a cgroup.
#[inline(always)]
pub fn workload(cgroup: CgroupId) -> Lookup<u32> {
    word(&cgroup, || WORKLOADS.get_ptr(cgroup))
}

/// The class of an address.
#[inline(always)]
pub fn exact(view: ViewId, addr: &Addr) -> Lookup<u32> {
    open(exact_packed(view, addr))
}

#[inline(never)] // a stack of its own
fn exact_packed(view: ViewId, addr: &Addr) -> u64 {
    let key = ExactKey::new(view, *addr);
    pack(word(&key, || EXACT.get_ptr(key)))
}

/// The class of the longest prefix around an address.
#[inline(always)]
pub fn longest_prefix(view: ViewId, addr: &Addr) -> Lookup<u32> {
    open(longest_prefix_packed(view, addr))
}

#[inline(never)] // a stack of its own
fn longest_prefix_packed(view: ViewId, addr: &Addr) -> u64 {
    let key = PrefixKey::look_up(view, *addr);
    pack(match longest_prefix_once(key) {
        Err(TableFault) => longest_prefix_once(key),
        answer => answer,
    })
}

/// A look-up's answer as one register: what else a function that is not inlined may return, it returns by memory.
#[inline(always)]
const fn pack(answer: Lookup<u32>) -> u64 {
    match answer {
        Ok(None) => 0,
        Ok(Some(payload)) => 1 << 32 | payload as u64,
        Err(TableFault) => 2 << 32,
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the lower half
const fn open(packed: u64) -> Lookup<u32> {
    match packed >> 32 {
        0 => Ok(None),
        1 => Ok(Some(packed as u32)),
        _ => Err(TableFault),
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // a length is at most 128; the tag tells when it is not
fn longest_prefix_once(key: PrefixKey) -> Lookup<u32> {
    looked(Looked::Map);
    let Some(value) = PREFIXES.get(TrieKey::new(PrefixKey::FULL, key)) else { return Ok(None) };
    // SAFETY: both are aligned 8-byte fields of a live map value.
    let (length, class) =
        unsafe { (read_volatile(&raw const value.length), read_volatile(&raw const value.class)) };
    let tag = key.tag_of(length as u32).tag();
    match Word::from_raw(class).open(tag) {
        Some(class) => Ok(Some(class)),
        None => Err(TableFault),
    }
}

/// The rule of a class.
#[inline(always)]
pub fn class_rule(key: PortKey) -> Lookup<u32> {
    open(class_rule_packed(key))
}

#[inline(never)] // a stack of its own
fn class_rule_packed(key: PortKey) -> u64 {
    pack(word(&key, || CLASS_RULES.get_ptr(key)))
}

/// The rule of a view at any address.
#[inline(always)]
pub fn any_rule(key: &PortKey) -> Lookup<u32> {
    word(key, || ANY_RULES.get_ptr(key))
}

/// The number of slots of a rule: the first word of slot 0.
#[inline(always)]
pub fn slots(key: &BackendKey) -> Lookup<u32> {
    word(&BackendWordTag(*key, 0), || BACKENDS.get_ptr(key).map(<*const BackendValue>::cast))
}

/// The backend at a slot or as a member. They never change, so words that each carry its tag belong together.
#[inline(always)]
pub fn backend(key: &BackendKey) -> Lookup<Backend> {
    match backend_once(key) {
        Err(TableFault) => backend_once(key),
        answer => answer,
    }
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the fifth word is a port
fn backend_once(key: &BackendKey) -> Lookup<Backend> {
    looked(Looked::Map);
    let Some(value) = BACKENDS.get_ptr(key) else { return Ok(None) };
    // SAFETY: five aligned words of a live map value.
    let words = unsafe {
        [
            read_volatile(&raw const (*value)[0]),
            read_volatile(&raw const (*value)[1]),
            read_volatile(&raw const (*value)[2]),
            read_volatile(&raw const (*value)[3]),
            read_volatile(&raw const (*value)[4]),
        ]
    };
    let open = |index: u32, word: u64| Word::from_raw(word).open(BackendWordTag(*key, index).tag());
    let (Some(a), Some(b), Some(c), Some(d), Some(port)) =
        (open(0, words[0]), open(1, words[1]), open(2, words[2]), open(3, words[3]), open(4, words[4]))
    else {
        return Err(TableFault);
    };
    Ok(Some(Backend { addr: Addr::from_words([a, b, c, d]), port: Port::from_ctx(port) }))
}

/// Counts a decision by its reason, and by its rule when one hit.
#[inline(always)]
pub fn count(verdict: &Verdict, enforcement: Enforcement) {
    looked(Looked::Map);
    let index = 2 * verdict.reason.code() as u32 + (enforcement == Enforcement::Enforce) as u32;
    if let Some(counter) = REASON_HITS.get_ptr_mut(index) {
        // SAFETY: a live value of this CPU; cgroup programs are not preempted by another on the same CPU's value
        // for longer than one lost increment.
        unsafe { *counter += 1 };
    }
    if verdict.rule != RuleId::NONE
        && let Some(counter) = RULE_HITS.get_ptr_mut(verdict.rule)
    {
        add(counter);
    }
}

/// Whether this second's budget of the workload has room for one event more; when not, it is counted as suppressed. What was
/// allowed may use half of it: whoever looks at everything hides no denial.
#[inline(always)]
pub fn spend_event(cgroup: CgroupId, time_ns: u64, denied: bool) -> bool {
    looked(Looked::Map);
    let Some(budget) = EVENT_BUDGET.get_ptr_mut(cgroup) else { return false };
    let second = time_ns / 1_000_000_000;
    // SAFETY: a live map value. Two CPUs may both start the second: a few events more pass.
    let spent = unsafe {
        if read_volatile(&raw const (*budget).second) != second {
            (*budget).second = second;
            (*budget).sent = 0;
        }
        (*budget).sent += 1;
        (*budget).sent
    };
    let rate = config(ConfigKey::EventRate);
    if spent > if denied { rate } else { rate / 2 } {
        suppressed(cgroup);
        return false;
    }
    true
}

/// Whether this second's budget of the workload has room for one answer more to a denied packet.
#[inline(always)]
pub fn spend_refusal(cgroup: CgroupId, time_ns: u64) -> bool {
    looked(Looked::Map);
    let Some(budget) = EVENT_BUDGET.get_ptr_mut(cgroup) else { return false };
    let second = time_ns / 1_000_000_000;
    // SAFETY: as in `spend_event`.
    let spent = unsafe {
        if read_volatile(&raw const (*budget).refusal_second) != second {
            (*budget).refusal_second = second;
            (*budget).refusals = 0;
        }
        (*budget).refusals += 1;
        (*budget).refusals
    };
    spent <= limits::REFUSALS_PER_SECOND
}

/// Sends the event; a full ring counts it as suppressed.
#[inline(always)]
pub fn send_event(cgroup: CgroupId, event: FlowEvent) {
    match EVENTS.reserve::<FlowEvent>(0) {
        Some(mut entry) => {
            entry.write(event);
            entry.submit(0);
        }
        None => suppressed(cgroup),
    }
}

#[inline(always)]
fn suppressed(cgroup: CgroupId) {
    looked(Looked::Map);
    if let Some(budget) = EVENT_BUDGET.get_ptr_mut(cgroup) {
        // SAFETY: a live map value.
        add(unsafe { &raw mut (*budget).suppressed });
    }
}

/// One atomic addition whose result nobody wants: all that kernel 5.10 can do, and nothing that this target's
/// `core::sync::atomic` has.
#[inline(always)]
fn add(counter: *mut u64) {
    // SAFETY: `counter` points into a live map value, aligned to 8 bytes; all its writers are atomic.
    unsafe { asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1u64) };
}

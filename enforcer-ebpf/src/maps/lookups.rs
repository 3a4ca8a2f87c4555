//! How often something is looked up, for the test that says how often that is.

use core::ptr::read_volatile;

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;

/// Counted up by programs that count their look-ups, read by tests: of maps, and of sockets' storages.
#[map]
static LOOKUPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Written by the loader: 1 for programs that count their look-ups.
#[unsafe(no_mangle)]
static COUNTS_LOOKUPS: u8 = 0;

/// What is looked up.
#[derive(Clone, Copy)]
pub(super) enum Looked {
    /// A map.
    Map = 0,
    /// The storage of a socket.
    Storage = 1,
}

/// Counts a look-up, where look-ups are counted. Every function of these modules that looks something up calls it.
#[inline(always)]
pub(super) fn looked(up: Looked) {
    // SAFETY: a byte of the program's own read-only data, which LLVM must not take for the constant that stands here.
    if unsafe { read_volatile(&raw const COUNTS_LOOKUPS) == 0 } {
        return;
    }
    if let Some(counter) = LOOKUPS.get_ptr_mut(up as u32) {
        // SAFETY: a live value of this CPU.
        unsafe { *counter += 1 };
    }
}

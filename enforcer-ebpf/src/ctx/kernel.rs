//! The kernel's own memory, for what no helper tells: read where the loader says that it is.

use core::ptr::read_volatile;

use aya_ebpf::helpers::bpf_probe_read_kernel;
use enforcer_common::kernel::KernelOffsets;

/// Written by the loader: where this kernel keeps what no helper tells.
#[unsafe(no_mangle)]
pub(super) static KERNEL: KernelOffsets = KernelOffsets::NONE;

/// Written by the loader: the inode of the node's network namespace.
#[unsafe(no_mangle)]
static NODE_NETWORK: u32 = 0;

/// Written by the loader: 1 where nobody looks where workloads are in the network.
#[unsafe(no_mangle)]
static IGNORES_INTERFACES: u8 = 0;

/// Whether nobody knows by which interfaces the network namespaces of workloads lead outside.
#[inline(always)]
pub fn ignores_interfaces() -> bool {
    // SAFETY: as below.
    unsafe { read_volatile(&raw const IGNORES_INTERFACES) == 1 }
}

/// The inode of the node's network namespace.
#[inline(always)]
pub fn node_network() -> u32 {
    // SAFETY: a word of the program's own read-only data, which LLVM must not take for the constant that stands here.
    unsafe { read_volatile(&raw const NODE_NETWORK) }
}

/// One of the offsets.
#[inline(always)]
pub(super) fn offset(of: &'static u32) -> usize {
    // SAFETY: as above.
    unsafe { read_volatile(of) as usize }
}

/// What the kernel's memory has there. The verifier lets a privileged program give this helper any number, a context pointer that was
/// moved by what the loader has written among them.
#[inline(always)]
pub(super) fn peek<T>(structure: u64, at: usize) -> Option<T> {
    // SAFETY: the helper reads as many bytes as `T`, an integer, has, wherever that is: what cannot be read is an error.
    unsafe { bpf_probe_read_kernel((structure as *const u8).wrapping_add(at).cast()) }.ok()
}

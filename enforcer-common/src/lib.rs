//! What the kernel programs and the agent share: the bytes in the maps, their limits and names, and the one
//! function that decides.
//!
//! `no_std` and free of dependencies: whatever is here runs in the kernel and in host tests alike. Byte order
//! is owned by the types: fields are private and in network order where the kernel has them so; constructors and
//! getters convert.
#![no_std]
// In the kernel every call that is not inlined is a subprogram, which the verifier walks anew.
#![allow(clippy::inline_always)]

pub mod addr;
pub mod config;
pub mod event;
pub mod flow;
pub mod id;
pub mod judged;
pub mod kernel;
pub mod key;
pub mod layout;
pub mod limits;
pub mod mode;
pub mod names;
pub mod packet;
pub mod reason;
pub mod socket;
pub mod verdict;
pub mod word;

/// The layout of everything below a pin directory. A kernel map pinned by another ABI is never opened:
/// raise it with every change to a key, a value, an event or a map's meaning (`layout` has the test that asks for it).
pub const ABI_VERSION: u32 = 4;

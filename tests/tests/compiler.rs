//! The compiler's five properties, against an oracle that walks the registry and shares no code with it.
//!
//! The seeds in `corpus/` have each caught a fault, in the compiler or put into it on purpose; they are tried first.
//! proptest adds those of new failures: commit them.

#[path = "compiler/atomic.rs"]
mod atomic;
#[path = "compiler/cost.rs"]
mod cost;
#[path = "compiler/exact.rs"]
mod exact;
#[path = "compiler/incremental.rs"]
mod incremental;
#[path = "compiler/narrow.rs"]
mod narrow;
#[path = "compiler/support.rs"]
mod support;

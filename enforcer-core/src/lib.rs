//! The pure part of enforcer: what is registered, who may see it, and what the kernel's maps have to hold.
//!
//! ```text
//! text ─ registry::parse ─> objects ─ registry::build (+ vip) ─> Registry ─ policy::compile ─> Image ─> map operations
//!                                                                   ├── policy::explain: why, by the same verdict
//! recorded flows ─────────────────────────────────────────────────> ├── simulate: which would be denied
//!                                                                   └── suggest: which ServiceEntries they lack
//! ```
//!
//! No files, no clock, no network, no kernel. Bad input never makes an `Err`: it makes output and
//! [`problem::Problem`]s.

#[cfg(test)]
mod fixture;
pub mod flow;
pub mod name;
pub mod policy;
pub mod problem;
pub mod registry;
pub mod simulate;
pub mod suggest;
pub mod vip;

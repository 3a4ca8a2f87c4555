//! The registry: every service known to the mesh, as Istio's own conversion would have it.
//!
//! Text → [`object`]s (one file at a time) → [`Registry`] (all of them together, with VIPs), each step with the
//! problems it met.

mod address;
pub mod build;
mod document;
pub mod kubernetes;
mod mesh;
pub mod model;
pub mod object;
pub mod parse;
mod protocol;
pub mod registryz;
pub mod report;
pub mod service_entry;
mod shape;
mod sidecar;
mod validate;
pub mod visibility;
pub mod write;

pub use build::{BuildOptions, build, defaults};
pub use model::Registry;
pub use parse::{Parsed, parse, parse_value};
pub(crate) use validate::host;

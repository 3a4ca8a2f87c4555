//! What `enforcer-probe` does, in processes of its own: it holds a node's namespaces ([`world`]), answers as the services of
//! the network ([`servers`]), and dials as a workload ([`workload`]), also by what
//! a workload should not get away with (`technique`); [`hold`] is for the namespaces of pods.

mod calls;
pub mod hold;
mod kept;
pub mod servers;
mod technique;
pub mod workload;
pub mod world;

//! What `enforcer-probe` does, in processes of its own: it holds a node's namespaces ([`world`]), answers as the services of
//! the network ([`servers`]), and dials as a workload ([`workload`]), also by what
//! a workload should not get away with (`technique`); [`hold`] is for the namespaces of pods, [`proxy`] is a mesh proxy.

mod calls;
pub mod hold;
mod kept;
pub mod proxy;
pub mod servers;
mod storm;
mod technique;
pub mod workload;
pub mod world;

//! What `enforcer-probe` does, in processes of its own: it holds a node's namespaces ([`world`]), answers as the services of
//! the network ([`servers`]), and dials as a workload ([`workload`]).

mod calls;
mod kept;
pub mod servers;
pub mod workload;
pub mod world;

//! What the tests stand on: an oracle that knows the policy by heart, generated registries, and a node to run the agent on.
//!
//! A [`node::Node`] is a whole node of its own: [`world`] gives it namespaces, cgroups and a bpffs that vanish with it,
//! [`agent`] runs the real agent there, on what an [`entry`] registers, [`probe`] is a process of a workload. What runs on the
//! other side of a process boundary is in [`inside`]. A world may have pods ([`pod`]), and what leaves them is seen by a
//! [`capture`]. `unsafe` is in [`sys`] only.

pub mod agent;
pub mod capture;
pub mod cgroup;
pub mod demo;
pub mod entry;
pub mod frame;
pub mod generate;
pub mod inside;
pub mod marker;
pub mod needs;
pub mod node;
mod offload;
pub mod oracle;
pub mod packets;
pub mod pod;
pub mod probe;
pub mod proxy;
pub mod reference;
pub mod sys;
pub mod world;

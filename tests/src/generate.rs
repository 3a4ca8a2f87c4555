//! Generated registries, in a small universe: few namespaces, overlapping networks, few ports, so that services collide
//! all the time.
//!
//! A test of the compiler takes a [`Scenario`], asks every [`Target`] of it, goes from its registry to a
//! [`change::mutate`]d one, and asks again.

pub mod change;
pub mod question;
pub mod service;
pub mod surroundings;
pub mod universe;

use enforcer_core::policy::{Settings, WorkloadSpec};
use enforcer_core::registry::model::Registry;
use proptest::collection::vec;
use proptest::prelude::*;

pub use change::mutate;
pub use question::{Target, questions, some_questions};
pub use surroundings::{settings, workloads};

/// All that a verdict depends on, except the destination.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is known.
    pub registry: Registry,
    /// The node's side.
    pub settings: Settings,
    /// Who asks.
    pub workloads: Vec<WorkloadSpec>,
}

/// A registry of at most `objects` objects and its surroundings.
pub fn scenario(objects: usize) -> impl Strategy<Value = Scenario> {
    (registry(objects), settings(), workloads(5)).prop_map(|(registry, settings, workloads)| Scenario {
        registry,
        settings,
        workloads,
    })
}

/// A registry of `objects` Services and `ServiceEntries`, some Sidecars, and mostly a mesh configuration. Sorted, with
/// unique keys (fewer objects, where names collide); no automatic VIP is used twice.
pub fn registry(objects: usize) -> impl Strategy<Value = Registry> {
    (
        vec(service::object(), objects / 2..=objects),
        vec(surroundings::sidecar(), 0..=3),
        proptest::option::weighted(0.85, surroundings::mesh()),
    )
        .prop_map(|(objects, sidecars, mesh)| {
            let mut registry = Registry { mesh: mesh.map(Into::into), ..Registry::default() };
            for services in objects {
                change::put_object(&mut registry, services);
            }
            for sidecar in sidecars {
                change::put_sidecar(&mut registry, sidecar);
            }
            registry
        })
}

#[cfg(test)]
mod tests;

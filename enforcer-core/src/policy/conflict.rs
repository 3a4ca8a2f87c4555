//! Where offers meet, for the person who wonders why theirs does not count.

use std::sync::Arc;

use crate::policy::offer::{Offer, Place};
use crate::policy::places::Places;
use crate::problem::{Problem, Severity};

/// A problem for each offer that loses its place to another, or that is void because it would capture a ClusterIP, an
/// endpoint or a node's address.
pub(super) fn conflicts(places: &Places) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, slot, candidates) in places.all() {
        let Place::Exact(addr) = place else { continue };
        let target = format!("{addr}:{}/{}", slot.1, slot.0);
        let protected = places.is_protected(addr);
        let mut first: Option<&Arc<Offer>> = None;
        for offer in candidates.all() {
            if protected && offer.captures() {
                problems.push(problem(
                    offer,
                    format!(
                        "{target} is an address of the cluster itself, which no ServiceEntry may translate"
                    ),
                    "choose an address outside the ranges of Services, pods and nodes",
                ));
            } else if let Some(first) = first
                && first.service.key.object != offer.service.key.object
            {
                let of = &first.service.key;
                problems.push(problem(
                    offer,
                    format!("{target} is also {} of {}, which comes first", of.host, of.object),
                    "of two services at one address and port Kubernetes wins, then the workload's own namespace, \
                     then the older; give each an address of its own",
                ));
            } else {
                first = Some(offer);
            }
        }
    }
    problems
}

fn problem(offer: &Offer, message: String, hint: &str) -> Problem {
    Problem {
        severity: Severity::Warning,
        source: Arc::clone(&offer.service.source),
        object: Some(offer.service.key.object.clone()),
        field: "spec.addresses".into(),
        message,
        hint: hint.into(),
    }
}

//! Where offers meet, for the person who wonders why theirs does not count.

use std::sync::Arc;

use crate::policy::offer::{Offer, Place};
use crate::policy::places::Places;
use crate::problem::{Problem, Severity};
use crate::registry::visibility::Audience;

/// A problem for each offer that loses its address to another one that does something else, in the eyes of somebody who sees both;
/// or that is void because it would capture a ClusterIP, an endpoint or a node's address.
pub(super) fn conflicts(places: &Places) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, slot, candidates) in places.all() {
        let Place::Exact(addr) = place else { continue };
        let target = format!("{addr}:{}/{}", slot.1, slot.0);
        let protected = places.is_protected(addr);
        let (void, mut offers): (Vec<_>, Vec<_>) = candidates
            .all()
            .filter(|offer| offer.is_for_workloads())
            .partition(|offer| protected && offer.captures());
        problems.extend(void.into_iter().map(|offer| captured(offer, &target)));
        offers.sort_by_key(|offer| offer.precedence(None));
        for (index, loser) in offers.iter().enumerate().skip(1) {
            let winner = offers[..index].iter().find(|winner| rivals(winner, loser));
            problems.extend(winner.map(|winner| lost(winner, loser, &target)));
        }
    }
    problems
}

/// Two objects that do different things, and are seen by somebody together.
fn rivals(one: &Offer, other: &Offer) -> bool {
    let does = |offer: &Offer| (offer.rule.action, Arc::clone(&offer.rule.backends));
    let together = match (&one.audience, &other.audience) {
        (Audience::Only(some), Audience::Only(others)) => !some.is_disjoint(others),
        (Audience::Only(some), Audience::Everyone) | (Audience::Everyone, Audience::Only(some)) => {
            !some.is_empty()
        }
        (Audience::Everyone, Audience::Everyone) => true,
    };
    one.service.key.object != other.service.key.object && does(one) != does(other) && together
}

fn captured(offer: &Offer, target: &str) -> Problem {
    problem(
        offer,
        format!("{target} is an address of the cluster itself, which no ServiceEntry may translate"),
        "choose an address outside the ranges of Services, pods and nodes",
    )
}

fn lost(winner: &Offer, loser: &Offer, target: &str) -> Problem {
    let of = &winner.service.key;
    problem(
        loser,
        format!("{target} is also {} of {}, which comes first", of.host, of.object),
        "of two services at one address and port Kubernetes wins, then the workload's own namespace, \
         then the older; give each an address of its own",
    )
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

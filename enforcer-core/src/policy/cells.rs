//! The content of one cell of the image: which rules stand at one place in one view.

use std::collections::BTreeMap;
use std::sync::Arc;

use enforcer_common::addr::Prefix;

use crate::policy::offer::{Offer, Place, Slot};
use crate::policy::places::Places;
use crate::policy::view::View;

/// The offers whose rules a class holds.
pub(super) type Content = BTreeMap<Slot, Arc<Offer>>;

/// The content at one place; `None` when the place needs no entry.
pub(super) fn content(places: &Places, view: &View, place: Place) -> Option<Content> {
    match place {
        Place::Exact(_) | Place::Any(_) => {
            let content = own(places, view, place);
            (!content.is_empty()).then_some(content)
        }
        Place::Net(prefix) => network(places, view, prefix),
    }
}

fn own(places: &Places, view: &View, place: Place) -> Content {
    places.winners(view, place).into_iter().map(|(slot, offer)| (slot, Arc::clone(offer))).collect()
}

/// A network carries its own rules and, for the slots it has none for, those of the networks that cover it, the
/// longest first. A protected address within a network that a ServiceEntry translates gets an entry of its own, without
/// what captures it: an empty one, when that is all.
fn network(places: &Places, view: &View, prefix: Prefix) -> Option<Content> {
    let protected = prefix == Prefix::host(prefix.addr()) && places.is_protected(&prefix.addr());
    let own_rules = own(places, view, Place::Net(prefix));
    if own_rules.is_empty() && !protected {
        return None;
    }
    let mut void = false;
    let mut content = Content::new();
    let mut add = |rules: Content| {
        for (slot, offer) in rules {
            if protected && offer.captures() {
                void = true;
            } else {
                content.entry(slot).or_insert(offer);
            }
        }
    };
    let has_own = !own_rules.is_empty();
    add(own_rules);
    for length in places.shorter_lengths(prefix) {
        add(own(places, view, Place::Net(Prefix::new(prefix.addr(), length))));
    }
    (has_own || void).then_some(content)
}

//! All offers by place, ready for the question "who wins here, in this view?".

use std::collections::BTreeMap;
use std::sync::Arc;

use enforcer_common::addr::{Addr, Port, Prefix, Protocol};

use crate::name::Namespace;
use crate::policy::offer::{Offer, Place, Seniority, Slot};
use crate::policy::view::View;

/// What one place gives in one view: the winner of each slot.
pub(super) type Winners<'a> = BTreeMap<Slot, &'a Arc<Offer>>;

/// The offers for one slot at one place.
#[derive(Default)]
pub(super) struct Candidates {
    /// Seen by everyone, the most senior first.
    public: BTreeMap<Seniority, Arc<Offer>>,
    /// The same by the namespace that they come from.
    public_of: BTreeMap<Namespace, BTreeMap<Seniority, Arc<Offer>>>,
    /// Seen by some.
    restricted: BTreeMap<Seniority, Arc<Offer>>,
}

impl Candidates {
    fn insert(&mut self, offer: &Arc<Offer>) {
        if offer.is_public() {
            self.public.insert(offer.seniority(), Arc::clone(offer));
            let of_namespace = self.public_of.entry(offer.service.namespace().clone()).or_default();
            of_namespace.insert(offer.seniority(), Arc::clone(offer));
        } else {
            self.restricted.insert(offer.seniority(), Arc::clone(offer));
        }
    }

    fn remove(&mut self, offer: &Offer) {
        let seniority = offer.seniority();
        self.restricted.remove(&seniority);
        self.public.remove(&seniority);
        let namespace = offer.service.namespace();
        if let Some(of_namespace) = self.public_of.get_mut(namespace) {
            of_namespace.remove(&seniority);
            if of_namespace.is_empty() {
                self.public_of.remove(namespace);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.public.is_empty() && self.restricted.is_empty()
    }

    /// Everyone's first, then the others.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.public.values().chain(self.restricted.values())
    }

    /// Who wins in `view` among those that `counts`. The lists are sorted by seniority, so the first visible one of
    /// each is its best; the own namespace's has a list of its own because it beats older ones.
    fn winner(&self, view: &View, counts: impl Fn(&Offer) -> bool) -> Option<&Arc<Offer>> {
        let visible = |offer: &&Arc<Offer>| counts(offer) && view.sees(offer);
        let senior = self.public.values().find(visible);
        let own = view.namespace().and_then(|namespace| self.public_of.get(namespace));
        let own = own.and_then(|offers| offers.values().find(visible));
        let restricted = self.restricted.values().filter(visible);
        senior.into_iter().chain(own).chain(restricted).min_by_key(|offer| offer.precedence(view.namespace()))
    }

    /// Whether a view that inherits the public part may need a rule of its own here.
    fn concerns(&self, view: &View) -> bool {
        self.restricted.values().any(|offer| view.sees(offer))
            || self.public.len() > 1 && view.namespace().is_some_and(|own| self.public_of.contains_key(own))
    }
}

/// Every offer.
#[derive(Default)]
pub(super) struct Places {
    offers: BTreeMap<(Place, Slot), Candidates>,
    /// How many (network, slot) pairs have this family and length: which lengths are worth a look.
    lengths: BTreeMap<(bool, u32), u32>,
    /// Addresses at which no ServiceEntry translates, with how many services say so.
    protected: BTreeMap<Addr, u32>,
}

const FIRST_SLOT: Slot = (Protocol::new(0), Port::new(0));
const LAST_SLOT: Slot = (Protocol::new(u8::MAX), Port::new(u16::MAX));

impl Places {
    pub(super) fn insert(&mut self, offer: &Arc<Offer>) {
        let candidates = self.offers.entry((offer.place, offer.slot)).or_default();
        if candidates.is_empty()
            && let Place::Net(prefix) = offer.place
        {
            *self.lengths.entry((prefix.is_v4(), prefix.length())).or_default() += 1;
        }
        candidates.insert(offer);
    }

    pub(super) fn remove(&mut self, offer: &Offer) {
        let key = (offer.place, offer.slot);
        let Some(candidates) = self.offers.get_mut(&key) else { return };
        candidates.remove(offer);
        if !candidates.is_empty() {
            return;
        }
        self.offers.remove(&key);
        if let Place::Net(prefix) = offer.place {
            count_down(&mut self.lengths, &(prefix.is_v4(), prefix.length()));
        }
    }

    /// One more reason to protect `addr`; whether it is the first.
    pub(super) fn protect(&mut self, addr: Addr) -> bool {
        let reasons = self.protected.entry(addr).or_default();
        *reasons += 1;
        *reasons == 1
    }

    /// One reason less; whether it was the last.
    pub(super) fn unprotect(&mut self, addr: Addr) -> bool {
        count_down(&mut self.protected, &addr)
    }

    pub(super) fn is_protected(&self, addr: &Addr) -> bool {
        self.protected.contains_key(addr)
    }

    /// The protected addresses within `prefix`.
    pub(super) fn protected_within(&self, prefix: Prefix) -> impl Iterator<Item = Addr> + '_ {
        self.protected
            .range(prefix.addr()..=prefix.last())
            .map(|(addr, _)| *addr)
            .filter(move |addr| prefix.contains(addr))
    }

    /// The lengths of networks that could cover `prefix`, the longest first, its own left out.
    pub(super) fn shorter_lengths(&self, prefix: Prefix) -> impl Iterator<Item = u32> + '_ {
        let family = prefix.is_v4();
        self.lengths.range((family, 0)..(family, prefix.length())).rev().map(|((_, length), _)| *length)
    }

    /// The offers for `slot` at `addr` itself and in the networks around it, whoever sees them.
    pub(super) fn offered(&self, addr: Addr, slot: Slot) -> impl Iterator<Item = &Arc<Offer>> {
        let host = Prefix::host(addr);
        let networks = self
            .lengths
            .keys()
            .filter(move |(is_v4, _)| *is_v4 == host.is_v4())
            .map(move |(_, length)| Place::Net(Prefix::new(addr, *length)));
        std::iter::once(Place::Exact(addr))
            .chain(networks)
            .filter_map(move |place| self.offers.get(&(place, slot)))
            .flat_map(Candidates::all)
    }

    /// Every place with an offer, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Place, &Slot, &Candidates)> {
        self.offers.iter().map(|((place, slot), candidates)| (place, slot, candidates))
    }

    /// The places at which `view` may need rules of its own.
    pub(super) fn concerning(&self, view: &View) -> Vec<Place> {
        let mut places: Vec<Place> = self
            .all()
            .filter(|(_, _, candidates)| !view.inherits_public() || candidates.concerns(view))
            .map(|(place, _, _)| *place)
            .collect();
        places.dedup();
        places
    }

    /// Whether a translating ServiceEntry offers at `place`.
    pub(super) fn captures_at(&self, place: Place) -> bool {
        self.at(place).any(|(_, candidates)| candidates.all().any(|offer| offer.captures()))
    }

    /// The winners at `place` that are found in `view` itself: an inheriting view leaves to the public part what wins
    /// there, too.
    pub(super) fn winners(&self, view: &View, place: Place) -> Winners<'_> {
        let protected = matches!(place, Place::Exact(addr) if self.is_protected(&addr));
        let counts = |offer: &Offer| !(protected && offer.captures());
        self.at(place)
            .filter_map(|(slot, candidates)| {
                let winner = candidates.winner(view, counts)?;
                let public =
                    view.inherits_public().then(|| candidates.winner(&View::PUBLIC, counts)).flatten();
                let is_public = public.is_some_and(|public| Arc::ptr_eq(public, winner));
                (!is_public).then_some((slot, winner))
            })
            .collect()
    }

    fn at(&self, place: Place) -> impl Iterator<Item = (Slot, &Candidates)> {
        self.offers
            .range((place, FIRST_SLOT)..=(place, LAST_SLOT))
            .map(|((_, slot), candidates)| (*slot, candidates))
    }
}

/// Takes one away, and the entry with the last; whether it was the last.
fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let last = *count == 0;
    if last {
        counts.remove(key);
    }
    last
}

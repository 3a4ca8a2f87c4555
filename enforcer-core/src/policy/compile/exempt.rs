//! The `--allow` ranges: a view of their own, which the verdict looks at before all others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use enforcer_common::addr::{Port, Prefix, Protocol};
use enforcer_common::id::ViewId;
use enforcer_common::verdict::RuleAction;

use crate::name::{Host, Namespace};
use crate::policy::ExemptRange;
use crate::policy::compile::Compiler;
use crate::policy::image::Class;
use crate::policy::offer::{Place, RuleKey, Slot};
use crate::policy::plan::Touched;
use crate::registry::model::ObjectRef;

/// The kind of the object that `--allow` rules name.
const EXEMPT_KIND: &str = "--allow";

impl Compiler {
    /// Sets the view of the ranges; what an earlier agent left in it and nobody names any more goes.
    pub(super) fn exempt(&mut self, touched: &mut Touched) {
        let left = self.image.cells().filter(|(view, _)| *view == ViewId::EXEMPT);
        let mut cells: BTreeMap<Place, Vec<ExemptRange>> =
            left.map(|(_, place)| (place, Vec::new())).collect();
        let ranges = self.settings.exempt.clone();
        for range in &ranges {
            // A range within others carries their rules, too: the trie gives the longest only.
            let covering = ranges.iter().filter(|other| other.prefix.covers(&range.prefix)).cloned();
            cells.insert(place(range.prefix), covering.collect());
        }
        for (place, ranges) in cells {
            let mut class = Class::new();
            for (range, slot) in ranges.iter().flat_map(|range| slots(range).map(move |slot| (range, slot))) {
                if let Entry::Vacant(vacant) = class.entry(slot) {
                    vacant.insert(self.interner.rule(&rule(range, slot).into()));
                }
            }
            self.set_cell(ViewId::EXEMPT, place, (!class.is_empty()).then_some(class), touched);
        }
        self.image.has_exempt = !ranges.is_empty();
        touched.has_exempt = Some(self.image.has_exempt);
    }
}

fn place(prefix: Prefix) -> Place {
    if prefix == Prefix::host(prefix.addr()) { Place::Exact(prefix.addr()) } else { Place::Net(prefix) }
}

/// A port of one protocol, of TCP and UDP, or everything.
fn slots(range: &ExemptRange) -> impl Iterator<Item = Slot> {
    let protocols = match (range.port, range.protocol) {
        (None, _) => vec![Protocol::ANY],
        (Some(_), Some(protocol)) => vec![protocol],
        (Some(_), None) => vec![Protocol::TCP, Protocol::UDP],
    };
    let port = range.port.map_or(Port::ANY, Port::new);
    protocols.into_iter().map(move |protocol| (protocol, port))
}

fn rule(range: &ExemptRange, slot: Slot) -> RuleKey {
    let name = match (range.port, range.protocol) {
        (Some(port), Some(protocol)) => format!("{}:{port}/{protocol}", range.prefix),
        (Some(port), None) => format!("{}:{port}", range.prefix),
        (None, _) => range.prefix.to_string(),
    };
    RuleKey {
        object: ObjectRef { kind: EXEMPT_KIND.into(), namespace: Namespace::new(""), name: name.into() },
        host: Host::new(""),
        slot,
        action: RuleAction::Allow,
        backends: [].into(),
    }
}

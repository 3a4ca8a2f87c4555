//! Whether our programs come first on the interfaces: looked at once in a while, for whoever attaches one before ours decides what
//! ours sees.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::controller::Controller;
use crate::dataplane::{Dataplane, Misplaced, Trouble};
use crate::status::interfaces::ProgramStatus;

/// How often; after news of interfaces at once.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug)]
pub(super) struct Orders {
    /// Where ours is not first though it was tried.
    unmended: BTreeMap<u32, Misplaced>,
    /// How often it was not first.
    pub(super) lost: u64,
    looked: Instant,
    soon: bool,
}

impl Orders {
    pub(super) fn new(now: Instant) -> Self {
        Self { unmended: BTreeMap::new(), lost: 0, looked: now, soon: false }
    }

    /// Something has happened: the next tick looks.
    pub(super) fn look_soon(&mut self) {
        self.soon = true;
    }

    fn is_due(&self) -> bool {
        self.soon || self.looked.elapsed() >= LOOK_AGAIN || !self.unmended.is_empty()
    }

    /// Whether an interface that is relied on has no programs.
    pub(super) fn has_gap(&self) -> bool {
        self.unmended.values().any(|misplaced| misplaced.trouble == Trouble::Missing)
    }

    /// Whether this one has none.
    pub(super) fn is_gap(&self, index: u32) -> bool {
        self.unmended.get(&index).is_some_and(|misplaced| misplaced.trouble == Trouble::Missing)
    }

    /// As the status says it of one interface.
    pub(super) fn of(&self, index: u32) -> (&'static str, Vec<ProgramStatus>) {
        match self.unmended.get(&index).map(|misplaced| &misplaced.trouble) {
            None => ("first", Vec::new()),
            Some(Trouble::Missing) => ("missing", Vec::new()),
            Some(Trouble::Unknown) => ("unknown", Vec::new()),
            Some(Trouble::Behind(programs)) => {
                let program = |(id, name): &(u32, String)| ProgramStatus { id: *id, name: name.clone() };
                ("behind", programs.iter().map(program).collect())
            }
        }
    }

    /// What could not be put right, as reasons not to be ready.
    pub(super) fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        self.unmended.values().map(|misplaced| {
            let Misplaced { name, trouble, fault, .. } = misplaced;
            let fault = fault.as_deref().unwrap_or("it will be tried again");
            match trouble {
                Trouble::Behind(programs) => format!(
                    "other programs see the packets of the interface {name} before ours and may hide them: {} ({fault}); have them \
                     attached behind ours",
                    listed(programs)
                ),
                Trouble::Missing => {
                    format!("somebody has taken our programs off the interface {name}, and they cannot be put back: {fault}")
                }
                Trouble::Unknown => {
                    format!("nobody can tell whether ours are the first programs of the interface {name}: {fault}")
                }
            }
        })
    }

    /// Takes in a look and logs what is new in it; whether anything has changed.
    fn take(&mut self, found: Vec<Misplaced>) -> bool {
        let last = std::mem::take(&mut self.unmended);
        let mut changed = false;
        for misplaced in found {
            let known = last.get(&misplaced.index) == Some(&misplaced);
            if !known {
                self.lost += u64::from(misplaced.trouble != Trouble::Unknown);
                log(&misplaced);
                changed = true;
            }
            if misplaced.fault.is_some() {
                self.unmended.insert(misplaced.index, misplaced);
            }
        }
        changed || self.unmended.len() != last.len()
    }
}

impl<D: Dataplane> Controller<D> {
    /// Looks when it is time, and puts right what is not; whether there is anything to publish.
    pub(super) fn look_at_order(&mut self) -> bool {
        if !self.order.is_due() {
            return false;
        }
        (self.order.looked, self.order.soon) = (Instant::now(), false);
        let Self { dataplane, roster, network, census, order, .. } = self;
        match dataplane.check_order(&|of| census(roster, network, of)) {
            Ok(found) => order.take(found),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "cannot look at the order of programs on interfaces");
                false
            }
        }
    }
}

fn log(misplaced: &Misplaced) {
    let Misplaced { name, trouble, fault, .. } = misplaced;
    let fault = fault.as_deref();
    match (trouble, fault) {
        (Trouble::Behind(programs), None) => {
            let before = listed(programs);
            tracing::warn!(interface = name, before, "other programs came before ours; ours is first again");
        }
        (Trouble::Behind(programs), Some(error)) => {
            let before = listed(programs);
            tracing::warn!(interface = name, before, error, "other programs come before ours");
        }
        (Trouble::Missing, None) => {
            tracing::warn!(
                interface = name,
                "somebody took our programs off an interface; they are there again"
            );
        }
        (Trouble::Missing, Some(error)) => {
            tracing::warn!(interface = name, error, "somebody took our programs off an interface");
        }
        (Trouble::Unknown, error) => {
            tracing::warn!(
                interface = name,
                error,
                "cannot tell whether ours are the first programs of an interface"
            );
        }
    }
}

/// `12 cil_from_container, 13`
fn listed(programs: &[(u32, String)]) -> String {
    let one = |(id, name): &(u32, String)| format!("{id} {name}").trim_end().to_owned();
    programs.iter().map(one).collect::<Vec<_>>().join(", ")
}

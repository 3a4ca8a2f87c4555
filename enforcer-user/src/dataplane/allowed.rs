//! Events of allowed connections: sent while somebody wants them. They are many, so the kernel is silent about them otherwise.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData};
use enforcer_common::config::ConfigKey;
use enforcer_common::names::map;

use crate::dataplane::maps::open;
use crate::dataplane::pin::Pins;

/// Turns the events on and off, through a handle of its own so that nobody waits for the controller.
pub struct AllowedEvents {
    /// How many want them, and what turns them.
    state: Mutex<(usize, Turn)>,
}

/// Writes the switch.
type Turn = Box<dyn FnMut(bool) -> Result<()> + Send>;

impl AllowedEvents {
    /// Opens the switch and turns the events off: whoever wanted them has gone with the agent before.
    pub fn open(pins: &Pins) -> Result<Arc<Self>> {
        let mut config: Array<MapData, u64> = open(pins, map::CONFIG)?;
        Self::new(move |on| {
            let key = ConfigKey::EventsForAllowed;
            config
                .set(key.index(), u64::from(on), 0)
                .with_context(|| format!("cannot write {key:?} to CONFIG"))
        })
    }

    fn new(mut turn: impl FnMut(bool) -> Result<()> + Send + 'static) -> Result<Arc<Self>> {
        turn(false)?;
        Ok(Arc::new(Self { state: Mutex::new((0, Box::new(turn))) }))
    }

    /// Has the events sent for as long as the answer lives.
    pub fn want(self: &Arc<Self>) -> Result<AllowedWanted> {
        self.count(|wanted| wanted + 1)?;
        Ok(AllowedWanted(Arc::clone(self)))
    }

    fn count(&self, change: fn(usize) -> usize) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wanted, turn) = &mut *state;
        let now = change(*wanted);
        if (now > 0) != (*wanted > 0) {
            turn(now > 0)?;
        }
        *wanted = now;
        Ok(())
    }
}

impl fmt::Debug for AllowedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllowedEvents").finish_non_exhaustive()
    }
}

/// Somebody wants events of allowed connections.
#[derive(Debug)]
pub struct AllowedWanted(Arc<AllowedEvents>);

impl Drop for AllowedWanted {
    fn drop(&mut self) {
        if let Err(error) = self.0.count(|wanted| wanted - 1) {
            tracing::warn!(
                "events of allowed connections stay on, and cost some of the event rate: {error:#}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_on_while_somebody_wants_them() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&written);
        let events = AllowedEvents::new(move |on| {
            log.lock().unwrap().push(on);
            Ok(())
        })
        .unwrap();
        let (first, second) = (events.want().unwrap(), events.want().unwrap());
        drop(first);
        assert_eq!(*written.lock().unwrap(), [false, true]);
        drop(second);
        assert_eq!(*written.lock().unwrap(), [false, true, false]);
        drop(events.want().unwrap());
        assert_eq!(written.lock().unwrap().len(), 5);
    }

    #[test]
    fn one_who_could_not_be_served_does_not_count() {
        let mut calls = 0;
        let events = AllowedEvents::new(move |_| {
            calls += 1;
            anyhow::ensure!(calls != 2, "told to fail");
            Ok(())
        })
        .unwrap();
        events.want().unwrap_err();
        drop(events.want().unwrap());
        assert_eq!(events.state.lock().unwrap().0, 0);
    }
}

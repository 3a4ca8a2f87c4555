//! Whether the controller still turns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::controller::Applied;

/// A controller that is told the time every second and has not heard it for so long hangs: the largest registry takes seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// When the controller was told the time last. What it has published says nothing of that: nothing new is published while all is well.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    pub(super) fn beat(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// What was published, as it is to be taken now: not ready when the controller hangs.
    pub fn check(&self, mut applied: Arc<Applied>, now: Instant) -> Arc<Applied> {
        let beat = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = now.saturating_duration_since(beat);
        if silent > SILENCE {
            let status = &mut Arc::make_mut(&mut applied).status;
            status.ready = false;
            status.not_ready.push(format!(
                "the controller has not turned for {} s, where it is to every second: what is in force stays, and no change of the \
                 registry or of workloads reaches the kernel; look into the log, and start the agent again",
                silent.as_secs()
            ));
        }
        applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn a_controller_that_hangs_is_not_ready_whatever_it_has_published() {
        let begun = Instant::now();
        let pulse = Pulse::new(begun);
        let status = Status { ready: true, ..Status::default() };
        let applied = Arc::new(Applied { status, ..Applied::default() });
        let check = |now| pulse.check(Arc::clone(&applied), now).status.clone();
        let late = begun + SILENCE + Duration::from_secs(1);
        assert_eq!(check(begun + SILENCE), applied.status);
        let told = check(late);
        assert!(!told.ready && told.not_ready[0].contains("not turned for 31 s"), "{:?}", told.not_ready);
        pulse.beat(late);
        assert_eq!(check(late), applied.status);
    }
}

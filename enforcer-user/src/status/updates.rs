//! What the controller's updates took and how they ended: numbers for those who watch many nodes.

use std::time::{Duration, SystemTime};

/// Upper bounds of the durations that are told apart, in seconds: a small change is below a millisecond, a first registry of
/// a hundred thousand services takes seconds.
pub const BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// How an update ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The kernel holds the registry.
    Applied,
    /// The registry does not fit: the last one stays in force.
    Refused,
    /// The kernel did not take it; it is tried again.
    Failed,
}

/// All updates since the agent started. One that changed nothing counts, too.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Updates {
    /// How many took no longer than the bound of the same place, and longer than the one before; the last place has the rest.
    pub spread: [u64; BOUNDS.len() + 1],
    /// Seconds that all of them took.
    pub seconds: f64,
    /// Seconds that the last one took.
    pub last_seconds: f64,
    /// When one last brought its registry into the kernel.
    pub applied_at: Option<SystemTime>,
    /// Updates that were refused.
    pub refused: u64,
    /// Updates that failed.
    pub failed: u64,
}

impl Updates {
    /// Counts one that has just ended.
    pub fn count(&mut self, took: Duration, outcome: Outcome) {
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.spread[place] += 1;
        self.seconds += seconds;
        self.last_seconds = seconds;
        match outcome {
            Outcome::Applied => self.applied_at = Some(SystemTime::now()),
            Outcome::Refused => self.refused += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_where_they_belong() {
        let mut updates = Updates::default();
        for (milliseconds, outcome) in
            [(1, Outcome::Applied), (2, Outcome::Refused), (40_000, Outcome::Failed), (500, Outcome::Failed)]
        {
            updates.count(Duration::from_millis(milliseconds), outcome);
        }
        assert_eq!(updates.spread, [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!((updates.refused, updates.failed, updates.applied_at.is_some()), (1, 2, true));
        assert!((updates.last_seconds - 0.5).abs() < 1e-9 && (updates.seconds - 40.503).abs() < 1e-9);
    }
}

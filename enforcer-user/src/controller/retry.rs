//! When what failed is tried again.

/// Most ticks between two attempts.
const LONGEST: u32 = 30;

/// Counts the clock's ticks, of which there is one a second: what failed is tried again at the first, then after 1, 2, 4 ... of them.
/// News of a source or of the workloads is acted upon at once, and begins the count anew.
#[derive(Debug)]
pub(super) struct Retry {
    /// Ticks that nothing is done at.
    left: u32,
    /// Ticks from the next attempt to the one after it.
    wait: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { left: 0, wait: 1 }
    }
}

impl Retry {
    /// One tick: whether something is to be tried again now.
    pub(super) fn tick(&mut self, is_failing: bool) -> bool {
        if !is_failing {
            *self = Self::default();
            return false;
        }
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = self.wait - 1;
        self.wait = LONGEST.min(self.wait * 2);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_until_something_succeeds() {
        let mut retry = Retry::default();
        let mut attempts = |ticks| (1..=ticks).filter(|_| retry.tick(true)).collect::<Vec<u32>>();
        assert_eq!(attempts(100), [1, 2, 4, 8, 16, 32, 62, 92]);
        assert!(!retry.tick(false));
        assert!(retry.tick(true));
    }
}

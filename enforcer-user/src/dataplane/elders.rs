//! Which interfaces may have connections that are older than their programs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use nix::net::if_::{Interface, if_nameindex};

/// Interfaces that were there when programs were attached first, and those that have had some since: somebody may have taken them off.
///
/// What came while the agent ran has had no time for anything else than to be misled: a workload can make connections with itself that
/// look like those of others.
#[derive(Default)]
pub(super) struct Elders(Option<BTreeSet<u32>>);

impl Elders {
    /// Looks which interfaces there are in the network namespace of the calling thread.
    pub(super) fn look(&mut self) -> Result<()> {
        let there = if_nameindex().context("cannot list network interfaces")?;
        self.take(&there.iter().map(Interface::index).collect());
        Ok(())
    }

    fn take(&mut self, there: &BTreeSet<u32>) {
        match &mut self.0 {
            None => self.0 = Some(there.clone()),
            Some(elders) => elders.retain(|index| there.contains(index)),
        }
    }

    /// This one has programs.
    pub(super) fn add(&mut self, index: u32) {
        self.0.get_or_insert_default().insert(index);
    }

    /// Whether this one is among them.
    pub(super) fn has(&self, index: u32) -> bool {
        self.0.as_ref().is_some_and(|elders| elders.contains(&index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_first_or_had_programs_is_old_for_as_long_as_it_is_there() {
        let mut elders = Elders::default();
        let mut look = |there: &[u32], add: &[u32]| {
            elders.take(&there.iter().copied().collect());
            let old = there.iter().copied().filter(|index| elders.has(*index)).collect::<Vec<_>>();
            for index in add {
                elders.add(*index);
            }
            old
        };
        assert_eq!(look(&[1, 2], &[2]), [1, 2]);
        assert_eq!(look(&[1, 2, 3, 4], &[3]), [1, 2], "two are new");
        assert_eq!(look(&[1, 3, 4], &[]), [1, 3], "one has had programs");
        assert_eq!(look(&[1, 2, 3, 4], &[]), [1, 3], "another one has the number of one that is gone");
    }
}

//! What changed just now may be half of a change: a file that its editor is about to write anew, or is writing. It waits until it
//! has rested, whatever has been heard of it until then: news of it may still be on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::list::Signature;
use super::news::{PATIENCE, SETTLE};

/// How long a file must have been as it is.
const REST: Duration = SETTLE;
/// How long, when it is gone or empty: most likely its replacement is on the way.
const REST_ABSENT: Duration = SETTLE.saturating_mul(2);

/// A path as it was found last.
#[derive(Debug)]
struct Seen {
    /// `None`: it is gone.
    signature: Option<Signature>,
    /// How long it has been like that.
    since: Instant,
    /// How long it has not rested.
    first: Instant,
    /// Its file system may tell its time by another clock.
    is_foreign: bool,
}

/// The paths that have not rested yet.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    seen: BTreeMap<PathBuf, Seen>,
}

impl Unrest {
    /// Whether `path` has rested, being as it is now (`None`: gone), after what was seen by the `last` look; if not, that is kept
    /// here. When the watch tells of it (`is_heard`), its own time may say so at once: it was changed on this machine.
    pub(super) fn is_over(
        &mut self,
        last: &Self,
        path: &Path,
        signature: Option<Signature>,
        is_heard: bool,
    ) -> bool {
        let now = Instant::now();
        let is_foreign = !is_heard || last.seen.get(path).is_some_and(|seen| seen.is_foreign);
        let rest = if signature.is_some_and(|it| it.size > 0) { REST } else { REST_ABSENT };
        let (since, first) = match last.seen.get(path) {
            Some(seen) if seen.signature == signature => (seen.since, seen.first),
            Some(seen) => (now, seen.first),
            None => (now, now),
        };
        let age = signature.filter(|_| !is_foreign).and_then(|it| it.age());
        if now - since >= rest || age >= Some(rest) || signature.is_some() && now - first >= PATIENCE {
            return true;
        }
        self.seen.insert(path.to_path_buf(), Seen { signature, since, first, is_foreign });
        false
    }

    /// All of them.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.seen.keys().cloned()
    }
}

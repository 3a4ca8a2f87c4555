//! `file:PATH`: a file, or a directory of `.yaml`, `.yml` and `.json` files, read again when something changes.
//!
//! Only files that changed are parsed again. A file that cannot be read or parsed keeps its last good objects until it can, or
//! is gone.

mod list;
mod news;
#[cfg(test)]
mod tests;
mod unrest;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::object::Object;
use enforcer_core::registry::parse;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::sources::Snapshot;
use list::{Named, Signature, list, look_at};
use news::{Changes, News, Watch};
use unrest::Unrest;

/// How often to look without being woken.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a path held.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// How many files.
    pub files: usize,
    /// Their objects: by path, then position.
    pub objects: Vec<Arc<Object>>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// The path itself cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the registry at {path}: {source}; give a file, or a directory of .yaml, .yml or .json files"
)]
pub struct LoadError {
    path: PathBuf,
    source: io::Error,
}

/// Reads all of `path` once.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let mut source = FileSource::new(path);
    source.refresh()?;
    Ok(Loaded { files: source.files.len(), objects: source.objects(), problems: source.problems() })
}

/// One file, as last read.
#[derive(Debug)]
struct FileState {
    signature: Signature,
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
    /// Why its present content does not count.
    fault: Option<Problem>,
}

/// What a look found.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<PathBuf, Signature>,
    has_links: bool,
    /// These were known.
    gone: Vec<PathBuf>,
}

/// A path and what it holds.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    files: BTreeMap<PathBuf, FileState>,
    /// Some of them are symbolic links.
    has_links: bool,
    /// What changed just now.
    unrest: Unrest,
    news: Arc<News>,
    watch: Option<Watch>,
    /// Why the path itself cannot be read now.
    fault: Option<Problem>,
}

impl FileSource {
    /// Nothing read yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            files: BTreeMap::new(),
            has_links: false,
            unrest: Unrest::default(),
            news: News::new(path),
            watch: None,
            fault: None,
        }
    }

    /// Watches from now on: whoever begins to write a file before it is read is heard.
    pub fn listen(&mut self) {
        self.watch = Some(Watch::renew(self.watch.take(), &self.news));
    }

    /// Takes everything as it is now; whether anything changed. An unreadable path changes nothing.
    pub fn refresh(&mut self) -> Result<bool, LoadError> {
        let found = self.find_everything()?;
        Ok(self.take(found, None))
    }

    /// Looks at what may have changed, and takes what did and is at rest.
    fn look(&mut self, heard: &Changes) -> Result<bool, LoadError> {
        let found = match self.find_named(heard) {
            Some(found) => found,
            None => self.find_everything()?,
        };
        Ok(self.take(found, Some(heard)))
    }

    /// What became of the files that were named; `None` when more than these may have changed.
    fn find_named(&self, heard: &Changes) -> Option<Found> {
        if heard.everything || self.fault.is_some() || self.has_links {
            return None;
        }
        let mut found = Found::default();
        for path in &heard.files {
            match look_at(&self.path, path) {
                Named::File(signature) => drop(found.files.insert(path.clone(), signature)),
                Named::Gone if self.has_files_below(path) => return None,
                Named::Gone if self.files.contains_key(path) => found.gone.push(path.clone()),
                Named::Gone | Named::Nothing => {}
                Named::Everything => return None,
            }
        }
        Some(found)
    }

    /// Whether it was a directory with files in it.
    fn has_files_below(&self, path: &Path) -> bool {
        let after = (Bound::Excluded(path), Bound::Unbounded);
        self.files.range::<Path, _>(after).next().is_some_and(|(next, _)| next.starts_with(path))
    }

    fn find_everything(&self) -> Result<Found, LoadError> {
        let listing = list(&self.path).map_err(|source| LoadError { path: self.path.clone(), source })?;
        let gone = self.files.keys().filter(|path| !listing.files.contains_key(*path)).cloned().collect();
        Ok(Found { files: listing.files, has_links: listing.has_links, gone })
    }

    /// Takes over what was found and is at rest; of the rest everything stays as it was, and it is looked at again. Without `heard` all
    /// counts as being at rest. Whether anything changed.
    fn take(&mut self, found: Found, heard: Option<&Changes>) -> bool {
        let last = std::mem::take(&mut self.unrest);
        let mut changed = self.fault.take().is_some();
        self.has_links = found.has_links;
        let mut taken = BTreeSet::new();
        for (path, signature) in found.files {
            let is_known = self.files.get(&path).is_some_and(|state| state.signature == signature);
            if is_known || heard.is_some_and(|heard| heard.unfinished.contains(&signature.identity)) {
                continue;
            }
            let is_at_rest =
                heard.is_none_or(|heard| self.unrest.is_over(&last, &path, Some(signature), !heard.unheard));
            if is_at_rest && self.read(&path, signature) {
                taken.insert(signature.identity);
                changed = true;
            }
        }
        for path in found.gone {
            // It may have another name now.
            let is_moved = self.files.get(&path).is_some_and(|it| taken.contains(&it.signature.identity));
            if heard.is_none() || is_moved || self.unrest.is_over(&last, &path, None, true) {
                changed |= self.files.remove(&path).is_some();
            }
        }
        self.news.again(self.unrest.paths());
        changed
    }

    /// Reads a file; whether it stayed the same meanwhile. If not, whoever has changed it is heard.
    fn read(&mut self, path: &Path, signature: Signature) -> bool {
        let text = fs::read_to_string(path);
        let is_same = match fs::metadata(path) {
            Ok(now) => Signature::from(&now) == signature,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if !is_same {
            return false;
        }
        let last = self.files.remove(path);
        self.files.insert(path.to_path_buf(), parsed(path, signature, text, last));
        true
    }

    /// All objects: by path, then position.
    pub fn objects(&self) -> Vec<Arc<Object>> {
        self.files.values().flat_map(|state| &state.objects).cloned().collect()
    }

    /// What is wrong with the files and their objects.
    pub fn problems(&self) -> Vec<Problem> {
        let of = |state: &FileState| {
            state.fault.clone().into_iter().chain(state.problems.clone()).collect::<Vec<_>>()
        };
        self.fault.iter().cloned().chain(self.files.values().flat_map(of)).collect()
    }

    /// The path cannot be read: what was good stays, and that is said; whether it is news.
    fn unreadable(&mut self, error: LoadError) -> bool {
        let news = self.fault.is_none();
        self.fault = Some(Problem {
            severity: Severity::Error,
            source: format!("file:{}", self.path.display()).into(),
            object: None,
            field: String::new(),
            message: format!("{:#}; its last good objects stay in force", anyhow::Error::from(error)),
            hint: "make the path readable again, or start the agent with another --registry".into(),
        });
        news
    }

    /// The snapshot for the controller.
    pub fn snapshot(&self, index: usize) -> Snapshot {
        let stale = self.files.iter().filter(|(_, state)| self.fault.is_some() || state.fault.is_some());
        Snapshot {
            index,
            objects: self.objects(),
            problems: self.problems(),
            stale_files: stale.map(|(path, _)| path.display().to_string()).collect(),
        }
    }

    /// Sends a snapshot after every change, until the receiver is gone. Without a watch (the system's limit is
    /// reached, say) changes are found by looking now and then.
    pub async fn watch(mut self, index: usize, snapshots: mpsc::Sender<Snapshot>) -> anyhow::Result<()> {
        let news = Arc::clone(&self.news);
        // The first look is at once.
        let mut now_and_then = tokio::time::interval(LOOK_AGAIN);
        now_and_then.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = news.wait() => {}
                () = snapshots.closed() => return Ok(()),
                // What a watch cannot see (another host on a network file system) is seen a little later.
                _ = now_and_then.tick() => news.everything(),
            }
            news.settle().await;
            let looked = tokio::task::spawn_blocking(move || {
                // First the watch, then the look: what changes after the look is heard.
                self.listen();
                let heard = self.news.take();
                let changed = self.look(&heard).unwrap_or_else(|error| self.unreadable(error));
                self.watch.iter().for_each(|watch| watch.check(&self.news));
                (self, changed)
            });
            let (source, changed) = looked.await?;
            self = source;
            if changed && snapshots.send(self.snapshot(index)).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn parsed(path: &Path, signature: Signature, text: io::Result<String>, last: Option<FileState>) -> FileState {
    let source = format!("file:{}", path.display());
    let parsed = match text {
        Ok(text) => parse(&source, &text),
        Err(error) => Err(Problem {
            severity: Severity::Error,
            source: source.into(),
            object: None,
            field: String::new(),
            message: format!("cannot be read: {error}"),
            hint: "make the file readable for the agent, in UTF-8".into(),
        }),
    };
    match parsed {
        Ok(parsed) => {
            FileState { signature, objects: parsed.objects, problems: parsed.problems, fault: None }
        }
        Err(fault) => {
            let (objects, problems) = last.map(|last| (last.objects, last.problems)).unwrap_or_default();
            FileState { signature, objects, problems, fault: Some(fault) }
        }
    }
}

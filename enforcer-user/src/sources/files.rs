//! `file:PATH`: a file, or a directory of `.yaml`, `.yml` and `.json` files, read again when something changes.
//!
//! Only files that changed are parsed again. A file that cannot be read or parsed keeps its last good objects until it can, or
//! is gone.

mod list;
mod news;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::object::Object;
use enforcer_core::registry::parse;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::sources::Snapshot;
use list::{Identity, Listing, Named, Signature, list, look_at};
use news::{Changes, News, SETTLE, SETTLE_TRIES, Watch};

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

/// A path and what it holds.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    files: BTreeMap<PathBuf, FileState>,
    /// Some of them are symbolic links.
    has_links: bool,
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
            news: News::new(path),
            watch: None,
            fault: None,
        }
    }

    /// Watches from now on: whoever begins to write a file before it is read is heard.
    pub fn listen(&mut self) {
        self.watch = Some(Watch::renew(self.watch.take(), &self.news));
    }

    /// Looks at everything; whether anything changed. An unreadable path changes nothing.
    pub fn refresh(&mut self) -> Result<bool, LoadError> {
        self.look_at_everything(&Changes::default())
    }

    /// Looks at what may have changed, and reads what did.
    fn look(&mut self, heard: &Changes) -> Result<bool, LoadError> {
        if !heard.everything && self.fault.is_none() && !self.has_links {
            let named = heard.files.iter().map(|path| (path, look_at(&self.path, path)));
            let named: Vec<_> = named.collect();
            if !named.iter().any(|(path, named)| self.concerns_more(path, named)) {
                return Ok(self.take_named(&named, &heard.unfinished));
            }
        }
        self.look_at_everything(heard)
    }

    /// Whether more than this path may have changed.
    fn concerns_more(&self, path: &Path, named: &Named) -> bool {
        match named {
            Named::Everything => true,
            // A directory with files in it.
            Named::Gone => {
                let after = (Bound::Excluded(path), Bound::Unbounded);
                self.files.range::<Path, _>(after).next().is_some_and(|(next, _)| next.starts_with(path))
            }
            Named::File(_) | Named::Nothing => false,
        }
    }

    fn take_named(&mut self, named: &[(&PathBuf, Named)], unfinished: &BTreeSet<Identity>) -> bool {
        let mut changed = false;
        for (path, named) in named {
            changed |= match named {
                Named::File(signature) => self.take_file(path, *signature, unfinished),
                Named::Gone => self.files.remove(*path).is_some(),
                Named::Nothing | Named::Everything => false,
            };
        }
        changed
    }

    fn look_at_everything(&mut self, heard: &Changes) -> Result<bool, LoadError> {
        let found = if heard.unheard { self.settled() } else { list(&self.path) };
        let found = found.map_err(|source| LoadError { path: self.path.clone(), source })?;
        let mut changed = self.fault.take().is_some();
        let before = self.files.len();
        self.files.retain(|path, _| found.files.contains_key(path));
        changed |= before != self.files.len();
        self.has_links = found.has_links;
        for (path, signature) in &found.files {
            changed |= self.take_file(path, *signature, &heard.unfinished);
        }
        Ok(changed)
    }

    /// Reads a file if it has changed and nobody writes it now; whether it was read.
    fn take_file(&mut self, path: &Path, signature: Signature, unfinished: &BTreeSet<Identity>) -> bool {
        let known = self.files.get(path).is_some_and(|state| state.signature == signature);
        if known || unfinished.contains(&signature.identity) {
            return false;
        }
        let last = self.files.remove(path);
        self.files.insert(path.to_path_buf(), read(path, signature, last));
        true
    }

    /// What there is, when it has not changed for a moment: of writers that no watch tells of, nothing is read half.
    fn settled(&self) -> io::Result<Listing> {
        let mut found = list(&self.path)?;
        let is_known = |found: &Listing| {
            let mut known = self.files.iter().map(|(path, state)| (path, &state.signature));
            known.by_ref().eq(&found.files)
        };
        for _ in 0..SETTLE_TRIES {
            if self.files.is_empty() || is_known(&found) {
                break;
            }
            thread::sleep(SETTLE);
            let last = std::mem::replace(&mut found, list(&self.path)?);
            if last == found {
                break;
            }
        }
        Ok(found)
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

fn read(path: &Path, signature: Signature, last: Option<FileState>) -> FileState {
    let source = format!("file:{}", path.display());
    let text = fs::read_to_string(path);
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

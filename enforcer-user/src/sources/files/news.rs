//! What a watch tells: which files have changed, and which are being written at this moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::list::{Identity, has_extension};

/// How long nothing must have been heard: one change may be one of several files.
pub(super) const SETTLE: Duration = Duration::from_millis(20);
/// How often that is waited for: a directory that never rests is read all the same.
const SETTLE_TRIES: usize = 25;
/// How long a file may be open and half written, or never rest, before it is read all the same.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What may have changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Anything.
    pub(super) everything: bool,
    /// Nobody told of it: whether a writer is at work is not known.
    pub(super) unheard: bool,
    /// These files.
    pub(super) files: BTreeSet<PathBuf>,
    /// These are being written: not to be read now. The end of it is a change.
    pub(super) unfinished: BTreeSet<Identity>,
}

#[derive(Debug, Default)]
struct Heard {
    everything: bool,
    unheard: bool,
    files: BTreeSet<PathBuf>,
    /// Written to and not yet closed, and since when.
    writing: BTreeMap<PathBuf, Instant>,
    /// The directory itself was moved or removed: its watch is dead, even if its inode number comes again.
    lost: bool,
    count: u64,
}

/// What was heard of a path since somebody last asked.
#[derive(Debug)]
pub(super) struct News {
    path: PathBuf,
    heard: Mutex<Heard>,
    wake: Notify,
}

impl News {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { path: path.to_path_buf(), heard: Mutex::default(), wake: Notify::new() })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything is to be looked at, when somebody looks.
    pub(super) fn everything(&self) {
        let mut heard = self.heard();
        (heard.everything, heard.unheard) = (true, true);
    }

    /// These are to be looked at again.
    pub(super) fn again(&self, paths: impl Iterator<Item = PathBuf>) {
        let mut heard = self.heard();
        let before = heard.files.len();
        heard.files.extend(paths);
        if heard.files.len() > before {
            self.wake.notify_one();
        }
    }

    /// Waits for news.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Waits until nothing is heard for a moment.
    pub(super) async fn settle(&self) {
        for _ in 0..SETTLE_TRIES {
            let before = self.heard().count;
            tokio::time::sleep(SETTLE).await;
            if self.heard().count == before {
                return;
            }
        }
    }

    /// What was heard, once.
    pub(super) fn take(&self) -> Changes {
        let mut heard = self.heard();
        let mut files = std::mem::take(&mut heard.files);
        let everything = std::mem::take(&mut heard.everything);
        let unheard = std::mem::take(&mut heard.unheard);
        heard.writing.retain(|path, since| {
            let keep = since.elapsed() < PATIENCE;
            if !keep {
                files.insert(path.clone());
            }
            keep
        });
        let unfinished = heard.writing.keys().filter_map(|path| fs::metadata(path).ok());
        let unfinished = unfinished.map(|metadata| (metadata.dev(), metadata.ino())).collect();
        Changes { everything, unheard, files, unfinished }
    }

    /// What one event of the watch means.
    fn hear(&self, event: notify::Result<Event>) {
        let mut heard = self.heard();
        match event {
            Ok(event) if !event.need_rescan() => {
                let before = heard.count;
                for path in event.paths {
                    self.hear_of(&mut heard, event.kind, path);
                }
                if heard.count == before {
                    return;
                }
            }
            // The queue ran over, or the watch is incomplete: nothing is known.
            _ => {
                heard.everything = true;
                heard.writing.clear();
                heard.count += 1;
            }
        }
        drop(heard);
        self.wake.notify_one();
    }

    fn hear_of(&self, heard: &mut Heard, kind: EventKind, path: PathBuf) {
        let counts = has_extension(&path) || path.file_name() == self.path.file_name();
        match kind {
            EventKind::Modify(ModifyKind::Data(_)) => {
                if counts {
                    heard.writing.entry(path).or_insert_with(Instant::now);
                }
                // Its closing is waited for.
                return;
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                heard.writing.remove(&path);
            }
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Metadata(_)) => {}
            _ => {
                heard.writing.remove(&path);
                let folder = EventKind::Create(CreateKind::Folder);
                heard.everything |= kind == folder || kind == EventKind::Remove(RemoveKind::Folder);
                heard.lost |= path == self.path;
            }
        }
        heard.count += 1;
        heard.files.insert(path);
    }
}

/// A watch, and the directory that it is for.
#[derive(Debug)]
pub(super) struct Watch {
    on: (PathBuf, Option<Identity>),
    /// `None` when there cannot be one.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// The watch that there should be, in place of the last one. What happened before a new one is news, too.
    pub(super) fn renew(last: Option<Self>, news: &Arc<News>) -> Self {
        let is_dead = std::mem::take(&mut news.heard().lost);
        let on = Self::should_be_on(&news.path);
        let warned = last.as_ref().is_some_and(|last| last.watcher.is_none() && last.on == on);
        match last {
            Some(last) if !is_dead && last.watcher.is_some() && last.on == on => return last,
            _ => {}
        }
        let watcher = start(&news.path, &on.0, news);
        let watcher = watcher.inspect_err(|error| {
            if !warned {
                let path = on.0.display();
                tracing::warn!(%path, %error, "cannot watch the registry's files; looking now and then");
            }
        });
        news.everything();
        Self { on, watcher: watcher.ok() }
    }

    /// Whether the directory is still the one that is watched; if not, that is news.
    pub(super) fn check(&self, news: &News) {
        if self.watcher.is_some() && self.on != Self::should_be_on(&news.path) {
            news.everything();
            news.wake.notify_one();
        }
    }

    /// A single file is watched through its directory, for editors replace files; a directory that is gone through the one
    /// where it will come again.
    fn should_be_on(path: &Path) -> (PathBuf, Option<Identity>) {
        let directory = if path.is_dir() { path } else { parent(path) };
        let metadata = fs::metadata(directory).ok();
        (directory.to_path_buf(), metadata.map(|metadata| (metadata.dev(), metadata.ino())))
    }
}

fn start(path: &Path, directory: &Path, news: &Arc<News>) -> notify::Result<RecommendedWatcher> {
    let ear = Arc::clone(news);
    // The real directories of a ConfigMap are below the path, too: once is enough.
    let config = Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(move |event| ear.hear(event), config)?;
    let mode = if path == directory { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    watcher.watch(directory, mode)?;
    if path == directory && path.is_symlink() {
        // Nothing happens to the directory when the link is led elsewhere.
        watcher.watch(parent(path), RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// The directory of a path; of a bare name it is the working directory.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

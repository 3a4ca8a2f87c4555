//! `file:PATH`: a file, or a directory of `.yaml`, `.yml` and `.json` files, read again when something changes.
//!
//! Only files that changed are parsed again. A file that cannot be read or parsed keeps its last good objects until it can, or
//! is gone.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::object::Object;
use enforcer_core::registry::parse;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::sources::Snapshot;

/// How long nothing must have changed: an editor's rename-and-replace is three changes, a long file several writes.
const SETTLE: Duration = Duration::from_millis(20);
/// How often that is waited for: a file that never rests is read all the same.
const SETTLE_TRIES: usize = 25;
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

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Signature {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Signature {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
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
    /// Why the path itself cannot be read now.
    fault: Option<Problem>,
    /// No watch could be had, and that is said.
    unwatched: bool,
}

impl FileSource {
    /// Nothing read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), files: BTreeMap::new(), fault: None, unwatched: false }
    }

    /// Looks again; whether anything changed. An unreadable path changes nothing.
    pub fn refresh(&mut self) -> Result<bool, LoadError> {
        let found = list(&self.path).map_err(|source| LoadError { path: self.path.clone(), source })?;
        let mut changed = self.fault.take().is_some();
        let before = self.files.len();
        self.files.retain(|path, _| found.contains_key(path));
        changed |= before != self.files.len();
        for (path, signature) in found {
            let known = self.files.get(&path);
            if known.is_some_and(|state| state.signature == signature) {
                continue;
            }
            let last = self.files.remove(&path);
            self.files.insert(path.clone(), read(&path, signature, last));
            changed = true;
        }
        Ok(changed)
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
        // One pending "look again" stands for any number of changes.
        let (wake, mut woken) = mpsc::channel(1);
        let mut watcher = self.watcher(wake.clone());
        loop {
            tokio::select! {
                _ = woken.recv() => {}
                () = snapshots.closed() => return Ok(()),
                // What a watch cannot see (another host on a network file system) is seen a little later.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            self.settle().await;
            while woken.try_recv().is_ok() {}
            let (source, changed) = tokio::task::spawn_blocking(move || {
                let changed = self.refresh().unwrap_or_else(|error| self.unreadable(error));
                (self, changed)
            })
            .await?;
            self = source;
            if !changed {
                continue;
            }
            if watcher.is_none() || !self.path.is_file() {
                // The directory may have come again: under the same name, and another inode.
                watcher = self.watcher(wake.clone());
            }
            if snapshots.send(self.snapshot(index)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Wakes for every change below the path; a single file is watched through its directory, for editors replace files.
    fn watcher(&mut self, wake: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                let _ = wake.try_send(());
            }
        };
        let (directory, mode) = if self.path.is_dir() {
            (self.path.as_path(), RecursiveMode::Recursive)
        } else {
            (self.path.parent().unwrap_or(&self.path), RecursiveMode::NonRecursive)
        };
        let watched = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(directory, mode)?;
            Ok(watcher)
        });
        let unwatched = std::mem::replace(&mut self.unwatched, watched.is_err());
        if let (Err(error), false) = (&watched, unwatched) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "cannot watch the registry's files; looking now and then");
        }
        watched.ok()
    }

    /// Waits until nothing has changed for a moment: what is being written now is not read half.
    async fn settle(&self) {
        let mut last = None;
        for _ in 0..SETTLE_TRIES {
            tokio::time::sleep(SETTLE).await;
            let path = self.path.clone();
            let now = tokio::task::spawn_blocking(move || list(&path).ok()).await.ok().flatten();
            if last == Some(now.clone()) {
                return;
            }
            last = Some(now);
        }
    }
}

/// The files that count, with their signatures. Hidden names are skipped: a ConfigMap's real directories are.
fn list(path: &Path) -> io::Result<BTreeMap<PathBuf, Signature>> {
    let metadata = fs::metadata(path)?;
    let mut files = BTreeMap::new();
    if metadata.is_dir() {
        list_directory(path, &mut files)?;
    } else {
        files.insert(path.to_path_buf(), Signature::from(&metadata));
    }
    Ok(files)
}

fn list_directory(directory: &Path, files: &mut BTreeMap<PathBuf, Signature>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        // Through symbolic links; one that leads nowhere is a file that is gone. Any other failure is no news of the file.
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() && !entry_is_link(&path) {
            list_directory(&path, files)?;
        } else if metadata.is_file() && has_extension(&path) {
            files.insert(path, Signature::from(&metadata));
        }
    }
    Ok(())
}

/// A link to a directory is not followed: it may lead around in a circle.
fn entry_is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

fn has_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n\
        spec: {hosts: [a.example.com], addresses: [192.0.2.1], ports: [{number: 80, name: http, protocol: HTTP}]}\n";

    fn names(source: &FileSource) -> Vec<String> {
        source.objects().iter().map(|object| object.object.name.to_string()).collect()
    }

    #[test]
    fn the_last_good_objects_of_a_broken_file_stay_until_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, GOOD).unwrap();
        fs::write(directory.path().join("notes.txt"), "no registry").unwrap();
        fs::write(directory.path().join(".hidden.yaml"), GOOD).unwrap();
        let mut source = FileSource::new(directory.path());
        assert!(source.refresh().unwrap());
        assert_eq!(names(&source), ["a"]);
        assert!(!source.refresh().unwrap(), "nothing has changed");

        fs::write(&file, "kind: [half a file").unwrap();
        assert!(source.refresh().unwrap());
        assert_eq!(names(&source), ["a"]);
        assert_eq!(source.snapshot(0).stale_files, [file.display().to_string()]);
        assert_eq!(source.problems().len(), 1);

        fs::write(&file, GOOD.replace("name: a}", "name: b}")).unwrap();
        assert!(source.refresh().unwrap());
        assert_eq!((names(&source), source.problems().len()), (vec!["b".to_owned()], 0));

        fs::remove_file(&file).unwrap();
        assert!(source.refresh().unwrap());
        assert!(names(&source).is_empty());
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error_that_says_so() {
        let error = format!("{:#}", anyhow::Error::from(load(Path::new("/nowhere/at-all")).unwrap_err()));
        assert!(error.contains("/nowhere/at-all") && error.contains("No such file"), "{error}");
    }
}

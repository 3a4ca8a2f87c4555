//! Which files of a path count, and what tells one content from the next without reading it.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Device and inode: one file, whatever it is called.
pub(super) type Identity = (u64, u64);

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Signature {
    pub(super) identity: Identity,
    pub(super) size: u64,
    modified: (i64, i64),
    /// Whoever sets the time of modification back does not set this one back.
    changed: (i64, i64),
}

impl Signature {
    /// How long it has been so by the clock of its file system; `None` when that is ahead of ours.
    pub(super) fn age(&self) -> Option<Duration> {
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
        SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(changed)
    }
}

impl From<&Metadata> for Signature {
    fn from(metadata: &Metadata) -> Self {
        Self {
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Signature>,
    /// A change of another file than the one named may change one of these.
    pub(super) has_links: bool,
}

/// The files that count, with their signatures. Hidden names are skipped: a ConfigMap's real directories are.
pub(super) fn list(path: &Path) -> io::Result<Listing> {
    let metadata = fs::metadata(path)?;
    let mut listing = Listing::default();
    if metadata.is_dir() {
        list_directory(path, &mut listing)?;
    } else {
        listing.files.insert(path.to_path_buf(), Signature::from(&metadata));
    }
    Ok(listing)
}

fn list_directory(directory: &Path, listing: &mut Listing) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if is_hidden(&path) {
            continue;
        }
        let is_link = entry.file_type()?.is_symlink();
        // Through symbolic links; one that leads nowhere is a file that is gone. Any other failure is no news of the file.
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        // A link to a directory is not followed: it may lead around in a circle.
        if metadata.is_dir() && !is_link {
            list_directory(&path, listing)?;
        } else if metadata.is_file() && has_extension(&path) {
            listing.has_links |= is_link;
            listing.files.insert(path, Signature::from(&metadata));
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

pub(super) fn has_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

/// What became of one path below the directory `root` that a watch named.
pub(super) enum Named {
    /// A file that counts.
    File(Signature),
    /// Nothing is there.
    Gone,
    /// It does not count.
    Nothing,
    /// Only looking at everything tells: a directory, a link, something hidden that links may lead to.
    Everything,
}

/// Looks at one path that a watch named.
pub(super) fn look_at(root: &Path, path: &Path) -> Named {
    let Ok(below) = path.strip_prefix(root) else { return Named::Everything };
    if below.as_os_str().is_empty() || below.ancestors().any(|it| it.parent().is_some() && is_hidden(it)) {
        return Named::Everything;
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Named::Everything,
        Ok(metadata) if has_extension(path) => Named::File(Signature::from(&metadata)),
        Ok(_) => Named::Nothing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Named::Gone,
        Err(_) => Named::Everything,
    }
}

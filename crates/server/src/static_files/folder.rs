//! [`Snapshot`]: the files of a folder as they were at one time, by the path that they are asked for with. Reading is in
//! two steps, so that what has not changed is not read again: [`look`] finds the files, [`Snapshot::read`] their content.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, io};

use super::file::File;
use crate::room;

/// More are not looked through, folders included.
const ENTRIES: usize = 10_000;

/// Why a folder cannot be served. Said in one line, with what to do about it.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// It, or something in it, cannot be read.
    Read { path: PathBuf, error: io::Error },
    /// There is too much in it.
    TooLarge { dir: PathBuf, limit: usize },
    /// There are too many files in it.
    TooMany { dir: PathBuf },
    /// A file was written while it was read.
    Changing { path: PathBuf },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(
                    f,
                    "cannot serve {}: {error}; name a folder with --serve-dir",
                    path.display()
                )
            }
            Self::TooLarge { dir, limit } => write!(
                f,
                "the files in {} are more than {limit} bytes; raise --serve-limit, or have a proxy serve them",
                dir.display()
            ),
            Self::TooMany { dir } => write!(
                f,
                "there are more than {ENTRIES} files in {}; name a smaller folder with --serve-dir, or have a proxy serve it",
                dir.display()
            ),
            Self::Changing { path } => write!(f, "{} is being written", path.display()),
        }
    }
}

impl core::error::Error for FolderError {}

/// A file without its content: where it really is, and what tells one version of it from the next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Version {
    place: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
    /// Device and number, where there are such.
    identity: (u64, u64),
}

/// The files of a folder, by path.
pub(super) type Found = BTreeMap<String, Version>;

/// Finds the files that may be seen.
pub(super) fn look(dir: &Path) -> Result<Found, FolderError> {
    let failed = |error| FolderError::Read {
        path: dir.to_owned(),
        error,
    };
    // Each time: a folder is best renewed by a link that points to another one.
    let root = fs::canonicalize(dir).map_err(failed)?;
    let mut search = Search {
        root: &root,
        found: BTreeMap::new(),
        entries: 0,
        within: BTreeSet::new(),
    };
    if search.folder(&root, "").map_err(failed)? {
        Ok(search.found)
    } else {
        Err(FolderError::TooMany {
            dir: dir.to_owned(),
        })
    }
}

struct Search<'a> {
    root: &'a Path,
    found: Found,
    entries: usize,
    /// The folders that this one is in: a link to one of them leads round for ever.
    within: BTreeSet<PathBuf>,
}

impl Search<'_> {
    /// Looks through a folder, whose path is this. Returns whether there was an end to it.
    fn folder(&mut self, dir: &Path, path: &str) -> io::Result<bool> {
        if !self.within.insert(dir.to_owned()) {
            return Ok(true);
        }
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > ENTRIES {
                return Ok(false);
            }
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            // What is gone by now, or may not be seen by us, is not there.
            let Ok(place) = fs::canonicalize(entry.path()) else {
                continue;
            };
            if !self.may_be_seen(&place) {
                tracing::trace!(path = %entry.path().display(), "not served: it leads out of the folder, or to what is hidden");
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(&place) else {
                continue;
            };
            let path = format!("{path}/{name}");
            if metadata.is_dir() {
                match self.folder(&place, &path) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => tracing::trace!(path, %error, "not served"),
                }
            } else if metadata.is_file() && path.len() <= room::MAX_LEN {
                self.found.insert(path, Version::new(place, &metadata));
            }
        }
        self.within.remove(dir);
        Ok(true)
    }

    /// Whether a place is in the folder, and not behind a dot there.
    fn may_be_seen(&self, place: &Path) -> bool {
        let visible = |part: Component<'_>| {
            let part = part.as_os_str().as_encoded_bytes();
            !part.starts_with(b".")
        };
        place
            .strip_prefix(self.root)
            .is_ok_and(|inside| inside.components().all(visible))
    }
}

impl Version {
    fn new(place: PathBuf, metadata: &Metadata) -> Self {
        Self {
            place,
            len: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(metadata),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// The files of a folder, with their content.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: HashMap<String, Arc<File>>,
    pub(super) found: Found,
}

impl Snapshot {
    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path).map(|file| &**file)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.files.values().map(|file| file.len()).sum()
    }

    /// Reads what was found, without what has not changed since `before`.
    pub(super) fn read(
        dir: &Path,
        found: Found,
        before: &Self,
        limit: usize,
    ) -> Result<Self, FolderError> {
        let too_large = || FolderError::TooLarge {
            dir: dir.to_owned(),
            limit,
        };
        let all = found
            .values()
            .try_fold(0_u64, |sum, file| sum.checked_add(file.len));
        if all.is_none_or(|all| usize::try_from(all).is_ok_and(|all| all > limit)) {
            return Err(too_large());
        }
        let mut files = HashMap::new();
        for (path, version) in &found {
            let kept = before
                .files
                .get(path)
                .filter(|_| before.found.get(path) == Some(version));
            let file = match kept {
                Some(file) => Arc::clone(file),
                None => Arc::new(File::new(path, content(version)?)),
            };
            files.insert(path.clone(), file);
        }
        Ok(Self { files, found })
    }
}

/// Reads a file if it is still the one that was found: what has been put in its place since has not been looked at.
fn content(version: &Version) -> Result<Vec<u8>, FolderError> {
    use std::io::Read;

    let failed = |error| FolderError::Read {
        path: version.place.clone(),
        error,
    };
    let changing = || FolderError::Changing {
        path: version.place.clone(),
    };
    let mut file = fs::File::open(&version.place).map_err(failed)?;
    let same = |file: &fs::File| {
        let metadata = file.metadata().map_err(failed)?;
        Ok(metadata.is_file() && Version::new(version.place.clone(), &metadata) == *version)
    };
    if !same(&file)? {
        return Err(changing());
    }
    let mut content = Vec::new();
    // No further than it was long: one that grows is caught below.
    Read::by_ref(&mut file)
        .take(version.len)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if same(&file)? {
        Ok(content)
    } else {
        Err(changing())
    }
}

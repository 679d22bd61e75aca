//! The folder of the sources, and nothing outside of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use ignore::{DirEntry, WalkBuilder};
use tokio_util::sync::CancellationToken;

use super::task::TaskError;

/// The largest file that is read, in bytes: what the built-in agent's tools read, too.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// How alike two paths must be, from 0 to 1, for one to be proposed in place of the other.
const NEAR_LIKENESS: f64 = 0.8;
/// How many paths are compared with one that is not there.
const NEAR_PATHS_MAX: usize = 20_000;

/// A folder, by its handle: the kernel refuses what leads out of it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    dir: Dir,
}

/// Why a file is no source.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("there is no such file")]
    Missing,
    #[error("it leads out of the folder: give a path from there, without `..`")]
    Outside,
    #[error("it is a folder")]
    Folder,
    #[error("it is no regular file")]
    Special,
    #[error("it has {0} bytes, and files of more than {FILE_BYTES_MAX} are not read")]
    TooLarge(u64),
    #[error("it is a binary file")]
    Binary,
    #[error("byte {0} is not UTF-8")]
    NotUtf8(usize),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            _ => Self::Io(error),
        }
    }
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, TaskError> {
        let failed = |error| TaskError::Folder {
            path: path.to_owned(),
            error,
        };
        let real = path.canonicalize().map_err(failed)?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority()).map_err(failed)?;
        Ok(Self { path: real, dir })
    }

    /// The text of the file `source`, a path from the folder.
    pub(super) fn text(&self, source: &str) -> Result<String, Unread> {
        let path = Path::new(source);
        let leads_out = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().any(leads_out) {
            return Err(Unread::Outside);
        }
        // Neither names a file, and they mean different things to different calls of the system.
        if source.is_empty() || source.contains('\0') {
            return Err(Unread::Missing);
        }
        let file = self.file(path)?;
        let size = file.metadata()?.len();
        if size > FILE_BYTES_MAX {
            return Err(Unread::TooLarge(size));
        }
        // It may be growing.
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Unread::TooLarge(bytes.len() as u64));
        }
        if bytes.contains(&0) {
            return Err(Unread::Binary);
        }
        String::from_utf8(bytes)
            .map_err(|error| Unread::NotUtf8(error.utf8_error().valid_up_to() + 1))
    }

    /// Opens a regular file. Anything else is not opened: a pipe would wait for a writer, a device may act.
    fn file(&self, path: &Path) -> Result<File, Unread> {
        let metadata = match self.dir.metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let is_link = self
                    .dir
                    .symlink_metadata(path)
                    .is_ok_and(|is| is.is_symlink());
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                return Err(if is_link && !is_missing {
                    Unread::Outside
                } else {
                    error.into()
                });
            }
        };
        if metadata.is_dir() {
            return Err(Unread::Folder);
        }
        if !metadata.is_file() {
            return Err(Unread::Special);
        }
        let mut options = OpenOptions::new();
        // It may be a pipe by now, and then there is no waiting for it either.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = self.dir.open_with(path, &options)?.into_std();
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(Unread::Special)
        }
    }

    /// Whether there is a folder of this name.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        self.dir
            .metadata(path)
            .is_ok_and(|metadata| metadata.is_dir())
    }

    /// Whether a link leads to something in the folder.
    pub(super) fn leads_inside(&self, link: &str) -> bool {
        self.dir.metadata(link).is_ok()
    }

    /// What lies in the folder and is no folder itself, by name, with its path from there. As the tools of the built-in
    /// agent see it: what `.ignore` and, in a git repository, `.gitignore` name is left out, and `.git`. Links are not followed.
    ///
    /// # Errors
    /// [`TaskError::Stopped`] as soon as `stop` is cancelled.
    pub(super) fn below(
        &self,
        stop: &CancellationToken,
    ) -> impl Iterator<Item = Result<(String, DirEntry), TaskError>> + use<> {
        let walk = WalkBuilder::new(&self.path)
            .hidden(false)
            // The same for everybody who runs this, whatever they have in their own settings.
            .git_global(false)
            .follow_links(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .sort_by_file_name(Ord::cmp)
            .build();
        let (root, stop) = (self.path.clone(), stop.clone());
        walk.filter_map(Result::ok).filter_map(move |entry| {
            if stop.is_cancelled() {
                return Some(Err(TaskError::Stopped));
            }
            let is_folder = entry.file_type().is_none_or(|kind| kind.is_dir());
            let inner = entry.path().strip_prefix(&root).ok();
            let shown = inner.filter(|_| !is_folder).map(shown)?;
            Some(Ok((shown, entry)))
        })
    }

    /// The paths of its files, as many as one that is not there is compared with.
    pub(super) fn paths(&self, stop: &CancellationToken) -> Result<Vec<String>, TaskError> {
        let found = self.below(stop).take(NEAR_PATHS_MAX);
        found.map(|found| found.map(|(path, _)| path)).collect()
    }
}

/// Which of `paths` is most likely meant by `source`, which is not there.
pub(super) fn near<'p>(source: &str, paths: &'p [String]) -> Option<&'p str> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let wanted = name(source);
    let mut best: Option<(f64, &str)> = None;
    for path in paths {
        // The same name in another folder is what is meant most often.
        let likeness = if name(path) == wanted {
            2.0
        } else {
            strsim::jaro_winkler(path, source)
        };
        if likeness >= NEAR_LIKENESS && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, path));
        }
    }
    best.map(|(_, path)| path)
}

/// A path with `/`, whatever the system's own.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

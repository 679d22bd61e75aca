//! The folder of an agent, and what leads out of it.
//!
//! A path is looked up twice. First it is made real: links are followed, and what comes out must lie in one of the
//! folders. Then it is opened from that folder's handle, and the kernel refuses whatever leads out (`openat2` with
//! `RESOLVE_BENEATH`; cap-std walks by itself where there is none). What is put in the way between the two can make
//! the second fail, and never lead out.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, FileType, FileTypeExt as _, OpenOptions, OpenOptionsExt as _};

use super::refusal::Refusal;

/// How many names of a folder are compared with one that is not there.
const NEAR_NAMES_MAX: usize = 2_000;
/// How many of them are shown.
const NEAR_SHOWN: usize = 3;
/// How alike two names must be, from 0 to 1.
const NEAR_LIKENESS: f64 = 0.75;

/// The folder of one agent, and folders that it may also read.
#[derive(Debug)]
pub(crate) struct Workplace {
    /// The agent's own folder, then those that are only read.
    folders: Vec<Folder>,
    mark: String,
}

#[derive(Debug)]
struct Folder {
    /// Where it really is.
    path: PathBuf,
    /// As it was given, which is what the model may have been told.
    given: PathBuf,
    dir: Dir,
}

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        let real = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority())?;
        Ok(Self {
            path: real,
            given: path.to_owned(),
            dir,
        })
    }
}

/// A path that lies in a folder of the agent. Whether there is anything is another question.
#[derive(Clone, Debug)]
pub(super) struct Place<'w> {
    folder: &'w Folder,
    index: usize,
    /// From the folder, without links and without `..`; [`HERE`] for the folder itself.
    inner: PathBuf,
}

impl Workplace {
    /// The folder `root`, which must exist. `mark` names the attempt: files that are being written carry it, so that
    /// the next attempt of the same call writes over what a killed one has left.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub(crate) fn new(root: &Path, mark: &str) -> io::Result<Self> {
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        Ok(Self {
            folders: vec![Folder::open(root)?],
            mark: mark.chars().filter(is_plain).take(64).collect(),
        })
    }

    /// Lets `folder` be read, too.
    ///
    /// # Errors
    /// The folder cannot be opened.
    #[cfg(test)]
    pub(crate) fn also_reads(mut self, folder: &Path) -> io::Result<Self> {
        self.folders.push(Folder::open(folder)?);
        Ok(self)
    }

    /// Where the agent's folder really is.
    pub(crate) fn root(&self) -> &Path {
        &self.folders[0].path
    }

    /// The name, in any folder, of a file that is being written.
    pub(super) fn temporary_name(&self) -> String {
        format!(".bellwether-{}.tmp", self.mark)
    }

    /// The place that `text` names: absolute, or from the agent's folder.
    pub(super) fn place(&self, text: &str) -> Result<Place<'_>, Refusal> {
        if text.is_empty() {
            return Err(Refusal::Empty);
        }
        if text.contains('\0') {
            return Err(Refusal::Nul { path: text.into() });
        }
        let outside = || Refusal::Outside {
            path: text.to_owned(),
            root: self.root().display().to_string(),
        };
        let real = real(&self.root().join(text)).ok_or_else(outside)?;
        // The innermost folder counts: a folder to be read may lie around the agent's own, or in it.
        let (index, folder) = self
            .folders
            .iter()
            .enumerate()
            .filter(|(_, folder)| real.starts_with(&folder.path))
            .max_by_key(|(index, folder)| (folder.path.as_os_str().len(), usize::MAX - index))
            .ok_or_else(outside)?;
        let inner = real.strip_prefix(&folder.path).unwrap_or(&real);
        let inner = or_here(inner).to_owned();
        Ok(Place {
            folder,
            index,
            inner,
        })
    }

    /// The place that `text` names, if a tool may write there.
    pub(super) fn place_to_write(&self, text: &str) -> Result<Place<'_>, Refusal> {
        let place = self.place(text)?;
        let path = place.shown();
        if place.index != 0 {
            let root = self.root().display().to_string();
            return Err(Refusal::ReadOnlyFolder { path, root });
        }
        // Hooks and settings of git are programs that the next caller of git runs, outside of everything.
        let is_git = |part: Component<'_>| part.as_os_str().eq_ignore_ascii_case(".git");
        if place.inner.components().any(is_git) {
            return Err(Refusal::Git { path });
        }
        Ok(place)
    }

    /// `text` without the folder's own path in front, as it was given or as it is: a pattern from the agent's folder.
    pub(super) fn inner_text<'t>(&self, text: &'t str) -> &'t str {
        let folder = &self.folders[0];
        [&folder.path, &folder.given]
            .into_iter()
            .filter_map(|path| path.to_str())
            .filter_map(|path| text.strip_prefix(path))
            .find_map(|rest| rest.strip_prefix('/'))
            .unwrap_or(text)
    }
}

/// A folder, from itself.
const HERE: &str = ".";

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        return Path::new(HERE);
    }
    path
}

/// `path` without links: what there is of it is made real, the names behind that stay. `None` when one of them is `..`.
fn real(path: &Path) -> Option<PathBuf> {
    let mut existing = path;
    let mut missing = Vec::new();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return Some(
                missing
                    .into_iter()
                    .rev()
                    .fold(real, |path, name| path.join(name)),
            );
        }
        // `file_name` is none for `..`, whose meaning nobody knows where there is nothing.
        missing.push(existing.file_name()?);
        existing = existing.parent()?;
    }
}

impl Place<'_> {
    /// As the model is told it: from the agent's folder, or whole when it is in another.
    pub(super) fn shown(&self) -> String {
        match self.index {
            0 => self.inner.display().to_string(),
            _ => self.real().display().to_string(),
        }
    }

    /// As the model is told what is at `path` below this one.
    pub(super) fn shown_below(&self, path: &Path) -> String {
        match self.index {
            0 => path.strip_prefix(&self.folder.path).unwrap_or(path),
            _ => path,
        }
        .display()
        .to_string()
    }

    /// The whole path.
    pub(super) fn real(&self) -> PathBuf {
        if self.inner == Path::new(HERE) {
            return self.folder.path.clone();
        }
        self.folder.path.join(&self.inner)
    }

    /// What the agent's memory knows it by.
    pub(super) fn key(&self) -> PathBuf {
        self.real()
    }

    /// The same folder's place of a real path below this one.
    pub(super) fn below(&self, path: &Path) -> Option<Self> {
        let inner = path.strip_prefix(&self.folder.path).ok()?;
        Some(Self {
            folder: self.folder,
            index: self.index,
            inner: inner.to_owned(),
        })
    }

    /// Whether there is anything, and of which kind.
    pub(super) fn kind(&self) -> Result<Kind, Refusal> {
        match self.folder.dir.metadata(&self.inner) {
            Ok(metadata) => Ok(Kind::of(metadata.file_type())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The link is there, and what it leads to is not.
                match self.folder.dir.symlink_metadata(&self.inner) {
                    Ok(_) => Err(Refusal::Dangling { path: self.shown() }),
                    Err(_) => Ok(Kind::Nothing),
                }
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Opens a regular file to read it. Anything else is not opened: a pipe would wait for a writer, a device may act.
    pub(super) fn open(&self) -> Result<File, Refusal> {
        match self.kind()? {
            Kind::File => {}
            Kind::Folder => return Err(Refusal::Folder { path: self.shown() }),
            Kind::Special(kind) => return Err(self.special(kind)),
            Kind::Nothing => return Err(self.not_found()),
        }
        let mut options = OpenOptions::new();
        // It may be a pipe by now, and then there is no waiting for it either.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = self.folder.dir.open_with(&self.inner, &options);
        let file = file.map_err(|error| self.failed(error))?.into_std();
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if !metadata.is_file() {
            return Err(self.special("no regular file"));
        }
        Ok(file)
    }

    /// The handle of the folder in which this lies, made if it has to be, and the name in it.
    pub(super) fn parent_to_write(&self) -> Result<(Dir, &Path), Refusal> {
        let (Some(name), Some(parent)) = (self.inner.file_name(), self.inner.parent()) else {
            return Err(Refusal::Folder { path: self.shown() });
        };
        let (dir, parent) = (&self.folder.dir, or_here(parent));
        let made = dir.create_dir_all(parent);
        let opened = made.and_then(|()| dir.open_dir(parent));
        let opened = opened.map_err(|error| self.failed(error))?;
        Ok((opened, Path::new(name)))
    }

    /// There is nothing here, but perhaps beside it.
    pub(super) fn not_found(&self) -> Refusal {
        Refusal::NotFound {
            path: self.shown(),
            near: self.near(),
        }
    }

    pub(super) fn failed(&self, error: io::Error) -> Refusal {
        Refusal::Io {
            path: self.shown(),
            error,
        }
    }

    fn special(&self, kind: &'static str) -> Refusal {
        Refusal::Special {
            path: self.shown(),
            kind,
        }
    }

    /// What in the same folder has a name like this; or that the folder is not there either.
    fn near(&self) -> String {
        let (Some(name), Some(parent)) = (self.inner.file_name(), self.inner.parent()) else {
            return String::new();
        };
        let name = name.to_string_lossy().to_lowercase();
        let shown = |path: &Path| match self.index {
            0 => path.display().to_string(),
            _ => self.folder.path.join(path).display().to_string(),
        };
        let Ok(entries) = self.folder.dir.read_dir(or_here(parent)) else {
            return format!(", nor a folder {}", shown(parent));
        };
        let mut near: Vec<_> = entries
            .take(NEAR_NAMES_MAX)
            .filter_map(Result::ok)
            .map(|entry| entry.file_name())
            .map(|other| {
                (
                    strsim::jaro_winkler(&other.to_string_lossy().to_lowercase(), &name),
                    other,
                )
            })
            .filter(|(likeness, _)| *likeness >= NEAR_LIKENESS)
            .collect();
        near.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
        near.truncate(NEAR_SHOWN);
        if near.is_empty() {
            return String::new();
        }
        let near = near.iter().map(|(_, name)| shown(&parent.join(name)));
        format!("; did you mean {}?", near.collect::<Vec<_>>().join(" or "))
    }
}

/// What there is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Special(&'static str),
    Nothing,
}

impl Kind {
    fn of(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_fifo() {
            Self::Special("a pipe")
        } else if kind.is_socket() {
            Self::Special("a socket")
        } else if kind.is_block_device() || kind.is_char_device() {
            Self::Special("a device")
        } else {
            Self::Special("no regular file")
        }
    }
}

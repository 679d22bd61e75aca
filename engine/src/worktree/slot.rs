//! A place in the pool: a worktree, what the engine knows of it, and the marker that says whose it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bellwether_journal::id::{Attempt, CallNumber, Epoch, FencingToken, Generation, RunId};
use serde::{Deserialize, Serialize};

use super::WorktreeError;
use super::extras::Copied;
use crate::git::{Call, Git, RepoPath};

const STATE: &str = "state.json";
const LEASE: &str = "lease.json";
const ADMIN: &str = "admin";
const INDEX: &str = "index";
/// Files of git's own folder of a worktree that are larger are not for us to keep.
const ADMIN_FILE_BYTES_MAX: u64 = 1 << 20;

/// A worktree of the pool.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) number: u32,
    /// The worktree.
    pub(super) tree: PathBuf,
    /// What the engine keeps beside it.
    meta: PathBuf,
    pub(super) state: State,
    /// Git's own folder of the worktree as it should be, but for the index: paths below it, and their bytes.
    admin: BTreeMap<PathBuf, Vec<u8>>,
}

/// What holds of a clean worktree. Kept on the disk, so that a setup outlives the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The commit that it is at; `None` while that is being changed.
    pub(super) base: Option<String>,
    /// Git's own folder of the worktree.
    pub(super) admin: PathBuf,
    /// Symbolic links to the caller's folder.
    pub(super) links: Vec<RepoPath>,
    /// Files copied from there.
    pub(super) copies: Vec<Copied>,
    /// The setup that was done; `None` when one is due.
    pub(super) setup: Option<String>,
    /// What the setup made.
    pub(super) products: Vec<RepoPath>,
    /// What it takes on the disk, in bytes, where that was measured.
    pub(super) bytes: u64,
}

/// Whose a worktree is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    epoch: u64,
    run: String,
    generation: u32,
    call: u32,
    attempt: u32,
    /// The commit that the attempt began from.
    pub(super) base: String,
    /// Whether its changes are worth anything: those of a verification are not.
    pub(super) keep: bool,
}

impl Lease {
    pub(super) fn new(token: FencingToken, base: &str, keep: bool) -> Self {
        Self {
            epoch: token.epoch.0,
            run: token.run.to_string(),
            generation: token.generation.0,
            call: token.call.0,
            attempt: token.attempt.0,
            base: base.to_owned(),
            keep,
        }
    }

    /// The attempt; `None` when somebody else wrote this.
    pub(super) fn token(&self) -> Option<FencingToken> {
        Some(FencingToken {
            epoch: Epoch(self.epoch),
            run: self.run.parse::<RunId>().ok()?,
            generation: Generation(self.generation),
            call: CallNumber(self.call),
            attempt: Attempt(self.attempt),
        })
    }
}

impl Slot {
    /// A place with this number that has nothing yet.
    pub(super) fn new(pool: &Path, name: &str, number: u32) -> Self {
        Self {
            number,
            tree: pool.join(name),
            meta: Self::meta_folder(pool).join(format!("{number:02}")),
            state: State::default(),
            admin: BTreeMap::new(),
        }
    }

    /// Where what is known of a pool's places stands.
    pub(super) fn meta_folder(pool: &Path) -> PathBuf {
        pool.join(".slots")
    }

    /// Reads what is known of it. A state that cannot be read is an empty one: then it is made anew.
    pub(super) fn load(&mut self) {
        let state = fs::read(self.meta.join(STATE)).unwrap_or_default();
        self.state = serde_json::from_slice(&state).unwrap_or_default();
        self.admin = files_below(&self.meta.join(ADMIN)).unwrap_or_default();
    }

    pub(super) fn meta(&self) -> &Path {
        &self.meta
    }

    /// The engine's own index: always the base's.
    pub(super) fn index(&self) -> PathBuf {
        self.meta.join(INDEX)
    }

    /// Git's own folder of the worktree.
    pub(super) fn admin(&self) -> &Path {
        &self.state.admin
    }

    /// Whether there is something to work with at all.
    pub(super) fn is_there(&self) -> bool {
        self.state.admin.is_absolute() && self.tree.is_dir() && self.index().is_file()
    }

    /// Whether git knows it as a worktree, too.
    pub(super) fn is_whole(&self) -> bool {
        self.is_there() && self.tree.join(".git").is_file() && self.admin().join("HEAD").exists()
    }

    /// A call of git on this worktree and the engine's own index, whatever the agent has made of the worktree's.
    ///
    /// Looking alone (`git status`) writes nothing into that index: under attributes that an agent has changed, other
    /// bytes may count as the same file, and would then stay.
    pub(super) fn git(&self, git: &Git) -> Call {
        git.call(&self.tree)
            .env("GIT_DIR", self.admin())
            .env("GIT_WORK_TREE", &self.tree)
            .env("GIT_INDEX_FILE", self.index())
    }

    /// The same through the index that the agent's own git has.
    pub(super) fn git_of_agent(&self, git: &Git) -> Call {
        git.call(&self.tree)
            .env("GIT_DIR", self.admin())
            .env("GIT_WORK_TREE", &self.tree)
    }

    /// What is neither the base's nor the agent's: links, copies, products.
    pub(super) fn ours(&self) -> impl Iterator<Item = &RepoPath> {
        let State {
            links,
            copies,
            products,
            ..
        } = &self.state;
        let copies = copies.iter().map(|copied| &copied.path);
        links.iter().chain(copies).chain(products)
    }

    pub(super) fn is_ours(&self, path: &RepoPath) -> bool {
        self.ours().any(|ours| path.is_within(ours))
    }

    /// Writes down what is known of it.
    pub(super) fn save(&self) -> Result<(), WorktreeError> {
        let json = serde_json::to_vec(&self.state)
            .map_err(|error| WorktreeError::io(&self.meta, error.into()))?;
        write(&self.meta.join(STATE), &json)
    }

    /// Says on the disk whose it is from now on.
    pub(super) fn mark(&self, lease: &Lease) -> Result<(), WorktreeError> {
        let json = serde_json::to_vec(lease)
            .map_err(|error| WorktreeError::io(&self.meta, error.into()))?;
        write(&self.meta.join(LEASE), &json)
    }

    /// Whose it is; `None` when it is nobody's.
    pub(super) fn lease(&self) -> Option<Lease> {
        let json = fs::read(self.meta.join(LEASE)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Says on the disk that it is nobody's any more.
    pub(super) fn unmark(&self) -> Result<(), WorktreeError> {
        let path = self.meta.join(LEASE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(WorktreeError::io(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// Remembers git's own folder of the worktree as it is now.
    pub(super) fn remember_admin(&mut self) -> Result<(), WorktreeError> {
        let found = files_below(self.admin())
            .map_err(|error| WorktreeError::io(&self.state.admin, error))?;
        if found != self.admin {
            let kept = self.meta.join(ADMIN);
            make_equal(&kept, &found).map_err(|error| WorktreeError::io(&kept, error))?;
            self.admin = found;
        }
        Ok(())
    }

    /// Makes git's own folder of the worktree what it was, but for the index: on its commit and no branch, with no merge
    /// or rebase under way, and with a `.git` that leads there.
    pub(super) fn restore_admin(&self) -> Result<(), WorktreeError> {
        let admin = self.admin();
        make_equal(admin, &self.admin).map_err(|error| WorktreeError::io(admin, error))?;
        let pointer = self.tree.join(".git");
        let wanted = [b"gitdir: ", admin.as_os_str().as_encoded_bytes(), b"\n"].concat();
        if fs::read(&pointer).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        super::disk::remove(&pointer)?;
        fs::write(&pointer, wanted).map_err(|error| WorktreeError::io(&pointer, error))
    }

    /// Gives the worktree the index of the base, as the engine's own is.
    pub(super) fn restore_index(&self) -> Result<(), WorktreeError> {
        let (from, to) = (self.index(), self.admin().join(INDEX));
        let through = self.meta.join("index.copy");
        fs::copy(&from, &through)
            .and_then(|_| fs::rename(&through, &to))
            .or_else(|error| match error.kind() {
                // The repository may lie on another disk.
                io::ErrorKind::CrossesDevices => fs::copy(&through, &to).map(drop),
                _ => Err(error),
            })
            .map_err(|error| WorktreeError::io(&to, error))
    }

    /// Whether somebody has told git to leave files out of the worktree that belong there.
    pub(super) fn was_made_sparse(&self) -> bool {
        let patterns = Path::new("info/sparse-checkout");
        let found = fs::read(self.admin().join(patterns)).ok();
        found.is_some() && found.as_ref() != self.admin.get(patterns)
    }

    /// Takes away the locks of a git that was killed. For a worktree that nobody works in.
    pub(super) fn unlock(&self) {
        let admin = self.admin();
        for lock in [
            self.meta.join("index.lock"),
            admin.join("index.lock"),
            admin.join("HEAD.lock"),
        ] {
            // Not there: as good.
            let _ = fs::remove_file(lock);
        }
    }
}

/// Writes a file so that it is there whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), WorktreeError> {
    let through = path.with_extension("new");
    fs::write(&through, bytes)
        .and_then(|()| fs::rename(&through, path))
        .map_err(|error| WorktreeError::io(path, error))
}

/// The files below a folder, but for indexes and locks, with their bytes.
fn files_below(folder: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && !is_index(&path)
                && entry.metadata()?.len() <= ADMIN_FILE_BYTES_MAX
            {
                found.insert(path, fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

fn is_index(path: &Path) -> bool {
    path == Path::new(INDEX) || path == Path::new("index.lock")
}

/// Makes a folder hold these files and no others, but for indexes.
fn make_equal(folder: &Path, wanted: &BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for path in files_below(folder)?.into_keys() {
        if !wanted.contains_key(&path) {
            fs::remove_file(folder.join(path))?;
        }
    }
    for (path, bytes) in wanted {
        let path = folder.join(path);
        if fs::read(&path).is_ok_and(|found| found == *bytes) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    remove_folders(folder, Path::new(""), wanted)
}

/// Removes the folders that lead to none of the wanted files: to git the folder of a rebase says as much as its files.
fn remove_folders(
    folder: &Path,
    below: &Path,
    wanted: &BTreeMap<PathBuf, Vec<u8>>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            continue;
        }
        // Git makes the folder of a worktree's own refs with the worktree, and without it there is none.
        if path == Path::new("refs") || wanted.keys().any(|wanted| wanted.starts_with(&path)) {
            remove_folders(folder, &path, wanted)?;
        } else {
            super::disk::remove(&entry.path()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

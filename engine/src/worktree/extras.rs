//! What a worktree has beside the commit's files: links to the caller's folder, and copies of files that git ignores.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::base::{Base, from_top};
use super::settings::Settings;
use super::slot::Slot;
use super::{WorktreeError, blocking, disk};
use crate::git::{Git, RepoPath, parse};

/// Names files that git ignores and that worktrees need all the same; at the top of the main checkout, in the syntax of
/// `.gitignore`. Claude Code, Codex and others read it as well.
const INCLUDE_FILE: &str = ".worktreeinclude";

/// What the worktrees of a run have beside its files. Paths are from the repository's top.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extras {
    /// The caller's checkout, where they come from.
    top: PathBuf,
    links: Vec<RepoPath>,
    /// What the settings name to be copied: files and folders.
    roots: Vec<RepoPath>,
    /// Every file that is copied.
    copies: Vec<RepoPath>,
}

/// A file that was copied, and how both looked then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    pub(super) path: RepoPath,
    source: Stamp,
    copy: Stamp,
}

/// By what a file is known to be as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp(u64, i64, i64, i64, i64, u64);

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self(
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
            metadata.ino(),
        ))
    }
}

impl Extras {
    /// What the settings and the caller's `.worktreeinclude` ask for, from the checkout at `top`. `own` is the folder of
    /// all pools, which is never copied.
    ///
    /// # Errors
    /// Something is not there, or leads out of the repository.
    pub(super) async fn of(
        settings: &Settings,
        project: &Path,
        top: &Path,
        own: &Path,
    ) -> Result<Self, WorktreeError> {
        let links = named("link", &settings.link, project, top)?;
        let roots = named("copy", &settings.copy, project, top)?;
        let mut copies = included(&settings.git, top).await?;
        let (from, named) = (top.to_owned(), roots.clone());
        copies.extend(blocking(move || files_of(&from, named)).await?);
        let own = own.strip_prefix(top).ok().and_then(RepoPath::relative);
        copies.retain(|path| {
            let is_own = own.as_ref().is_some_and(|own| path.is_within(own));
            !is_own && !links.iter().any(|link| path.is_within(link))
        });
        copies.sort();
        copies.dedup();
        Ok(Self {
            top: top.to_owned(),
            links,
            roots,
            copies,
        })
    }

    /// Makes sure that a commit has none of what is named to be linked or copied.
    ///
    /// # Errors
    /// It has.
    pub(super) async fn check(&self, git: &Git, base: &Base) -> Result<(), WorktreeError> {
        for (setting, paths) in [("link", &self.links), ("copy", &self.roots)] {
            if let Some(tracked) = first_tracked(git, base, paths).await? {
                let problem = "is tracked: worktrees have it anyway";
                return Err(refused(setting, &tracked, problem));
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.copies.is_empty()
    }

    /// What there is to be, for a worktree that is cleaned of anything else.
    pub(super) fn is_expected(&self, slot: &Slot) -> bool {
        let copies = slot.state.copies.iter().map(|copied| &copied.path);
        slot.state.links == self.links && copies.eq(&self.copies)
    }

    /// Puts links and copies into a clean worktree, those that are not there or not what they were. Waits for the disk.
    pub(super) fn place(&self, slot: &mut Slot) -> Result<(), WorktreeError> {
        let known = slot.state.copies.clone();
        for path in &self.links {
            link(&self.top, slot, path)?;
        }
        let mut copies = Vec::with_capacity(self.copies.len());
        for path in &self.copies {
            let known = known.iter().find(|copied| copied.path == *path);
            copies.extend(copy(&self.top, slot, path, known)?);
        }
        if slot.state.links != self.links || slot.state.copies != copies {
            slot.state.links.clone_from(&self.links);
            slot.state.copies = copies;
            slot.save()?;
        }
        Ok(())
    }
}

fn refused(setting: &'static str, path: &RepoPath, problem: impl Into<String>) -> WorktreeError {
    WorktreeError::Path {
        setting,
        path: path.text(),
        problem: problem.into(),
    }
}

/// Paths of a setting, from the repository's top. Each must be there.
fn named(
    setting: &'static str,
    paths: &[PathBuf],
    project: &Path,
    top: &Path,
) -> Result<Vec<RepoPath>, WorktreeError> {
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(from_top) = from_top(project, path) else {
            return Err(WorktreeError::Path {
                setting,
                path: path.display().to_string(),
                problem: "is no path within the project".to_owned(),
            });
        };
        if fs::symlink_metadata(top.join(from_top.as_path())).is_err() {
            let problem = format!("is not in {}: make it there, or take it out", top.display());
            return Err(refused(setting, &from_top, problem));
        }
        found.push(from_top);
    }
    Ok(found)
}

/// The first of these paths that the base has, or has something below.
async fn first_tracked(
    git: &Git,
    base: &Base,
    paths: &[RepoPath],
) -> Result<Option<RepoPath>, WorktreeError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let call = git.call(base.top()).env("GIT_LITERAL_PATHSPECS", "1");
    let call = call.args([
        "ls-tree",
        "--name-only",
        "--full-tree",
        "-z",
        base.commit(),
        "--",
    ]);
    let call = call.args(paths.iter().map(RepoPath::as_path));
    let bytes = call.run().await?;
    Ok(parse::records(&bytes).next().map(RepoPath::new))
}

/// The files that `.worktreeinclude` names and git ignores.
async fn included(git: &Git, top: &Path) -> Result<Vec<RepoPath>, WorktreeError> {
    let patterns = top.join(INCLUDE_FILE);
    if !patterns.is_file() {
        return Ok(Vec::new());
    }
    let call = git
        .call(top)
        .args(["ls-files", "-z", "--others", "--ignored"]);
    let call = call.arg("--exclude-from").arg(&patterns);
    let matching = call.run().await?;
    if matching.is_empty() {
        return Ok(Vec::new());
    }
    let call = git.call(top).args(["check-ignore", "-z", "--stdin"]);
    let output = call.input(matching).output().await?;
    // 1: none of them.
    if !output.success() && output.code() != Some(1) {
        return Err(output.error().into());
    }
    let is_file = |path: &&[u8]| !path.ends_with(b"/");
    let paths = parse::records(&output.stdout).filter(is_file);
    Ok(paths.map(RepoPath::new).collect())
}

/// The files that these paths are or hold.
fn files_of(top: &Path, roots: Vec<RepoPath>) -> Result<Vec<RepoPath>, WorktreeError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut files = Vec::new();
    let mut todo = roots;
    while let Some(path) = todo.pop() {
        let absolute = top.join(path.as_path());
        let failed = |error| WorktreeError::io(&absolute, error);
        if !fs::symlink_metadata(&absolute).map_err(failed)?.is_dir() {
            files.push(path);
            continue;
        }
        for entry in fs::read_dir(&absolute).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            todo.push(RepoPath::new(
                [path.as_bytes(), b"/", name.as_bytes()].concat(),
            ));
        }
    }
    Ok(files)
}

fn link(top: &Path, slot: &Slot, path: &RepoPath) -> Result<(), WorktreeError> {
    let (target, place) = (top.join(path.as_path()), slot.tree.join(path.as_path()));
    if fs::read_link(&place).is_ok_and(|found| found == target) {
        return Ok(());
    }
    make_parent("link", &slot.tree, path)?;
    disk::remove(&place)?;
    std::os::unix::fs::symlink(&target, &place).map_err(|error| WorktreeError::io(&place, error))
}

/// Copies a file, unless both are as they were when that was done last. `None`: it is not there any more.
fn copy(
    top: &Path,
    slot: &Slot,
    path: &RepoPath,
    known: Option<&Copied>,
) -> Result<Option<Copied>, WorktreeError> {
    let (from, to) = (top.join(path.as_path()), slot.tree.join(path.as_path()));
    let Ok(source) = Stamp::of(&from) else {
        disk::remove(&to)?;
        return Ok(None);
    };
    if let Some(known) = known
        && known.source == source
        && Stamp::of(&to).is_ok_and(|copy| copy == known.copy)
    {
        return Ok(Some(known.clone()));
    }
    make_parent("copy", &slot.tree, path)?;
    disk::remove(&to)?;
    let copied = match fs::read_link(&from) {
        Ok(target) => std::os::unix::fs::symlink(target, &to),
        Err(_) => fs::copy(&from, &to).map(drop),
    };
    let copied = copied.and_then(|()| Stamp::of(&to));
    Ok(Some(Copied {
        path: path.clone(),
        source,
        copy: copied.map_err(|error| WorktreeError::io(&to, error))?,
    }))
}

/// Makes the folder that a path lies in, and never follows a symbolic link on the way: it may lead out of the worktree.
fn make_parent(setting: &'static str, tree: &Path, path: &RepoPath) -> Result<(), WorktreeError> {
    let mut folder = tree.to_owned();
    let parent = path.as_path().parent().unwrap_or(Path::new(""));
    for part in parent.components() {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(refused(
                    setting,
                    path,
                    "lies below what is no folder in the commit",
                ));
            }
            Err(_) => {
                fs::create_dir(&folder).map_err(|error| WorktreeError::io(&folder, error))?;
            }
        }
    }
    Ok(())
}

//! The settings of `[worktree]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::git::Git;

const SETUP_TIMEOUT: Duration = Duration::from_mins(15);
/// More worktrees than anybody has slots for agents: a bound for the disk when nothing else bounds it.
const SLOTS_MAX: u32 = 256;

/// What to do with changes that the caller has not committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Uncommitted {
    /// Isolated agents are refused: they would work on other files than the caller sees.
    #[default]
    Refuse,
    /// A commit that holds them becomes the base. Neither the caller's index nor any of the caller's files is touched.
    Include,
}

/// How worktrees are made ready. Paths are relative to the project's folder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where runs begin instead of `HEAD`: a branch, a tag, a commit. The caller's uncommitted changes are no matter then.
    pub base: Option<String>,
    /// What to do with the caller's uncommitted changes to tracked files.
    pub uncommitted: Uncommitted,
    /// What worktrees share with the caller's folder by a symbolic link (`node_modules`).
    pub link: Vec<PathBuf>,
    /// Files and folders that are copied from the caller's folder (`.env`), beside what `.worktreeinclude` names.
    pub copy: Vec<PathBuf>,
    /// A shell command that makes a worktree ready (`npm ci`): once for each, and again when its inputs have changed.
    pub setup: Option<String>,
    /// Files on whose content the setup depends (`package-lock.json`).
    pub setup_inputs: Vec<PathBuf>,
    /// How long a setup may take.
    pub setup_timeout: Duration,
    /// How much all worktrees of the pool may take on the disk, in bytes.
    pub disk_limit: Option<u64>,
    /// How many worktrees there may be. Agents beyond wait.
    pub slots_max: u32,
    /// The git program.
    pub git: Git,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base: None,
            uncommitted: Uncommitted::default(),
            link: Vec::new(),
            copy: Vec::new(),
            setup: None,
            setup_inputs: Vec::new(),
            setup_timeout: SETUP_TIMEOUT,
            disk_limit: None,
            slots_max: SLOTS_MAX,
            git: Git::default(),
        }
    }
}

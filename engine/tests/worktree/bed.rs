//! Repositories as people have them, and pools on them. Real git in folders of their own.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bellwether::worktree::{Base, Pool, PoolOptions, Worktree, WorktreeError};
use bellwether::{
    Attempt, CallNumber, Digest, Epoch, FencingToken, Generation, PreviousAttempt, RunId,
};
use tempfile::TempDir;

/// A repository with a few files and one commit.
pub(crate) struct Bed {
    folder: TempDir,
    pub(crate) repository: PathBuf,
    pub(crate) options: PoolOptions,
}

impl Bed {
    /// A repository that has nothing yet.
    pub(crate) fn empty() -> Self {
        Self::with_format("sha1")
    }

    /// The same, with ids of this kind.
    pub(crate) fn with_format(format: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().canonicalize().unwrap().join("repository");
        std::fs::create_dir(&repository).unwrap();
        let format = format!("--object-format={format}");
        git(&repository, &["init", "--quiet", "-b", "main", &format]);
        let options = options(&repository, "journal", 1);
        Self {
            folder,
            repository,
            options,
        }
    }

    /// A repository with the files `a.txt`, `src/lib.rs`, `src/deep/more.rs`, and `.gitignore`.
    pub(crate) fn new() -> Self {
        Self::empty().furnished()
    }

    pub(crate) fn furnished(self) -> Self {
        for (path, text) in [
            (
                ".gitignore",
                "/.bellwether/local/\n*.log\n.env\nnode_modules/\n",
            ),
            ("a.txt", "one\ntwo\nthree\n"),
            ("src/lib.rs", "pub mod deep;\n"),
            ("src/deep/more.rs", "pub fn more() {}\n"),
        ] {
            self.write(path, text);
        }
        self.commit("first");
        self
    }

    /// A folder beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(&self.repository.join(path), text);
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository, arguments)
    }

    /// What git says of something that need not succeed.
    pub(crate) fn try_git(&self, arguments: &[&str]) -> Result<String, String> {
        try_git(&self.repository, arguments)
    }

    pub(crate) async fn pool(&self) -> Pool {
        Pool::open(self.options.clone()).await.unwrap()
    }

    pub(crate) async fn pin(&self) -> Result<Base, WorktreeError> {
        self.pin_in(&self.repository).await
    }

    pub(crate) async fn pin_in(&self, folder: &Path) -> Result<Base, WorktreeError> {
        let scratch = self.beside("scratch");
        Base::pin(folder, &self.options.settings, run(), &scratch).await
    }

    pub(crate) async fn base(&self) -> Base {
        self.pin().await.unwrap()
    }

    /// The branches that agents have left.
    pub(crate) fn branches(&self) -> Vec<String> {
        let format = "--format=%(refname:short)";
        let listing = self.git(&["for-each-ref", format, "refs/heads/bellwether"]);
        listing.lines().map(str::to_owned).collect()
    }

    pub(crate) fn worktrees_of_git(&self) -> usize {
        let listing = self.git(&["worktree", "list", "--porcelain"]);
        listing
            .lines()
            .filter(|line| line.starts_with("worktree "))
            .count()
    }
}

/// Options for a pool of the journal with this name.
pub(crate) fn options(repository: &Path, journal: &str, epoch: u64) -> PoolOptions {
    let folder = repository.join(".bellwether/local/worktrees");
    let journal = Digest::of(journal, &[&std::process::id().to_le_bytes()]);
    PoolOptions::new(folder, repository, journal, Epoch(epoch))
}

pub(crate) fn run() -> RunId {
    RunId::from_entropy([1, 2, 3, 4, 5])
}

pub(crate) fn token(call: u32, attempt: u32) -> FencingToken {
    FencingToken {
        epoch: Epoch(1),
        run: run(),
        generation: Generation(1),
        call: CallNumber(call),
        attempt: Attempt(attempt),
    }
}

/// Attempts that an engine's death cut off.
pub(crate) fn interrupted(count: u32) -> Vec<PreviousAttempt> {
    (1..=count)
        .map(|attempt| PreviousAttempt {
            attempt,
            ended: "interrupted".to_owned(),
            message: String::new(),
        })
        .collect()
}

pub(crate) async fn acquire(pool: &Pool, base: &Base, call: u32) -> Worktree {
    pool.acquire(base, token(call, 1), &[]).await.unwrap()
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A call of git as a person makes it, with nobody's own settings.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Somebody");
        command.env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
    }
    command
}

pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = command(folder).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim_end_matches('\n')
            .to_owned()
    };
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(text(&output.stderr))
}

#[track_caller]
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    try_git(folder, arguments).unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
}

/// Runs a shell script as an agent would, in a folder. Whatever it ends with.
pub(crate) fn sh(folder: &Path, script: &str) {
    Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "An agent")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "agent@example.org")))
        .output()
        .unwrap();
}

/// Everything in a folder but `.git`: what it is, and what it holds.
pub(crate) fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if name == ".git" {
                continue;
            }
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path);
                "folder".to_owned()
            } else {
                let mode = metadata.permissions().mode() & 0o111;
                let content = std::fs::read(&path).unwrap();
                format!("{mode:o} {}", String::from_utf8_lossy(&content))
            };
            found.insert(name, what);
        }
    }
    found
}

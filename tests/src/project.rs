//! A project in a temporary folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::fifo::Fifo;
use crate::program::{Bellwether, programs};

/// A folder of its own for each test: removed at the end, kept where the environment has `BELLWETHER_KEEP`.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    _removed_with_it: Option<TempDir>,
}

impl Project {
    /// An empty project.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("bellwether-").tempdir()?;
        if std::env::var_os("BELLWETHER_KEEP").is_some() {
            return Ok(Self {
                folder: temporary.keep(),
                _removed_with_it: None,
            });
        }
        // The real path, as a program sees it that asks for its working directory.
        let folder = temporary.path().canonicalize()?;
        Ok(Self {
            folder,
            _removed_with_it: Some(temporary),
        })
    }

    /// A project that is a git repository with one commit.
    ///
    /// # Errors
    /// When git is missing or refuses.
    pub fn with_git() -> anyhow::Result<Self> {
        let project = Self::new()?;
        for arguments in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "start",
            ],
        ] {
            let status = Command::new("git")
                .args(arguments)
                .current_dir(&project.folder)
                .status()
                .context("git")?;
            ensure!(status.success(), "git {arguments:?}: {status}");
        }
        Ok(project)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file, with the folders on its way.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Writes a workflow with this body behind a header.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn script(&self, name: &str, body: &str) -> anyhow::Result<PathBuf> {
        let header = format!("export const meta = {{ name: '{name}', description: 'a test' }}\n");
        self.write(&format!("{name}.js"), &(header + body))
    }

    /// Makes a named pipe.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn fifo(&self, name: &str) -> anyhow::Result<Fifo> {
        Fifo::create(self.path(name))
    }

    /// The lines of a file; none when it is not there.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// `bellwether` with these arguments, in the project's folder.
    ///
    /// # Errors
    /// When the program cannot be built.
    pub fn bellwether<I, S>(&self, arguments: I) -> anyhow::Result<Bellwether>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Bellwether::new(&self.folder, arguments)
    }

    /// The command line of the fake agent, for `--agent-command`.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn agent_command(&self) -> anyhow::Result<String> {
        Ok(programs()?.join("fake_agent").display().to_string())
    }
}

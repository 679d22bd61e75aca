//! The folder that a demonstration works in: a copy of the service under git, the journal, the
//! agents' ledger and the patch.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http_client_migration::repository::Repository;

/// Where everything of one demonstration is.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The copy of the service.
    pub(crate) service: PathBuf,
    /// The engine's journal.
    pub(crate) journal: PathBuf,
    /// The agents' ledger.
    pub(crate) ledger: PathBuf,
    /// The workflow.
    pub(crate) script: PathBuf,
    /// The client's module in the service.
    pub(crate) client: String,
}

impl Workspace {
    /// Makes a folder that did not exist, and in it a committed copy of the service.
    pub(crate) fn prepare(folder: Option<&Path>) -> Result<Self> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = match folder {
            Some(folder) if folder.exists() => bail!("{} exists already", folder.display()),
            Some(folder) => folder.to_owned(),
            None => free_folder()?,
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = fs::canonicalize(&folder)?;
        let workspace = Self {
            service: folder.join("service"),
            journal: folder.join("journal.redb"),
            ledger: folder.join("ledger.ndjson"),
            script: example.join("migrate.js"),
            client: "src/lib/http-client.ts".to_owned(),
            folder,
        };
        copy(&example.join("service"), &workspace.service)?;
        workspace.commit()?;
        Ok(workspace)
    }

    /// One commit, with an identity of its own and nobody's hooks.
    fn commit(&self) -> Result<()> {
        let init = [
            "init",
            "--quiet",
            "--initial-branch=main",
            "--template=",
            ".",
        ];
        let start = Repository::unchecked(&self.service)?;
        start.git(&init)?;
        start.git(&["add", "--all", "."])?;
        start.git(&[
            "-c",
            "user.name=Parcel desk",
            "-c",
            "user.email=desk@parcels.example",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "commit.gpgSign=false",
            "commit",
            "--quiet",
            "--no-verify",
            "-m",
            "The service, with fetch() all over",
        ])?;
        Ok(())
    }

    /// Writes the difference between two commits beside the service.
    pub(crate) fn write_patch(
        &self,
        repository: &Repository,
        before: &str,
        after: &str,
    ) -> Result<PathBuf> {
        let patch = self.folder.join("migration.patch");
        let words = ["diff", "--no-ext-diff", "--no-color", before, after];
        fs::write(&patch, repository.git(&words)?)?;
        Ok(patch)
    }
}

/// The first folder of its kind that is free, under the folder of the build.
fn free_folder() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program's place")?;
    let target = program
        .ancestors()
        .nth(2)
        .context("this program lies in no build folder")?;
    let parent = target.join("http-client-migration");
    let folders = (1..).map(|number| parent.join(number.to_string()));
    folders
        .into_iter()
        .find(|folder| !folder.exists())
        .context("no folder is free")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// A path as it is typed from here.
pub(crate) fn shown(path: &Path) -> String {
    let here = env::current_dir()
        .and_then(fs::canonicalize)
        .unwrap_or_default();
    let relative = path.strip_prefix(&here).unwrap_or(path);
    relative.display().to_string()
}

//! The repository under migration: what git says of it, and files read and written safely.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::review::Hunk;

/// A folder under git.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

/// A path that git tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Relative to the repository's folder, with `/`.
    pub path: String,
    /// A regular file; else a symlink or another repository.
    pub is_file: bool,
}

impl Repository {
    /// The repository in `folder`, or the part of one that lies there.
    ///
    /// # Errors
    /// No such folder, or no git repository.
    pub fn open(folder: &Path) -> Result<Self> {
        let repository = Self::unchecked(folder)?;
        repository
            .git(&["rev-parse", "--is-inside-work-tree"])
            .with_context(|| {
                format!(
                    "{} is not in a git repository, which the check needs",
                    folder.display()
                )
            })?;
        Ok(repository)
    }

    /// A folder that need not be under git yet.
    ///
    /// # Errors
    /// No such folder.
    pub fn unchecked(folder: &Path) -> Result<Self> {
        let root = fs::canonicalize(folder)
            .with_context(|| format!("there is no folder {}", folder.display()))?;
        Ok(Self { root })
    }

    /// The folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit that the work starts from.
    ///
    /// # Errors
    /// A repository without a commit.
    pub fn head(&self) -> Result<String> {
        let head = self
            .git(&["rev-parse", "--verify", "HEAD"])
            .context("there is no commit yet")?;
        Ok(String::from_utf8_lossy(&head).trim().to_owned())
    }

    /// All that git tracks below the folder.
    ///
    /// # Errors
    /// git fails.
    pub fn tracked(&self) -> Result<Vec<Tracked>> {
        self.matching(None)
    }

    /// What git tracks below the folder and a glob matches: `src/**/*.py`.
    ///
    /// # Errors
    /// git fails.
    pub fn matching(&self, glob: Option<&str>) -> Result<Vec<Tracked>> {
        let mut words = vec!["ls-files", "-z", "--stage"];
        let pathspec = glob.map(|glob| format!(":(glob){glob}"));
        words.extend(pathspec.iter().flat_map(|spec| ["--", spec.as_str()]));
        let listing = self.git(&words)?;
        let entries = listing
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty());
        Ok(entries
            .filter_map(|entry| {
                let entry = std::str::from_utf8(entry).ok()?;
                let (stage, path) = entry.split_once('\t')?;
                Some(Tracked {
                    path: path.to_owned(),
                    is_file: stage.starts_with("100"),
                })
            })
            .collect())
    }

    /// Files that differ from the last commit.
    ///
    /// # Errors
    /// git fails.
    pub fn changed(&self) -> Result<Vec<String>> {
        self.list(&[
            "diff",
            "--name-only",
            "-z",
            "--relative",
            "--no-ext-diff",
            "HEAD",
        ])
    }

    /// Files that are neither tracked nor ignored.
    ///
    /// # Errors
    /// git fails.
    pub fn untracked(&self) -> Result<Vec<String>> {
        self.list(&["ls-files", "-z", "--others", "--exclude-standard"])
    }

    fn list(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let listing = self.git(arguments)?;
        let names = listing
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect())
    }

    /// A file as it was in the commit `base`, with the line endings that a checkout gives it.
    ///
    /// # Errors
    /// No such file in that commit, or one that is not UTF-8.
    pub fn original(&self, base: &str, file: &str) -> Result<String> {
        check_inside(file)?;
        check_hash(base)?;
        let text = self.git(&["cat-file", "--filters", &format!("{base}:./{file}")])?;
        String::from_utf8(text).with_context(|| format!("{file} is not UTF-8"))
    }

    /// Where a file differs between two commits.
    ///
    /// # Errors
    /// git fails.
    pub fn hunks(&self, base: &str, commit: &str, file: &str) -> Result<Vec<Hunk>> {
        check_inside(file)?;
        check_hash(base)?;
        check_hash(commit)?;
        let words = ["diff", "--no-ext-diff", "--no-color", "--unified=0"];
        let difference = self.git(&[&words[..], &[base, commit, "--", file]].concat())?;
        let text = String::from_utf8_lossy(&difference);
        Ok(text.lines().filter_map(Hunk::of_line).collect())
    }

    /// A file as it is now.
    ///
    /// # Errors
    /// It cannot be read, is a symlink, leads out of the folder, or is not UTF-8.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.inside(file)?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {file}"))?;
        String::from_utf8(bytes).with_context(|| format!("{file} is not UTF-8"))
    }

    /// Replaces a file in one step: whoever is killed in the middle leaves the old text or the
    /// new one. What is left of such a death is overwritten by the next attempt.
    ///
    /// # Errors
    /// It cannot be written, or leads out of the folder.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.inside(file)?;
        replace(&path, text).with_context(|| format!("cannot write {file}"))
    }

    /// The path of a file in the folder; refuses what leads out of it.
    fn inside(&self, file: &str) -> Result<PathBuf> {
        check_inside(file)?;
        let mut path = self.root.clone();
        for component in Path::new(file).components() {
            path.push(component);
            if fs::symlink_metadata(&path).is_ok_and(|data| data.file_type().is_symlink()) {
                bail!("{file} leads through a symlink");
            }
        }
        Ok(path)
    }

    /// Runs git in the folder and gives what it prints.
    ///
    /// # Errors
    /// git cannot be started or fails; its own words are in the message.
    pub fn git(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.root)
            .args(arguments)
            .stdin(Stdio::null());
        // Called from a git hook, these would lead to another repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
            command.env_remove(name);
        }
        // Agents read side by side: none may take the index's lock to refresh it.
        command.env("GIT_OPTIONAL_LOCKS", "0");
        let output = command.output().context("cannot start git")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("git {}: {}", arguments.first().unwrap_or(&""), words.trim());
        }
        Ok(output.stdout)
    }
}

fn check_hash(commit: &str) -> Result<()> {
    if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{commit} is not a commit's hash");
    }
    Ok(())
}

/// A path below the folder, with no way up.
fn check_inside(file: &str) -> Result<()> {
    let is_plain = |component: Component<'_>| matches!(component, Component::Normal(_));
    let path = Path::new(file);
    if file.is_empty() || !path.components().all(is_plain) || path.starts_with(".git") {
        bail!("{file:?} is not a path inside the repository");
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = folder.join(format!(".{name}.migrating"));
    let mut file = fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    if let Ok(data) = fs::metadata(path) {
        file.set_permissions(data.permissions())?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)
}

//! Where agent types lie: in the project, in the person's folders, in plugins.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::plugins::plugins;
use super::{AgentType, file};

/// A longer file, in bytes, is no agent's: all of them are journaled with each run.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// So many bytes of files in all, for the same reason.
const BYTES_MAX: u64 = 8 << 20;
/// So many files are looked at, and so deep.
const FILES_MAX: usize = 2_000;
const DEPTH_MAX: usize = 8;

/// A person's folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Home {
    /// Bellwether's, with `agents` in it: `~/.config/bellwether`.
    pub bellwether: Option<PathBuf>,
    /// Claude Code's, with `agents` and `plugins` in it: `~/.claude`.
    pub claude: Option<PathBuf>,
}

impl Home {
    /// The folders where they are by default, in the home directory `home`.
    #[must_use]
    pub fn at(home: &Path) -> Self {
        Self {
            bellwether: Some(home.join(".config").join("bellwether")),
            claude: Some(home.join(".claude")),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Discovered {
    /// One type a name: that of the file which goes before the others.
    pub types: Vec<AgentType>,
    /// Files that cannot be read. They hide no others.
    pub problems: Vec<Problem>,
}

/// A file that cannot be read as what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, or a folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            message: message.into(),
        }
    }
}

/// Finds the agent types for a run that is started in `directory`. Reads files, and blocks while it does.
///
/// Of several files with the same name the first counts: `.bellwether/agents`, then `.claude/agents`, from `directory` up to
/// the root of its git repository (without one: up to the nearest folder that has one of the two); then the person's own
/// folders; then the enabled plugins, whose names begin with the plugin's. Folders in them are looked through as well.
///
/// ```
/// use bellwether::agent_type::{Home, discover};
///
/// # let folder = tempfile::tempdir()?;
/// # let (project, home) = (folder.path(), folder.path());
/// std::fs::create_dir_all(project.join(".claude/agents"))?;
/// std::fs::write(project.join(".claude/agents/a.md"), "---\nname: Code Reviewer\ntools: Read, Grep\n---\nLook closely.")?;
/// let found = discover(project, &Home::at(home));
/// assert_eq!(found.types[0].name, "Code Reviewer");
/// assert!(found.problems.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn discover(directory: &Path, home: &Home) -> Discovered {
    let mut search = Search::default();
    let projects = projects(directory);
    for folder in folders(directory, home) {
        search.folder(&folder, None);
    }
    if let Some(claude) = &home.claude {
        for plugin in plugins(claude, directory, &projects, &mut search.found.problems) {
            for place in &plugin.agents {
                search.folder(place, Some(&plugin.name));
            }
        }
    }
    search.found
}

/// The folders that [`discover`] looks through, in their order, whether or not they are there; those of plugins come behind.
#[must_use]
pub fn folders(directory: &Path, home: &Home) -> Vec<PathBuf> {
    let projects = projects(directory);
    let of_project = project_folders("agents", &projects);
    of_project.chain(personal_folders("agents", home)).collect()
}

/// The folders of this name in a project's, the nearest first.
pub(crate) fn project_folders(name: &str, projects: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    projects
        .iter()
        .flat_map(move |folder| [".bellwether", ".claude"].map(|of| folder.join(of).join(name)))
}

/// The folders of this name in the person's.
pub(crate) fn personal_folders(name: &str, home: &Home) -> impl Iterator<Item = PathBuf> {
    let folders = [&home.bellwether, &home.claude].into_iter().flatten();
    folders.map(move |folder| folder.join(name))
}

/// The folders from `directory` up to its project's root.
pub(crate) fn projects(directory: &Path) -> Vec<PathBuf> {
    let count = |names: &[&str]| {
        directory
            .ancestors()
            .position(|folder| names.iter().any(|name| folder.join(name).exists()))
    };
    let last = count(&[".git"])
        .or_else(|| count(&[".bellwether", ".claude"]))
        .unwrap_or(0);
    directory
        .ancestors()
        .take(last + 1)
        .map(Path::to_path_buf)
        .collect()
}

#[derive(Default)]
struct Search {
    found: Discovered,
    names: HashSet<String>,
    /// Folders that were looked through, by their real paths: a link may lead round in a circle.
    folders: HashSet<PathBuf>,
    files: usize,
    bytes: u64,
    is_full: bool,
}

impl Search {
    /// Looks through a folder of agents, or at one file. `plugin` is whose.
    fn folder(&mut self, place: &Path, plugin: Option<&str>) {
        let mut here = HashSet::new();
        let prefix = plugin.map(|plugin| format!("{plugin}:"));
        if place.is_file() {
            self.file(place, prefix.as_deref(), &mut here);
        } else {
            self.walk(place, prefix.as_deref(), 0, &mut here);
        }
        self.names.extend(here);
    }

    /// `here` gathers the names of this place: within it, no file goes before another.
    fn walk(
        &mut self,
        folder: &Path,
        prefix: Option<&str>,
        depth: usize,
        here: &mut HashSet<String>,
    ) {
        let is_new = fs::canonicalize(folder).is_ok_and(|real| self.folders.insert(real));
        if !is_new || depth > DEPTH_MAX {
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("it cannot be looked through: {error}");
                self.found.problems.push(Problem::new(folder, message));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        // In the order of their names, so that every host finds the same.
        paths.sort_unstable();
        for path in paths {
            // Links are followed; one that leads nowhere is nobody's file.
            let Ok(kind) = fs::metadata(&path) else {
                continue;
            };
            if kind.is_dir() {
                // A plugin's folders are part of its agents' names, a project's are not.
                let prefix = prefix.map(|prefix| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    format!("{prefix}{name}:")
                });
                self.walk(&path, prefix.as_deref(), depth + 1, here);
            } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "md") {
                self.file(&path, prefix, here);
            }
        }
    }

    fn file(&mut self, path: &Path, prefix: Option<&str>, here: &mut HashSet<String>) {
        if self.is_full {
            return;
        }
        if self.files == FILES_MAX || self.bytes >= BYTES_MAX {
            self.is_full = true;
            let message = format!(
                "it and those behind it are not read: {FILES_MAX} files with {BYTES_MAX} bytes are the most"
            );
            self.found.problems.push(Problem::new(path, message));
            return;
        }
        self.files += 1;
        match self.read(path, prefix) {
            Ok(None) => {}
            Ok(Some(found)) if !here.insert(found.name.clone()) => {
                let message = format!(
                    "another file of this folder has the name `{}` too, and is the one that counts",
                    found.name
                );
                self.found.problems.push(Problem::new(path, message));
            }
            Ok(Some(found)) if self.names.contains(&found.name) => {}
            Ok(Some(found)) => self.found.types.push(found),
            Err(message) => self.found.problems.push(Problem::new(path, message)),
        }
    }

    fn read(&mut self, path: &Path, prefix: Option<&str>) -> Result<Option<AgentType>, String> {
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("it cannot be read: {error}"))?;
        if !file::begins_with_a_head(&bytes) {
            return Ok(None);
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        }
        self.bytes += bytes.len() as u64;
        let text = String::from_utf8(bytes).map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            format!("it is not UTF-8 (byte {place}): save it as UTF-8")
        })?;
        let found = file::read(&text, path, prefix.is_some())?;
        Ok(found.map(|mut found| {
            if let Some(prefix) = prefix {
                found.name.insert_str(0, prefix);
            }
            found
        }))
    }
}

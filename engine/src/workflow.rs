//! Workflows that have a name (K01): scripts in the folders where projects and people keep them, which `workflow(name)` and
//! the command line find by what their header calls them.
//!
//! A run takes the names that it was started with ([`crate::StartOptions::workflows`]) and journals them with its options,
//! as it does its agent types. The text of a workflow is read when a script first calls it, and journaled then.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bellwether_scripts::{Limits, Meta, parse};
use serde_json::Value;

use crate::Script;
use crate::agent_type::{Home, Problem, personal_folders, plugins, project_folders, projects};
use crate::bundled::FILES;

/// A longer file, in bytes, is no workflow's: the most that a script may have by default.
const FILE_BYTES_MAX: u64 = 512 << 10;
/// What folders of workflows are called.
const FOLDER: &str = "workflows";
/// So many files are looked at.
const FILES_MAX: usize = 2_000;

/// A workflow in a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Workflow {
    /// What it is called by: its `meta.name`, behind its plugin's name and a colon if it is of one.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
    /// Whose it is.
    pub origin: Origin,
    /// What it does.
    pub description: String,
    /// When to use it.
    pub when_to_use: Option<String>,
    /// The JSON Schema of its arguments, as its header has it.
    pub args: Option<Value>,
}

/// Whose a workflow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The project's.
    Project,
    /// The person's.
    Personal,
    /// An installed plugin's.
    Plugin,
    /// It comes with the program.
    Bundled,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Workflows {
    /// One workflow a name: that of the file which goes before the others.
    pub workflows: Vec<Workflow>,
    /// Files with a header that cannot be run, with the place and the remedy. They hide no others.
    pub problems: Vec<Problem>,
}

impl Workflows {
    /// The workflow of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Workflow> {
        self.workflows.iter().find(|workflow| workflow.name == name)
    }

    /// Names and files, as a run is started with them. A file that cannot be run goes by its own name, so that whoever calls
    /// it hears why.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        let broken = self.problems.iter().filter_map(|problem| {
            let stem = problem.file.file_stem()?.to_str()?;
            Some((stem.to_owned(), problem.file.clone()))
        });
        let whole = self
            .workflows
            .iter()
            .map(|workflow| (workflow.name.clone(), workflow.file.clone()));
        broken.chain(whole).collect()
    }
}

/// Finds the workflows for somebody who works in `directory`. Reads files, and blocks while it does.
///
/// Looked through are `.bellwether/workflows`, then `.claude/workflows`, from `directory` up to the root of its git repository
/// (without one: up to the nearest folder that has one of the two); then the person's own folders; then the folders
/// `workflows` of enabled plugins; then what comes with the program ([`bundled`]). In each folder the files `*.js` and `*.mjs`
/// count, in the order of their names. What has no header (`export const meta`) is a helper or a test and is left out
/// quietly, as are links that lead nowhere.
///
/// ```
/// use bellwether::agent_type::Home;
/// use bellwether::workflow::discover;
///
/// # let folder = tempfile::tempdir()?;
/// # let (project, home) = (folder.path(), folder.path());
/// std::fs::create_dir_all(project.join(".claude/workflows"))?;
/// let script = "export const meta = { name: 'review', description: 'Reviews' }\nreturn 1";
/// std::fs::write(project.join(".claude/workflows/a.js"), script)?;
/// let found = discover(project, &Home::at(home));
/// assert_eq!(found.workflows[0].name, "review");
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn discover(directory: &Path, home: &Home) -> Workflows {
    let mut search = Search::default();
    let projects = projects(directory);
    for folder in project_folders(FOLDER, &projects) {
        search.folder(&folder, Origin::Project, "");
    }
    for folder in personal_folders(FOLDER, home) {
        search.folder(&folder, Origin::Personal, "");
    }
    if let Some(claude) = &home.claude {
        // What is wrong with a plugin's other files is told where they are used.
        for plugin in plugins(claude, directory, &projects, &mut Vec::new()) {
            let prefix = format!("{}:", plugin.name);
            search.folder(&plugin.workflows, Origin::Plugin, &prefix);
        }
    }
    for (file, text) in FILES {
        search.text(PathBuf::from(file), text, Origin::Bundled);
    }
    search.found
}

/// The text of a workflow that comes with the program, by the file that [`discover`] gives for it (`bellwether:review.js`).
#[must_use]
pub fn bundled(file: &Path) -> Option<&'static str> {
    crate::bundled::bundled(file)
}

/// The JSON Schema of a script's arguments, as its header has it; `None` where it says nothing of them, or cannot be read.
#[must_use]
pub fn arguments(script: &Script) -> Option<Value> {
    let script = parse(&script.source, "script", &Limits::default()).ok()?;
    script.meta().args_schema.clone()
}

/// The folders that [`discover`] looks through, in their order, whether or not they are there; those of plugins come behind.
#[must_use]
pub fn folders(directory: &Path, home: &Home) -> Vec<PathBuf> {
    let projects = projects(directory);
    let of_project = project_folders(FOLDER, &projects);
    of_project.chain(personal_folders(FOLDER, home)).collect()
}

#[derive(Default)]
struct Search {
    found: Workflows,
    names: HashSet<String>,
    /// Files by their real paths: the person's folders may be the project's, too.
    seen: HashSet<PathBuf>,
}

impl Search {
    fn folder(&mut self, folder: &Path, origin: Origin, prefix: &str) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        // In the order of their names, so that every host finds the same.
        paths.sort_unstable();
        for path in paths {
            let is_script = path
                .extension()
                .is_some_and(|ending| ending == "js" || ending == "mjs");
            let is_new = is_script
                && path.is_file()
                && self.seen.len() < FILES_MAX
                && fs::canonicalize(&path).is_ok_and(|real| self.seen.insert(real));
            if is_new {
                self.file(path, origin, prefix);
            }
        }
    }

    fn file(&mut self, file: PathBuf, origin: Origin, prefix: &str) {
        match read(&file) {
            Ok(None) => {}
            Ok(Some(meta)) => self.add(file, meta, origin, prefix),
            Err(message) => self.found.problems.push(Problem::new(&file, message)),
        }
    }

    fn text(&mut self, file: PathBuf, text: &str, origin: Origin) {
        let name = file.to_string_lossy().into_owned();
        match parse(text, &name, &Limits::default()) {
            Ok(script) => self.add(file, script.meta().clone(), origin, ""),
            Err(refusal) => {
                let problem = Problem::new(&file, refusal.to_string());
                self.found.problems.push(problem);
            }
        }
    }

    /// The first of a name counts.
    fn add(&mut self, file: PathBuf, meta: Meta, origin: Origin, prefix: &str) {
        let name = format!("{prefix}{}", meta.name);
        if self.names.insert(name.clone()) {
            self.found.workflows.push(Workflow {
                name,
                file,
                origin,
                description: meta.description,
                when_to_use: meta.when_to_use,
                args: meta.args_schema,
            });
        }
    }
}

/// The header of a workflow's file; `None` for a file that is none.
fn read(file: &Path) -> Result<Option<Meta>, String> {
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    let text = String::from_utf8_lossy(&bytes);
    if !has_header(&text) {
        return Ok(None);
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let place = error.valid_up_to();
        format!("it is not UTF-8 (byte {place}): save it as UTF-8")
    })?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match parse(text, &name, &Limits::default()) {
        Ok(script) => Ok(Some(script.meta().clone())),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// Whether a text means to be a workflow: `export const meta`, with any space between, at the beginning of a line.
fn has_header(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.trim_start_matches('\u{feff}').split_ascii_whitespace();
        words.next() == Some("export")
            && matches!(words.next(), Some("const" | "let" | "var"))
            && words.next().is_some_and(|word| {
                word.strip_prefix("meta")
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':']))
            })
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn script(name: &str) -> String {
        format!("export const meta = {{ name: '{name}', description: 'of {name}' }}\nreturn 1\n")
    }

    #[test]
    fn k01_the_nearest_counts_and_a_broken_file_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (root, home) = (folder.path().join("project"), folder.path().join("home"));
        let inner = root.join("packages/a");
        fs::create_dir_all(root.join(".git")).unwrap();
        write(&inner, ".claude/workflows/near.js", &script("both"));
        write(&root, ".claude/workflows/far.js", &script("both"));
        write(&root, ".bellwether/workflows/b.mjs", &script("module"));
        write(
            &root,
            ".bellwether/workflows/a-broken.js",
            "export const meta = { name: 'x' }\nreturn (",
        );
        write(
            &root,
            ".bellwether/workflows/helper.js",
            "export const help = () => 1\n",
        );
        write(
            &root,
            ".bellwether/workflows/test.js",
            "// export const meta is explained here\n",
        );
        write(&root, ".bellwether/workflows/notes.md", &script("notes"));
        write(
            &root,
            ".bellwether/workflows/deeper/c.js",
            &script("deeper"),
        );
        std::os::unix::fs::symlink("nowhere.js", root.join(".bellwether/workflows/dangling.js"))
            .unwrap();
        write(&home, ".claude/workflows/mine.js", &script("mine"));
        write(
            &home,
            ".config/bellwether/workflows/both.js",
            &script("both"),
        );
        let plugin = folder.path().join("plugin");
        write(&plugin, "workflows/p.js", &script("lint"));
        let installed =
            serde_json::json!({ "plugins": { "tools@market": [{ "installPath": plugin }] } });
        write(
            &home,
            ".claude/plugins/installed_plugins.json",
            &installed.to_string(),
        );

        let found = discover(&inner, &Home::at(&home));
        let names: Vec<(&str, Origin)> = found
            .workflows
            .iter()
            .map(|workflow| (workflow.name.as_str(), workflow.origin))
            .collect();
        assert_eq!(
            names,
            [
                ("both", Origin::Project),
                ("module", Origin::Project),
                ("mine", Origin::Personal),
                ("tools:lint", Origin::Plugin),
                ("deep-research", Origin::Bundled),
                ("research", Origin::Bundled),
                ("review", Origin::Bundled),
            ]
        );
        assert!(found.get("both").unwrap().file.ends_with("near.js"));
        let [problem] = found.problems.as_slice() else {
            panic!("{:?}", found.problems);
        };
        assert!(problem.file.ends_with("a-broken.js"));
        assert!(
            problem.message.contains("a-broken.js:"),
            "{}",
            problem.message
        );
        assert!(found.files()["a-broken"].ends_with("a-broken.js"));
    }

    #[test]
    fn what_has_no_header_is_no_workflow() {
        assert!(has_header("// first\nexport  const\tmeta = {"));
        assert!(has_header("\u{feff}export const meta={"));
        assert!(!has_header("export const metadata = {"));
        assert!(!has_header("const meta = {"));
    }
}

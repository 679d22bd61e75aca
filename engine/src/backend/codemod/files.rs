//! Which files are meant: paths, folders and globs from the working directory, and nothing outside of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::GlobMatcher;
use ignore::WalkBuilder;

use super::globs;
use super::place::{Place, TaskError};

/// How many files one task may have. A larger change is split over several calls.
const FILES_MAX: usize = 50_000;
/// Installed packages are nobody's to change, even where no `.gitignore` says so.
const NEVER: &str = "node_modules";

/// The files of a task.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// By their paths from the working directory, with `/`.
    pub(super) files: BTreeMap<String, Selected>,
    /// Globs and folders in which no file was found.
    pub(super) unmatched: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub(super) struct Selected {
    /// Where it really is; or why that cannot be said.
    pub(super) path: Result<PathBuf, String>,
    /// It was named, and not only found: then it must be one that can be rewritten.
    pub(super) named: bool,
}

impl Selection {
    /// Finds what `wanted` names in the folder `directory`.
    pub(super) fn find(directory: &Path, wanted: &[String]) -> Result<Self, TaskError> {
        let place = Place::default().field("files");
        let root = directory.canonicalize().map_err(|error| {
            let shown = directory.display();
            Place::default().wrong(format!(
                "the working directory {shown} cannot be used: {error}"
            ))
        })?;
        let mut selection = Self::default();
        for (index, text) in wanted.iter().enumerate() {
            let place = place.item(index);
            stays_inside(text, &place)?;
            if globs::is_glob(text) && root.join(text).symlink_metadata().is_err() {
                let glob = globs::matcher(text, &place)?;
                selection.walk(&root, globs::folder(text), Some(&glob), text, &place)?;
            } else {
                selection.named(&root, text, &place)?;
            }
        }
        if selection.files.is_empty() {
            return Err(place.wrong(format!(
                "no file matches ({}); hidden files, `{NEVER}` and what .gitignore names are left out of globs",
                selection.unmatched.join(", ")
            )));
        }
        Ok(selection)
    }

    fn named(&mut self, root: &Path, text: &str, place: &Place) -> Result<(), TaskError> {
        let path = root.join(text);
        match path.canonicalize() {
            Ok(real) => {
                let Ok(inner) = real.strip_prefix(root) else {
                    return Err(place.wrong(format!("`{text}` leads out of the working directory")));
                };
                if real.is_dir() {
                    let inner = inner.to_path_buf();
                    return self.walk(root, &inner, None, text, place);
                }
                self.add(shown(inner), Ok(real), true, place)
            }
            Err(error) => {
                let reason = if error.kind() == io::ErrorKind::NotFound {
                    "there is no such file".to_owned()
                } else {
                    format!("it cannot be reached: {error}")
                };
                let text = text.strip_prefix("./").unwrap_or(text);
                self.add(text.to_owned(), Err(reason), true, place)
            }
        }
    }

    /// Adds the files below `folder` that `glob` matches. Symbolic links are not followed.
    fn walk(
        &mut self,
        root: &Path,
        folder: &Path,
        glob: Option<&GlobMatcher>,
        text: &str,
        place: &Place,
    ) -> Result<(), TaskError> {
        let start = root.join(folder);
        let mut found = false;
        // A glob's folder may be a link that leads out, too.
        if let Ok(real) = start.canonicalize() {
            if !real.starts_with(root) {
                return Err(place.wrong(format!("`{text}` leads out of the working directory")));
            }
            let walk = WalkBuilder::new(&start)
                .git_global(false)
                .follow_links(false)
                .filter_entry(|entry| entry.file_name() != NEVER)
                .build();
            for entry in walk {
                let entry = entry.map_err(|error| place.wrong(error.to_string()))?;
                let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                let Ok(inner) = entry.path().strip_prefix(root) else {
                    continue;
                };
                if is_file && glob.is_none_or(|glob| glob.is_match(inner)) {
                    found = true;
                    let path = shown(inner);
                    if !self.files.contains_key(&path) {
                        self.add(path, Ok(entry.into_path()), false, place)?;
                    }
                }
            }
        }
        if !found {
            self.unmatched.push(text.to_owned());
        }
        Ok(())
    }

    fn add(
        &mut self,
        shown: String,
        path: Result<PathBuf, String>,
        named: bool,
        place: &Place,
    ) -> Result<(), TaskError> {
        self.files.insert(shown, Selected { path, named });
        if self.files.len() > FILES_MAX {
            return Err(place.wrong(format!(
                "with these, the task has more than {FILES_MAX} files: split it over several calls"
            )));
        }
        Ok(())
    }
}

/// Refuses what leads out by its own text.
fn stays_inside(text: &str, place: &Place) -> Result<(), TaskError> {
    let path = Path::new(text);
    if path.as_os_str().is_empty() {
        return Err(place.wrong("an empty text names no file"));
    }
    if path.is_absolute() {
        return Err(place.wrong(format!(
            "`{text}` is absolute: give it from the working directory"
        )));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(place.wrong(format!(
            "`{text}` has `..` in it: give it from the working directory"
        )));
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

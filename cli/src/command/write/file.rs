//! The file that a written script is put into: where, under which name, with what at its head. What was there stays.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where a project keeps its workflows.
const FOLDER: &str = ".bellwether/workflows";
/// A name is cut after so many characters.
const STEM_CHARACTERS: usize = 60;
/// So many names are tried.
const TRIES: u32 = 1_000;
/// The head of a file repeats so many lines of the task; the journal has all of it.
const TASK_LINES: usize = 30;

/// The folder for a new workflow of who works in `directory`: the nearest that is there, up to the project's `root`, else the
/// root's own.
pub(crate) fn folder(directory: &Path, root: &Path) -> PathBuf {
    directory
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .map(|folder| folder.join(FOLDER))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| root.join(FOLDER))
}

/// A workflow's name as that of a file, whatever stands in it.
pub(crate) fn stem(name: &str) -> String {
    let mut stem = String::new();
    for letter in name.chars().take(STEM_CHARACTERS) {
        if letter.is_alphanumeric() || letter == '_' {
            stem.extend(letter.to_lowercase());
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "workflow" } else { stem }.to_owned()
}

/// Why a file was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// A part of its path is a link.
    Link(PathBuf),
    /// It is there.
    Exists(PathBuf),
    /// It, or its folder, cannot be made.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for NotWritten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(file) => {
                let file = file.display();
                write!(
                    formatter,
                    "{file} is a link, through which nothing is written"
                )
            }
            Self::Exists(file) => write!(formatter, "{} is there already", file.display()),
            Self::Failed(file, error) => write!(formatter, "{}: {error}", file.display()),
        }
    }
}

/// Writes `text` to `folder/<stem>.js`, or, where that is there and may not be replaced, to `<stem>-2.js` and so on. Gives the
/// file. Folders that are missing below `root` are made.
///
/// # Errors
/// [`NotWritten`]: nothing was written then.
pub(crate) fn put(
    root: &Path,
    folder: &Path,
    stem: &str,
    text: &str,
    may_replace: bool,
) -> Result<PathBuf, NotWritten> {
    // From the root on: what is above it is where the person chose to work.
    let below = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let mut place = root.to_path_buf();
    for part in below {
        place.push(part);
        if place.is_symlink() {
            return Err(NotWritten::Link(place));
        }
    }
    fs::create_dir_all(folder).map_err(|error| NotWritten::Failed(folder.to_path_buf(), error))?;
    let first = folder.join(format!("{stem}.js"));
    if may_replace {
        return put_at(&first, text, true).map(|()| first);
    }
    let others = (2..TRIES).map(|number| folder.join(format!("{stem}-{number}.js")));
    for file in [first.clone()].into_iter().chain(others) {
        match put_at(&file, text, false) {
            Ok(()) => return Ok(file),
            Err(NotWritten::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(NotWritten::Exists(first))
}

/// Writes `text` to this very file, whole or not at all.
///
/// # Errors
/// [`NotWritten`]: all is as it was.
pub(crate) fn put_at(file: &Path, text: &str, may_replace: bool) -> Result<(), NotWritten> {
    if file.is_symlink() {
        return Err(NotWritten::Link(file.to_path_buf()));
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => NotWritten::Exists(file.to_path_buf()),
        _ => NotWritten::Failed(file.to_path_buf(), error),
    };
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    // Named so that nobody takes what is half there for a workflow.
    let mut whole = tempfile::Builder::new()
        .prefix(".write-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    whole.write_all(text.as_bytes()).map_err(failed)?;
    let put = if may_replace {
        whole.persist(file)
    } else {
        whole.persist_noclobber(file)
    };
    put.map(drop).map_err(|unmoved| failed(unmoved.error))
}

/// What stands at the head of the file, for whoever finds it later.
pub(crate) struct Head<'a> {
    /// The task, in the person's words.
    pub(crate) task: &'a str,
    /// The command that proves success.
    pub(crate) verify: Option<&'a str>,
    /// Whether a person has said so.
    pub(crate) is_confirmed: bool,
    /// How to run it.
    pub(crate) run: &'a str,
    /// Whether the checks found no error.
    pub(crate) holds: bool,
}

impl Head<'_> {
    /// The script with this head, as comments.
    pub(crate) fn over(&self, script: &str) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            // Writing to a text cannot fail.
            let line: String = line.chars().map(visible).collect();
            let _ = writeln!(text, "{}", format!("// {line}").trim_end());
        };
        line("Written by `bellwether write` for this task; read it, and change what you like.");
        line("");
        let task: Vec<&str> = lines(self.task).collect();
        for told in task.iter().take(TASK_LINES) {
            line(&format!("  {told}"));
        }
        if task.len() > TASK_LINES {
            line(&format!("  … {} lines more", task.len() - TASK_LINES));
        }
        line("");
        match self.verify {
            Some(verify) => {
                let verify = lines(verify).collect::<Vec<_>>().join(" ");
                let by = if self.is_confirmed {
                    ""
                } else {
                    "   (nobody has confirmed that it does)"
                };
                line(&format!("Proves success: {verify}{by}"));
            }
            None => line("Proves success: no command is known that does."),
        }
        line(&format!(
            "Run it:         {}",
            lines(self.run).collect::<Vec<_>>().join(" ")
        ));
        if !self.holds {
            line("");
            line("The checks still find errors: `bellwether check` lists them.");
        }
        // What comes first in the file may be a mark of byte order.
        let script = script
            .trim_start_matches('\u{feff}')
            .trim_start_matches('\n');
        format!("{text}\n{}\n", script.trim_end())
    }
}

/// What would move a terminal's cursor is none of it.
fn visible(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

/// The lines of a text, by every character at which JavaScript ends a comment.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r', '\u{2028}', '\u{2029}'])
        .filter(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_nearest_folder_up_to_the_root_counts() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("project");
        let deep = root.join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir_all(place.path().join(FOLDER)).unwrap();
        assert_eq!(folder(&deep, &root), root.join(FOLDER));
        fs::create_dir_all(root.join("a").join(FOLDER)).unwrap();
        assert_eq!(folder(&deep, &root), root.join("a").join(FOLDER));
    }

    #[test]
    fn names_stay_in_their_folder() {
        for (name, expected) in [
            ("fix-all", "fix-all"),
            ("../../Etc/Passwd", "etc-passwd"),
            ("Größe & Form", "größe-form"),
            ("..", "workflow"),
            ("", "workflow"),
            ("a.js", "a-js"),
        ] {
            assert_eq!(stem(name), expected);
        }
        assert_eq!(stem(&"x".repeat(200)).len(), STEM_CHARACTERS);
    }

    #[test]
    fn what_is_there_stays() {
        let place = tempfile::tempdir().unwrap();
        let (root, folder) = (place.path(), place.path().join(FOLDER));
        let put = |text: &str, may_replace| put(root, &folder, "fix", text, may_replace);
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(put("one", false).unwrap(), folder.join("fix.js"));
        assert_eq!(put("two", false).unwrap(), folder.join("fix-2.js"));
        assert_eq!(put("three", true).unwrap(), folder.join("fix.js"));
        assert_eq!(
            (read("fix.js"), read("fix-2.js")),
            ("three".into(), "two".into())
        );
        assert!(matches!(
            put_at(&folder.join("fix.js"), "four", false),
            Err(NotWritten::Exists(_))
        ));
        let none = put_at(&folder.join("none/fix.js"), "five", true);
        assert!(matches!(none, Err(NotWritten::Failed(..))));
        let left = fs::read_dir(&folder).unwrap();
        assert_eq!(left.count(), 2, "nothing half written is left");
    }

    #[test]
    fn links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (place.path().join("root"), place.path().join("elsewhere"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(elsewhere.join("workflows")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join(".bellwether")).unwrap();
        let link = put(&root, &root.join(FOLDER), "fix", "one", false);
        assert!(matches!(link, Err(NotWritten::Link(at)) if at == root.join(".bellwether")));
        std::os::unix::fs::symlink(elsewhere.join("none"), root.join("a.js")).unwrap();
        assert!(matches!(
            put_at(&root.join("a.js"), "x", true),
            Err(NotWritten::Link(_))
        ));
        assert!(!elsewhere.join("none").exists());
    }

    #[test]
    fn the_head_is_nothing_but_comments() {
        let head = Head {
            task: "Fix it.\u{2028}throw 1\r\n\nAnd that.",
            verify: Some("npm test"),
            is_confirmed: false,
            run: "bellwether run fix.js",
            holds: false,
        };
        let text = head.over("\u{feff}export const meta = {}\n\n");
        assert_eq!(
            text,
            "// Written by `bellwether write` for this task; read it, and change what you like.
//
//   Fix it.
//   throw 1
//   And that.
//
// Proves success: npm test   (nobody has confirmed that it does)
// Run it:         bellwether run fix.js
//
// The checks still find errors: `bellwether check` lists them.

export const meta = {}
"
        );
        let long = "line\n".repeat(40);
        let head = Head {
            task: &long,
            verify: None,
            is_confirmed: true,
            holds: true,
            ..head
        };
        let text = head.over("return 1");
        assert!(text.contains("//   … 10 lines more\n"), "{text}");
        assert!(text.contains("no command is known that does"), "{text}");
    }
}

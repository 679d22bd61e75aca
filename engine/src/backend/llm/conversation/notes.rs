//! What a repository tells agents: its `AGENTS.md` and `CLAUDE.md`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The names that such notes have. A folder may have both.
const NAMES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];
/// Of one file so much is read, in bytes.
const FILE_BYTES_MAX: usize = 32 << 10;
/// Of all together so much is given, in bytes; the nearest first.
const BYTES_MAX: usize = 64 << 10;
/// So many folders are looked through.
const FOLDERS_MAX: usize = 32;

/// One file of notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectNote {
    /// Where it stands, from the repository's root.
    pub(crate) path: PathBuf,
    /// What it says, or the beginning of it.
    pub(crate) text: String,
    /// Whether it goes on.
    pub(crate) is_cut: bool,
}

impl ProjectNote {
    /// Whether it names files to be read in its place (`@docs/style.md`). They are not followed: a note could name any
    /// file of the machine.
    pub(super) fn names_others(&self) -> bool {
        let mut is_code = false;
        self.text.lines().any(|line| {
            let line = line.trim_start();
            is_code ^= line.starts_with("```");
            let name = line.trim_start_matches(['-', '*', ' ']).strip_prefix('@');
            !is_code && name.is_some_and(|name| name.contains(['/', '.']) && !name.contains(' '))
        })
    }
}

/// The notes of `folder` and of the folders above it up to `root`, the nearest last. `folder` has to be in `root`,
/// otherwise only its own are read.
///
/// Reads the disk, so call it where that may take its time. What cannot be read, is no file, or is a link that leads out of
/// `root` is left out: notes help, and their absence is no error.
#[must_use]
pub(crate) fn project_notes(folder: &Path, root: &Path) -> Vec<ProjectNote> {
    let (Ok(folder), Ok(root)) = (folder.canonicalize(), root.canonicalize()) else {
        return Vec::new();
    };
    let root = if folder.starts_with(&root) {
        root
    } else {
        folder.clone()
    };
    let mut notes: Vec<ProjectNote> = Vec::new();
    let mut left = BYTES_MAX;
    for folder in folder.ancestors().take(FOLDERS_MAX) {
        // From the nearest on, so that the farthest is what there is no room for; within a folder likewise from the back.
        for name in NAMES.iter().rev() {
            let Some(mut note) = read(&folder.join(name), &root) else {
                continue;
            };
            // `CLAUDE.md` is often a link to `AGENTS.md`, or a copy.
            if notes.iter().any(|other| other.text == note.text) {
                continue;
            }
            if note.text.len() > left {
                note.text.truncate(note.text.floor_char_boundary(left));
                note.is_cut = true;
            }
            left -= note.text.len();
            if !note.text.is_empty() {
                notes.push(note);
            }
        }
        if folder == root {
            break;
        }
    }
    notes.reverse();
    notes
}

fn read(path: &Path, root: &Path) -> Option<ProjectNote> {
    let real = path.canonicalize().ok()?;
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !real.starts_with(root) || !real.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(&real)
        .ok()?
        .take(limit)
        .read_to_end(&mut bytes)
        .ok()?;
    let is_cut = bytes.len() > FILE_BYTES_MAX;
    bytes.truncate(FILE_BYTES_MAX);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if is_cut {
        // A character that the limit went through.
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
    }
    Some(ProjectNote {
        path: path.strip_prefix(root).unwrap_or(path).to_owned(),
        text: text.trim().to_owned(),
        is_cut,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;

    use super::*;

    fn told(notes: &[ProjectNote]) -> Vec<(&str, &str)> {
        notes
            .iter()
            .map(|note| (note.path.to_str().unwrap_or("?"), note.text.as_str()))
            .collect()
    }

    #[test]
    fn the_nearest_stands_last() -> io::Result<()> {
        let outside = tempfile::tempdir()?;
        let root = outside.path().join("repository");
        let near = root.join("crates/one");
        fs::create_dir_all(&near)?;
        fs::write(outside.path().join("AGENTS.md"), "not ours")?;
        fs::write(root.join("AGENTS.md"), "of all\n")?;
        fs::write(root.join("CLAUDE.md"), "of all, for one program")?;
        fs::write(near.join("AGENTS.md"), "of one")?;
        fs::write(near.join("CLAUDE.md"), "of one")?;
        let notes = project_notes(&near, &root);
        assert_eq!(
            told(&notes),
            [
                ("AGENTS.md", "of all"),
                ("CLAUDE.md", "of all, for one program"),
                ("crates/one/CLAUDE.md", "of one"),
            ]
        );
        assert_eq!(told(&project_notes(&root.join("none"), &root)), []);
        // A folder elsewhere has its own only.
        assert_eq!(
            told(&project_notes(&root, &near))[0],
            ("AGENTS.md", "of all")
        );
        Ok(())
    }

    #[test]
    #[cfg(unix)]
    fn a_link_leads_nowhere_else() -> io::Result<()> {
        let outside = tempfile::tempdir()?;
        let root = outside.path().join("repository");
        fs::create_dir(&root)?;
        fs::write(outside.path().join("secret"), "secret")?;
        std::os::unix::fs::symlink(outside.path().join("secret"), root.join("AGENTS.md"))?;
        fs::create_dir(root.join("CLAUDE.md"))?;
        assert_eq!(project_notes(&root, &root), []);
        Ok(())
    }

    #[test]
    fn notes_are_bounded_and_the_nearest_are_kept() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let near = root.path().join("a/b");
        fs::create_dir_all(&near)?;
        for (folder, letter) in [
            (root.path(), "ä"),
            (&root.path().join("a"), "y"),
            (&near, "z"),
        ] {
            fs::write(folder.join("AGENTS.md"), letter.repeat(FILE_BYTES_MAX + 10))?;
        }
        let notes = project_notes(&near, root.path());
        assert_eq!(
            notes.iter().map(|note| note.text.len()).sum::<usize>(),
            BYTES_MAX
        );
        assert_eq!(
            told(&notes).iter().map(|note| note.0).collect::<Vec<_>>(),
            ["a/AGENTS.md", "a/b/AGENTS.md"]
        );
        assert!(notes.iter().all(|note| note.is_cut));
        fs::remove_file(near.join("AGENTS.md"))?;
        let notes = project_notes(&near, root.path());
        assert!(notes[0].text.len() <= FILE_BYTES_MAX && notes[0].text.chars().all(|c| c == 'ä'));
        Ok(())
    }

    #[test]
    fn imports_are_seen() {
        let note = |text: &str| ProjectNote {
            path: PathBuf::new(),
            text: text.into(),
            is_cut: false,
        };
        assert!(note("read\n@docs/style.md\n").names_others());
        assert!(note("- @README.md").names_others());
        for text in [
            "ask @someone",
            "@Override public",
            "```\n@a.b\n```",
            "@decorator",
        ] {
            assert!(!note(text).names_others(), "{text}");
        }
    }
}

//! Reads what git writes with `-z`: records that end with NUL, paths as they are.

use bellwether_journal::record::{ChangedFile, FileChange};

use super::{GitError, RepoPath};

/// One line of `git status --porcelain=v2 -z --no-renames`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusEntry {
    pub(crate) path: RepoPath,
    pub(crate) state: State,
}

/// What is the matter with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In the index, and the index or the file differs.
    Tracked {
        /// What the file is, beside the index.
        file: File,
        /// A submodule, and whether its commit or tracked files differ.
        submodule: Option<bool>,
    },
    /// In conflict.
    Unmerged,
    /// Not in the index. A repository of its own is listed as one folder.
    Untracked { folder: bool },
    /// Not in the index, and ignored.
    Ignored,
}

/// A tracked file beside the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    Same,
    Differs,
    Gone,
}

/// The entries of a status.
///
/// # Errors
/// The bytes are something else.
pub(crate) fn status(bytes: &[u8]) -> Result<Vec<StatusEntry>, GitError> {
    let entry = |record: &[u8]| {
        let (kind, rest) = record.split_first_chunk::<2>()?;
        let state = match kind {
            b"1 " | b"u " => {
                // XY sub mH mI mW hH hI path; in a conflict there are two more fields.
                let fields = if kind == b"u " { 10 } else { 8 };
                let parts: Vec<&[u8]> = rest.splitn(fields, |byte| *byte == b' ').collect();
                let path = *parts.get(fields - 1)?;
                let [_, in_worktree] = *parts.first()?.first_chunk()?;
                let [mark, commit, modified, _] = *parts.get(1)?.first_chunk()?;
                let state = match kind {
                    b"u " => State::Unmerged,
                    _ => State::Tracked {
                        file: match in_worktree {
                            b'.' => File::Same,
                            b'D' => File::Gone,
                            _ => File::Differs,
                        },
                        submodule: (mark == b'S').then_some(commit == b'C' || modified == b'M'),
                    },
                };
                return Some(StatusEntry {
                    path: RepoPath::new(path),
                    state,
                });
            }
            b"? " => State::Untracked {
                folder: rest.ends_with(b"/"),
            },
            b"! " => State::Ignored,
            _ => return None,
        };
        Some(StatusEntry {
            path: RepoPath::new(rest),
            state,
        })
    };
    records(bytes)
        .map(|record| entry(record).ok_or_else(|| GitError::unreadable("status")))
        .collect()
}

/// Records that end with NUL.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
}

/// What `git diff-tree -r -z --raw --numstat` (and perhaps `--patch`) lists: the files, and what follows behind them.
///
/// # Errors
/// The bytes are something else, or end too early.
pub(crate) fn diff(bytes: &[u8]) -> Result<(Vec<ChangedFile>, &[u8]), GitError> {
    let mut reader = Reader(bytes);
    let mut files = Vec::new();
    while reader.0.first() == Some(&b':') {
        let file = reader
            .raw()
            .ok_or_else(|| GitError::unreadable("diff-tree"))?;
        files.push(file);
    }
    for file in &mut files {
        let (added, removed) = reader
            .lines()
            .ok_or_else(|| GitError::unreadable("diff-tree"))?;
        (file.added, file.removed) = (added, removed);
    }
    Ok((files, reader.0.strip_prefix(b"\0").unwrap_or(reader.0)))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|byte| *byte == end)?;
        let (before, behind) = self.0.split_at(at);
        self.0 = behind.get(1..)?;
        Some(before)
    }

    /// `:<mode> <mode> <id> <id> <letter>[score] NUL path NUL`, with two paths for a renamed file.
    fn raw(&mut self) -> Option<ChangedFile> {
        let head = self.until(0)?;
        let letter = head.rsplit(|byte| *byte == b' ').next()?.first()?;
        let first = self.until(0)?;
        let (path, change) = match letter {
            b'A' => (first, FileChange::Added),
            b'D' => (first, FileChange::Deleted),
            b'R' | b'C' => (self.until(0)?, FileChange::Renamed),
            b'M' | b'T' => (first, FileChange::Modified),
            _ => return None,
        };
        Some(ChangedFile {
            path: RepoPath::new(path).text(),
            change,
            added: 0,
            removed: 0,
        })
    }

    /// `<added> TAB <removed> TAB path NUL`, or for a renamed file `… TAB NUL old NUL new NUL`; `-` for a binary one.
    fn lines(&mut self) -> Option<(u32, u32)> {
        let count = |text: &[u8]| match text {
            b"-" => Some(0),
            _ => std::str::from_utf8(text).ok()?.parse().ok(),
        };
        let added = count(self.until(b'\t')?)?;
        let removed = count(self.until(b'\t')?)?;
        if self.until(0)?.is_empty() {
            self.until(0)?;
            self.until(0)?;
        }
        Some((added, removed))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_status_is_read_with_any_path() {
        let zeros = "0".repeat(40);
        let text = format!(
            "1 .M N... 100644 100644 100644 {zeros} {zeros} a b\nc\0\
             1 A. N... 000000 100644 100644 {zeros} {zeros} staged\0\
             1 .D S..U 160000 160000 160000 {zeros} {zeros} lib\0\
             1 .M SC.. 160000 160000 160000 {zeros} {zeros} lib2\0\
             u UU N... 100644 100644 100644 100644 {zeros} {zeros} {zeros} both\0\
             ? new/\0? 1 x\0! target/\0"
        );
        let entries = status(text.as_bytes()).unwrap();
        let tracked = |file, submodule| State::Tracked { file, submodule };
        let wanted = [
            ("a b\nc", tracked(File::Differs, None)),
            ("staged", tracked(File::Same, None)),
            ("lib", tracked(File::Gone, Some(false))),
            ("lib2", tracked(File::Differs, Some(true))),
            ("both", State::Unmerged),
            ("new", State::Untracked { folder: true }),
            ("1 x", State::Untracked { folder: false }),
            ("target", State::Ignored),
        ];
        let found: Vec<(String, State)> = entries
            .into_iter()
            .map(|entry| (entry.path.text(), entry.state))
            .collect();
        assert_eq!(found, wanted.map(|(path, state)| (path.to_owned(), state)));
        for broken in ["1 .M", "2 R. x", "hello", "1 .M N... 1 2 3 4 5"] {
            assert!(status(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_diff_is_read_up_to_its_patch() {
        let id = "0".repeat(40);
        let text = format!(
            ":100644 000000 {id} {id} D\0gone\0:100644 100644 {id} {id} R095\0old\0new\tname\0\
             :000000 100644 {id} {id} A\0bin\00\t7\tgone\01\t2\t\0old\0new\tname\0-\t-\tbin\0\0diff --git"
        );
        let (files, rest) = diff(text.as_bytes()).unwrap();
        let found: Vec<_> = files
            .iter()
            .map(|file| (file.path.as_str(), file.change, file.added, file.removed))
            .collect();
        let wanted = [
            ("gone", FileChange::Deleted, 0, 7),
            ("new\tname", FileChange::Renamed, 1, 2),
            ("bin", FileChange::Added, 0, 0),
        ];
        assert_eq!(found, wanted);
        assert_eq!(rest, b"diff --git");
        assert!(diff(text.as_bytes().get(..text.len() - 20).unwrap()).is_err());
    }
}

//! Reading what of a repository its shape is made from: the names of its files, and the texts of a few of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ignore::WalkBuilder;

use super::shape::told_by;

/// So many files are counted; what is beyond is only said to be there.
const FILES_MAX: usize = 200_000;
/// As much of a file is read, in bytes.
const TEXT_BYTES_MAX: u64 = 64 << 10;

/// What was found in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The files, relative to the folder, with `/` between names, in order.
    pub(crate) paths: Vec<String>,
    /// Whether there are more than these.
    pub(crate) has_more: bool,
    /// Whether git says what belongs to it; else all counts that is not ignored.
    pub(crate) is_tracked: bool,
    /// Texts of files that say what the project is and how it is checked, by their paths; a long one only as far as it was read.
    pub(crate) texts: BTreeMap<String, String>,
}

/// Looks at the files in `folder`. What cannot be read is left out. Blocks.
pub(crate) fn survey(folder: &Path) -> Survey {
    let tracked = tracked(folder);
    let is_tracked = tracked.is_some();
    let mut paths = tracked.unwrap_or_else(|| walked(folder));
    paths.sort_unstable();
    paths.dedup();
    let has_more = paths.len() > FILES_MAX;
    paths.truncate(FILES_MAX);
    let text = |path: &str| Some((path.to_owned(), beginning(&folder.join(path))?));
    let texts = told_by(&paths).into_iter().filter_map(text).collect();
    Survey {
        paths,
        has_more,
        is_tracked,
        texts,
    }
}

/// The files that git knows, and those that it would take; `None` outside of a repository.
fn tracked(folder: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let is_some = output.status.success() && !output.stdout.is_empty();
    let paths = output.stdout.split(|&byte| byte == 0);
    let paths = paths.filter(|path| !path.is_empty());
    is_some.then(|| {
        paths
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect()
    })
}

fn walked(folder: &Path) -> Vec<String> {
    let files = WalkBuilder::new(folder).require_git(false).build();
    let files = files.filter_map(Result::ok).filter(|entry| {
        let kind = entry.file_type();
        kind.is_some_and(|kind| kind.is_file())
    });
    files
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(folder).ok()?;
            let names = path.iter().map(|name| name.to_string_lossy());
            Some(names.collect::<Vec<_>>().join("/"))
        })
        .take(FILES_MAX + 1)
        .collect()
}

/// How a file begins; `None` when it is none that can be read. A link is not followed: it may lead anywhere.
fn beginning(path: &Path) -> Option<String> {
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use super::*;

    fn put(folder: &Path, path: &str, text: &str) {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn git(folder: &Path, arguments: &[&str]) {
        let done = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}");
    }

    #[test]
    fn what_is_ignored_does_not_count_with_git_and_without() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        put(folder, "Makefile", "test:\n\ttrue\n");
        put(folder, "src/a b.c", "");
        put(folder, "out/a.o", "");
        put(folder, ".gitignore", "out/\n");
        std::os::unix::fs::symlink("Makefile", folder.join("README")).unwrap();
        let walked = survey(folder);
        assert_eq!(walked.paths, ["Makefile", "src/a b.c"]);
        assert!(!walked.is_tracked);
        git(folder, &["init", "--quiet"]);
        git(folder, &["add", "Makefile"]);
        let tracked = survey(folder);
        assert_eq!(
            tracked.paths,
            [".gitignore", "Makefile", "README", "src/a b.c"]
        );
        assert!(tracked.is_tracked);
        // The link stands among the files, and what it leads to is not read for it.
        let texts: Vec<_> = tracked.texts.into_iter().collect();
        assert_eq!(
            texts,
            [("Makefile".to_owned(), "test:\n\ttrue\n".to_owned())]
        );
        // Below the root, git's paths begin there.
        assert_eq!(survey(&folder.join("src")).paths, ["a b.c"]);
    }
}

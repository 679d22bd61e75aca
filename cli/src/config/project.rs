//! Where a project begins and where its own files are.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder of a project's own files.
pub(crate) const FOLDER: &str = ".bellwether";

/// The project that `directory` is in: the root of its git repository, else the nearest folder
/// upward that has `.bellwether` or `.claude`, else `directory` itself.
pub(crate) fn root(directory: &Path) -> PathBuf {
    let upward = |names: &[&str]| {
        directory
            .ancestors()
            .find(|folder| names.iter().any(|name| folder.join(name).exists()))
            .map(Path::to_path_buf)
    };
    upward(&[".git"])
        .or_else(|| upward(&[FOLDER, ".claude"]))
        .unwrap_or_else(|| directory.to_path_buf())
}

/// The project's settings.
pub(crate) fn settings_file(root: &Path) -> PathBuf {
    root.join(FOLDER).join("config.toml")
}

/// The project's journal, unless another is named.
pub(crate) fn journal(root: &Path) -> PathBuf {
    local(root).join("journal.redb")
}

/// Where the working trees of isolated agents are made: in the project, or beside a journal that is elsewhere.
pub(crate) fn worktrees(root: &Path, journal: &Path, is_own: bool) -> PathBuf {
    if is_own {
        local(root).join("worktrees")
    } else {
        journal.with_extension("worktrees")
    }
}

/// Where everything lies that the engine writes.
fn local(root: &Path) -> PathBuf {
    root.join(FOLDER).join("local")
}

/// Makes the folder for what the engine writes: readable by its owner alone, and unseen by git.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn prepare_local(root: &Path) -> io::Result<()> {
    let local = local(root);
    fs::create_dir_all(root.join(FOLDER))?;
    match fs::DirBuilder::new().mode(0o700).create(&local) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(&local)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(&local, fs::Permissions::from_mode(0o700))?;
            }
        }
        made => made?,
    }
    let ignore = local.join(".gitignore");
    if !ignore.exists() {
        fs::write(ignore, "*\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn folder(parent: &Path, path: &str) -> PathBuf {
        let path = parent.join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_git_root_comes_first() {
        let home = tempfile::tempdir().unwrap();
        let deep = folder(home.path(), "repo/a/b");
        folder(home.path(), "repo/.git");
        folder(home.path(), "repo/a/.bellwether");
        assert_eq!(root(&deep), home.path().join("repo"));
        // A worktree of git has a file there.
        let worktree = folder(home.path(), "worktree/src");
        fs::write(home.path().join("worktree/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(root(&worktree), home.path().join("worktree"));
    }

    #[test]
    fn then_the_nearest_folder_of_ours_or_claudes_then_here() {
        let home = tempfile::tempdir().unwrap();
        let deep = folder(home.path(), "outer/inner/deep");
        assert_eq!(root(&deep), deep);
        folder(home.path(), "outer/.bellwether");
        assert_eq!(root(&deep), home.path().join("outer"));
        folder(home.path(), "outer/inner/.claude");
        assert_eq!(root(&deep), home.path().join("outer/inner"));
    }

    #[test]
    fn what_the_engine_writes_is_private_and_unseen_by_git() {
        let home = tempfile::tempdir().unwrap();
        folder(home.path(), ".bellwether/local");
        prepare_local(home.path()).unwrap();
        prepare_local(home.path()).unwrap();
        let local = local(home.path());
        assert_eq!(
            fs::metadata(&local).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(fs::read_to_string(local.join(".gitignore")).unwrap(), "*\n");
    }
}

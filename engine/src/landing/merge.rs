//! One merge, in the object database alone: nobody's checkout and no index is touched.

use std::path::Path;

use crate::git::{Git, GitError};

/// What a merge makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// A commit with both as its parents.
    Commit(String),
    /// Nothing: these files are in conflict.
    Conflict(Vec<String>),
}

/// Merges the commit of a branch into `tip`. The same two commits give the same merge, whoever makes it and when.
///
/// # Errors
/// [`GitError`].
pub(super) async fn merge(
    git: &Git,
    top: &Path,
    tip: &str,
    branch: &str,
    commit: &str,
) -> Result<Merged, GitError> {
    let call = git.call(top).durable().arg("merge-tree");
    let call = call.args(["--write-tree", "-z", "--name-only", "--no-messages"]);
    let output = call.args([tip, commit]).output().await?;
    let mut parts = output
        .stdout
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    let tree = parts.next().unwrap_or_default();
    match output.code() {
        Some(0) => {}
        Some(1) => {
            return Ok(Merged::Conflict(
                parts.filter(|part| !part.is_empty()).collect(),
            ));
        }
        _ => return Err(output.error()),
    }
    // The time of the work and not of the merge, so that a landing that is done again makes the same commit.
    let call = git.call(top).args(["show", "--no-patch"]);
    let about = call.args(["--format=%ct%x00%s", commit]).text().await?;
    let (time, subject) = about.split_once('\0').unwrap_or(("0", ""));
    let date = format!("@{time} +0000");
    let call = git.call(top).durable().identity();
    let call = call
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date);
    let call = call.args(["commit-tree", &tree, "-p", tip, "-p", commit]);
    let message = format!("Merge {branch}: {subject}\n");
    let commit = call.args(["-F", "-"]).input(message).text().await?;
    Ok(Merged::Commit(commit))
}

//! A merge as a commit, made without a checkout.

use std::path::Path;

use super::{Branch, LeftBranch, Reason};
use crate::git::{Git, GitError, RepoPath, parse};
use crate::worktree::base::commit_of;

/// So many files in conflict are named.
const FILES_MAX: usize = 100;

/// What became of a merge.
pub(super) enum Merged {
    /// The commit that holds both.
    Commit(String),
    /// The target has the branch's commit already: this one.
    Already(String),
    /// There is none, for this reason.
    Not(LeftBranch),
}

/// Merges a branch and a target's tip. The commit depends on the two and the branch's name alone: made again, it is the
/// same.
///
/// # Errors
/// [`GitError`].
pub(super) async fn merge(
    git: &Git,
    folder: &Path,
    tip: &str,
    branch: &Branch,
) -> Result<Merged, GitError> {
    let name = &branch.name;
    let not = |reason, message: String, files| {
        Ok(Merged::Not(LeftBranch {
            branch: name.clone(),
            reason,
            message,
            files,
            output: None,
        }))
    };
    let Some(commit) = commit_of(git, folder, &format!("refs/heads/{name}")).await? else {
        return not(
            Reason::Missing,
            format!("there is no branch `{name}`"),
            None,
        );
    };
    if is_behind(git, folder, &commit, tip).await? {
        return Ok(Merged::Already(commit));
    }
    let call = git.call(folder).args(["merge-base", tip, &commit]);
    let common = call.output().await?;
    match common.code() {
        Some(0) => {}
        Some(1) => {
            let message = format!("`{name}` has no commit in common with the target");
            return not(Reason::Unrelated, message, None);
        }
        _ => return Err(common.error()),
    }
    let call = git.call(folder).durable();
    let call = call.args([
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
    ]);
    let output = call.args([tip, &commit]).output().await?;
    let mut records = parse::records(&output.stdout);
    let tree = records
        .next()
        .and_then(|tree| std::str::from_utf8(tree).ok());
    match (output.code(), tree) {
        (Some(0), Some(tree)) => {
            let commit = make_commit(git, folder, tree, tip, &commit, branch).await?;
            Ok(Merged::Commit(commit))
        }
        (Some(1), Some(_)) => {
            let mut files: Vec<String> = records.map(|path| RepoPath::new(path).text()).collect();
            let message = match files.as_slice() {
                [file] => format!("`{file}` is in conflict with what is in the target"),
                files => format!(
                    "{} files are in conflict with what is in the target",
                    files.len()
                ),
            };
            files.truncate(FILES_MAX);
            not(Reason::Conflict, message, Some(files))
        }
        (Some(0 | 1), None) => Err(GitError::unreadable("merge-tree")),
        _ => Err(output.error()),
    }
}

/// Whether `commit` is `tip` or behind it.
///
/// # Errors
/// [`GitError`].
pub(super) async fn is_behind(
    git: &Git,
    folder: &Path,
    commit: &str,
    tip: &str,
) -> Result<bool, GitError> {
    let call = git
        .call(folder)
        .args(["merge-base", "--is-ancestor", commit, tip]);
    let output = call.output().await?;
    match output.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(output.error()),
    }
}

async fn make_commit(
    git: &Git,
    folder: &Path,
    tree: &str,
    tip: &str,
    commit: &str,
    branch: &Branch,
) -> Result<String, GitError> {
    let call = git.call(folder).args(["log", "--no-walk=unsorted", "-z"]);
    let call = call.args(["--encoding=UTF-8", "--format=%ct %s", tip, commit, "--"]);
    let said = call.run().await?;
    let lines: Vec<(u64, String)> = parse::records(&said)
        .filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            let (time, subject) = line.split_once(' ')?;
            Some((time.parse().ok()?, subject.to_owned()))
        })
        .collect();
    let [(tip_time, _), (time, subject)] = lines.as_slice() else {
        return Err(GitError::unreadable("log"));
    };
    // The younger of the two: the same whenever it is made, and never before what it merges.
    let date = format!("{} +0000", tip_time.max(time));
    let label = branch.label.as_deref().unwrap_or(subject);
    let label = label.lines().next().unwrap_or_default();
    let call = git.call(folder).durable().identity();
    let call = call
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date);
    let call = call.args(["commit-tree", tree, "-p", tip, "-p", commit, "-F", "-"]);
    call.input(format!("Merge {}: {label}\n", short(&branch.name)))
        .text()
        .await
}

/// An agent's own name in its branch's; any other branch's is whole.
fn short(branch: &str) -> &str {
    let agent = branch
        .strip_prefix("bellwether/")
        .and_then(|rest| rest.rsplit('/').next());
    agent.unwrap_or(branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_branches_are_called_by_their_agents() {
        assert_eq!(short("bellwether/r-7k2m9q4d/a-3"), "a-3");
        assert_eq!(short("bellwether/r-7k2m9q4d/g2/a-3-2"), "a-3-2");
        assert_eq!(short("feature/a-3"), "feature/a-3");
    }
}

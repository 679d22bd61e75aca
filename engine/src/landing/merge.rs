//! A merge as a commit, made without a checkout.

use std::path::Path;

use super::{Branch, LeftBranch, Reason};
use crate::git::{Git, GitError, RepoPath, parse};

/// So many files in conflict are named.
const FILES_MAX: usize = 100;

/// What a branch is at.
pub(super) struct Tip {
    pub(super) commit: String,
    /// When it was committed, in seconds since 1970.
    time: u64,
    /// Its message's first paragraph, on one line.
    subject: String,
}

/// What the branches with these full names are at; one that is not there has none. One question for both, since a landing
/// asks it for each branch.
///
/// # Errors
/// [`GitError`].
pub(super) async fn tips(
    git: &Git,
    folder: &Path,
    names: [&str; 2],
) -> Result<[Option<Tip>; 2], GitError> {
    // Nothing else in a ref's name or an id is a space, and a subject may have any.
    let format = "--format=%(refname) %(objectname) %(committerdate:unix) %(contents:subject)%00";
    let call = git.call(folder).arg("for-each-ref").arg(format);
    let said = call.args(names).run().await?;
    let mut tips = [None, None];
    for line in parse::records(&said) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.trim_start_matches('\n').splitn(4, ' ');
        let (Some(name), Some(commit), Some(time)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // A name is also a folder to git, and what is below it is not meant.
        let Some(at) = names.iter().position(|wanted| *wanted == name) else {
            continue;
        };
        tips[at] = Some(Tip {
            commit: commit.to_owned(),
            time: time
                .parse()
                .map_err(|_| GitError::unreadable("for-each-ref"))?,
            subject: words.next().unwrap_or_default().to_owned(),
        });
    }
    Ok(tips)
}

/// What became of a merge.
pub(super) enum Merged {
    /// The commit that holds both.
    Commit(String),
    /// The target has the branch's commit already: this one.
    Already(String),
    /// There is none, for this reason.
    Not(LeftBranch),
}

/// Merges a branch, which is at `tip`, and a target. The commit depends on the two and the branch's name alone: made
/// again, it is the same.
///
/// # Errors
/// [`GitError`].
pub(super) async fn merge(
    git: &Git,
    folder: &Path,
    target: &Tip,
    branch: &Branch,
    tip: Option<Tip>,
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
    let Some(tip) = tip else {
        return not(
            Reason::Missing,
            format!("there is no branch `{name}`"),
            None,
        );
    };
    let call = git.call(folder);
    let call = call.args(["merge-base", &target.commit, &tip.commit]);
    let common = call.output().await?;
    match common.code() {
        // What is behind the target is itself the best that both have.
        Some(0) if common.stdout.trim_ascii_end() == tip.commit.as_bytes() => {
            return Ok(Merged::Already(tip.commit));
        }
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
    let call = call.args([&target.commit, &tip.commit]);
    let output = call.output().await?;
    let mut records = parse::records(&output.stdout);
    let tree = records
        .next()
        .and_then(|tree| std::str::from_utf8(tree).ok());
    match (output.code(), tree) {
        (Some(0), Some(tree)) => {
            let commit = make_commit(git, folder, tree, target, &tip, branch).await?;
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
    target: &Tip,
    tip: &Tip,
    branch: &Branch,
) -> Result<String, GitError> {
    // The younger of the two: the same whenever it is made, and never before what it merges.
    let date = format!("{} +0000", target.time.max(tip.time));
    let label = branch.label.as_deref().unwrap_or(&tip.subject);
    let label = label.lines().next().unwrap_or_default();
    let call = git.call(folder).durable().identity();
    let call = call
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date);
    let parents = ["-p", &target.commit, "-p", &tip.commit];
    let call = call
        .args(["commit-tree", tree])
        .args(parents)
        .args(["-F", "-"]);
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

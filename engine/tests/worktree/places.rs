//! Where isolated agents begin: folders in repositories of every kind, and those where they cannot.

use std::path::Path;

use bellwether::worktree::{Base, Git, GitError, Pool, Uncommitted, WorktreeError};

use crate::bed::{Bed, acquire, git, listing, run, sh, write};

/// A program in git's place that says of itself to be this version.
fn git_that_says(folder: &Path, version: &str) -> Git {
    let path = folder.join("git");
    let text = format!("#!/bin/sh\necho 'git version {version}'\n");
    // By another process: a program that is open for writing here, or in a child that another test is starting, cannot be
    // executed.
    sh(
        folder,
        &format!("cat >git <<'END'\n{text}END\nchmod +x git"),
    );
    Git::program(path)
}

async fn refusal(bed: &Bed, folder: &Path) -> String {
    bed.pin_in(folder).await.unwrap_err().to_string()
}

#[tokio::test]
async fn t01_what_is_missing_is_named_and_the_agent_has_no_worktree() {
    let mut bed = Bed::new();
    let outside = tempfile::tempdir().unwrap();
    assert!(
        refusal(&bed, outside.path())
            .await
            .contains("is in no git repository: run `git init`")
    );
    let absent = outside.path().join("absent");
    assert!(
        refusal(&bed, &absent)
            .await
            .contains("is in no git repository")
    );

    let bare = bed.beside("bare.git");
    bed.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    for folder in [&bare, &bed.repository.join(".git")] {
        assert!(
            refusal(&bed, folder)
                .await
                .contains("in a bare repository, which has no checkout")
        );
    }
    let empty = Bed::empty();
    assert!(
        refusal(&empty, &empty.repository)
            .await
            .contains("has no commit yet: commit")
    );

    bed.options.settings.git = Git::program("/nowhere/git");
    let missing = bed.pin().await.unwrap_err();
    assert!(
        matches!(missing, WorktreeError::Git(GitError::Missing { .. })),
        "{missing}"
    );
    assert!(
        missing
            .to_string()
            .contains("git 2.38 or later; install it"),
        "{missing}"
    );
    let opened = Pool::open(bed.options.clone()).await.unwrap_err();
    assert!(
        matches!(opened, WorktreeError::Git(GitError::Missing { .. })),
        "{opened}"
    );
    bed.options.settings.git = git_that_says(outside.path(), "2.37.7");
    let old = bed.pin().await.unwrap_err();
    assert_eq!(
        old.to_string(),
        "this is git version 2.37.7: isolated agents and merging need git 2.38 or later"
    );
}

#[tokio::test]
async fn t01_uncommitted_changes_to_tracked_files_are_refused_and_untracked_files_are_no_matter() {
    let changes: [(&str, Option<&str>); 8] = [
        ("echo more >> a.txt", Some("a.txt")),
        ("echo more >> a.txt; git add a.txt", Some("a.txt")),
        ("rm src/lib.rs", Some("src/lib.rs")),
        ("git mv a.txt b.txt", Some("a.txt, b.txt")),
        ("chmod +x a.txt", Some("a.txt")),
        ("echo new > new.txt; git add -N new.txt", Some("new.txt")),
        (
            "echo new > new.txt; echo x > x.log; mkdir node_modules; echo x > node_modules/y",
            None,
        ),
        ("touch a.txt", None),
    ];
    for (change, wanted) in changes {
        let bed = Bed::new();
        sh(&bed.repository, change);
        match (bed.pin().await, wanted) {
            (Ok(base), None) => assert_eq!(base.commit(), bed.git(&["rev-parse", "HEAD"])),
            (Err(error), Some(files)) => {
                let text = error.to_string();
                assert!(
                    matches!(error, WorktreeError::Uncommitted { .. }),
                    "{change}: {text}"
                );
                assert!(
                    text.contains(&format!("({files})")) && text.contains("include"),
                    "{text}"
                );
            }
            (pinned, _) => panic!("{change}: {pinned:?}"),
        }
    }
    let bed = Bed::new();
    for number in 0..9 {
        bed.write(&format!("f{number}"), "");
    }
    bed.git(&["add", "."]);
    let error = bed.pin().await.unwrap_err().to_string();
    assert!(
        error.starts_with("there are 9 files with uncommitted changes (f0, f1, f2, f3, f4, …)"),
        "{error}"
    );
}

#[tokio::test]
async fn t01_uncommitted_changes_are_included_without_touching_the_callers_index_or_files() {
    let mut bed = Bed::new();
    bed.options.settings.uncommitted = Uncommitted::Include;
    bed.commit("second");
    assert_eq!(
        bed.base().await.commit(),
        bed.git(&["rev-parse", "HEAD"]),
        "nothing to include"
    );
    sh(
        &bed.repository,
        "echo staged >> a.txt; git add a.txt; echo not staged >> a.txt; rm src/lib.rs
         echo new > new.txt; git add new.txt; echo untracked > other.txt; echo w > later; git add -N later",
    );
    let (before, status) = (
        listing(&bed.repository),
        bed.git(&["status", "--porcelain"]),
    );
    let index = || std::fs::read(bed.repository.join(".git/index")).unwrap();
    let index_before = index();
    let base = bed.base().await;
    assert_eq!(index(), index_before);
    assert_eq!(listing(&bed.repository), before);
    assert_eq!(bed.git(&["status", "--porcelain"]), status);

    let show = |path: &str| bed.try_git(&["show", &format!("{}:{path}", base.commit())]);
    assert_eq!(
        show("a.txt").unwrap(),
        "one\ntwo\nthree\nstaged\nnot staged"
    );
    assert_eq!(show("new.txt").unwrap(), "new");
    assert_eq!(show("later").unwrap(), "w");
    assert!(show("src/lib.rs").is_err() && show("other.txt").is_err());
    let kept = bed.git(&["rev-parse", &format!("refs/bellwether/{}/base", run())]);
    assert_eq!(kept, base.commit());
    assert_eq!(
        bed.git(&["rev-parse", &format!("{kept}^")]),
        bed.git(&["rev-parse", "HEAD"])
    );

    let pool = bed.pool().await;
    let worktree = acquire(&pool, &base, 0).await;
    assert_eq!(
        std::fs::read_to_string(worktree.path().join("new.txt")).unwrap(),
        "new\n"
    );
    worktree.release().await.unwrap();
    pool.forget(run()).await.unwrap();
    assert!(
        bed.try_git(&[
            "rev-parse",
            "--verify",
            &format!("refs/bellwether/{}/base", run())
        ])
        .is_err()
    );
}

#[tokio::test]
async fn t01_a_conflict_is_refused_even_where_changes_are_included() {
    let mut bed = Bed::new();
    bed.options.settings.uncommitted = Uncommitted::Include;
    sh(
        &bed.repository,
        "git checkout -q -b other; echo theirs > a.txt; git commit -qam theirs
         git checkout -q main; echo ours > a.txt; git commit -qam ours; git merge other",
    );
    let error = bed.pin().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "there is 1 file in conflict (a.txt): resolve that first"
    );
}

#[tokio::test]
async fn t01_the_base_is_what_the_settings_name_and_may_be_gone_later() {
    let mut bed = Bed::new();
    let first = bed.commit("second");
    bed.write("a.txt", "changed, and no matter");
    for (revision, wanted) in [
        ("main", Some(&first)),
        ("HEAD~0", Some(&first)),
        ("--help", None),
        ("nope", None),
    ] {
        bed.options.settings.base = Some(revision.to_owned());
        match (bed.pin().await, wanted) {
            (Ok(base), Some(wanted)) => assert_eq!(base.commit(), wanted),
            (Err(error), None) => {
                assert_eq!(
                    error.to_string(),
                    format!("`{revision}` names no commit of the repository")
                );
            }
            (pinned, _) => panic!("{revision}: {pinned:?}"),
        }
    }
    let again = Base::again(&bed.repository, &Git::default(), &first)
        .await
        .unwrap();
    assert_eq!(again.commit(), first);
    for gone in ["1".repeat(40), "HEAD:a.txt".to_owned()] {
        let error = Base::again(&bed.repository, &Git::default(), &gone)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("names no commit"), "{error}");
    }
}

/// Works at `folder` of a checkout, and expects its branch in the repository at `bed`.
async fn works(bed: &Bed, folder: &Path) {
    let mut options = bed.options.clone();
    options.folder = bed.beside("elsewhere");
    options.project = folder.to_owned();
    let pool = Pool::open(options).await.unwrap();
    let base = bed.pin_in(folder).await.unwrap();
    let worktree = acquire(&pool, &base, 7).await;
    let place = worktree.folder(folder);
    assert!(place.starts_with(worktree.path()));
    let prefix = folder.strip_prefix(base.top()).unwrap();
    assert!(
        place.ends_with(prefix),
        "{} in {}",
        prefix.display(),
        place.display()
    );
    write(&place.join("made.txt"), "made\n");
    let kept = worktree.keep("made").await.unwrap().changes.unwrap();
    let wanted = prefix.join("made.txt").to_str().unwrap().to_owned();
    assert_eq!(
        kept.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
        [&wanted]
    );
    let branch = kept.branch.unwrap();
    assert_eq!(
        git(folder, &["show", &format!("{branch}:{wanted}")]),
        "made"
    );
    assert!(!folder.join("made.txt").exists());
    drop(pool);
    Pool::remove_all(&Git::default(), &bed.beside("elsewhere"), folder)
        .await
        .unwrap();
    assert!(!bed.beside("elsewhere").exists() || listing(&bed.beside("elsewhere")).is_empty());
}

#[tokio::test]
async fn t01_agents_work_in_repositories_of_every_kind() {
    let bed = Bed::new();
    works(&bed, &bed.repository).await;

    let bed = Bed::new();
    works(&bed, &bed.repository.join("src/deep")).await;

    // A folder that no commit has.
    let bed = Bed::new();
    std::fs::create_dir_all(bed.repository.join("new/x")).unwrap();
    works(&bed, &bed.repository.join("new/x")).await;

    let bed = Bed::new();
    let linked = bed.beside("linked");
    bed.git(&[
        "worktree",
        "add",
        "--quiet",
        "-b",
        "other",
        linked.to_str().unwrap(),
    ]);
    works(&bed, &linked.join("src")).await;

    let bed = Bed::new();
    bed.commit("second");
    let shallow = bed.beside("shallow");
    let url = format!("file://{}", bed.repository.display());
    bed.git(&[
        "clone",
        "--quiet",
        "--depth",
        "1",
        &url,
        shallow.to_str().unwrap(),
    ]);
    works(&bed, &shallow).await;

    // A bare repository with worktrees, as some people have it.
    let bed = Bed::new();
    let (bare, checkout) = (bed.beside("bare.git"), bed.beside("checkout"));
    bed.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    git(
        &bare,
        &[
            "worktree",
            "add",
            "--quiet",
            checkout.to_str().unwrap(),
            "main",
        ],
    );
    works(&bed, &checkout).await;

    let bed = Bed::with_format("sha256").furnished();
    works(&bed, &bed.repository).await;

    // A checkout of a part of the files.
    let bed = Bed::new();
    bed.write("other/file", "x\n");
    bed.commit("second");
    bed.git(&["sparse-checkout", "set", "src"]);
    works(&bed, &bed.repository.join("src")).await;

    let bed = Bed::new();
    bed.git(&["config", "feature.manyFiles", "true"]);
    bed.git(&["config", "core.splitIndex", "true"]);
    bed.git(&["config", "index.version", "4"]);
    bed.write("a.txt", "again\n");
    bed.commit("second");
    works(&bed, &bed.repository).await;
}

#[tokio::test]
async fn a_sparse_checkouts_worktrees_are_as_sparse_and_lose_nothing() {
    let bed = Bed::new();
    bed.write("other/file", "x\n");
    bed.commit("second");
    bed.git(&["sparse-checkout", "set", "src"]);
    let (pool, base) = (bed.pool().await, bed.base().await);
    let held = acquire(&pool, &base, 0).await;
    // The second is a copy.
    let worktree = acquire(&pool, &base, 1).await;
    for worktree in [&held, &worktree] {
        assert!(!worktree.path().join("other").exists() && worktree.path().join("src").exists());
    }
    write(&worktree.path().join("src/new.rs"), "");
    let kept = worktree.keep("new").await.unwrap().changes.unwrap();
    assert_eq!(kept.files.len(), 1);
    assert_eq!(
        bed.git(&["show", &format!("{}:other/file", kept.branch.unwrap())]),
        "x"
    );
}

#[tokio::test]
async fn another_repositorys_folder_is_refused() {
    let (bed, other) = (Bed::new(), Bed::new());
    let pool = bed.pool().await;
    let base = other.base().await;
    let error = pool
        .acquire(&base, crate::bed::token(0, 1), &[])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is in another repository than"),
        "{error}"
    );
}

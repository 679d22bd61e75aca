//! What agents do to their worktrees: whatever it is, their files are kept, and the next agent finds nothing of it.

use std::path::Path;

use bellwether::worktree::{Base, Pool};

use crate::bed::{Bed, acquire, git, listing, sh, try_git};

/// What an agent does, and which files it has changed by that.
const DEEDS: &[(&str, &str, &[&str])] = &[
    ("commits by itself", "echo x > new.txt; git add .; git commit -qm mine; echo y >> a.txt", &["a.txt", "new.txt"]),
    ("commits and takes it back", "echo x > new.txt; git add .; git commit -qm mine; git reset -q --hard HEAD~", &[]),
    (
        "works on a branch of its own",
        "git checkout -q -b fix-$$; echo x > new.txt; git add .; git commit -qm mine",
        &["new.txt"],
    ),
    ("leaves a branch without commits", "git checkout -q --orphan none-$$; git rm -rqf --cached .; echo x > new.txt", &["new.txt"]),
    (
        "leaves a merge with conflicts",
        "git checkout -q -b t-$$; echo t > a.txt; git commit -qam t; git checkout -q --detach HEAD~; echo o > a.txt
         git commit -qam o; git merge t-$$",
        &["a.txt"],
    ),
    (
        "leaves a rebase half done",
        "git checkout -q -b r-$$; echo t > a.txt; git commit -qam t; git checkout -q --detach HEAD~; echo o > a.txt
         git commit -qam o; git rebase r-$$",
        &["a.txt"],
    ),
    ("bisects", "git commit -q --allow-empty -m x; git bisect start; git bisect bad; git bisect good HEAD~", &[]),
    ("removes .git", "rm .git; echo x > new.txt", &["new.txt"]),
    ("makes a repository of its own in its place", "rm .git; git init -q; git add .; git commit -qm x; echo y > n", &["n"]),
    ("removes git's own folder", "rm -rf \"$(git rev-parse --absolute-git-dir)\"; echo x > new.txt", &["new.txt"]),
    ("removes its own worktree's registration", "d=$(git rev-parse --absolute-git-dir); rm -r \"$d\"; rm .git; git worktree prune; echo x > n", &["n"]),
    ("hides its changes", "echo x >> a.txt; git update-index --assume-unchanged a.txt; rm src/lib.rs; git update-index --skip-worktree src/lib.rs", &["a.txt", "src/lib.rs"]),
    ("stages and does not keep", "echo x > new.txt; git add new.txt; rm new.txt", &[]),
    ("unstages what is there", "git rm -q --cached a.txt", &[]),
    ("stashes", "echo x >> a.txt; git stash -q", &[]),
    ("leaves a lock", "touch \"$(git rev-parse --git-path index.lock)\"; echo x > new.txt", &["new.txt"]),
    ("removes everything", "rm -rf * .gitignore", &[".gitignore", "a.txt", "src/deep/more.rs", "src/lib.rs"]),
    ("makes a folder a file", "rm -r src; echo x > src", &["src", "src/deep/more.rs", "src/lib.rs"]),
    ("makes a folder a link", "rm -r src; ln -s /tmp src", &["src", "src/deep/more.rs", "src/lib.rs"]),
    ("makes a file a folder", "rm a.txt; mkdir a.txt; echo x > a.txt/x", &["a.txt", "a.txt/x"]),
    ("makes a file a link", "ln -sf src/lib.rs a.txt", &["a.txt"]),
    ("makes folders that nobody may write to", "mkdir -p c/d e/f; echo x > c/d/x; chmod 555 c/d c; chmod 000 e", &["c/d/x"]),
    ("leaves rubbish", "mkdir -p empty/deep node_modules/x; echo x > node_modules/x/y; echo x > a.log; mkfifo pipe; touch -d 2001-01-01 a.txt", &[]),
    ("ignores more", "echo '*.tmp' >> .gitignore; echo x > a.tmp", &[".gitignore"]),
    ("ignores less", "echo > .gitignore; echo x > a.log", &[".gitignore", "a.log"]),
    ("says otherwise what is text", "printf '* text eol=crlf\\n' > .gitattributes; printf 'one\\r\\ntwo\\r\\nthree\\r\\n' > a.txt", &[".gitattributes"]),
    ("changes what git sees as the same", "cp a.txt b.txt; mv b.txt a.txt; chmod 600 a.txt", &[]),
    ("swaps files of one size and time", "printf 'eno\\ntwo\\nthree\\n' > b; touch -r a.txt b; mv b a.txt", &["a.txt"]),
];

async fn expect_pristine(pool: &Pool, base: &Base, bed: &Bed, after: &str) {
    let worktree = acquire(pool, base, 99).await;
    let place = worktree.path();
    let fresh = bed.beside("fresh");
    let commit = base.commit();
    bed.git(&[
        "worktree",
        "add",
        "--quiet",
        "--force",
        "--detach",
        fresh.to_str().unwrap(),
        commit,
    ]);
    assert_eq!(
        listing(place),
        listing(&fresh),
        "after an agent that {after}"
    );
    let state = |place: &Path| {
        // The two are registered under different names; everything else git says of them is the same.
        let admin = git(place, &["rev-parse", "--absolute-git-dir"]);
        let mut files: Vec<String> = listing(Path::new(&admin)).into_keys().collect();
        files.retain(|file| {
            !["index", "ORIG_HEAD", "commondir", "gitdir", "refs"].contains(&file.as_str())
        });
        (
            git(
                place,
                &["status", "--porcelain=v2", "--branch", "--ignored"],
            ),
            git(place, &["ls-files", "-v"]),
            files,
        )
    };
    assert_eq!(state(place), state(&fresh), "after an agent that {after}");
    assert!(
        try_git(place, &["symbolic-ref", "HEAD"]).is_err(),
        "on a branch after an agent that {after}"
    );
    bed.git(&["worktree", "remove", "--force", fresh.to_str().unwrap()]);
    worktree.release().await.unwrap();
}

#[tokio::test]
async fn t02_whatever_an_agent_does_its_files_are_kept_and_the_next_one_starts_clean() {
    let mut bed = Bed::new();
    bed.options.settings.slots_max = 1;
    let (pool, base) = (bed.pool().await, bed.base().await);
    let mut place = None;
    for (call, (deed, script, wanted)) in (0..).zip(DEEDS) {
        let worktree = acquire(&pool, &base, call).await;
        assert_eq!(
            place.get_or_insert_with(|| worktree.path().to_owned()),
            worktree.path()
        );
        sh(worktree.path(), script);
        let kept = worktree
            .keep(*deed)
            .await
            .unwrap_or_else(|error| panic!("{deed}: {error}"));
        let mut files: Vec<String> = Vec::new();
        if let Some(changes) = kept.changes {
            files.extend(changes.files.into_iter().map(|file| file.path));
            let parent = bed.git(&["rev-parse", &format!("{}^@", changes.branch.unwrap())]);
            assert_eq!(parent, base.commit(), "{deed}: one commit on the base");
        }
        files.sort();
        assert_eq!(files, *wanted, "an agent that {deed}");
        expect_pristine(&pool, &base, &bed, deed).await;
    }
    assert_eq!(
        bed.git(&["status", "--porcelain"]),
        "",
        "the main checkout is as it was"
    );
    bed.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn t02_repositories_inside_are_left_out_and_named() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 0).await;
    sh(
        worktree.path(),
        "git clone -q . src/dep; git init -q new; echo x > new/x; echo y > kept.txt; mkdir -p node_modules/z; git init -q node_modules/z",
    );
    let kept = worktree.keep("x").await.unwrap();
    let files: Vec<String> = kept
        .changes
        .unwrap()
        .files
        .into_iter()
        .map(|file| file.path)
        .collect();
    assert_eq!(files, ["kept.txt"]);
    assert_eq!(kept.left_out, ["new", "src/dep"]);
    expect_pristine(&pool, &base, &bed, "made repositories").await;
}

#[tokio::test]
async fn t02_files_that_an_agent_left_out_are_never_taken_for_removed_ones() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 0).await;
    sh(
        worktree.path(),
        "git sparse-checkout set --no-cone src; echo x > src/new.rs",
    );
    assert!(!worktree.path().join("a.txt").exists());
    let error = worktree.keep("x").await.unwrap_err().to_string();
    assert!(
        error.starts_with("the agent made its worktree sparse"),
        "{error}"
    );
    assert_eq!(bed.branches(), [""; 0]);
    bed.git(&["config", "--unset", "extensions.worktreeConfig"]);
    expect_pristine(&pool, &base, &bed, "made it sparse").await;
}

#[tokio::test]
async fn worktrees_that_somebody_removed_are_made_anew() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    for script in [
        "git clean -ffdxq",
        "rm -r .bellwether/local/worktrees/*/bw-*",
        "rm -r .git/worktrees",
        "rm -r .bellwether/local/worktrees/*/.slots/*",
        "rm -r .bellwether/local/worktrees/*/bw-*; git worktree prune",
    ] {
        acquire(&pool, &base, 0).await.release().await.unwrap();
        sh(&bed.repository, script);
        let worktree = acquire(&pool, &base, 1).await;
        std::fs::write(worktree.path().join("new.txt"), script).unwrap();
        let kept = worktree.keep("x").await.unwrap().changes.unwrap();
        assert_eq!(kept.files.len(), 1, "{script}");
        bed.git(&["branch", "-D", "-q", &kept.branch.unwrap()]);
        expect_pristine(&pool, &base, &bed, script).await;
    }
}

#[tokio::test]
async fn t02_a_branch_that_is_in_the_way_is_an_error_and_the_worktree_is_clean_again() {
    let bed = Bed::new();
    bed.git(&["branch", "bellwether"]);
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 0).await;
    sh(worktree.path(), "echo x > new.txt");
    let error = worktree.keep("x").await.unwrap_err().to_string();
    assert!(
        error.contains("a branch named `bellwether` is in the way: rename it"),
        "{error}"
    );
    expect_pristine(&pool, &base, &bed, "had no branch").await;
}

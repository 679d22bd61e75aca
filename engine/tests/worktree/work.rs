//! An agent's work in its worktree: what is kept, how, and what is not.

use std::os::unix::fs::PermissionsExt as _;

use bellwether::Changes;
use bellwether::FileChange::{self, Added, Deleted, Modified, Renamed};
use bellwether::worktree::Kept;

use crate::bed::{Bed, acquire, git, listing, sh, token, write};

#[tokio::test]
async fn t02_what_is_unchanged_leaves_nothing_and_its_worktree_is_used_again() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let mut places = Vec::new();
    for call in 0..3 {
        let worktree = acquire(&pool, &base, call).await;
        sh(
            worktree.path(),
            "touch a.txt; echo x > noise.log; mkdir empty; git status; git log",
        );
        places.push(worktree.path().to_owned());
        assert_eq!(worktree.keep("nothing").await.unwrap(), Kept::default());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    assert_eq!(bed.branches(), [""; 0]);
    assert_eq!(bed.worktrees_of_git(), 2, "the caller's and the pool's");
    assert_eq!(
        bed.git(&["status", "--porcelain"]),
        "",
        "the main checkout is as it was"
    );
}

fn shown(changes: &Changes) -> Vec<(&str, FileChange, u32, u32)> {
    let show = |file: &'_ bellwether::ChangedFile| (file.change, file.added, file.removed);
    let files = changes.files.iter();
    files
        .map(|file| {
            let (change, added, removed) = show(file);
            (file.path.as_str(), change, added, removed)
        })
        .collect()
}

#[tokio::test]
async fn t02_every_kind_of_change_is_kept_on_a_branch_of_the_engines_own() {
    let bed = Bed::new();
    bed.write("old name.txt", &"a line\n".repeat(20));
    bed.write("mode.sh", "#!/bin/sh\n");
    bed.write("becomes a folder", "x\n");
    bed.write("becomes/a file", "x\n");
    let base_commit = bed.commit("second");
    // Nothing that people have set up for their own commits may have a say in the engine's.
    for hook in [
        "pre-commit",
        "commit-msg",
        "post-checkout",
        "post-commit",
        "reference-transaction",
    ] {
        let path = bed.repository.join(".git/hooks").join(hook);
        write(
            &path,
            "#!/bin/sh\necho ran >> \"$(git rev-parse --git-common-dir)/hooked\"\nexit 1\n",
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (key, value) in [
        ("commit.gpgSign", "true"),
        ("user.signingKey", "nobody"),
        ("i18n.commitEncoding", "latin1"),
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("core.quotePath", "true"),
        ("status.showUntrackedFiles", "no"),
        ("status.renames", "true"),
        ("color.ui", "always"),
    ] {
        bed.git(&["config", key, value]);
    }
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 12).await;
    sh(
        worktree.path(),
        r#"echo four >> a.txt; rm src/lib.rs; mv "old name.txt" "neuer Name ü.txt"; chmod +x mode.sh
           printf 'bin\000ary' > image.bin; ln -s a.txt link
           rm "becomes a folder"; mkdir "becomes a folder"; echo y > "becomes a folder/inside"
           rm -r becomes; echo z > becomes
           printf n > "$(printf 'new\nline')"; printf t > "$(printf 'tab\there "q" \\ [x]*?')"
           printf b > "$(printf 'not-utf8-\351')"; printf s > ' leading and trailing '
           echo ignored > x.log"#,
    );
    let before = listing(worktree.path());
    let changes = worktree
        .keep("Größer\n\nbody\n")
        .await
        .unwrap()
        .changes
        .unwrap();
    assert_eq!(changes.base, base_commit);
    let branch = changes.branch.clone().unwrap();
    assert_eq!(branch, format!("bellwether/{}/a-12", token(0, 1).run));
    assert_eq!(bed.branches(), [branch.as_str()]);
    assert_eq!(
        bed.git(&["rev-parse", &branch]),
        changes.commit.clone().unwrap()
    );
    assert!(
        !bed.repository.join(".git/hooked").exists(),
        "a hook has run"
    );

    let mut files = shown(&changes);
    files.sort_unstable_by_key(|file| file.0.to_owned());
    let wanted = [
        (" leading and trailing ", Added, 1, 0),
        ("\"not-utf8-\\351\"", Added, 1, 0),
        ("a.txt", Modified, 1, 0),
        ("becomes", Added, 1, 0),
        ("becomes a folder", Deleted, 0, 1),
        ("becomes a folder/inside", Added, 1, 0),
        ("becomes/a file", Deleted, 0, 1),
        ("image.bin", Added, 0, 0),
        ("link", Added, 1, 0),
        ("mode.sh", Modified, 0, 0),
        ("neuer Name ü.txt", Renamed, 0, 0),
        ("new\nline", Added, 1, 0),
        ("src/lib.rs", Deleted, 0, 1),
        ("tab\there \"q\" \\ [x]*?", Added, 1, 0),
    ];
    assert_eq!(files, wanted);

    let log = "%an <%ae>|%cn <%ce>|%s|%b|%G?|%P";
    let log = bed.git(&[
        "log",
        "-1",
        "--encoding=UTF-8",
        &format!("--format={log}"),
        &branch,
    ]);
    let engine = "Bellwether <bellwether@localhost>";
    assert_eq!(
        log,
        format!("{engine}|{engine}|Größer|body\n|N|{base_commit}")
    );

    // What the branch holds is what was there, but for what git ignores.
    let checkout = bed.beside("checkout");
    sh(&bed.repository, "rm -f .git/hooks/*");
    bed.git(&[
        "worktree",
        "add",
        "--quiet",
        checkout.to_str().unwrap(),
        &branch,
    ]);
    let mut wanted = before;
    wanted.remove("x.log");
    assert_eq!(listing(&checkout), wanted);
}

#[tokio::test]
async fn t02_a_failed_attempts_changes_are_a_patch_that_can_be_applied() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 3).await;
    sh(
        worktree.path(),
        "echo four >> a.txt; git mv src/lib.rs src/main.rs; head -c 3000 /dev/urandom > noise.bin; rm -r src/deep",
    );
    let wanted = listing(worktree.path());
    let changes = worktree.discard().await.unwrap().changes.unwrap();
    assert_eq!((&changes.branch, &changes.commit), (&None, &None));
    assert_eq!(bed.branches(), [""; 0]);
    let (checkout, patch) = (bed.beside("checkout"), bed.beside("patch"));
    write(&patch, &changes.diff);
    bed.git(&[
        "worktree",
        "add",
        "--quiet",
        "--detach",
        checkout.to_str().unwrap(),
        &changes.base,
    ]);
    git(&checkout, &["apply", patch.to_str().unwrap()]);
    assert_eq!(listing(&checkout), wanted);
}

#[tokio::test]
async fn t02_later_attempts_and_long_patches() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    for (attempt, wanted) in [(1, "a-5"), (2, "a-5-2")] {
        let worktree = pool.acquire(&base, token(5, attempt), &[]).await.unwrap();
        sh(
            worktree.path(),
            "yes 'a line that is long enough' | head -n 100000 > long.txt; echo x > z.txt",
        );
        let changes = worktree.keep("long").await.unwrap().changes.unwrap();
        assert!(changes.branch.as_ref().unwrap().ends_with(wanted));
        assert_eq!(changes.attempt.0, attempt);
        assert_eq!(
            shown(&changes),
            [("long.txt", Added, 100_000, 0), ("z.txt", Added, 1, 0)]
        );
        let end = "a line that is long enough\n[this patch is longer than 1 MiB and ends here]\n";
        assert!(changes.diff.ends_with(end) && changes.diff.len() <= (1 << 20) + 100);
    }
    // The branch's name is taken: nothing of anybody's is overwritten.
    let worktree = pool.acquire(&base, token(5, 2), &[]).await.unwrap();
    write(&worktree.path().join("other.txt"), "other");
    let error = worktree.keep("again").await.unwrap_err();
    assert!(error.to_string().contains("a-5-2"), "{error}");
}

#[tokio::test]
async fn many_agents_at_once_have_worktrees_of_their_own() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let agents = (0..24).map(|call| {
        let (pool, base) = (pool.clone(), base.clone());
        tokio::spawn(async move {
            let worktree = acquire(&pool, &base, call).await;
            assert!(!worktree.path().join("mine.txt").exists());
            write(&worktree.path().join("mine.txt"), &call.to_string());
            tokio::task::yield_now().await;
            worktree
                .keep(format!("agent {call}"))
                .await
                .unwrap()
                .changes
                .unwrap()
        })
    });
    for (call, agent) in agents.collect::<Vec<_>>().into_iter().enumerate() {
        let changes = agent.await.unwrap();
        assert_eq!(shown(&changes), [("mine.txt", Added, 1, 0)]);
        let show = format!("{}:mine.txt", changes.branch.unwrap());
        assert_eq!(bed.git(&["show", &show]), call.to_string());
    }
    bed.git(&["fsck", "--strict"]);
}

//! What worktrees have beside the commit's files: links, copies, and what a setup makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether::worktree::{Base, Git, Pool, Worktree, WorktreeError};

use crate::bed::{Bed, acquire, listing, options, sh, token, write};

fn read(worktree: &Worktree, path: &str) -> Option<String> {
    fs::read_to_string(worktree.path().join(path)).ok()
}

async fn refusal(pool: &Pool, base: &Base) -> String {
    pool.acquire(base, token(0, 1), &[])
        .await
        .unwrap_err()
        .to_string()
}

/// A repository with what people have beside their commits.
fn furnished() -> Bed {
    let bed = Bed::new();
    bed.write(".env", "SECRET=1\n");
    bed.write("node_modules/lib/index.js", "lib\n");
    bed.write("not ignored/by git", "x\n");
    bed
}

#[tokio::test]
async fn t01_links_and_copies_are_there_for_every_agent_and_never_count_as_changes() {
    let mut bed = furnished();
    // Ignored with a slash at its end, a link of that name is not: it is no folder.
    bed.options.settings.link = vec![PathBuf::from("node_modules")];
    bed.options.settings.copy = vec![PathBuf::from(".env"), PathBuf::from("not ignored")];
    let (pool, base) = (bed.pool().await, bed.base().await);
    for deed in [
        "true",
        "echo SECRET=2 > .env; rm -r 'not ignored'; rm node_modules; mkdir node_modules; echo x > node_modules/mine",
        "rm .env; ln -s a.txt .env; echo more > 'not ignored/more'; git add -f node_modules .env 'not ignored'; git commit -qm x",
        "git clean -ffdxq",
    ] {
        let worktree = acquire(&pool, &base, 0).await;
        assert_eq!(
            read(&worktree, ".env").as_deref(),
            Some("SECRET=1\n"),
            "before {deed}"
        );
        assert_eq!(
            read(&worktree, "not ignored/by git").as_deref(),
            Some("x\n")
        );
        assert_eq!(read(&worktree, "not ignored/more"), None);
        assert_eq!(
            read(&worktree, "node_modules/lib/index.js").as_deref(),
            Some("lib\n")
        );
        let link = worktree.path().join("node_modules").read_link().unwrap();
        assert_eq!(link, bed.repository.join("node_modules"));
        sh(worktree.path(), deed);
        let kept = worktree.keep(deed).await.unwrap().changes;
        let files = kept.map_or_else(Vec::new, |changes| changes.files);
        let files: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        // A file of the agent's own is its work, wherever it lies.
        let wanted: &[&str] = if deed.contains("more") {
            &["not ignored/more"]
        } else {
            &[]
        };
        assert_eq!(files, wanted, "{deed}");
        for branch in bed.branches() {
            bed.git(&["branch", "-q", "-D", &branch]);
        }
    }
    assert_eq!(
        fs::read_to_string(bed.repository.join("node_modules/lib/index.js")).unwrap(),
        "lib\n"
    );
    bed.write(".env", "SECRET=3\n");
    let worktree = acquire(&pool, &base, 1).await;
    assert_eq!(
        read(&worktree, ".env").as_deref(),
        Some("SECRET=3\n"),
        "as the caller's is now"
    );
    worktree.release().await.unwrap();

    // Other settings, the same worktrees.
    drop(pool);
    bed.options.settings.link.clear();
    bed.options.settings.copy.truncate(1);
    let pool = bed.pool().await;
    let worktree = acquire(&pool, &base, 2).await;
    assert!(
        worktree
            .path()
            .ends_with(format!("{}-01", worktree_prefix(&worktree)))
    );
    assert_eq!(read(&worktree, ".env").as_deref(), Some("SECRET=3\n"));
    assert!(!worktree.path().join("node_modules").is_symlink());
    assert!(!worktree.path().join("not ignored").exists());
}

fn worktree_prefix(worktree: &Worktree) -> String {
    let name = worktree.path().file_name().unwrap().to_str().unwrap();
    name.rsplit_once('-').unwrap().0.to_owned()
}

#[tokio::test]
async fn t01_links_and_copies_that_cannot_be_are_named() {
    for (setting, path, problem) in [
        ("link", "absent", "is not in"),
        ("link", "src", "is tracked: worktrees have it anyway"),
        ("link", "../up", "is no path within the project"),
        ("copy", "/etc/passwd", "is no path within the project"),
        ("copy", "a.txt", "is tracked"),
        ("copy", ".env.local", "is not in"),
    ] {
        let mut bed = furnished();
        let paths = match setting {
            "link" => &mut bed.options.settings.link,
            _ => &mut bed.options.settings.copy,
        };
        paths.push(PathBuf::from(path));
        let error = refusal(&bed.pool().await, &bed.base().await).await;
        let wanted = format!("`[worktree] {setting}`: `{path}` {problem}");
        assert!(error.starts_with(&wanted), "{error}");
    }
}

#[tokio::test]
async fn t01_a_copy_never_follows_a_link_of_the_commit_out_of_the_worktree() {
    let mut bed = Bed::new();
    let outside = bed.beside("outside");
    write(&outside.join("mine"), "mine\n");
    std::os::unix::fs::symlink(&outside, bed.repository.join("x")).unwrap();
    bed.commit("a link");
    let base = bed.base().await;
    sh(&bed.repository, "rm x; mkdir x; echo secret > x/secret");
    bed.options.settings.copy = vec![PathBuf::from("x/secret")];
    let error = refusal(&bed.pool().await, &base).await;
    assert!(
        error.contains("`x/secret` lies below what is no folder in the commit"),
        "{error}"
    );
    assert_eq!(listing(&outside).len(), 1);
}

#[tokio::test]
async fn t01_worktreeinclude_names_ignored_files_to_copy() {
    let bed = Bed::new();
    bed.write(
        ".worktreeinclude",
        "# what agents need\n.env*\n!.env.example\nsecrets/\n*.txt\n/.bellwether\n",
    );
    bed.write(
        ".gitignore",
        "/.bellwether/local/\n*.log\n.env*\nsecrets\n!.env.example\n",
    );
    bed.write(".env.example", "tracked\n");
    bed.commit("include");
    for path in [
        ".env",
        ".env.local",
        "src/.env",
        "secrets/deep/key",
        "not-ignored.txt",
        "x.log",
    ] {
        bed.write(path, path);
    }
    let (pool, base) = (bed.pool().await, bed.base().await);
    let mut held = Vec::new();
    for call in 0..2 {
        // The worktree that is there already is none of what is copied.
        let worktree = acquire(&pool, &base, call).await;
        let mut found = listing(worktree.path());
        found.retain(|_, what| what != "folder");
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        let wanted = [
            ".env",
            ".env.example",
            ".env.local",
            ".gitignore",
            ".worktreeinclude",
            "a.txt",
            "secrets/deep/key",
            "src/.env",
            "src/deep/more.rs",
            "src/lib.rs",
        ];
        assert_eq!(names, wanted);
        assert_eq!(found["src/.env"], "0 src/.env");
        held.push(worktree);
    }
}

/// A setup that leaves a trace of each run outside of the worktree.
fn with_setup(bed: &mut Bed, script: &str) -> PathBuf {
    let trace = bed.beside("trace");
    let script = format!("echo ran >> {}\n{script}", trace.display());
    bed.options.settings.setup = Some(script);
    trace
}

fn runs(trace: &Path) -> usize {
    fs::read_to_string(trace)
        .unwrap_or_default()
        .lines()
        .count()
}

#[tokio::test]
async fn t01_a_setup_runs_once_for_a_worktree_and_its_products_stay() {
    let mut bed = Bed::new();
    let script = "mkdir -p node_modules/lib made; cat a.txt > node_modules/lib/a; echo x > made/x
                  echo noise >> a.txt; rm src/lib.rs";
    let trace = with_setup(&mut bed, script);
    bed.options.settings.setup_inputs = vec![PathBuf::from("a.txt"), PathBuf::from("absent.lock")];
    let (pool, base) = (bed.pool().await, bed.base().await);
    let one = acquire(&pool, &base, 0).await;
    let two = acquire(&pool, &base, 1).await;
    assert_eq!(runs(&trace), 2, "once for each");
    assert_eq!(
        read(&one, "a.txt").unwrap(),
        "one\ntwo\nthree\n",
        "tracked files are the base's"
    );
    assert!(one.path().join("src/lib.rs").exists());
    sh(
        one.path(),
        "echo mine > mine.txt; echo left > made/left; touch rubbish.log",
    );
    let changes = one.keep("x").await.unwrap().changes.unwrap();
    assert_eq!(
        changes
            .files
            .iter()
            .map(|file| &file.path)
            .collect::<Vec<_>>(),
        ["mine.txt"]
    );
    two.release().await.unwrap();

    let again = acquire(&pool, &base, 2).await;
    assert_eq!(runs(&trace), 2);
    assert_eq!(
        read(&again, "node_modules/lib/a").as_deref(),
        Some("one\ntwo\nthree\n")
    );
    assert_eq!(read(&again, "mine.txt"), None);
    assert_eq!(read(&again, "rubbish.log"), None);
    again.release().await.unwrap();

    // The next engine finds what the last one has set up.
    drop(pool);
    bed.options.epoch = bellwether::Epoch(2);
    let pool = bed.pool().await;
    acquire(&pool, &base, 3).await.release().await.unwrap();
    assert_eq!(runs(&trace), 2);

    // Another commit with the same inputs, then one with others.
    bed.write("b.txt", "b\n");
    let same = base.at(bed.commit("same inputs"));
    acquire(&pool, &same, 4).await.release().await.unwrap();
    assert_eq!(runs(&trace), 2);
    bed.write("a.txt", "other\n");
    let other = base.at(bed.commit("other inputs"));
    let worktree = acquire(&pool, &other, 5).await;
    assert_eq!(runs(&trace), 3);
    assert_eq!(
        read(&worktree, "node_modules/lib/a").as_deref(),
        Some("other\n")
    );
    // An agent that changes an input may have changed what was made of it, too.
    sh(
        worktree.path(),
        "echo agent > a.txt; echo agent > node_modules/lib/a",
    );
    worktree.discard().await.unwrap();
    let worktree = acquire(&pool, &other, 6).await;
    assert_eq!(runs(&trace), 4);
    sh(worktree.path(), "rm -r node_modules");
    worktree.release().await.unwrap();
    acquire(&pool, &other, 7).await.release().await.unwrap();
    assert_eq!(runs(&trace), 5, "what it had made was gone");
}

#[tokio::test]
async fn t01_a_failing_setup_fails_the_agent_with_the_end_of_its_output() {
    let mut bed = Bed::new();
    let trace = with_setup(
        &mut bed,
        "seq 1 5000; echo half > half.txt; echo 'npm ERR! no such package' >&2; exit 3",
    );
    let (pool, base) = (bed.pool().await, bed.base().await);
    for call in 1..3 {
        let error = pool.acquire(&base, token(call, 1), &[]).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("ended with exit code 3: npm ERR! no such package"),
            "{text}"
        );
        let evidence = error.evidence().unwrap();
        assert!(
            evidence.ends_with("4999\n5000\nnpm ERR! no such package"),
            "{evidence}"
        );
        assert!(
            evidence.len() <= 4096 && evidence.starts_with(|digit: char| digit.is_ascii_digit())
        );
        assert_eq!(runs(&trace), call as usize, "it is due again");
    }
    // Nothing of what it did half counts as the next agent's work.
    drop(pool);
    bed.options.settings.setup = None;
    let pool = bed.pool().await;
    let worktree = acquire(&pool, &base, 9).await;
    assert_eq!(read(&worktree, "half.txt"), None);
    assert_eq!(worktree.keep("x").await.unwrap().changes, None);
}

#[tokio::test]
async fn t01_a_setup_that_takes_too_long_or_is_not_waited_for_leaves_no_process() {
    let mut bed = Bed::new();
    let pids = bed.beside("pids");
    let script = format!(
        "setsid sleep 1000 & echo $! >> {}; sleep 1000",
        pids.display()
    );
    with_setup(&mut bed, &script);
    bed.options.settings.setup_timeout = Duration::from_millis(300);
    let base = bed.base().await;
    let pool = bed.pool().await;
    let error = pool.acquire(&base, token(0, 1), &[]).await.unwrap_err();
    assert!(matches!(error, WorktreeError::Setup { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("took longer than 300ms and was ended"),
        "{error}"
    );
    let gone = || {
        let pids = fs::read_to_string(&pids).unwrap_or_default();
        let alive = |pid: &str| Path::new("/proc").join(pid).join("exe").exists();
        !pids.is_empty() && !pids.lines().any(alive)
    };
    assert!(gone());

    drop(pool);
    fs::remove_file(&pids).unwrap();
    bed.options.settings.setup_timeout = Duration::from_secs(1000);
    let pool = bed.pool().await;
    let acquiring = tokio::spawn({
        let (pool, base) = (pool.clone(), base.clone());
        async move { pool.acquire(&base, token(1, 1), &[]).await.map(drop) }
    });
    while fs::read_to_string(&pids).is_err() {
        tokio::task::yield_now().await;
    }
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    while !gone() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn setups_run_in_the_projects_folder_with_links_and_copies_at_hand() {
    let mut bed = Bed::new();
    bed.write("src/.env", "FROM_ENV\n");
    bed.options.project = bed.repository.join("src");
    bed.options.settings.copy = vec![PathBuf::from(".env")];
    with_setup(
        &mut bed,
        "cat .env lib.rs > made.log; git rev-parse --show-prefix >> made.log",
    );
    let base = bed.pin_in(&bed.repository.join("src")).await.unwrap();
    let worktree = acquire(&bed.pool().await, &base, 0).await;
    assert_eq!(
        read(&worktree, "src/made.log").as_deref(),
        Some("FROM_ENV\npub mod deep;\nsrc/\n")
    );
}

#[tokio::test]
async fn t01_submodules_come_from_the_main_checkout_without_a_network() {
    let bed = Bed::new();
    let (lib, inner) = (Bed::new(), Bed::new());
    let add = |at: &Bed, what: &Bed, path: &str| {
        let url = what.repository.to_str().unwrap();
        at.git(&[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            "-b",
            "main",
            url,
            path,
        ]);
        at.commit("a submodule");
    };
    add(&lib, &inner, "inner");
    add(&bed, &lib, "vendor/lib");
    add(&bed, &inner, "not fetched");
    bed.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "update",
        "--quiet",
        "--init",
        "--recursive",
    ]);
    bed.git(&["submodule", "deinit", "--quiet", "--force", "not fetched"]);
    let config = fs::read(bed.repository.join(".git/config")).unwrap();
    // Nothing may be fetched: there is nowhere to fetch from.
    let (pool, base) = (bed.pool().await, bed.base().await);
    drop((lib, inner));
    let held = acquire(&pool, &base, 0).await;
    let worktree = acquire(&pool, &base, 1).await;
    for worktree in [&held, &worktree] {
        assert_eq!(
            read(worktree, "vendor/lib/inner/a.txt").as_deref(),
            Some("one\ntwo\nthree\n")
        );
        assert!(listing(&worktree.path().join("not fetched")).is_empty());
        assert_eq!(
            crate::bed::git(worktree.path(), &["status", "--porcelain"]),
            ""
        );
    }
    sh(
        worktree.path(),
        "echo x > new.txt; echo x > vendor/lib/build.log; echo x > vendor/lib/untracked",
    );
    let changes = worktree.keep("x").await.unwrap().changes.unwrap();
    assert_eq!(
        changes
            .files
            .iter()
            .map(|file| &file.path)
            .collect::<Vec<_>>(),
        ["new.txt"]
    );

    for deed in [
        "echo x >> vendor/lib/a.txt; echo x > new.txt",
        "cd vendor/lib; echo x >> a.txt; git commit -qam x",
        "echo x >> vendor/lib/inner/a.txt",
    ] {
        let worktree = acquire(&pool, &base, 2).await;
        assert!(!worktree.path().join("vendor/lib/untracked").exists());
        sh(worktree.path(), deed);
        let error = worktree.keep("x").await.unwrap_err().to_string();
        assert!(
            error.contains("inside the submodule `vendor/lib` were changed"),
            "{deed}: {error}"
        );
        let worktree = acquire(&pool, &base, 3).await;
        assert_eq!(
            crate::bed::git(worktree.path(), &["status", "--porcelain"]),
            "",
            "{deed}"
        );
        worktree.release().await.unwrap();
    }
    let worktree = acquire(&pool, &base, 4).await;
    sh(worktree.path(), "rm -r vendor");
    let changes = worktree.keep("x").await.unwrap().changes.unwrap();
    assert_eq!(changes.files[0].path, "vendor/lib");
    let worktree = acquire(&pool, &base, 5).await;
    assert!(
        worktree.path().join("vendor/lib/inner/a.txt").exists(),
        "filled again"
    );
    worktree.release().await.unwrap();
    assert_eq!(
        fs::read(bed.repository.join(".git/config")).unwrap(),
        config
    );

    sh(
        &bed.repository,
        "git update-index --cacheinfo 160000,1111111111111111111111111111111111111111,vendor/lib; git commit -qm ahead",
    );
    let ahead = base.at(bed.git(&["rev-parse", "HEAD"]));
    let error = refusal(&pool, &ahead).await;
    assert!(
        error.contains("the submodule `vendor/lib` needs commit 1111")
            && error.contains("submodule update --init"),
        "{error}"
    );
}

#[tokio::test]
async fn t01_filters_of_the_repository_work_as_in_any_checkout_and_a_broken_one_is_named() {
    // What git-lfs is to git: a filter that keeps the content elsewhere and a pointer in the commit.
    let bed = Bed::new();
    let store = bed.beside("store");
    fs::create_dir(&store).unwrap();
    let store = store.display();
    let filter = [
        (
            "clean",
            format!(
                "sh -c 'cat > {store}/tmp; h=$(sha1sum < {store}/tmp | cut -c1-40); mv {store}/tmp {store}/$h; echo pointer $h'"
            ),
        ),
        ("smudge", format!("sh -c 'read _ h; cat {store}/$h'")),
        ("required", "true".to_owned()),
    ];
    for (key, value) in &filter {
        bed.git(&["config", &format!("filter.lfs.{key}"), value]);
    }
    bed.write(".gitattributes", "*.bin filter=lfs\n");
    bed.write("big.bin", "content\n");
    bed.commit("filtered");
    assert!(bed.git(&["show", "HEAD:big.bin"]).starts_with("pointer "));
    let (pool, base) = (bed.pool().await, bed.base().await);
    let held = acquire(&pool, &base, 0).await;
    let worktree = acquire(&pool, &base, 1).await;
    for worktree in [&held, &worktree] {
        assert_eq!(read(worktree, "big.bin").as_deref(), Some("content\n"));
    }
    write(&worktree.path().join("other.bin"), "other\n");
    let changes = worktree.keep("x").await.unwrap().changes.unwrap();
    assert_eq!(changes.files.len(), 1, "{changes:?}");
    let shown = bed.git(&["show", &format!("{}:other.bin", changes.branch.unwrap())]);
    assert!(shown.starts_with("pointer "), "{shown}");
    drop(held);

    // Without the program there is no worktree of half the content.
    bed.git(&[
        "config",
        "filter.lfs.smudge",
        "git-lfs-that-is-not-there smudge",
    ]);
    let elsewhere = Pool::open(options(&bed.repository, "another", 1))
        .await
        .unwrap();
    let error = refusal(&elsewhere, &base).await;
    assert!(
        error.contains("filter") && error.contains("install its program (for `lfs`: git-lfs)"),
        "{error}"
    );
    drop(elsewhere);

    // Unless it was never asked for: then the pointer is the file, here as in the main checkout.
    for (key, _) in &filter {
        bed.git(&["config", "--unset", &format!("filter.lfs.{key}")]);
    }
    let elsewhere = Pool::open(options(&bed.repository, "another", 1))
        .await
        .unwrap();
    let worktree = acquire(&elsewhere, &base, 2).await;
    assert!(read(&worktree, "big.bin").unwrap().starts_with("pointer "));
    assert_eq!(worktree.keep("x").await.unwrap().changes, None);
    let folder = bed.repository.join(".bellwether/local/worktrees");
    let error = Pool::remove_all(&Git::default(), &folder, &bed.repository)
        .await
        .unwrap_err();
    assert!(matches!(error, WorktreeError::Busy(_)), "{error}");
}

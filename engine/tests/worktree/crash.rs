//! Engines that die, attempts that are dropped, and two engines on one repository.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bellwether::worktree::{Base, Git, Pool, WorktreeError};
use bellwether::{Digest, Epoch, PreviousAttempt};

use crate::bed::{Bed, acquire, interrupted, listing, options, sh, token, write};

const VICTIM: &str = "BELLWETHER_TEST_VICTIM";

/// No test by itself: the engine that the others kill. It takes worktrees for the calls 0 to 3, works in three of them,
/// keeps one, says so, and waits.
#[tokio::test]
async fn victim() {
    let Some(repository) = std::env::var_os(VICTIM).map(PathBuf::from) else {
        return;
    };
    let mut options = options(&repository, "journal", 1);
    options.journal = Digest::of("victim", &[]);
    let pool = Pool::open(options.clone()).await.unwrap();
    let base = Base::pin(&repository, &options.settings, token(0, 1).run, &repository)
        .await
        .unwrap();
    let mut held = Vec::new();
    for call in 0..4 {
        held.push(acquire(&pool, &base, call).await);
    }
    sh(
        held[0].path(),
        "echo zero > zero.txt; echo x >> a.txt; git commit -qam x",
    );
    sh(held[1].path(), "touch noise.log; touch .git-is-none");
    fs::remove_file(held[1].path().join(".git-is-none")).unwrap();
    sh(
        held[2].path(),
        "rm src/lib.rs; touch \"$(git rev-parse --git-path index.lock)\"",
    );
    let kept = held.pop().unwrap();
    sh(kept.path(), "echo three > three.txt");
    kept.keep("kept, and never journaled").await.unwrap();
    writeln!(std::io::stdout(), "ready").unwrap();
    std::future::pending::<()>().await;
}

/// Runs the victim up to its word, and kills it.
fn kill_an_engine(bed: &Bed) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "crash::victim",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(VICTIM, &bed.repository)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let said = lines
        .map_while(Result::ok)
        .any(|line| line.ends_with("ready"));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(said, "the victim did not come so far");
}

fn files(changes: &[bellwether::Changes]) -> Vec<(u32, Vec<&str>)> {
    let paths = |changes: &'_ bellwether::Changes| changes.attempt.0;
    changes
        .iter()
        .map(|changes| {
            (
                paths(changes),
                changes
                    .files
                    .iter()
                    .map(|file| file.path.as_str())
                    .collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn t02_what_a_killed_engine_left_is_handed_to_the_next_attempts_as_patches() {
    let mut bed = Bed::new();
    kill_an_engine(&bed);
    assert_eq!(bed.branches().len(), 1);
    bed.options.journal = Digest::of("victim", &[]);
    bed.options.epoch = Epoch(2);
    let (pool, base) = (bed.pool().await, bed.base().await);
    let next = |call, attempt| {
        let mut token = token(call, attempt);
        token.epoch = Epoch(2);
        token
    };
    for (call, wanted) in [
        (0, vec![(1, vec!["a.txt", "zero.txt"])]),
        (1, vec![]),
        (2, vec![(1, vec!["src/lib.rs"])]),
        (3, vec![(1, vec!["three.txt"])]),
    ] {
        let worktree = pool
            .acquire(&base, next(call, 2), &interrupted(1))
            .await
            .unwrap();
        let leftovers = worktree.leftovers();
        assert_eq!(files(leftovers), wanted, "call {call}");
        assert!(
            leftovers
                .iter()
                .all(|changes| changes.branch.is_none() && changes.base == base.commit())
        );
        assert_eq!(
            crate::bed::git(worktree.path(), &["status", "--porcelain", "--ignored"]),
            ""
        );
        worktree.release().await.unwrap();
    }
    assert_eq!(
        bed.branches(),
        [""; 0],
        "the branch that nobody knows of is gone"
    );
    assert_eq!(
        bed.worktrees_of_git(),
        1 + 4 + 1,
        "the same worktrees, and their template"
    );

    // A third attempt, after the second was cut off as well: both patches come again. After one that was journaled: none.
    let again = pool
        .acquire(&base, next(0, 3), &interrupted(2))
        .await
        .unwrap();
    assert_eq!(files(again.leftovers()), [(1, vec!["a.txt", "zero.txt"])]);
    again.release().await.unwrap();
    let mut earlier = interrupted(2);
    earlier[1].ended = "crash".to_owned();
    let later = pool.acquire(&base, next(0, 3), &earlier).await.unwrap();
    assert_eq!(files(later.leftovers()), []);
    later.release().await.unwrap();
    pool.forget(token(0, 1).run).await.unwrap();
    let forgotten = pool
        .acquire(&base, next(2, 2), &interrupted(1))
        .await
        .unwrap();
    assert_eq!(files(forgotten.leftovers()), []);
}

#[tokio::test]
async fn t02_a_worktree_that_is_dropped_is_cleaned_before_anybody_gets_it_and_what_it_held_is_a_patch()
 {
    let mut bed = Bed::new();
    bed.options.settings.slots_max = 1;
    let (pool, base) = (bed.pool().await, bed.base().await);
    let worktree = acquire(&pool, &base, 0).await;
    let place = worktree.path().to_owned();
    write(&place.join("half.txt"), "half\n");
    drop(worktree);
    let other = acquire(&pool, &base, 1).await;
    assert_eq!(other.path(), place);
    assert!(!place.join("half.txt").exists() && other.leftovers().is_empty());
    other.release().await.unwrap();
    // The engine lives, so the attempt's failure is in the journal, but not what it had changed.
    let lost = [PreviousAttempt {
        attempt: 1,
        ended: "crash".to_owned(),
        message: "panicked".to_owned(),
    }];
    let again = pool.acquire(&base, token(0, 2), &lost).await.unwrap();
    assert_eq!(files(again.leftovers()), [(1, vec!["half.txt"])]);
    assert!(again.leftovers()[0].diff.contains("+half"));
}

#[tokio::test]
async fn waiting_for_a_worktree_can_be_given_up() {
    let mut bed = Bed::new();
    bed.options.settings.slots_max = 1;
    let (pool, base) = (bed.pool().await, bed.base().await);
    let held = acquire(&pool, &base, 0).await;
    for _ in 0..3 {
        let token = token(1, 1);
        let waiting = pool.acquire(&base, token, &[]);
        tokio::select! {
            biased;
            _ = waiting => panic!("there is only one"),
            () = std::future::ready(()) => {}
        }
    }
    held.release().await.unwrap();
    acquire(&pool, &base, 2).await.release().await.unwrap();
}

#[tokio::test]
async fn two_engines_on_one_repository_do_not_disturb_each_other() {
    let bed = Bed::new();
    let one = bed.pool().await;
    let busy = Pool::open(bed.options.clone()).await.unwrap_err();
    assert!(matches!(busy, WorktreeError::Busy(_)), "{busy}");
    let two = Pool::open(options(&bed.repository, "another", 1))
        .await
        .unwrap();
    let base = bed.base().await;
    let makers = (0..12).map(|call| {
        let (pool, base) = (
            if call % 2 == 0 {
                one.clone()
            } else {
                two.clone()
            },
            base.clone(),
        );
        tokio::spawn(async move {
            let worktree = acquire(&pool, &base, call).await;
            write(&worktree.path().join("mine.txt"), &call.to_string());
            worktree.discard().await.unwrap().changes.unwrap()
        })
    });
    for (call, maker) in makers.collect::<Vec<_>>().into_iter().enumerate() {
        let changes = maker.await.unwrap();
        assert!(changes.diff.contains(&format!("+{call}\n")), "{changes:?}");
        assert_eq!(changes.files.len(), 1);
    }
    // What one has removed is no matter to the other.
    let folder = bed.repository.join(".bellwether/local/worktrees");
    drop(one);
    assert!(matches!(
        Pool::remove_all(&Git::default(), &folder, &bed.repository).await,
        Err(WorktreeError::Busy(_))
    ));
    acquire(&two, &base, 50).await.release().await.unwrap();
    drop(two);
    Pool::remove_all(&Git::default(), &folder, &bed.repository)
        .await
        .unwrap();
    assert!(listing(&folder).is_empty());
    assert_eq!(bed.worktrees_of_git(), 1);
    let registered = bed.repository.join(".git/worktrees");
    assert!(
        !registered.exists() || listing(&registered).is_empty(),
        "no garbage with git"
    );
}

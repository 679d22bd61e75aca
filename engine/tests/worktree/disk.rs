//! Disks that are full, and the limit that keeps them from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use bellwether::worktree::{Pool, WorktreeError};

use crate::bed::{Bed, acquire, listing, sh, token};

const MIB: u64 = 1 << 20;

/// A small disk of its own. Only root may have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            other => {
                not_tested(&format!("no small disk can be mounted: {other:?}"));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests should see what was left out"
)]
fn not_tested(reason: &str) {
    eprintln!("NOT TESTED: {reason}");
}

/// A repository of a good MiB.
fn big() -> Bed {
    let bed = Bed::new();
    for number in 0..16 {
        bed.write(&format!("data/{number}"), &"0123456789abcde\n".repeat(5000));
    }
    bed.commit("big");
    bed
}

#[tokio::test]
async fn t01_a_full_disk_is_named_and_what_was_half_made_is_gone() {
    let mut bed = big();
    let Some(disk) = SmallDisk::mount(bed.beside("disk"), "5m") else {
        return;
    };
    bed.options.folder = disk.0.join("worktrees");
    let (pool, base) = (bed.pool().await, bed.base().await);
    // Two fit, with the template of the second; the next does not.
    let held = [
        acquire(&pool, &base, 0).await,
        acquire(&pool, &base, 1).await,
    ];
    let before = usage(&disk.0);
    let error = pool.acquire(&base, token(2, 1), &[]).await.unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("no space is left on the disk") && text.contains("disk_limit"),
        "{text}"
    );
    assert_eq!(usage(&disk.0), before, "what there was of it is gone");
    assert_eq!(bed.worktrees_of_git(), 1 + 2 + 1);

    // An agent that fills the disk.
    let [first, second] = held;
    sh(
        first.path(),
        "echo mine > mine.txt; cat /dev/zero > filler.log",
    );
    let error = first.keep("x").await.unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    second.release().await.unwrap();
    assert!(usage(&disk.0) <= before);
    acquire(&pool, &base, 3).await.release().await.unwrap();
}

#[tokio::test]
async fn t02_a_repository_on_a_full_disk_keeps_nothing_and_says_so() {
    let mut bed = Bed::new();
    let Some(disk) = SmallDisk::mount(bed.beside("disk"), "2m") else {
        return;
    };
    let repository = disk.0.join("repository");
    bed.git(&["clone", "--quiet", ".", repository.to_str().unwrap()]);
    bed.options.project.clone_from(&repository);
    bed.options.folder = bed.beside("worktrees");
    let pool = bed.pool().await;
    let base = bed.pin_in(&repository).await.unwrap();
    let worktree = acquire(&pool, &base, 0).await;
    sh(worktree.path(), "head -c 3000000 /dev/urandom > noise.bin");
    let error = worktree.keep("x").await.unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let worktree = acquire(&pool, &base, 1).await;
    assert!(!worktree.path().join("noise.bin").exists());
    sh(worktree.path(), "echo small > small.txt");
    assert!(
        worktree.keep("x").await.unwrap().changes.is_some(),
        "there is room for this"
    );
}

fn usage(folder: &Path) -> u64 {
    let output = Command::new("du")
        .args(["-s", "-k"])
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn t01_the_disk_limit_is_named_when_not_one_worktree_fits_and_else_agents_wait() {
    let mut bed = big();
    let base = bed.base().await;
    bed.options.settings.disk_limit = Some(MIB);
    let pool = bed.pool().await;
    for _ in 0..2 {
        let error = pool.acquire(&base, token(0, 1), &[]).await.unwrap_err();
        assert!(
            matches!(error, WorktreeError::DiskLimit { limit: MIB, .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("`[worktree] disk_limit` is 1048576: raise it, or share"),
            "{text}"
        );
    }
    assert!(
        listing(&bed.options.folder)
            .keys()
            .all(|path| !path.contains("/bw-")),
        "nothing stays"
    );
    drop(pool);

    // Room for two and the template.
    bed.options.settings.disk_limit = Some(9 * MIB / 2);
    let pool = bed.pool().await;
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let agents = (0..8).map(|call| {
        let (pool, base): (Pool, _) = (pool.clone(), base.clone());
        let (held, most) = (Arc::clone(&held), Arc::clone(&most));
        tokio::spawn(async move {
            let worktree = acquire(&pool, &base, call).await;
            most.fetch_max(held.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            held.fetch_sub(1, SeqCst);
            worktree.release().await.unwrap();
        })
    });
    for agent in agents.collect::<Vec<_>>() {
        agent.await.unwrap();
    }
    assert!(most.load(SeqCst) <= 2, "{most:?}");
    let kib: u64 = usage(&bed.options.folder);
    assert!(kib * 1024 <= 5 * MIB, "{kib} KiB");
}

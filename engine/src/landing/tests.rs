//! Landing in real repositories.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use bellwether_journal::key::Digest;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::worktree::{PoolOptions, Settings};

/// What is done when a note has been taken: with the repository and how many notes there were before.
type Meanwhile = Box<dyn Fn(&Path, usize) -> Taken + Send + Sync>;

/// What becomes of a note.
#[derive(PartialEq)]
enum Taken {
    Durable,
    /// The engine dies first.
    Lost,
}

/// A repository with a base commit on `main`, and a pool for it.
struct Bed {
    home: TempDir,
    pool: Pool,
    base: Base,
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .args(words)
        .current_dir(folder)
        .env("GIT_AUTHOR_DATE", "@1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "@1700000000 +0000")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn token() -> FencingToken {
    FencingToken {
        epoch: Epoch(1),
        run: RunId::from_entropy([1; 5]),
        generation: Generation(1),
        call: CallNumber(9),
        attempt: Attempt(1),
    }
}

fn kept(number: u32) -> String {
    format!("bellwether/{}/a-{number}", token().run)
}

impl Bed {
    /// Three files of ten lines, committed and checked out.
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().join("repository");
        fs::create_dir(&top).unwrap();
        git(&top, &["init", "--quiet", "--initial-branch=main"]);
        for name in ["one", "two", "three"] {
            fs::write(top.join(name), "line\n".repeat(10)).unwrap();
        }
        git(&top, &["add", "."]);
        git(&top, &["commit", "--quiet", "--message=base"]);
        let base = git(&top, &["rev-parse", "HEAD"]);
        let folder = home.path().join("worktrees");
        let journal = Digest::of("journal", &[]);
        let options = PoolOptions::new(folder, &top, journal, Epoch(1));
        let pool = Pool::open(options).await.unwrap();
        let program = Settings::default().git;
        let base = Base::again(&top, &program, &base).await.unwrap();
        Self { home, pool, base }
    }

    fn top(&self) -> PathBuf {
        self.home.path().join("repository")
    }

    /// A kept branch that sets the line with this number of a file.
    fn keep(&self, number: u32, file: &str, line: usize, text: &str) -> String {
        let (top, branch) = (self.top(), kept(number));
        git(
            &top,
            &["switch", "--quiet", "--create", &branch, self.base.commit()],
        );
        let old = fs::read_to_string(top.join(file)).unwrap();
        let mut lines: Vec<&str> = old.lines().collect();
        lines[line] = text;
        fs::write(top.join(file), lines.join("\n") + "\n").unwrap();
        git(
            &top,
            &[
                "commit",
                "--quiet",
                "--all",
                "--message",
                &format!("change {number}"),
            ],
        );
        git(&top, &["switch", "--quiet", "main"]);
        branch
    }

    /// Lands with these notes of earlier attempts; gives what came of it and the notes of this one.
    async fn land_with(
        &self,
        order: &LandingOrder,
        noted: &[Arc<str>],
        meanwhile: Meanwhile,
    ) -> (Result<Landing, LandingError>, Vec<Arc<str>>) {
        let taken: Arc<Mutex<Vec<Arc<str>>>> = Arc::default();
        let (into, top) = (Arc::clone(&taken), self.top());
        let notes = Notes::new(
            token(),
            Arc::new(move |_, note: Arc<str>, reply: oneshot::Sender<()>| {
                let mut into = into.lock().unwrap();
                if meanwhile(&top, into.len()) == Taken::Durable {
                    into.push(note);
                    reply.send(()).unwrap();
                }
            }),
        );
        let top = self.top();
        let lander = Lander {
            pool: &self.pool,
            base: &self.base,
            folder: &top,
            token: token(),
            notes: Some(&notes),
        };
        let landing = lander.land(order, noted).await;
        let taken = taken.lock().unwrap().clone();
        (landing, taken)
    }

    async fn land(&self, order: &LandingOrder) -> Result<Landing, LandingError> {
        self.land_with(order, &[], Box::new(|_, _| Taken::Durable))
            .await
            .0
    }

    fn tree(&self, branch: &str) -> String {
        git(&self.top(), &["rev-parse", &format!("{branch}^{{tree}}")])
    }

    fn file(&self, branch: &str, name: &str) -> String {
        git(&self.top(), &["show", &format!("{branch}:{name}")])
    }
}

fn names(landing: &Landing) -> (Vec<&str>, Vec<(&str, LeftReason)>) {
    let landed = landing.landed.iter().map(|landed| landed.branch.as_str());
    let left = landing
        .left
        .iter()
        .map(|left| (left.branch.as_str(), left.reason));
    (landed.collect(), left.collect())
}

#[tokio::test]
async fn t03_branches_land_one_by_one_and_a_conflict_leaves_its_branch_out() {
    let bed = Bed::new().await;
    let one = bed.keep(1, "one", 0, "from 1");
    let conflict = bed.keep(2, "one", 0, "from 2");
    let three = bed.keep(3, "one", 9, "from 3");
    let gone = kept(7);
    let branches = vec![one.clone(), conflict.clone(), three.clone(), gone.clone()];
    let landing = bed
        .land(&LandingOrder::new(branches, "landed"))
        .await
        .unwrap();
    assert_eq!(
        names(&landing),
        (
            vec![one.as_str(), three.as_str()],
            vec![
                (conflict.as_str(), LeftReason::Conflict),
                (gone.as_str(), LeftReason::Missing)
            ]
        )
    );
    assert_eq!(landing.left[0].files, ["one"]);
    assert_eq!(landing.landed[1].files, ["one"]);
    assert_eq!(landing.before, bed.base.commit());
    assert_eq!(landing.after, git(&bed.top(), &["rev-parse", "landed"]));
    let text = bed.file("landed", "one");
    assert!(
        text.starts_with("from 1\n") && text.ends_with("from 3"),
        "{text}"
    );
    let authors = git(
        &bed.top(),
        &["log", "--merges", "--format=%an %cn", "landed"],
    );
    assert_eq!(authors, "Bellwether Bellwether\nBellwether Bellwether");
    // The checkout has seen nothing of it, and landing again changes nothing.
    assert_eq!(git(&bed.top(), &["status", "--porcelain"]), "");
    assert_eq!(git(&bed.top(), &["rev-parse", "main"]), bed.base.commit());
    let again = bed
        .land(&LandingOrder::new(vec![one, three], "landed"))
        .await
        .unwrap();
    assert_eq!(
        (again.landed.len(), again.before),
        (2, landing.after.clone())
    );
    assert_eq!(again.after, landing.after);
}

#[tokio::test]
async fn t03_what_does_not_verify_never_touches_the_target() {
    let bed = Bed::new().await;
    let good = bed.keep(1, "one", 0, "good");
    let bad = bed.keep(2, "two", 0, "bad");
    let late = bed.keep(3, "three", 0, "late");
    // The check sees the target with all that has landed so far.
    let verify = "if grep -q bad two; then echo two is bad; exit 3; fi; if grep -q late three; then grep good one; fi";
    let order = LandingOrder::new(vec![good.clone(), bad.clone(), late.clone()], "landed");
    let landing = bed.land(&order.verify(verify, None)).await.unwrap();
    assert_eq!(
        names(&landing),
        (
            vec![good.as_str(), late.as_str()],
            vec![(bad.as_str(), LeftReason::Verify)]
        )
    );
    assert_eq!(landing.left[0].output.as_deref(), Some("two is bad"));
    assert!(
        landing.left[0].message.contains("exit code 3"),
        "{:?}",
        landing.left[0]
    );
    assert_eq!(bed.file("landed", "two"), "line\n".repeat(10).trim_end());

    let hangs =
        LandingOrder::new(vec![bad], "other").verify("sleep 1000", Some(Duration::from_millis(50)));
    let landing = bed.land(&hangs).await.unwrap();
    assert!(
        landing.left[0].message.contains("took longer than 50ms"),
        "{landing:?}"
    );
    assert_eq!(landing.before, landing.after);
    let there = git(&bed.top(), &["branch", "--list", "other"]);
    assert_eq!(there, "", "a target that nothing landed in is not made");
}

#[tokio::test]
async fn t03_a_checked_out_target_takes_its_files_along_and_is_refused_when_dirty() {
    let bed = Bed::new().await;
    let one = bed.keep(1, "one", 0, "from 1");
    let order = LandingOrder::new(vec![one], "main");
    fs::write(bed.top().join("two"), "mine\n").unwrap();
    let error = bed.land(&order).await.unwrap_err();
    assert!(
        matches!(&error, LandingError::Dirty { files, .. } if files == "two"),
        "{error}"
    );
    assert_eq!(git(&bed.top(), &["rev-parse", "main"]), bed.base.commit());
    assert_eq!(fs::read_to_string(bed.top().join("two")).unwrap(), "mine\n");

    git(&bed.top(), &["checkout", "--quiet", "--", "two"]);
    fs::write(bed.top().join("untracked"), "mine\n").unwrap();
    bed.land(&order).await.unwrap();
    assert!(
        fs::read_to_string(bed.top().join("one"))
            .unwrap()
            .starts_with("from 1\n")
    );
    assert_eq!(git(&bed.top(), &["status", "--porcelain"]), "?? untracked");
    assert_eq!(git(&bed.top(), &["branch", "--show-current"]), "main");
}

#[tokio::test]
async fn t03_a_landing_that_is_cut_off_goes_on_and_ends_as_an_undisturbed_one() {
    let bed = Bed::new().await;
    let branches = vec![
        bed.keep(1, "one", 0, "from 1"),
        bed.keep(2, "one", 0, "from 2"),
        bed.keep(3, "two", 0, "from 3"),
        bed.keep(4, "three", 0, "from 4"),
    ];
    let verify = "! grep -q 'from 3' two";
    let order = |into: &str| LandingOrder::new(branches.clone(), into).verify(verify, None);
    let durable = || -> Meanwhile { Box::new(|_, _| Taken::Durable) };
    let (undisturbed, notes) = bed.land_with(&order("whole"), &[], durable()).await;
    let undisturbed = undisturbed.unwrap();
    assert_eq!(notes.len(), 4);
    let expected = |into: &str| Landing {
        into: into.to_owned(),
        ..undisturbed.clone()
    };
    for cut in 0..notes.len() {
        // The engine dies before the note is durable: nothing has moved for it.
        let into = format!("cut-{cut}");
        let dies: Meanwhile = Box::new(move |_, taken| {
            if taken == cut {
                Taken::Lost
            } else {
                Taken::Durable
            }
        });
        let (cut_off, noted) = bed.land_with(&order(&into), &[], dies).await;
        assert!(matches!(cut_off, Err(LandingError::Superseded)));
        assert_eq!(noted.len(), cut);
        let (resumed, more) = bed.land_with(&order(&into), &noted, durable()).await;
        assert_eq!(resumed.unwrap(), expected(&into));
        assert_eq!(noted.len() + more.len(), notes.len());

        // It dies behind the note, and before the target moves; and behind that.
        let Ok(Note::Lands(lands)) = serde_json::from_str(&notes[cut]) else {
            continue;
        };
        for (into, tip) in [("before", &lands.before), ("behind", &lands.after)] {
            let into = format!("{into}-{cut}");
            git(&bed.top(), &["branch", "--force", &into, tip]);
            let (resumed, _) = bed
                .land_with(&order(&into), &notes[..=cut], durable())
                .await;
            assert_eq!(resumed.unwrap(), expected(&into));
            assert_eq!(bed.tree(&into), bed.tree("whole"));
        }
    }
}

#[tokio::test]
async fn t03_a_target_that_somebody_else_moves_is_merged_anew() {
    let bed = Bed::new().await;
    let one = bed.keep(1, "one", 0, "from 1");
    let other = bed.keep(2, "two", 0, "from somebody else");
    git(&bed.top(), &["branch", "landed", bed.base.commit()]);
    let moves: Meanwhile = Box::new(move |top, taken| {
        if taken == 0 {
            git(top, &["branch", "--force", "landed", &other]);
        }
        Taken::Durable
    });
    let order = LandingOrder::new(vec![one], "landed");
    let (landing, notes) = bed.land_with(&order, &[], moves).await;
    assert_eq!((landing.unwrap().landed.len(), notes.len()), (1, 2));
    assert!(bed.file("landed", "one").starts_with("from 1\n"));
    assert!(
        bed.file("landed", "two")
            .starts_with("from somebody else\n")
    );

    let never_rests: Meanwhile = Box::new(|top, taken| {
        let message = format!("move {taken}");
        let words = [
            "commit-tree",
            "landed^{tree}",
            "-p",
            "landed",
            "-m",
            &message,
        ];
        let commit = git(top, &words);
        git(top, &["branch", "--force", "landed", &commit]);
        Taken::Durable
    });
    let three = bed.keep(3, "three", 0, "from 3");
    let order = LandingOrder::new(vec![three], "landed");
    let (landing, _) = bed.land_with(&order, &[], never_rests).await;
    assert!(
        matches!(landing, Err(LandingError::Contended(_))),
        "{landing:?}"
    );
}

#[tokio::test]
async fn t03_a_target_has_a_branchs_name() {
    let bed = Bed::new().await;
    for name in ["", "a..b", "@{-1}", "-x", "refs heads", &kept(1)] {
        let error = bed.land(&LandingOrder::new(Vec::new(), name)).await;
        assert!(
            matches!(error, Err(LandingError::Target { .. })),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn what_is_noted_of_a_left_branch_fits_a_note() {
    let mut left = LeftBranch {
        branch: kept(1),
        reason: LeftReason::Verify,
        message: "é".repeat(3_000),
        files: (0..500).map(|file| format!("src/file-{file}.ts")).collect(),
        output: Some(format!("{}the end", "ü".repeat(3_000))),
    };
    cut(&mut left);
    let note = serde_json::to_string(&Note::Left(left.clone())).unwrap();
    assert!(
        note.len() <= bellwether_actors::backend::NOTE_BYTES_MAX,
        "{}",
        note.len()
    );
    assert!(left.output.unwrap().ends_with("the end"));
}

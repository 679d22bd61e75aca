//! Landing: what goes into the target, what is left out, and landings that were cut off.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::landing::{Branch, LandError, Landed, Landing, Reason, Verify, land};
use bellwether::worktree::{Base, Pool};
use bellwether::{Notes, TakeWord, Word};

use crate::bed::{Bed, acquire, git, listing, sh, token};

/// A journal for notes, which may refuse them from some number on.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Arc<str>>>>);

impl Journal {
    fn notes(&self, takes: usize) -> Notes {
        let texts = Arc::clone(&self.0);
        let take: TakeWord = Arc::new(move |_, word| {
            let Word::Note(note, reply) = word else {
                return;
            };
            let mut texts = texts.lock().unwrap();
            if texts.len() < takes {
                texts.push(note);
                let _ = reply.send(());
            }
        });
        Notes::new(token(100, 1), take)
    }

    fn texts(&self) -> Vec<Arc<str>> {
        self.0.lock().unwrap().clone()
    }
}

struct Field {
    bed: Bed,
    pool: Pool,
    base: Base,
    branches: Vec<Branch>,
}

impl Field {
    /// A repository with a branch for each of these deeds.
    async fn new(deeds: &[&str]) -> Self {
        Self::of(Bed::new(), deeds).await
    }

    async fn of(bed: Bed, deeds: &[&str]) -> Self {
        let (pool, base) = (bed.pool().await, bed.base().await);
        let mut branches = Vec::new();
        for (call, deed) in (0..).zip(deeds) {
            let worktree = acquire(&pool, &base, call).await;
            sh(worktree.path(), deed);
            let kept = worktree.keep(format!("deed {call}")).await.unwrap();
            branches.push(Branch::named(kept.changes.unwrap().branch.unwrap()));
        }
        Self {
            bed,
            pool,
            base,
            branches,
        }
    }

    fn landing(&self, into: &str) -> Landing {
        Landing::new(
            self.branches.clone(),
            into,
            self.base.clone(),
            token(100, 1),
        )
    }

    async fn land(&self, into: &str) -> Result<Landed, LandError> {
        land(&self.pool, &self.landing(into), &[], None).await
    }

    fn tip(&self, branch: &str) -> String {
        self.bed
            .git(&["rev-parse", &format!("refs/heads/{branch}")])
    }

    fn show(&self, what: &str) -> String {
        self.bed.git(&["show", what])
    }

    fn verified(&self, into: &str, command: &str) -> Landing {
        let mut landing = self.landing(into);
        landing.verify = Some(Verify::new(command));
        landing
    }
}

fn left(landed: &Landed) -> Vec<(&str, Reason)> {
    landed
        .left
        .iter()
        .map(|left| (left.branch.rsplit('/').next().unwrap(), left.reason))
        .collect()
}

fn names(landed: &Landed) -> Vec<&str> {
    landed
        .landed
        .iter()
        .map(|one| one.branch.rsplit('/').next().unwrap())
        .collect()
}

#[tokio::test]
async fn t03_branches_land_one_by_one_and_conflicts_leave_the_target_untouched() {
    let field = Field::new(&[
        "echo four >> a.txt",
        "echo new > new.txt; echo rust > src/lib.rs",
        "echo vier >> a.txt",
        "git mv src/deep/more.rs src/moved.rs",
    ])
    .await;
    let before = (
        listing(&field.bed.repository),
        field.bed.git(&["status", "--porcelain"]),
    );
    let mut landing = field.landing("landed/here");
    landing
        .branches
        .push(Branch::named("bellwether/nobody/a-9"));
    landing.branches.push(landing.branches[0].clone());
    landing.branches[1].label = Some("a name\nof two lines".to_owned());
    let landed = land(&field.pool, &landing, &[], None).await.unwrap();
    assert_eq!(names(&landed), ["a-0", "a-1", "a-3"]);
    assert_eq!(
        left(&landed),
        [("a-2", Reason::Conflict), ("a-9", Reason::Missing)]
    );
    assert_eq!(
        landed.left[0].files.as_deref(),
        Some(&["a.txt".to_owned()][..])
    );
    assert_eq!(
        (landed.before.as_str(), &landed.after),
        (field.base.commit(), &field.tip("landed/here"))
    );
    let files: Vec<_> = landed
        .landed
        .iter()
        .map(|one| one.files.join(" "))
        .collect();
    assert_eq!(files, ["a.txt", "new.txt src/lib.rs", "src/moved.rs"]);
    let log = field.bed.git(&[
        "log",
        "--first-parent",
        "--format=%an %cn %s",
        "landed/here",
    ]);
    let wanted = "Bellwether Bellwether Merge a-3: deed 3\nBellwether Bellwether Merge a-1: a name
Bellwether Bellwether Merge a-0: deed 0\nSomebody Somebody first";
    assert_eq!(log, wanted);
    assert_eq!(field.show("landed/here:a.txt"), "one\ntwo\nthree\nfour");
    let parents = field.bed.git(&["rev-parse", "landed/here^2"]);
    assert_eq!(parents, field.tip(&field.branches[3].name));
    assert_eq!(
        (
            listing(&field.bed.repository),
            field.bed.git(&["status", "--porcelain"])
        ),
        before
    );

    let json = serde_json::to_value(&landed).unwrap();
    assert_eq!(json["into"], "landed/here");
    assert_eq!(json["left"][0]["reason"], "conflict");
    assert!(json["left"][1].get("output").is_none() && json["landed"][0]["commit"].is_string());

    // Again: all of it is there, and nothing new is made.
    let again = field.land("landed/here").await.unwrap();
    assert_eq!(
        (names(&again), &again.after),
        (vec!["a-0", "a-1", "a-3"], &landed.after)
    );
    assert_eq!(again.before, again.after);
    field.bed.git(&["fsck", "--strict"]);
}

#[tokio::test]
async fn t03_a_merge_that_does_not_hold_is_left_out_with_the_end_of_its_output() {
    let mut bed = Bed::new();
    bed.write(".env", "SECRET=1\n");
    bed.options.settings.copy = vec![".env".into()];
    let field = Field::of(
        bed,
        &[
            "echo bad > bad.txt",
            "echo good > good.txt",
            "echo more >> good.txt",
        ],
    )
    .await;
    let command = "test -f .env || exit 9; echo rubbish > a.txt; seq 1 3000; test ! -e bad.txt || { echo it is bad >&2; exit 3; }";
    let landed = land(&field.pool, &field.verified("landed", command), &[], None)
        .await
        .unwrap();
    assert_eq!(names(&landed), ["a-1"]);
    assert_eq!(
        left(&landed),
        [("a-0", Reason::Verify), ("a-2", Reason::Conflict)]
    );
    let failed = &landed.left[0];
    assert!(
        failed.message.ends_with("ended with exit code 3"),
        "{}",
        failed.message
    );
    let output = failed.output.as_ref().unwrap();
    assert!(output.ends_with("3000\nit is bad") && output.len() <= 4096);
    assert_eq!(
        field.show("landed:a.txt"),
        "one\ntwo\nthree",
        "verifying changes nothing"
    );
    assert!(field.bed.try_git(&["show", "landed:bad.txt"]).is_err());

    let mut landing = field.verified("slow", "sleep 1000");
    landing.verify.as_mut().unwrap().timeout = Duration::from_millis(100);
    let landed = land(&field.pool, &landing, &[], None).await.unwrap();
    assert!(
        landed.left.iter().all(|left| left.reason == Reason::Verify),
        "{landed:?}"
    );
    assert!(landed.left[0].message.contains("took longer than 100ms"));
    assert_eq!(landed.after, field.base.commit());
}

#[tokio::test]
async fn t03_a_checked_out_target_moves_with_its_files_and_a_dirty_one_is_refused() {
    let field = Field::new(&["echo four >> a.txt", "echo new > new.txt"]).await;
    let bed = &field.bed;
    bed.write("src/lib.rs", "mine\n");
    let error = field.land("main").await.unwrap_err();
    assert!(matches!(error, LandError::CheckedOut { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("with uncommitted changes (src/lib.rs): commit or stash them"),
        "{error}"
    );
    assert_eq!(field.tip("main"), field.base.commit());
    bed.git(&["checkout", "--quiet", "src/lib.rs"]);

    // What is not tracked is no matter, unless a branch brings it: that one is left out, ignored or not.
    bed.write("untracked.txt", "mine\n");
    bed.write("new.txt", "mine, too\n");
    for ignored in ["", "new.txt\n"] {
        bed.write(".git/info/exclude", ignored);
        let landed = field.land("main").await.unwrap();
        let [left] = landed.left.as_slice() else {
            panic!("{landed:?}");
        };
        assert_eq!(left.reason, Reason::Checkout);
        assert_eq!(left.files.as_deref(), Some(&["new.txt".to_owned()][..]));
        assert_eq!(landed.landed.len(), 1, "the other one is in");
        let mine = std::fs::read_to_string(bed.repository.join("new.txt"));
        assert_eq!(mine.unwrap(), "mine, too\n");
    }
    std::fs::remove_file(bed.repository.join("new.txt")).unwrap();
    let landed = field.land("main").await.unwrap();
    assert_eq!(landed.landed.len(), 2);
    assert_eq!(field.tip("main"), landed.after);
    let read = |path: &str| std::fs::read_to_string(bed.repository.join(path)).unwrap();
    assert_eq!(
        (read("a.txt"), read("new.txt")),
        ("one\ntwo\nthree\nfour\n".to_owned(), "new\n".to_owned())
    );
    assert_eq!(bed.git(&["status", "--porcelain"]), "?? untracked.txt");
    assert_eq!(bed.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
}

/// A person goes on working while branches land: what is verified at that moment, and all behind it, stays out.
#[tokio::test]
async fn t03_a_checkout_that_becomes_dirty_on_the_way_leaves_the_rest_out() {
    let field = Field::new(&[
        "echo four >> a.txt",
        "echo five >> b.txt",
        "echo new > new.txt",
    ])
    .await;
    let at = field.bed.repository.display();
    let busy = format!("grep -q five b.txt && echo mine > {at}/src/lib.rs; true");
    let journal = Journal::default();
    let landing = field.verified("main", &busy);
    let notes = journal.notes(100);
    let landed = land(&field.pool, &landing, &[], Some(&notes)).await;
    let landed = landed.unwrap();
    assert_eq!(landed.landed.len(), 1);
    let left: Vec<Reason> = landed.left.iter().map(|left| left.reason).collect();
    assert_eq!(left, [Reason::Checkout, Reason::Checkout]);
    assert_eq!(
        landed.left[0].files.as_deref(),
        Some(&["src/lib.rs".to_owned()][..])
    );
    // Gone on with from any of its notes it says the same, and nothing is lost.
    let texts = journal.texts();
    for upto in 1..=texts.len() {
        let again = land(&field.pool, &landing, &texts[..upto], Some(&notes)).await;
        assert_eq!(again.unwrap(), landed, "{upto}");
    }
}

#[tokio::test]
async fn t03_what_cannot_be_a_target_is_refused() {
    let field = Field::new(&["echo four >> a.txt"]).await;
    field
        .bed
        .git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    let kept = field.branches[0].name.clone();
    for into in [
        "",
        "-f",
        "HEAD",
        "refs/heads/main",
        "a..b",
        "with space",
        "main/below",
        "alias",
        &kept,
    ] {
        let error = field.land(into).await.unwrap_err();
        assert!(matches!(error, LandError::Target { .. }), "{into}: {error}");
    }
    assert_eq!(field.tip("main"), field.base.commit());
}

#[tokio::test]
async fn t03_a_branch_of_another_history_is_left_out() {
    let mut field = Field::new(&["echo four >> a.txt"]).await;
    sh(
        &field.bed.repository,
        "git update-ref refs/heads/other $(git commit-tree -m other $(git write-tree))",
    );
    field.branches.push(Branch::named("other"));
    let landed = field.land("landed").await.unwrap();
    assert_eq!(
        (names(&landed), left(&landed)),
        (vec!["a-0"], vec![("other", Reason::Unrelated)])
    );
}

#[tokio::test]
async fn t03_a_landing_that_is_cut_off_anywhere_ends_as_an_undisturbed_one() {
    let deeds = [
        "echo four >> a.txt",
        "echo vier >> a.txt",
        "echo new > new.txt",
        "echo bad > bad.txt",
        "rm src/lib.rs",
    ];
    let undisturbed = {
        let field = Field::new(&deeds).await;
        let landed = land(
            &field.pool,
            &field.verified("landed", "test ! -e bad.txt"),
            &[],
            None,
        )
        .await
        .unwrap();
        (
            names(&landed).join(" "),
            left(&landed).len(),
            field.show("landed^{tree}"),
        )
    };
    assert_eq!((undisturbed.0.as_str(), undisturbed.1), ("a-0 a-2 a-4", 2));
    // One note a branch; the next is not taken, as by an engine that dies.
    for cut in 0..=deeds.len() {
        let field = Field::new(&deeds).await;
        let landing = field.verified("landed", "test ! -e bad.txt");
        let journal = Journal::default();
        let first = land(&field.pool, &landing, &[], Some(&journal.notes(cut))).await;
        assert_eq!(first.is_ok(), cut == deeds.len(), "{first:?}");
        let notes = journal.texts();
        assert_eq!(notes.len(), cut);
        if let Some(last) = notes.last()
            && cut % 2 == 1
        {
            // It died between the note and the ref.
            let note: serde_json::Value = serde_json::from_str(last).unwrap();
            let before = note["before"].as_str().unwrap_or(field.base.commit());
            if note.get("after").is_some() {
                field.bed.git(&["update-ref", "refs/heads/landed", before]);
            }
        }
        let again = land(&field.pool, &landing, &notes, Some(&journal.notes(100)))
            .await
            .unwrap();
        let now = (
            names(&again).join(" "),
            left(&again).len(),
            field.show("landed^{tree}"),
        );
        assert_eq!(now, undisturbed, "cut at {cut}");
        assert_eq!(again.before, field.base.commit());
        let merges = field
            .bed
            .git(&["rev-list", "--count", "--first-parent", "landed"]);
        assert_eq!(merges, "4", "nothing lands twice");
    }
}

#[tokio::test]
async fn t03_a_target_that_somebody_moved_meanwhile_is_an_error_or_goes_on_behind_it() {
    let field = Field::new(&["echo four >> a.txt", "echo new > new.txt"]).await;
    let landing = field.landing("landed");
    let journal = Journal::default();
    land(&field.pool, &landing, &[], Some(&journal.notes(1)))
        .await
        .unwrap_err();
    let notes = journal.texts();
    // Somebody has gone on from what landed.
    let on = field
        .bed
        .git(&["commit-tree", "-p", "landed", "-m", "on", "landed^{tree}"]);
    field.bed.git(&["update-ref", "refs/heads/landed", &on]);
    let landed = land(&field.pool, &landing, &notes, None).await.unwrap();
    assert_eq!(names(&landed), ["a-0", "a-1"]);
    assert_eq!(field.bed.git(&["rev-parse", "landed^"]), on);

    // Somebody has taken it elsewhere.
    let away = field.bed.git(&[
        "commit-tree",
        "-p",
        field.base.commit(),
        "-m",
        "away",
        "main^{tree}",
    ]);
    field.bed.git(&["update-ref", "refs/heads/landed", &away]);
    let error = land(&field.pool, &landing, &notes, None).await.unwrap_err();
    assert!(
        matches!(&error, LandError::Moved { tip, .. } if *tip == away),
        "{error}"
    );
    assert_eq!(field.tip("landed"), away);
    let nonsense = land(&field.pool, &landing, &["{}".into()], None)
        .await
        .unwrap_err();
    assert!(
        matches!(nonsense, LandError::UnreadableNote(_)),
        "{nonsense}"
    );
}

#[tokio::test]
async fn t03_a_target_that_moves_during_verification_is_verified_again() {
    let field = Field::new(&["echo new > new.txt"]).await;
    let trace = field.bed.beside("trace");
    let command = format!(
        "echo ran >> {0}; if [ $(wc -l < {0}) = 1 ]; then
           t=$(git commit-tree -p {1} -m 'somebody' {1}^{{tree}}); git update-ref refs/heads/landed $t; fi",
        trace.display(),
        field.base.commit(),
    );
    for (key, value) in [("user.name", "Somebody"), ("user.email", "s@example.org")] {
        field.bed.git(&["config", key, value]);
    }
    let landed = land(&field.pool, &field.verified("landed", &command), &[], None)
        .await
        .unwrap();
    assert_eq!(std::fs::read_to_string(&trace).unwrap().lines().count(), 2);
    assert_eq!(names(&landed), ["a-0"]);
    assert_eq!(
        git(
            &field.bed.repository,
            &["log", "-1", "--format=%s", "landed^"]
        ),
        "somebody"
    );
}

#[tokio::test]
async fn t03_landings_of_one_repository_wait_for_each_other() {
    let field = Field::new(&["echo 0 > f0", "echo 1 > f1", "echo 2 > f2", "echo 3 > f3"]).await;
    let elsewhere = Pool::open(crate::bed::options(&field.bed.repository, "another", 1))
        .await
        .unwrap();
    let trace = field.bed.beside("trace");
    let command = format!(
        "echo in >> {0}; sleep 0.05; echo out >> {0}",
        trace.display()
    );
    let landings = field.branches.iter().enumerate().map(|(number, branch)| {
        let mut landing = field.verified("landed", &command);
        landing.branches = vec![branch.clone()];
        let pool = if number % 2 == 0 {
            field.pool.clone()
        } else {
            elsewhere.clone()
        };
        tokio::spawn(async move { land(&pool, &landing, &[], None).await.unwrap() })
    });
    for landing in landings.collect::<Vec<_>>() {
        assert_eq!(landing.await.unwrap().landed.len(), 1);
    }
    let trace = std::fs::read_to_string(trace).unwrap();
    assert_eq!(trace, "in\nout\n".repeat(4));
    for number in 0..4 {
        assert_eq!(field.show(&format!("landed:f{number}")), number.to_string());
    }
}

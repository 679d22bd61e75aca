//! What outlives an attempt: the notes of a step, the changes of an isolated agent, the engine's own notices.

use bellwether_journal::id::Attempt;
use bellwether_journal::record::{ChangedFile, ChangesKept, FileChange};
use serde_json::{Map, Value};

use super::super::keys::{Resolution, Resolve};
use super::*;
use crate::pool::Kept;

fn merge(number: u32) -> Command {
    let Command::Call(call) = call(number) else {
        panic!("a call is a call")
    };
    Command::Call(Box::new(Call {
        kind: CallKind::Merge,
        ..*call
    }))
}

impl Run {
    /// Whether the note is taken, and what comes of it.
    fn note(&mut self, call: u32, attempt: u32, note: &str) -> (bool, Came) {
        let mut taken = false;
        let came = self.decide(|machine, now, _, out| {
            taken = machine.noted(token(call, attempt), note.into(), now, out);
        });
        (taken, came)
    }

    /// The notes that the next start of the call is given.
    fn notes_at_start(
        &mut self,
        decide: impl FnOnce(&mut Machine, u64, &mut Free, &mut Output),
    ) -> Vec<String> {
        let mut out = Output::default();
        decide(&mut self.machine, self.now, &mut self.permits, &mut out);
        let starts = out.actions.iter().filter_map(|(_, action)| match action {
            Action::Start(start) => Some(start),
            _ => None,
        });
        starts
            .flat_map(|start| start.notes.iter().map(ToString::to_string))
            .collect()
    }
}

fn kept(attempt: u32, branch: Option<&str>) -> Kept {
    let diff = text::pack("diff --git a/a.ts b/a.ts\n".into());
    Kept {
        record: ChangesKept {
            call: CallNumber(0),
            attempt: Attempt(attempt),
            branch: branch.map(str::to_owned),
            base: "1f".repeat(20),
            commit: branch.map(|_| "2e".repeat(20)),
            files: vec![ChangedFile {
                path: "src/a.ts".to_owned(),
                change: FileChange::Modified,
                added: 1,
                removed: 1,
            }],
            file_count: 1,
            diff: diff.stored.clone(),
        },
        diff,
    }
}

#[test]
fn a_note_is_a_record_and_only_the_newest_attempt_of_a_run_that_goes_on_makes_one() {
    let mut run = Run::new(None, 10);
    run.turn(vec![merge(0)], TurnStatus::Running);
    assert_eq!(run.note(0, 1, "{}"), (true, came(&["stepnoted"], &[])));
    assert_eq!(run.note(0, 2, "{}"), (false, came(&[], &[])), "not begun");
    let long = "x".repeat(crate::backend::NOTE_BYTES_MAX + 1);
    assert_eq!(run.note(0, 1, &long), (false, came(&[], &[])), "too long");
    run.ended(0, 1, failed(FailureKind::Transport));
    assert_eq!(
        run.note(0, 1, "{}"),
        (false, came(&[], &[])),
        "it has ended"
    );
    run.decide(|machine, now, permits, out| machine.retry_due(CallNumber(0), now, permits, out));
    assert!(run.note(0, 2, "{}").0);
    // Whoever stops a run may count on nothing more being done to the world.
    run.stop(Status::Stopped);
    assert_eq!(run.note(0, 2, "{}"), (false, came(&[], &[])), "stopping");
}

#[test]
fn a_repeated_step_is_given_what_the_one_before_noted() {
    let mut run = Run::new(None, 10);
    run.turn(vec![merge(0)], TurnStatus::Running);
    run.note(0, 1, "one");
    run.note(0, 1, "two");
    run.ended(0, 1, End::Lost("panicked".to_owned()));
    let notes = run.notes_at_start(|machine, now, permits, out| {
        machine.retry_due(CallNumber(0), now, permits, out);
    });
    assert_eq!(notes, ["one", "two"]);
}

#[test]
fn a_merge_takes_a_slot_and_is_no_agent() {
    let mut run = Run::new(Some(1), 1);
    assert_eq!(
        run.turn(vec![call(0), merge(1)], TurnStatus::Running),
        came(
            &["scheduled 0", "scheduled 1", "started 0.1"],
            &["start 0.1"]
        )
    );
    assert_eq!(
        run.ended(0, 1, done("0")),
        came(
            &["completed 0.1", "started 1.1"],
            &["deliver 0", "start 1.1"]
        )
    );
    assert_eq!(run.machine.state().counts.total, 1);
}

#[test]
fn changes_stand_before_the_end_of_their_attempt_and_the_script_hears_of_the_branch() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    let mut out = Output::default();
    let token = token(0, 1);
    let branch = kept(1, Some("bellwether/r-7k2m9q4d/a-0"));
    run.machine.changed(token, vec![branch], run.now, &mut out);
    run.machine
        .ended(token, done("1"), run.now, &mut run.permits, &mut out);
    assert_eq!(
        words(&out),
        came(&["changeskept", "completed 0.1"], &["deliver 1"])
    );
    let Some((_, Action::Deliver(settlement))) = out.actions.first() else {
        panic!("an answer")
    };
    let worktree: Value =
        serde_json::from_str(settlement.about.worktree.as_deref().unwrap_or("null"))
            .unwrap_or_default();
    assert_eq!(worktree["branch"], "bellwether/r-7k2m9q4d/a-0");
    assert_eq!(worktree["files"][0], "src/a.ts");
    assert_eq!(settlement.about.attempts, 1);

    // A patch alone is for people, and a replaced attempt has no word.
    let mut out = Output::default();
    run.machine
        .changed(token, vec![kept(1, None)], run.now, &mut out);
    assert_eq!(words(&out), came(&[], &[]));
}

/// Rules that have something to say about every call.
struct Warns(Backends);

impl Resolve for Warns {
    fn resolve(&self, kind: CallKind, options: Map<String, Value>) -> Resolution {
        Resolution {
            notices: vec!["`hooks` is not read".to_owned()],
            ..self.0.resolve(kind, options)
        }
    }
}

#[test]
fn the_engine_notices_something_once_a_run() {
    let mut run = Run::new(None, 10);
    let unused: Arc<dyn AgentBackend> = Arc::new(Unused);
    let backends = Backends::new(HashMap::from([("dry".to_owned(), unused)]), "dry");
    run.machine.keys = Keys::new(Arc::new(Warns(backends)));
    let notices = |came: Came| {
        let notices = came.records.iter().filter(|record| *record == "noticed");
        notices.count()
    };
    assert_eq!(notices(run.calls(0..3)), 1);
    assert_eq!(notices(run.calls(3..4)), 0);
}

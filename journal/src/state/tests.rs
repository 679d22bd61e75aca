//! What follows from which records, and which cannot follow.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod illegal;
mod questions;

use super::*;
use crate::codec::{Entry, Sealer};
use crate::id::{Attempt, Epoch, Generation, TimerNumber};
use crate::key;
use crate::record::{
    AttemptAdopted, AttemptFailed, AttemptStarted, Base, CallKind, CallRefused, CallReused,
    CallScheduled, CallSettled, Cancellation, ChangesKept, Failure, FailureKind, GenerationOpened,
    GenerationRewound, Kind, Level, Logged, Order, Ordered, Outcome, PhaseEntered, Record,
    Recovered, RunEnded, StatusChanged, StepNoted, TimerFired,
};
use crate::usage::{Counted, UsageCounted};

const USED: Usage = Usage {
    input_tokens: 100,
    output_tokens: 10,
};

fn started() -> Record {
    Record::RunStarted(Box::new(RunStarted {
        name: "test".to_owned(),
        script_path: None,
        options: Text::Inline("{}".into()),
        working_directory: "project".to_owned(),
        base_commit: None,
        started_by: "test".to_owned(),
    }))
}

fn opened(number: u32) -> Record {
    Record::GenerationOpened(Box::new(GenerationOpened {
        number: Generation(number),
        base: None,
        script: Text::Inline("return 1".into()),
        args: None,
        vm_identity: Digest::default(),
        seed: [0; 32],
        time: 0,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: None,
    }))
}

fn call(number: u32) -> Record {
    call_of(CallKind::Agent, number, 0)
}

fn call_of(kind: CallKind, number: u32, turn: u64) -> Record {
    Record::CallScheduled(Box::new(CallScheduled {
        call: CallNumber(number),
        kind,
        turn,
        content: Digest::default(),
        context: key::root(),
        key: Digest::default(),
        label: None,
        phase: Some("phase".into()),
        prompt: Text::Inline("prompt".into()),
        options: Text::Inline("{}".into()),
        line: 1,
    }))
}

fn attempt(call: u32, attempt: u32) -> Record {
    Record::AttemptStarted(AttemptStarted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
    })
}

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Crash,
        message: "exit 1".to_owned(),
        evidence: None,
        retry_after: None,
    }
}

fn failed(call: u32, attempt: u32) -> Record {
    Record::AttemptFailed(Box::new(AttemptFailed {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        failure: failure(),
        usage: USED,
        retry_at: 99,
    }))
}

fn settled(call: u32, attempt: u32, outcome: Outcome) -> Record {
    Record::CallSettled(Box::new(CallSettled {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        outcome,
        usage: USED,
    }))
}

fn completed(call: u32, attempt: u32) -> Record {
    settled(call, attempt, Outcome::Completed(Text::Inline("1".into())))
}

fn refused(call: u32) -> Record {
    let (code, message) = ("AGENT_CAP".to_owned(), "too many".to_owned());
    Record::CallRefused(Box::new(CallRefused {
        call: CallNumber(call),
        code,
        message,
    }))
}

fn timer() -> Record {
    Record::TimerFired(TimerFired {
        timer: TimerNumber(0),
    })
}

fn status(status: Status) -> Record {
    Record::StatusChanged(Box::new(StatusChanged {
        status,
        by: Actor::Engine,
        reason: None,
    }))
}

fn ended(status: Status) -> Record {
    Record::RunEnded(Box::new(RunEnded {
        status,
        result: None,
        error: None,
        by: Actor::Script,
    }))
}

fn recovered(epoch: u64) -> Record {
    Record::Recovered(Recovered {
        epoch: Epoch(epoch),
    })
}

fn logged(turn: u64, ordinal: u32) -> Record {
    Record::Logged(Box::new(Logged {
        turn,
        ordinal,
        level: Level::Info,
        text: String::new(),
    }))
}

fn phase(turn: u64, ordinal: u32, title: &str) -> Record {
    Record::PhaseEntered(Box::new(PhaseEntered {
        turn,
        ordinal,
        title: title.into(),
    }))
}

fn changes_kept(call: u32, attempt: u32) -> Record {
    changes_on(call, attempt, Some("bellwether/a"))
}

fn changes_on(call: u32, attempt: u32, branch: Option<&str>) -> Record {
    Record::ChangesKept(Box::new(ChangesKept {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        branch: branch.map(str::to_owned),
        base: "1f".repeat(20),
        commit: None,
        files: Vec::new(),
        file_count: 0,
        diff: Text::Inline("".into()),
    }))
}

fn noted(call: u32, attempt: u32) -> Record {
    Record::StepNoted(Box::new(StepNoted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        note: Text::Inline(format!("note of {attempt}").into()),
    }))
}

fn run() -> RunId {
    RunId::from_entropy([1; 5])
}

/// The state behind all records; the n-th is written at millisecond n. Checks at every place what must always hold.
fn fold(records: Vec<Record>) -> Result<RunState, IllegalRecord> {
    let mut state = RunState::new(run());
    let mut sealer = Sealer::new(run());
    for record in records {
        let at = sealer.next().0;
        let row = sealer.seal(at, &record).unwrap();
        let entry = Entry {
            position: row.position,
            at,
            chain: sealer.head(),
            record,
        };
        let before = state.clone();
        if let Err(illegal) = state.apply(&entry) {
            assert_eq!(state, before, "a refused record changed the state");
            return Err(illegal);
        }
        assert_eq!((state.next, state.head), (sealer.next(), sealer.head()));
        let Counts {
            total,
            completed,
            failed,
            cancelled,
            skipped,
            pending,
            reused,
        } = state.counts;
        assert_eq!(total, completed + failed + cancelled + skipped + pending);
        assert!(reused <= completed);
        let agents = state
            .unsettled()
            .filter(|(_, call)| call.kind == CallKind::Agent)
            .count();
        assert_eq!(pending, agents as u64);
    }
    Ok(state)
}

/// A run that has begun, and then `records`.
fn begun(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    [started(), opened(1)].into_iter().chain(records).collect()
}

#[test]
fn a_call_is_small() {
    assert!(
        size_of::<CallState>() <= 200,
        "{} bytes",
        size_of::<CallState>()
    );
}

#[test]
fn calls_come_to_their_ends() {
    let person = Outcome::Cancelled(Cancellation::Person);
    let cases: Vec<(&str, Vec<Record>, CallStatus, u32, Usage)> = vec![
        ("issued", vec![], CallStatus::Waiting, 0, Usage::default()),
        (
            "started",
            vec![attempt(0, 1)],
            CallStatus::Running,
            1,
            Usage::default(),
        ),
        (
            "done",
            vec![attempt(0, 1), completed(0, 1)],
            CallStatus::Completed,
            1,
            USED,
        ),
        (
            "failed once",
            vec![attempt(0, 1), failed(0, 1)],
            CallStatus::Backoff { until: 99 },
            1,
            USED,
        ),
        (
            "failed once, then done",
            vec![attempt(0, 1), failed(0, 1), attempt(0, 2), completed(0, 2)],
            CallStatus::Completed,
            2,
            USED.plus(USED),
        ),
        (
            "failed for good",
            vec![attempt(0, 1), settled(0, 1, Outcome::Failed(failure()))],
            CallStatus::Failed,
            1,
            USED,
        ),
        (
            "skipped",
            vec![settled(0, 0, Outcome::Skipped)],
            CallStatus::Skipped,
            0,
            USED,
        ),
        (
            "cancelled",
            vec![settled(0, 0, person.clone())],
            CallStatus::Cancelled,
            0,
            USED,
        ),
        (
            "cancelled in back-off",
            vec![attempt(0, 1), failed(0, 1), settled(0, 1, person.clone())],
            CallStatus::Cancelled,
            1,
            USED.plus(USED),
        ),
        (
            "refused",
            vec![refused(0)],
            CallStatus::Refused,
            0,
            Usage::default(),
        ),
        (
            "taken over",
            vec![attempt(0, 1), recovered(2)],
            CallStatus::Waiting,
            1,
            Usage::default(),
        ),
        (
            "taken over, then done",
            vec![attempt(0, 1), recovered(2), attempt(0, 2), completed(0, 2)],
            CallStatus::Completed,
            2,
            USED,
        ),
        (
            "taken over, then cancelled",
            vec![attempt(0, 1), recovered(2), settled(0, 0, person)],
            CallStatus::Cancelled,
            1,
            USED,
        ),
    ];
    for (name, records, status, attempts, usage) in cases {
        let state = fold(begun([call(0)].into_iter().chain(records))).unwrap();
        let call = state.call(CallNumber(0)).unwrap();
        assert_eq!(
            (call.status, call.attempts, call.usage),
            (status, attempts, usage),
            "{name}"
        );
        assert_eq!(state.usage, usage, "{name}");
        let spent = if status.is_settled() {
            usage.output_tokens
        } else {
            0
        };
        assert_eq!(state.settled_output_tokens, spent, "{name}");
        assert_eq!(call.settled.is_some(), status.is_settled(), "{name}");
        assert_eq!(state.turns, u64::from(status.is_settled()), "{name}");
    }
}

#[test]
fn attempts_that_settled_nothing_are_kept() {
    let records = [
        call(0),
        attempt(0, 1),
        failed(0, 1),
        attempt(0, 2),
        recovered(3),
        attempt(0, 3),
    ];
    let state = fold(begun(records)).unwrap();
    let call = &state.calls[0];
    let past: Vec<_> = call
        .past()
        .iter()
        .map(|past| {
            (
                past.attempt.0,
                past.end.name(),
                past.started_at,
                past.ended_at,
            )
        })
        .collect();
    assert_eq!(past, [(1, "crash", 3, 4), (2, "interrupted", 5, 6)]);
    assert_eq!(
        (call.first_started_at(), call.started_at),
        (Some(3), Some(7))
    );
}

#[test]
fn a_stopped_run_goes_on() {
    for resumption in [recovered(2), status(Status::Running)] {
        let state = fold(begun([call(0), attempt(0, 1), status(Status::Stopped)])).unwrap();
        assert_eq!((state.status, state.ended_at), (Status::Stopped, Some(4)));
        let records = [call(0), status(Status::Stopped), resumption, attempt(0, 1)];
        let state = fold(begun(records)).unwrap();
        assert_eq!((state.status, state.ended_at), (Status::Running, None));
    }
}

#[test]
fn agents_are_counted_once_and_workflows_are_none() {
    let records = vec![
        call_of(CallKind::Workflow, 0, 0),
        call(1),
        call(2),
        refused(3),
        attempt(1, 1),
        completed(0, 0),
        completed(1, 1),
        recovered(2),
        settled(2, 0, Outcome::Skipped),
        call_of(CallKind::Agent, 4, 4),
    ];
    let state = fold(begun(records.into_iter().take(9))).unwrap();
    let expected = Counts {
        total: 3,
        completed: 1,
        failed: 1,
        skipped: 1,
        reused: 1,
        ..Counts::default()
    };
    assert_eq!(state.counts, expected);
    assert_eq!(state.recoveries.len(), 1);
    assert_eq!(
        (state.recoveries[0].reused, state.recoveries[0].interrupted),
        (1, 0)
    );
}

#[test]
fn phases_are_in_order_and_their_titles_shared() {
    let records = [
        phase(0, 0, "Plan"),
        call(0),
        call(1),
        phase(0, 1, "phase"),
        phase(0, 2, "Plan"),
    ];
    let state = fold(begun(records)).unwrap();
    let phases: Vec<_> = state
        .phases
        .iter()
        .map(|phase| (&*phase.title, phase.entered_at))
        .collect();
    assert_eq!(phases, [("Plan", Some(2)), ("phase", Some(5))]);
    let [first, second] = [0, 1].map(|call| state.calls[call].phase.clone().unwrap());
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn f02_what_was_shown_is_known() {
    let state = fold(begun([timer(), logged(0, 0), logged(1, 3)])).unwrap();
    assert_eq!((state.turns, state.last_shown), (1, Some((1, 3))));
    for (turn, ordinal, shown) in [(0, 9, true), (1, 3, true), (1, 4, false), (2, 0, false)] {
        assert_eq!(state.was_shown(turn, ordinal), shown, "{turn} {ordinal}");
    }
}

#[test]
fn a_new_generation_keeps_only_what_was_used() {
    let first = begun([
        call(0),
        attempt(0, 1),
        completed(0, 1),
        ended(Status::Completed),
        opened(2),
    ]);
    let state = fold(first).unwrap();
    assert_eq!((state.usage, state.settled_output_tokens), (USED, 0));
    assert!(state.calls.is_empty() && state.phases.is_empty());
    assert_eq!((state.counts, state.turns), (Counts::default(), 0));
    assert_eq!(
        (state.status, state.ended_at, state.result),
        (Status::Queued, None, None)
    );
}

#[test]
fn a_run_that_did_something_is_running() {
    assert_eq!(fold(begun([])).unwrap().status, Status::Queued);
    for record in [call(0), logged(0, 0), phase(0, 0, "x"), refused(0), timer()] {
        assert_eq!(fold(begun([record])).unwrap().status, Status::Running);
    }
}

#[test]
fn changes_stay_with_their_call_and_the_branch_is_the_newest() {
    let state = fold(begun([
        call(0),
        attempt(0, 1),
        recovered(2),
        attempt(0, 2),
        changes_on(0, 1, None),
        changes_on(0, 2, Some("bellwether/a-0-2")),
        completed(0, 2),
    ]))
    .unwrap();
    let kept = state.kept_branch(CallNumber(0)).unwrap();
    assert_eq!(
        (kept.attempt, kept.branch.as_deref()),
        (Attempt(2), Some("bellwether/a-0-2"))
    );
    assert_eq!(state.changes[&CallNumber(0)].len(), 2);
    assert_eq!(state.kept_branch(CallNumber(1)), None);
}

#[test]
fn notes_outlive_their_attempt_and_go_with_the_answer() {
    let records = |more: Vec<Record>| {
        let mut records = begun([
            call_of(CallKind::Merge, 0, 0),
            attempt(0, 1),
            noted(0, 1),
            recovered(2),
            attempt(0, 2),
            noted(0, 2),
        ]);
        records.extend(more);
        fold(records).unwrap()
    };
    let open = records(Vec::new());
    let notes: Vec<&Text> = open.notes[&CallNumber(0)]
        .iter()
        .map(|note| &note.1)
        .collect();
    let text = |text: &str| Text::Inline(text.into());
    assert_eq!(notes, [&text("note of 1"), &text("note of 2")]);
    assert!(records(vec![completed(0, 2)]).notes.is_empty());
}

fn adopted(call: u32, attempt: u32) -> Record {
    Record::AttemptAdopted(Box::new(AttemptAdopted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        generation: Generation(1),
        from: CallNumber(7),
        started_at: 5,
        idempotency_key: Digest::of("test", &[b"idempotency"]),
        notes: vec![Text::Inline("note of before".into())],
    }))
}

#[test]
fn r03_an_adopted_attempt_keeps_its_number_its_notes_and_what_backends_know_it_by() {
    let zero = CallNumber(0);
    let open = fold(begun([call(0), adopted(0, 2), noted(0, 2)])).unwrap();
    let known = open.call(zero).unwrap();
    assert_eq!(
        (known.status, known.attempts, known.started_at),
        (CallStatus::Running, 2, Some(5))
    );
    assert_eq!(open.notes[&zero].len(), 2);
    assert_eq!(open.adopted[&zero], Digest::of("test", &[b"idempotency"]));
    let after = begun([
        call(0),
        adopted(0, 2),
        recovered(2),
        attempt(0, 3),
        completed(0, 3),
    ]);
    let after = fold(after).unwrap();
    assert!(after.notes.is_empty() && after.adopted.is_empty());
    assert_eq!(after.call(zero).unwrap().past().len(), 1);
}

fn rewound(number: u32) -> Record {
    let Record::GenerationOpened(opened) = opened(number) else {
        panic!("a generation")
    };
    let base = Base {
        run: run(),
        generation: Generation(number - 1),
        cut: Position(0),
    };
    Record::GenerationRewound(Box::new(GenerationRewound {
        opened: GenerationOpened {
            base: Some(base),
            ..*opened
        },
        keep_failed: true,
        options: Text::Inline("{}".into()),
        script_path: Some("edited.js".to_owned()),
        epoch: Epoch(4),
        by: Actor::Engine,
        reason: None,
    }))
}

fn reused(call: u32, outcome: Outcome) -> Record {
    Record::CallReused(Box::new(CallReused {
        call: CallNumber(call),
        from: CallNumber(7),
        outcome,
        usage: Usage {
            input_tokens: 1,
            output_tokens: 20,
        },
        attempts: 3,
        time: 5,
        version: Digest::default(),
    }))
}

#[test]
fn r03_a_reused_call_is_settled_is_seen_with_its_cost_and_paid_once() {
    let state = fold(begun([
        call(0),
        attempt(0, 1),
        completed(0, 1),
        ended(Status::Completed),
        rewound(2),
        call(0),
        call(1),
        changes_kept(0, 1),
        reused(0, Outcome::Completed(Text::Inline("1".into()))),
        reused(1, Outcome::Failed(failure())),
    ]))
    .unwrap();
    let paid = fold(begun([call(0), attempt(0, 1), completed(0, 1)])).unwrap();
    assert_eq!(state.usage, paid.usage, "nothing is paid again");
    assert_eq!(state.settled_output_tokens, 40, "and the script sees it");
    assert_eq!(
        (
            state.counts.reused,
            state.counts.completed,
            state.counts.failed
        ),
        (1, 1, 1)
    );
    assert_eq!((state.turns, state.epoch), (2, Epoch(4)));
    assert_eq!(state.calls[0].reused_from, Some(CallNumber(7)));
    assert_eq!(state.calls[0].attempts, 3);
    assert!(state.kept_branch(CallNumber(0)).is_some());
    let generation = state.generation.unwrap();
    assert!(generation.keep_failed && generation.options.is_some());
    assert_eq!(
        state.started.unwrap().script_path.as_deref(),
        Some("edited.js")
    );
}

#[test]
fn r03_what_cannot_be_reused_is_refused() {
    let done = || Outcome::Completed(Text::Inline("1".into()));
    let without_base = fold(begun([call(0), reused(0, done())])).unwrap_err();
    assert!(without_base.expected.contains("no base"), "{without_base}");
    let begun_call = [
        call(0),
        rewound(2),
        call(0),
        attempt(0, 1),
        reused(0, done()),
    ];
    let begun_call = fold(begun(begun_call)).unwrap_err();
    assert!(begun_call.expected.contains("was begun"), "{begun_call}");
    let skipped = fold(begun([rewound(3)])).unwrap_err();
    assert_eq!(skipped.expected, "generation 2");
    let late = fold(begun([rewound(2), recovered(2)])).unwrap_err();
    assert!(late.expected.contains("an epoch from 4 on"), "{late}");
}

#[test]
fn the_time_of_turns_never_goes_back_and_reused_answers_keep_theirs() {
    let state = fold(begun([rewound(2), call(0), reused(0, Outcome::Skipped)])).unwrap();
    let time = state.turn_time;
    let later = fold(begun([
        rewound(2),
        call(0),
        call(1),
        attempt(1, 1),
        completed(1, 1),
        reused(0, Outcome::Skipped),
    ]))
    .unwrap();
    assert_eq!(time, 5, "the time of the answer that is reused");
    assert!(later.turn_time > 5, "but never before a turn that was");
}

#[test]
fn limits_that_were_set_last_hold() {
    let set = |concurrency, agents| {
        let limits = RunLimits {
            concurrency,
            agents,
        };
        Record::Ordered(Box::new(Ordered {
            order: Order::SetLimits(limits),
            by: Actor::Engine,
            reason: None,
        }))
    };
    let orders = [set(Some(4), None), set(None, Some(9)), set(Some(2), None)];
    let limits = fold(begun(orders)).unwrap().limits;
    assert_eq!((limits.concurrency, limits.agents), (Some(2), Some(9)));
}

fn counted(call: u32, attempt: u32, tokens: u64, cost: Option<u64>) -> Record {
    Record::UsageCounted(Box::new(UsageCounted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        counted: Counted {
            input_tokens: 2 * tokens,
            output_tokens: tokens,
            requests: 1,
            cost,
            ..Counted::default()
        },
    }))
}

/// Output tokens of the run, of call 0 and of the settled calls; the costs of run and call.
fn used(state: &RunState) -> (u64, u64, u64, Option<u64>, Option<u64>) {
    let call = state.call(CallNumber(0)).unwrap();
    (
        state.usage.output_tokens,
        call.usage.output_tokens,
        state.settled_output_tokens,
        state.counted.cost,
        call.counted.as_ref().and_then(|counted| counted.cost),
    )
}

#[test]
fn u02_what_was_counted_outlives_a_crash_and_is_summed_once() {
    let spent = |tokens: u64| Usage {
        input_tokens: 2 * tokens,
        output_tokens: tokens,
    };
    let mut end = completed(0, 2);
    if let Record::CallSettled(settled) = &mut end {
        settled.usage = spent(50);
    }
    let mut records = begun([call(0), attempt(0, 1), counted(0, 1, 100, Some(7))]);
    let mut then = |record: Record| {
        records.push(record);
        used(&fold(records.clone()).unwrap())
    };
    assert_eq!(
        then(counted(0, 1, 300, Some(20))),
        (300, 300, 0, Some(20), Some(20)),
        "each count takes the place of the one before"
    );
    assert_eq!(then(recovered(2)), (300, 300, 0, Some(20), Some(20)));
    then(attempt(0, 2));
    assert_eq!(
        then(counted(0, 2, 50, Some(5))),
        (350, 350, 0, Some(25), Some(25))
    );
    assert_eq!(then(end), (350, 350, 350, Some(25), Some(25)));
    let state = fold(records).unwrap();
    assert!(state.at_work.is_empty());
}

#[test]
fn u02_what_a_backend_reports_beyond_what_was_counted_is_added() {
    let mut end = completed(0, 1);
    if let Record::CallSettled(settled) = &mut end {
        settled.usage = Usage {
            input_tokens: 5,
            output_tokens: 70,
        };
    }
    let records = begun([call(0), attempt(0, 1), counted(0, 1, 40, None), end]);
    let state = fold(records).unwrap();
    assert_eq!(used(&state), (70, 70, 70, None, None));
    assert_eq!(state.usage.input_tokens, 80);
}

#[test]
fn u02_an_adopted_attempt_keeps_what_it_used_and_nobody_pays_twice() {
    let mut records = begun([call(0), attempt(0, 1), counted(0, 1, 100, Some(9))]);
    let mut rewinding = records[1].clone();
    if let Record::GenerationOpened(opened) = &mut rewinding {
        opened.number = Generation(2);
        opened.base = Some(Base {
            run: run(),
            generation: Generation(1),
            cut: Position(5),
        });
    }
    let mut adopted = adopted(0, 1);
    if let Record::AttemptAdopted(adopted) = &mut adopted {
        adopted.from = CallNumber(0);
    }
    records.extend([rewinding, call(0), adopted, counted(0, 1, 130, Some(11))]);
    assert_eq!(
        used(&fold(records).unwrap()),
        (130, 130, 0, Some(11), Some(11))
    );
}

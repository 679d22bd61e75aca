//! Runs to test with: one that says everything a journal can say, and random ones.

use std::sync::Arc;

use bellwether_journal::codec::{Entry, Sealer};
use bellwether_journal::id::{
    Attempt, CallNumber, Epoch, Generation, Position, RunId, TimerNumber,
};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    Actor, AttemptAdopted, AttemptFailed, AttemptStarted, Base, CallKind, CallRefused, CallReused,
    CallScheduled, CallSettled, Cancellation, ChangedFile, ChangesKept, Failure, FailureKind,
    FileChange, GenerationOpened, GenerationRewound, Level, Logged, Millis, Noticed,
    OrchestratorLost, Order, Ordered, Outcome, PhaseEntered, Policy, Record, Recovered, RunEnded,
    RunLimits, RunStarted, ScriptError, Status, StatusChanged, StepNoted, TimerArmed, TimerElapsed,
    TimerFired, Usage,
};
use bellwether_journal::state::{CallStatus, RunState};
use bellwether_journal::store::Row;
use bellwether_journal::text::{Reference, Text};
use bellwether_journal::usage::{Counted, ModelAsked, UsageCounted};

pub(crate) const START: Millis = 1_790_000_000_000;

pub(crate) fn run(number: u64) -> RunId {
    RunId::from_u64(number).unwrap()
}

pub(crate) fn inline(text: &str) -> Text {
    Text::Inline(text.into())
}

fn reference(name: &str) -> Reference {
    Reference {
        hash: Digest::of("test", &[name.as_bytes()]),
        bytes: 10_000,
    }
}

pub(crate) fn started(name: &str) -> Record {
    Record::RunStarted(Box::new(RunStarted {
        name: name.to_owned(),
        script_path: Some("workflows/migrate.js".to_owned()),
        options: inline(r#"{"backend":"dry"}"#),
        working_directory: "project".to_owned(),
        base_commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        started_by: "bellwether 0.1.0".to_owned(),
    }))
}

pub(crate) fn opened(number: u32) -> GenerationOpened {
    GenerationOpened {
        number: Generation(number),
        base: None,
        script: Text::Shared(reference("script")),
        args: Some(inline(r#"{"path":"src"}"#)),
        vm_identity: Digest::of("test", &[b"vm"]),
        seed: [7; 32],
        time: START,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: Some(1_000_000),
    }
}

pub(crate) fn scheduled(call: u32, turn: u64) -> CallScheduled {
    let content = key::content("agent", &format!("fix file {call}"), "{}");
    CallScheduled {
        call: CallNumber(call),
        kind: CallKind::Agent,
        turn,
        content,
        context: key::root(),
        key: key::key(content, key::root(), 0),
        label: Some(format!("fix {call}").into()),
        phase: Some(Arc::from(["Fix", "Check", "Report"][call as usize % 3])),
        prompt: inline(&format!("fix file {call}")),
        options: inline("{}"),
        line: 12,
    }
}

pub(crate) fn attempt(call: u32, attempt: u32) -> Record {
    Record::AttemptStarted(AttemptStarted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
    })
}

pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        message: format!("it was {}", kind.name()),
        evidence: Some("the last lines\nof stderr".to_owned()),
        retry_after: (kind == FailureKind::RateLimit).then_some(1_500),
    }
}

pub(crate) fn failed(call: u32, attempt: u32, kind: FailureKind, retry_at: Millis) -> Record {
    Record::AttemptFailed(Box::new(AttemptFailed {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        failure: failure(kind),
        usage: Usage {
            input_tokens: 30,
            output_tokens: 3,
        },
        retry_at,
    }))
}

pub(crate) fn settled(call: u32, attempt: u32, outcome: Outcome) -> Record {
    Record::CallSettled(Box::new(CallSettled {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        outcome,
        usage: Usage {
            input_tokens: 100,
            output_tokens: 10,
        },
    }))
}

pub(crate) fn completed(call: u32, attempt: u32) -> Record {
    settled(
        call,
        attempt,
        Outcome::Completed(inline(&format!(r#"{{"file":{call}}}"#))),
    )
}

pub(crate) fn status(status: Status) -> Record {
    Record::StatusChanged(Box::new(StatusChanged {
        status,
        by: Actor::Engine,
        reason: None,
    }))
}

pub(crate) fn ended(status: Status) -> Record {
    Record::RunEnded(Box::new(RunEnded {
        status,
        result: Some(inline("42")),
        error: None,
        by: Actor::Script,
    }))
}

pub(crate) fn logged(turn: u64, ordinal: u32, level: Level) -> Record {
    let text = format!("line {ordinal} of turn {turn}: ä ✓");
    Record::Logged(Box::new(Logged {
        turn,
        ordinal,
        level,
        text,
    }))
}

fn phase(turn: u64, ordinal: u32, title: &str) -> Record {
    Record::PhaseEntered(Box::new(PhaseEntered {
        turn,
        ordinal,
        title: title.into(),
    }))
}

fn call(call: CallScheduled) -> Record {
    Record::CallScheduled(Box::new(call))
}

/// A run that has every record, every variant and every way of a text.
pub(crate) fn everything() -> Vec<Record> {
    let workflow = CallScheduled {
        kind: CallKind::Workflow,
        label: None,
        phase: None,
        prompt: inline("other.js"),
        options: Text::Payload(reference("options")),
        ..scheduled(6, 0)
    };
    vec![
        started("migrate"),
        Record::GenerationOpened(Box::new(opened(1))),
        status(Status::Running),
        phase(0, 0, "Plan"),
        logged(0, 1, Level::Info),
        call(scheduled(0, 0)),
        call(CallScheduled {
            prompt: Text::Payload(reference("prompt")),
            ..scheduled(1, 0)
        }),
        call(scheduled(2, 0)),
        call(scheduled(3, 0)),
        call(scheduled(4, 0)),
        call(scheduled(5, 0)),
        call(workflow),
        Record::CallRefused(Box::new(CallRefused {
            call: CallNumber(7),
            code: "AGENT_CAP".to_owned(),
            message: "more than 7 agents".to_owned(),
        })),
        attempt(0, 1),
        attempt(1, 1),
        attempt(2, 1),
        attempt(3, 1),
        failed(0, 1, FailureKind::RateLimit, START + 1_500),
        failed(1, 1, FailureKind::Transport, START),
        completed(2, 1),
        settled(6, 0, Outcome::Completed(inline(r#"{"source":"return 1"}"#))),
        Record::TimerFired(TimerFired {
            timer: TimerNumber(0),
        }),
        settled(4, 0, Outcome::Skipped),
        Record::OrchestratorLost(Box::new(OrchestratorLost {
            at: Position(21),
            message: "out of memory".to_owned(),
        })),
        attempt(0, 2),
        status(Status::Pausing),
        status(Status::Paused),
        Record::Recovered(Recovered { epoch: Epoch(4) }),
        Record::StatusChanged(Box::new(StatusChanged {
            status: Status::Waiting,
            by: Actor::Caller("ann@host".to_owned()),
            reason: Some("environment: API_KEY".to_owned()),
        })),
        status(Status::Stopping),
        status(Status::Stopped),
        Record::Recovered(Recovered { epoch: Epoch(5) }),
        logged(4, 0, Level::Warning),
        logged(4, 1, Level::Error),
        attempt(0, 3),
        attempt(1, 2),
        attempt(3, 2),
        settled(0, 3, Outcome::Completed(Text::Payload(reference("value")))),
        settled(1, 2, Outcome::Failed(failure(FailureKind::Quota))),
        settled(3, 2, Outcome::Cancelled(Cancellation::Person)),
        settled(5, 0, Outcome::Cancelled(Cancellation::ScriptEnded)),
        status(Status::Killed),
        status(Status::Queued),
        ended(Status::Degraded),
        Record::GenerationOpened(Box::new(GenerationOpened {
            base: Some(Base {
                run: run(9),
                generation: Generation(1),
                cut: Position(30),
            }),
            args: None,
            script: inline("return 1"),
            dirty: vec![CallNumber(1), CallNumber(300)],
            policy: Policy::Prefix,
            budget_total: None,
            ..opened(2)
        })),
        call(CallScheduled {
            label: None,
            line: 0,
            ..scheduled(0, 0)
        }),
        attempt(0, 1),
        failed(0, 1, FailureKind::Timeout, START),
        attempt(0, 2),
        failed(0, 2, FailureKind::Refused, START),
        attempt(0, 3),
        failed(0, 3, FailureKind::Crash, START),
        attempt(0, 4),
        settled(0, 4, Outcome::Failed(failure(FailureKind::Other))),
        Record::RunEnded(Box::new(RunEnded {
            status: Status::Failed,
            result: None,
            error: Some(ScriptError {
                name: "TypeError".to_owned(),
                code: Some("X".to_owned()),
                message: "x is not a function".to_owned(),
                line: 3,
                column: 14,
                stack: "at main:3:14\n".to_owned(),
            }),
            by: Actor::Script,
        })),
        Record::GenerationOpened(Box::new(GenerationOpened {
            policy: Policy::ReuseAll,
            ..opened(3)
        })),
        ended(Status::Completed),
        Record::GenerationOpened(Box::new(opened(4))),
        status(Status::Quarantined),
    ]
}

/// The rows of `records`, a millisecond apart, and what stands in them.
pub(crate) fn seal(run: RunId, records: &[Record]) -> (Vec<Row>, Vec<Entry>) {
    let mut sealer = Sealer::new(run);
    let mut at = START;
    records
        .iter()
        .map(|record| {
            at += 1;
            let row = sealer.seal(at, record).unwrap();
            let position = row.position;
            (
                row,
                Entry {
                    position,
                    at,
                    chain: sealer.head(),
                    record: record.clone(),
                },
            )
        })
        .unzip()
}

/// A random run: each choice picks one of the records that can follow.
pub(crate) fn random(choices: &[u32]) -> Vec<Record> {
    let mut state = RunState::new(run(5));
    let mut records = vec![
        started("random"),
        Record::GenerationOpened(Box::new(opened(1))),
    ];
    let mut sealer = Sealer::new(run(5));
    for index in 0.. {
        let record = match records.get(index) {
            Some(record) => record.clone(),
            None => match choices.get(index) {
                Some(&choice) => following(&state, choice),
                None => break,
            },
        };
        records.truncate(index);
        records.push(record.clone());
        let row = sealer.seal(START, &record).unwrap();
        let entry = Entry {
            position: row.position,
            at: START,
            chain: sealer.head(),
            record,
        };
        state.apply(&entry).unwrap();
        if index == 0 {
            records.push(Record::GenerationOpened(Box::new(opened(1))));
        }
    }
    records
}

/// What an attempt changed.
pub(crate) fn changes_kept(call: u32, attempt: u32, branch: Option<&str>) -> Record {
    Record::ChangesKept(Box::new(ChangesKept {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        branch: branch.map(str::to_owned),
        base: "1f".repeat(20),
        commit: branch.map(|_| "2e".repeat(20)),
        files: vec![
            changed("src/a.ts", FileChange::Modified, 3, 1),
            changed("src/new name.ts", FileChange::Renamed, 0, 0),
            changed("logo.png", FileChange::Added, 0, 0),
            changed("old.ts", FileChange::Deleted, 0, 40),
        ],
        file_count: 4,
        diff: inline("diff --git a/src/a.ts b/src/a.ts\n"),
    }))
}

fn changed(path: &str, change: FileChange, added: u32, removed: u32) -> ChangedFile {
    ChangedFile {
        path: path.to_owned(),
        change,
        added,
        removed,
    }
}

pub(crate) fn noted(call: u32, attempt: u32, note: &str) -> Record {
    Record::StepNoted(Box::new(StepNoted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        note: inline(note),
    }))
}

/// A migration: isolated agents whose changes are kept, one whose answer never fits its schema, a merge that is cut off.
pub(crate) fn migration() -> Vec<Record> {
    let merge = CallScheduled {
        kind: CallKind::Merge,
        prompt: inline(r#"["bellwether/r-7k2m9q4d/a-0"]"#),
        options: inline(r#"{"into":"main"}"#),
        ..scheduled(2, 2)
    };
    vec![
        started("migrate"),
        Record::GenerationOpened(Box::new(opened(1))),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        Record::Noticed(Box::new(Noticed {
            text: "agent type `fixer`: `hooks` is not read".to_owned(),
        })),
        attempt(0, 1),
        attempt(1, 1),
        failed(1, 1, FailureKind::Transport, START + 10),
        attempt(1, 2),
        changes_kept(0, 1, Some("bellwether/r-7k2m9q4d/a-0")),
        completed(0, 1),
        changes_kept(1, 1, None),
        settled(1, 2, Outcome::Failed(failure(FailureKind::Schema))),
        call(merge),
        attempt(2, 1),
        noted(2, 1, r#"{"branch":"a-0","before":"1f","after":"3d"}"#),
        Record::Recovered(Recovered { epoch: Epoch(2) }),
        attempt(2, 2),
        noted(2, 2, r#"{"branch":"a-1","before":"3d","after":"4c"}"#),
        completed(2, 2),
        ended(Status::Degraded),
    ]
}

/// A generation that is rewound from one of this run, or of another.
pub(crate) fn rewound(number: u32, of: RunId, generation: u32) -> Record {
    Record::GenerationRewound(Box::new(GenerationRewound {
        opened: GenerationOpened {
            base: Some(Base {
                run: of,
                generation: Generation(generation),
                cut: Position(9),
            }),
            dirty: vec![CallNumber(1)],
            policy: Policy::Causal,
            ..opened(number)
        },
        keep_failed: number > 2,
        options: inline(r#"{"backend":"dry"}"#),
        script_path: Some("edited.js".to_owned()),
        epoch: Epoch(3),
        by: Actor::Caller("someone@host".to_owned()),
        reason: Some("one failed".to_owned()),
    }))
}

pub(crate) fn reused(call: u32, from: u32, outcome: Outcome) -> Record {
    Record::CallReused(Box::new(CallReused {
        call: CallNumber(call),
        from: CallNumber(from),
        outcome,
        usage: Usage {
            input_tokens: 5,
            output_tokens: 7,
        },
        attempts: 2,
        time: START + 30,
        version: Digest::of("test", &[b"version"]),
    }))
}

pub(crate) fn ordered(order: Order) -> Record {
    Record::Ordered(Box::new(Ordered {
        order,
        by: Actor::Caller("someone@host".to_owned()),
        reason: Some("it takes too long".to_owned()),
    }))
}

/// A run that is rewound: what it reuses, timers of both kinds, orders of every sort.
pub(crate) fn rewind() -> Vec<Record> {
    let elapsed = |timer, from: Option<u32>| {
        Record::TimerElapsed(TimerElapsed {
            timer: TimerNumber(timer),
            key: Digest::of("test", &[b"timer"]),
            time: START + 20,
            from: from.map(TimerNumber),
        })
    };
    vec![
        started("again"),
        Record::GenerationOpened(Box::new(opened(1))),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        elapsed(0, None),
        attempt(0, 1),
        attempt(1, 1),
        completed(0, 1),
        settled(1, 1, Outcome::Failed(failure(FailureKind::ByPerson))),
        ended(Status::Degraded),
        rewound(2, run(5), 1),
        status(Status::Running),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        call(scheduled(2, 0)),
        call(scheduled(3, 0)),
        changes_kept(0, 1, Some("bellwether/r-7k2m9q4d/a-0")),
        reused(0, 0, Outcome::Completed(inline("1"))),
        elapsed(0, Some(0)),
        Record::TimerArmed(TimerArmed {
            timer: TimerNumber(1),
            at: START + 60_000,
        }),
        attempt(1, 1),
        ordered(Order::RestartAgent(CallNumber(1))),
        failed(1, 1, FailureKind::ByPerson, START + 40),
        attempt(1, 2),
        ordered(Order::StopAgent(CallNumber(1))),
        settled(1, 2, Outcome::Cancelled(Cancellation::Person)),
        ordered(Order::SkipAgent(CallNumber(2))),
        settled(2, 0, Outcome::Skipped),
        ordered(Order::Answer(CallNumber(3), inline("true"))),
        ordered(Order::SetLimits(RunLimits {
            concurrency: Some(0),
            agents: None,
        })),
        attempt(3, 1),
        completed(3, 1),
        ended(Status::Completed),
        rewound(3, run(5), 2),
    ]
}

fn following(state: &RunState, choice: u32) -> Record {
    let generation = state.generation.as_ref().unwrap().number;
    if state.status.is_final() {
        return Record::GenerationOpened(Box::new(opened(generation.0 + 1)));
    }
    if matches!(state.status, Status::Stopped | Status::Killed) {
        return Record::Recovered(Recovered {
            epoch: state.epoch.next(),
        });
    }
    let open: Vec<_> = state.unsettled().collect();
    let pick = choice / 32;
    let (number, call_state) = match open.get(pick as usize % open.len().max(1)) {
        Some((number, call_state)) if choice % 32 > 8 => (number.0, *call_state),
        _ => {
            return match choice % 32 {
                0 => status([Status::Paused, Status::Stopped, Status::Killed][pick as usize % 3]),
                1 => Record::Recovered(Recovered { epoch: state.epoch }),
                2 => Record::TimerFired(TimerFired {
                    timer: TimerNumber(pick),
                }),
                3 => logged(state.turns, pick, Level::Info),
                4 if pick.is_multiple_of(8) => ended(Status::Completed),
                _ => call(scheduled(state.next_call().0, state.turns)),
            };
        }
    };
    let running = call_state.attempts;
    match (call_state.status, choice % 4) {
        (CallStatus::Running, 3) if choice.is_multiple_of(5) => noted(number, running, "{}"),
        (CallStatus::Running, 3) if choice.is_multiple_of(3) => {
            changes_kept(number, running, Some("bellwether/a"))
        }
        (CallStatus::Running, 0) if choice.is_multiple_of(3) => {
            counted(number, running, u64::from(pick), Some(u64::from(pick)))
        }
        (CallStatus::Running, 0) if choice.is_multiple_of(7) => asked(
            number,
            running,
            if pick.is_multiple_of(2) {
                "a/one"
            } else {
                "b/two"
            },
        ),
        (CallStatus::Running, 0) => failed(number, running, FailureKind::Transport, START),
        (CallStatus::Running, 1) => settled(
            number,
            running,
            Outcome::Failed(failure(FailureKind::Crash)),
        ),
        (CallStatus::Running, _) => completed(number, running),
        (_, 0) => settled(number, 0, Outcome::Skipped),
        (_, 1) => settled(number, 0, Outcome::Cancelled(Cancellation::Person)),
        _ => attempt(number, running + 1),
    }
}

/// A run that is rewound while two agents are at work: one goes on for the new generation, through a crash, the other is not
/// asked for any more.
pub(crate) fn adoption() -> Vec<Record> {
    vec![
        started("migrate"),
        Record::GenerationOpened(Box::new(opened(1))),
        status(Status::Running),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        attempt(0, 1),
        attempt(1, 1),
        failed(1, 1, FailureKind::Transport, START + 10),
        attempt(1, 2),
        noted(1, 2, r#"{"answer":1}"#),
        rewound(2, run(5), 1),
        status(Status::Running),
        call(scheduled(0, 0)),
        Record::AttemptAdopted(Box::new(AttemptAdopted {
            call: CallNumber(0),
            attempt: Attempt(2),
            generation: Generation(1),
            from: CallNumber(1),
            started_at: START + 9,
            idempotency_key: Digest::of("test", &[b"idempotency"]),
            notes: vec![inline(r#"{"answer":1}"#)],
        })),
        Record::Recovered(Recovered { epoch: Epoch(4) }),
        attempt(0, 3),
        completed(0, 3),
        ended(Status::Completed),
    ]
}

pub(crate) fn counted(call: u32, attempt: u32, tokens: u64, cost: Option<u64>) -> Record {
    Record::UsageCounted(Box::new(UsageCounted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        counted: Counted {
            input_tokens: 10 * tokens,
            output_tokens: tokens,
            cached_tokens: 5 * tokens,
            cache_written_tokens: tokens,
            reasoning_tokens: tokens / 2,
            requests: 2,
            cost,
            estimated: 1,
        },
    }))
}

/// What models use is counted while agents are at work: over a crash, a retry and a rewind that reuses one answer.
pub(crate) fn spending() -> Vec<Record> {
    vec![
        started("migrate"),
        Record::GenerationOpened(Box::new(opened(1))),
        status(Status::Running),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        attempt(0, 1),
        attempt(1, 1),
        counted(0, 1, 100, Some(2_500)),
        counted(1, 1, 40, None),
        counted(0, 1, 300, Some(7_500)),
        Record::Recovered(Recovered { epoch: Epoch(3) }),
        attempt(0, 2),
        counted(0, 2, 50, Some(1_000)),
        completed(0, 2),
        attempt(1, 2),
        settled(1, 2, Outcome::Failed(failure(FailureKind::Limit))),
        ended(Status::Degraded),
        rewound(2, run(5), 1),
        status(Status::Running),
        call(scheduled(0, 0)),
        counted(0, 0, 350, Some(8_500)),
        reused(0, 0, Outcome::Completed(inline("1"))),
        ended(Status::Completed),
    ]
}

pub(crate) fn asked(call: u32, attempt: u32, model: &str) -> Record {
    Record::ModelAsked(Box::new(ModelAsked {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        model: model.into(),
    }))
}

/// A call that asks one model and then another, and one that asks the first again.
pub(crate) fn models() -> Vec<Record> {
    vec![
        started("migrate"),
        Record::GenerationOpened(Box::new(opened(1))),
        status(Status::Running),
        call(scheduled(0, 0)),
        call(scheduled(1, 0)),
        attempt(0, 1),
        attempt(1, 1),
        asked(0, 1, "anthropic/claude-sonnet-4-6"),
        counted(0, 1, 100, Some(2_500)),
        asked(1, 1, "local/qwen3-coder"),
        counted(1, 1, 40, None),
        asked(0, 1, "local/qwen3-coder"),
        counted(0, 1, 300, Some(2_500)),
        completed(0, 1),
        completed(1, 1),
        ended(Status::Completed),
    ]
}

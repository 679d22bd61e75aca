//! What people see of a run, from its records.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bellwether_journal::codec::{self, Entry, Sealer};
use bellwether_journal::id::{Attempt, CallNumber, Epoch, Generation, Position, RunId};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::record::{
    Actor, AttemptFailed, AttemptStarted, CallKind, CallRefused, CallScheduled, CallSettled,
    Cancellation, Failure, FailureKind, GenerationOpened, Level, Logged, Millis, Outcome,
    PhaseEntered, Policy, Record, Recovered, RunEnded, RunStarted, ScriptError, Status,
    StatusChanged, Usage,
};
use bellwether_journal::state::RunState;
use bellwether_journal::store::{Batch, Store};
use bellwether_journal::text::{self, Text};
use serde_json::json;

use super::logs::LogLines;
use super::run::find_call;
use super::*;

const START: Millis = 1_790_000_000_000;
const USED: Usage = Usage {
    input_tokens: 100,
    output_tokens: 10,
};

fn run(number: u64) -> RunId {
    RunId::from_u64(number).unwrap()
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn started(name: &str) -> Record {
    Record::RunStarted(Box::new(RunStarted {
        name: name.to_owned(),
        script_path: Some("migrate.js".to_owned()),
        options: Text::Inline("{}".into()),
        working_directory: "project".to_owned(),
        base_commit: None,
        started_by: "test".to_owned(),
    }))
}

fn opened() -> Record {
    Record::GenerationOpened(Box::new(GenerationOpened {
        number: Generation(1),
        base: None,
        script: Text::Inline("return 1".into()),
        args: None,
        vm_identity: Digest::default(),
        seed: [0; 32],
        time: START,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: Some(500),
    }))
}

fn scheduled(number: u32, label: Option<&str>, phase: Option<&str>) -> Record {
    let content = key::content("agent", &number.to_string(), "{}");
    Record::CallScheduled(Box::new(CallScheduled {
        call: CallNumber(number),
        kind: CallKind::Agent,
        turn: 0,
        content,
        context: key::root(),
        key: key::key(content, key::root(), 0),
        label: label.map(Arc::from),
        phase: phase.map(Arc::from),
        prompt: Text::Inline("fix\nit \u{1b}[31mnow".into()),
        options: Text::Inline("{}".into()),
        line: 7,
    }))
}

fn attempt(call: u32, attempt: u32) -> Record {
    Record::AttemptStarted(AttemptStarted {
        call: CallNumber(call),
        attempt: Attempt(attempt),
    })
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure {
        kind,
        message: message.to_owned(),
        evidence: None,
        retry_after: None,
    }
}

fn settled(call: u32, attempt: u32, outcome: Outcome) -> Record {
    Record::CallSettled(Box::new(CallSettled {
        call: CallNumber(call),
        attempt: Attempt(attempt),
        outcome,
        usage: USED,
    }))
}

fn done(call: u32, attempt: u32) -> Record {
    settled(call, attempt, Outcome::Completed(Text::Inline("1".into())))
}

fn failed_for_good(call: u32, message: &str) -> Record {
    settled(
        call,
        1,
        Outcome::Failed(failure(FailureKind::Crash, message)),
    )
}

/// A run in which everything happens, a second a record.
fn story() -> Vec<Record> {
    vec![
        started("migrate"),
        opened(),
        Record::PhaseEntered(Box::new(PhaseEntered {
            turn: 0,
            ordinal: 0,
            title: "Fix".into(),
        })),
        scheduled(0, Some("a.js"), Some("Fix")),
        scheduled(1, Some("b.js"), Some("Fix")),
        scheduled(2, Some("b.js"), Some("Check")),
        scheduled(3, None, None),
        attempt(0, 1),
        attempt(1, 1),
        done(0, 1),
        Record::AttemptFailed(Box::new(AttemptFailed {
            call: CallNumber(1),
            attempt: Attempt(1),
            failure: failure(FailureKind::RateLimit, "slow down"),
            usage: USED,
            retry_at: START + 12_000,
        })),
        attempt(2, 1),
        Record::Recovered(Recovered { epoch: Epoch(2) }),
        attempt(1, 2),
        done(1, 2),
        attempt(2, 2),
        settled(2, 2, Outcome::Failed(failure(FailureKind::Crash, "exit 1"))),
        settled(3, 0, Outcome::Cancelled(Cancellation::Person)),
        Record::CallRefused(Box::new(CallRefused {
            call: CallNumber(4),
            code: "AGENT_CAP".to_owned(),
            message: "more than 4".to_owned(),
        })),
        Record::Logged(Box::new(Logged {
            turn: 5,
            ordinal: 0,
            level: Level::Warning,
            text: "one failed".to_owned(),
        })),
        Record::StatusChanged(Box::new(StatusChanged {
            status: Status::Paused,
            by: Actor::Caller("ann@host".to_owned()),
            reason: Some("lunch".to_owned()),
        })),
        Record::RunEnded(Box::new(RunEnded {
            status: Status::Degraded,
            result: Some(Text::Inline(r#"{"b":1,"a":[2.50]}"#.into())),
            error: None,
            by: Actor::Script,
        })),
    ]
}

fn entries(run: RunId, records: &[Record]) -> Vec<Entry> {
    let mut sealer = Sealer::new(run);
    let seal = |record: &Record| {
        let at = START + sealer.next().0 * 1_000;
        let row = sealer.seal(at, record).unwrap();
        codec::decode(run, row.position, &row.bytes).unwrap()
    };
    records.iter().map(seal).collect()
}

fn state(records: &[Record]) -> RunState {
    let mut state = RunState::new(run(1));
    for entry in entries(run(1), records) {
        state.apply(&entry).unwrap();
    }
    state
}

/// Puts a run into a store, begun `later` milliseconds after the others.
fn keep(store: &MemoryStore, run: RunId, records: &[Record], later: Millis) {
    let mut sealer = Sealer::new(run);
    let mut state = RunState::new(run);
    let mut batch = Batch::default();
    for record in records {
        let at = START + later + sealer.next().0 * 1_000;
        let row = sealer.seal(at, record).unwrap();
        state
            .apply(&codec::decode(run, row.position, &row.bytes).unwrap())
            .unwrap();
        batch.records.push((run, row.position, row.bytes));
    }
    batch
        .summaries
        .push((run, codec::encode_summary(&state.summary())));
    store.commit(&batch).unwrap();
}

fn archive() -> Archive {
    let store = MemoryStore::new();
    let running = [started("running"), opened(), scheduled(0, None, None)];
    keep(&store, id("r-10000001"), &story(), 0);
    keep(&store, id("r-10000002"), &running, 5_000);
    keep(&store, id("r-f0000003"), &running, 2_000);
    Archive::new(Arc::new(store))
}

#[test]
fn runs_are_listed_newest_first_and_interrupted_without_an_engine() {
    let now = START + 60_000;
    let rows = archive().runs(10, now).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.status, row.duration_ms))
        .collect();
    assert_eq!(
        found,
        [
            ("running", Status::Interrupted, 2_000),
            ("running", Status::Interrupted, 2_000),
            ("migrate", Status::Degraded, 21_000),
        ]
    );
    let live = archive().with_live(|run| run == id("r-10000002"));
    let rows = live.runs(1, now).unwrap();
    assert_eq!(
        (rows.len(), rows[0].status, rows[0].duration_ms),
        (1, Status::Running, 55_000)
    );
    assert_eq!(
        serde_json::to_value(&rows[0]).unwrap(),
        json!({
            "runId": "r-10000002",
            "name": "running",
            "status": "running",
            "startedAt": "2026-09-21T14:13:25.000Z",
            "durationMs": 55_000,
            "agents": {
                "total": 1, "completed": 0, "failed": 0, "cancelled": 0, "skipped": 0,
                "pending": 1, "reused": 0,
            },
            "usage": { "inputTokens": 0, "outputTokens": 0 },
        })
    );
    assert_eq!(live.unfinished(now).unwrap().len(), 2);
}

#[test]
fn a_run_is_found_by_what_people_type() {
    let archive = archive();
    let found = |text: &str| archive.find(text).map_err(|error| error.to_string());
    assert_eq!(found("last"), Ok(id("r-10000002")));
    for text in [&id("r-10000001").to_string(), "r-10000001", "10000001"] {
        assert_eq!(found(text), Ok(id("r-10000001")), "{text}");
    }
    assert_eq!(found("r-f"), Ok(id("r-f0000003")));
    assert_eq!(found("f"), Ok(id("r-f0000003")));
    let ambiguous = found("r-1").unwrap_err();
    assert_eq!(
        ambiguous,
        "`r-1` may be any of r-10000002, r-10000001; give more of the id"
    );
    for text in ["", "r-", "zz", "r-zzzzzzzz", "migrate"] {
        assert!(
            found(text)
                .unwrap_err()
                .starts_with(&format!("no run `{text}`")),
            "{text}"
        );
    }
    let empty = Archive::new(Arc::new(MemoryStore::new()));
    assert_eq!(
        empty.find("last").unwrap_err().to_string(),
        "the journal has no runs"
    );
    assert!(empty.view(run(1), 0).is_err());
}

#[test]
fn an_agent_is_found_by_id_or_label() {
    let state = state(&story());
    let found = |text: &str| find_call(&state, text).map_err(|error| error.to_string());
    assert_eq!(found("a-2"), Ok(CallNumber(2)));
    assert_eq!(found("a.js"), Ok(CallNumber(0)));
    assert_eq!(
        found("b.js").unwrap_err(),
        "`b.js` may be any of a-1, a-2; give the agent's id"
    );
    assert!(
        found("a-9")
            .unwrap_err()
            .starts_with("no agent `a-9` in r-")
    );
}

#[test]
fn a_view_says_what_became_of_every_agent() {
    let state = state(&story());
    let mut view = RunView::new(&state, false, 0, Some(r#"{"b":1,"a":[2.50]}"#));
    view.declare_phases(["Plan", "Check"]);
    let text = serde_json::to_string(&view).unwrap();
    assert!(
        text.contains(r#""result":{"b":1,"a":[2.50]}"#),
        "byte for byte: {text}"
    );
    let value = serde_json::to_value(&view).unwrap();
    assert_eq!(
        value["agents"],
        json!({
            "total": 5, "completed": 2, "failed": 2, "cancelled": 1, "skipped": 0, "pending": 0,
            "reused": 1,
        })
    );
    let phases: Vec<_> = view
        .phases
        .iter()
        .map(|phase| {
            (
                phase.title.as_deref(),
                phase.agents.total,
                phase.agents.reused,
            )
        })
        .collect();
    let expected = [
        (Some("Plan"), 0, 0),
        (Some("Check"), 1, 0),
        (Some("Fix"), 2, 1),
        (None, 2, 0),
    ];
    assert_eq!(phases, expected);
    assert_eq!(view.phases[2].duration_ms, Some(7_000));
    assert_eq!(
        value["calls"][1],
        json!({
            "agentId": "a-1",
            "kind": "agent",
            "label": "b.js",
            "phase": "Fix",
            "status": "completed",
            "reused": false,
            "attempts": 2,
            "startedAt": "2026-09-21T14:13:28.000Z",
            "endedAt": "2026-09-21T14:13:34.000Z",
            "durationMs": 6_000,
            "usage": { "inputTokens": 200, "outputTokens": 20 },
            "cost": null,
            "line": 7,
            "failure": null,
            "pastAttempts": [{
                "attempt": 1,
                "kind": "rate_limit",
                "message": "slow down",
                "startedAt": "2026-09-21T14:13:28.000Z",
                "endedAt": "2026-09-21T14:13:30.000Z",
            }],
        })
    );
    assert!(view.calls[0].reused);
    assert_eq!(view.calls[2].past_attempts[0].kind, "interrupted");
    assert_eq!(
        view.usage,
        Usage {
            input_tokens: 500,
            output_tokens: 50
        }
    );
    let again: RunView = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
}

#[test]
fn failures_are_counted_by_kind() {
    let records = [
        vec![started("x"), opened()],
        (0..4).map(|call| scheduled(call, None, None)).collect(),
        (0..4).map(|call| attempt(call, 1)).collect(),
        vec![
            settled(
                0,
                1,
                Outcome::Failed(failure(FailureKind::Timeout, "too long")),
            ),
            failed_for_good(2, "later"),
            failed_for_good(1, "first by number"),
            done(3, 1),
        ],
    ]
    .concat();
    let census = FailureGroup::census(&state(&records));
    assert_eq!(
        serde_json::to_value(census).unwrap(),
        json!([
            { "kind": "crash", "count": 2, "firstMessage": "first by number", "agents": ["a-1", "a-2"] },
            { "kind": "timeout", "count": 1, "firstMessage": "too long", "agents": ["a-0"] },
        ])
    );
}

#[test]
fn the_log_reads_like_a_story() {
    let archive = archive();
    let lines = |from| -> Vec<String> {
        archive
            .logs(id("r-10000001"), Position(from))
            .map(|line| line.unwrap().text)
            .collect()
    };
    assert_eq!(
        lines(0),
        [
            "run migrate accepted",
            "phase Fix",
            "a-0 (a.js) started",
            "a-1 (b.js) started",
            "a-0 (a.js) done after 2.0s, 10 tokens",
            "a-1 (b.js) failed (rate_limit: slow down), attempt 1; the next one in 2.0s",
            "a-2 (b.js) started",
            "taken over: 1 completed agents reused, 1 attempts interrupted",
            "a-1 (b.js) started, attempt 2",
            "a-1 (b.js) done after 1.0s, 10 tokens",
            "a-2 (b.js) started, attempt 2",
            "a-2 (b.js) failed (crash: exit 1) after 1.0s, 10 tokens",
            "a-3 stopped by a person, 10 tokens",
            "a-4 refused (AGENT_CAP: more than 4)",
            "one failed",
            "run paused by ann@host: lunch",
            "run degraded",
        ]
    );
    assert_eq!(lines(20), ["run paused by ann@host: lunch", "run degraded"]);
}

#[test]
fn the_end_of_a_failed_run_names_the_place() {
    let error = ScriptError {
        name: "TypeError".to_owned(),
        code: None,
        message: "x is not a function".to_owned(),
        line: 3,
        column: 14,
        stack: String::new(),
    };
    let ended = Record::RunEnded(Box::new(RunEnded {
        status: Status::Failed,
        result: None,
        error: Some(error),
        by: Actor::Script,
    }));
    let mut lines = LogLines::new(run(1));
    let mut last = None;
    for entry in entries(run(1), &[started("x"), opened(), ended]) {
        last = lines.line(&entry).unwrap();
    }
    let last = last.unwrap();
    assert_eq!(
        last.text,
        "run failed: TypeError: x is not a function (line 3, column 14)"
    );
    assert_eq!((last.level, last.position), (Level::Error, 2));
}

#[test]
fn a_dump_has_every_record_in_json_and_in_words() {
    let archive = archive();
    let dump = archive.dump(id("r-10000001"), Position(0), 1_000).unwrap();
    assert_eq!(dump.len(), story().len());
    assert_eq!(
        dump[3].text,
        "     3 2026-09-21T14:13:23.000Z CallScheduled    a-0 a.js turn 0 key 074ad596 fix it  [31mnow"
    );
    assert_eq!(dump[9].record["outcome"], "completed");
    assert_eq!(dump[9].record["value"], "1");
    assert_eq!(dump[10].record["failure"]["kind"], "rate_limit");
    assert_eq!(dump[21].record["result"], r#"{"b":1,"a":[2.50]}"#);
    for line in &dump {
        assert!(
            line.record.is_object() && !line.text.contains(char::is_control),
            "{line:?}"
        );
        let text = serde_json::to_string(line).unwrap();
        assert_eq!(serde_json::from_str::<DumpLine>(&text).unwrap(), *line);
    }
    let page = archive.dump(id("r-10000001"), Position(20), 1).unwrap();
    assert_eq!((page.len(), page[0].position), (1, 20));
}

#[test]
fn a08_a_result_comes_as_it_was_recorded() {
    let store = MemoryStore::new();
    let long: Arc<str> = format!(r#"{{"z":"{}","a":1.0}}"#, "x".repeat(5_000)).into();
    let packed = text::pack(Arc::clone(&long));
    let mut sealer = Sealer::new(run(1));
    let ended = Record::RunEnded(Box::new(RunEnded {
        status: Status::Completed,
        result: Some(packed.stored),
        error: None,
        by: Actor::Script,
    }));
    let mut batch = Batch::default();
    for record in [started("x"), opened(), ended] {
        let row = sealer.seal(START, &record).unwrap();
        batch.records.push((run(1), row.position, row.bytes));
    }
    batch
        .payloads
        .push((run(1), Position(2), packed.compressed.unwrap()));
    store.commit(&batch).unwrap();
    let archive = Archive::new(Arc::new(store));
    let result = archive.result(run(1)).unwrap();
    assert_eq!(
        (result.status, result.result),
        (Status::Completed, Some(Arc::clone(&long)))
    );
    let view = archive.view(run(1), START).unwrap();
    assert_eq!(view.result.unwrap().get(), &*long);
}

#[test]
fn times_are_written_for_people_and_programs() {
    for (millis, text) in [
        (0, "0.0s"),
        (12_549, "12.5s"),
        (187_000, "3m 07s"),
        (7_500_000, "2h 05m"),
        (273_600_000, "3d 04h"),
    ] {
        assert_eq!(duration_text(millis), text);
    }
    let time = Timestamp(START + 5);
    assert_eq!(time.to_string(), "2026-09-21T14:13:20.005Z");
    assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    assert_eq!(Timestamp(u64::MAX).to_string(), "9999-12-30T22:00:00.999Z");
}

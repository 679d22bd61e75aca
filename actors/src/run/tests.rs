//! The machine's rules as tables: what goes in, and the records and actions that come out. No runtime, no VM, no store.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod adopting;
mod budget;
mod orders;
mod questions;
mod queues;
mod steps;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bellwether_journal::id::{
    CallNumber, Epoch, FencingToken, Generation, Position, RunId, TimerNumber,
};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    Actor, CallKind, Failure, FailureKind, GenerationOpened, Level, Policy, Record, RunStarted,
    ScriptError, Status, Usage,
};
use bellwether_journal::state::{CallStatus, RunState};
use bellwether_journal::store::Row;
use bellwether_journal::text;
use bellwether_scripts::{Answer, Call, Command, Nothing, Turn, TurnStatus};
use futures_util::future::BoxFuture;

use super::budget::Allowance;
use super::keys::{Backends, Keys};
use super::machine::{Armed, Caps, Machine, Permits, Way};
use super::output::{Action, Output};
use crate::backend::{AgentBackend, AttemptContext, Ended, Task};
use crate::pool::End;

struct Unused;

impl AgentBackend for Unused {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        panic!("these tests start nothing")
    }
}

/// Permits without end, that count.
#[derive(Default)]
struct Free {
    taken: usize,
    given_back: usize,
}

impl Permits for Free {
    fn take(&mut self) -> bool {
        self.taken += 1;
        true
    }

    fn give_back(&mut self) {
        self.given_back += 1;
    }

    fn forget(&mut self) {}
}

struct Run {
    machine: Machine,
    permits: Free,
    now: u64,
    /// Every record, as the journal gets it.
    rows: Vec<Row>,
}

/// What came out, in words that a reader of a failed test understands.
#[derive(Debug, PartialEq)]
struct Came {
    records: Vec<String>,
    actions: Vec<String>,
}

fn came(records: &[&str], actions: &[&str]) -> Came {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Came {
        records: owned(records),
        actions: owned(actions),
    }
}

fn words(out: &Output) -> Came {
    let record = |record: &Record| match record {
        Record::CallScheduled(call) => format!("scheduled {}", call.call),
        Record::AttemptStarted(started) => format!("started {}.{}", started.call, started.attempt),
        Record::AttemptFailed(failed) => {
            format!("attempt failed {}.{}", failed.call, failed.attempt)
        }
        Record::CallSettled(settled) => {
            let outcome = format!("{:?}", settled.outcome);
            let outcome = outcome
                .split(['(', ' '])
                .next()
                .unwrap_or_default()
                .to_lowercase();
            format!("{outcome} {}.{}", settled.call, settled.attempt)
        }
        Record::CallRefused(refused) => format!("refused {} {}", refused.call, refused.code),
        Record::TimerElapsed(elapsed) => format!("fired {}", elapsed.timer),
        Record::Logged(logged) => format!("logged {}", logged.text),
        Record::PhaseEntered(entered) => format!("phase {}", entered.title),
        Record::StatusChanged(changed) => format!("status {}", changed.status.name()),
        Record::RunEnded(ended) => format!("ended {}", ended.status.name()),
        other => other.kind().name().to_lowercase(),
    };
    let action = |action: &Action| match action {
        Action::Deliver(settlement) => {
            let answer = match &settlement.answer {
                Answer::Value(value) => value.to_string(),
                Answer::Refused { code, .. } => code.clone(),
                Answer::Nothing(Nothing::Failed { kind, .. }) => format!("null ({})", kind.name()),
                other => format!("{other:?}").to_lowercase(),
            };
            format!("deliver {answer}")
        }
        Action::Start(start) => format!("start {}.{}", start.token.call, start.token.attempt),
        Action::Load(call, _) => format!("load {call}"),
        Action::Ask(call, _, given) => match given {
            None => format!("ask {call}"),
            Some(_) => format!("ask {call} (answered)"),
        },
        Action::ArmDeadline(call, at) => format!("deadline {call} {at}"),
        Action::DisarmDeadline(call) => format!("no deadline {call}"),
        Action::RetryAfter(call, _) => format!("retry {call}"),
        Action::Arm(timer, at) => format!("arm {timer} {at}"),
        Action::Disarm(timer) => format!("disarm {timer}"),
        other => format!("{other:?}"),
    };
    Came {
        records: out
            .entries
            .iter()
            .map(|entry| record(&entry.record))
            .collect(),
        actions: out.actions.iter().map(|(_, one)| action(one)).collect(),
    }
}

fn machine(state: RunState, epoch: Epoch, caps: Caps) -> Machine {
    let unused: Arc<dyn AgentBackend> = Arc::new(Unused);
    let backends = Backends::new(HashMap::from([("dry".to_owned(), unused)]), "dry");
    let keys = Keys::new(Arc::new(backends));
    Machine::new(state, epoch, caps, keys, BTreeMap::new())
}

fn run_id() -> RunId {
    RunId::from_entropy([1; 5])
}

impl Run {
    fn new(concurrency: Option<usize>, agents: u64) -> Self {
        Self::with_budget(concurrency, agents, None)
    }

    fn with_budget(concurrency: Option<usize>, agents: u64, budget: Option<u64>) -> Self {
        let caps = Caps {
            concurrency,
            agents,
            budget: Allowance::default(),
        };
        let mut run = Self {
            machine: machine(RunState::new(run_id()), Epoch(1), caps),
            permits: Free::default(),
            now: 1_000,
            rows: Vec::new(),
        };
        let started = RunStarted {
            name: "test".to_owned(),
            script_path: None,
            options: text::pack("{}".into()).stored,
            working_directory: ".".to_owned(),
            base_commit: None,
            started_by: String::new(),
        };
        let opened = GenerationOpened {
            number: Generation(1),
            base: None,
            script: text::pack("".into()).stored,
            args: None,
            vm_identity: Digest::default(),
            seed: [0; 32],
            time: 1_000,
            dirty: Vec::new(),
            policy: Policy::Causal,
            budget_total: budget,
        };
        let mut out = Output::default();
        let records = vec![
            Record::RunStarted(Box::new(started)),
            Record::GenerationOpened(Box::new(opened)),
        ];
        run.machine
            .begin(records, &[], Actor::Engine, run.now, &mut out);
        assert_eq!(
            words(&out),
            came(&["runstarted", "generationopened", "status running"], &[])
        );
        run.rows = out.rows;
        run
    }

    fn decide(&mut self, decide: impl FnOnce(&mut Machine, u64, &mut Free, &mut Output)) -> Came {
        let mut out = Output::default();
        decide(&mut self.machine, self.now, &mut self.permits, &mut out);
        self.machine
            .disown_rest(self.now, &mut self.permits, &mut out);
        self.machine.tell_waiting(self.now, &mut out);
        assert_eq!(out.rows.len(), out.entries.len(), "every record is sealed");
        self.rows.extend(out.rows.iter().cloned());
        words(&out)
    }

    fn turn(&mut self, commands: Vec<Command>, status: TurnStatus) -> Came {
        // These tests hand out more turns than they gave answers for.
        if self.machine.owed.is_empty() {
            self.machine
                .owed
                .push_back((self.machine.state().turns, self.now));
        }
        let turns = vec![Turn { commands, status }];
        self.decide(|machine, now, permits, out| machine.turns(turns, now, permits, out))
    }

    fn calls(&mut self, numbers: std::ops::Range<u32>) -> Came {
        let commands = numbers.map(call).collect();
        self.turn(commands, TurnStatus::Running)
    }

    fn ended(&mut self, call: u32, attempt: u32, end: End) -> Came {
        let token = token(call, attempt);
        self.decide(|machine, now, permits, out| machine.ended(token, end, now, permits, out))
    }

    fn stop(&mut self, to: Status) -> Came {
        self.decide(|machine, now, permits, out| {
            machine.stop(to, Actor::Engine, None, now, permits, out);
        })
    }

    fn status(&self) -> Status {
        self.machine.state().status
    }
}

fn token(call: u32, attempt: u32) -> FencingToken {
    FencingToken {
        epoch: Epoch(1),
        run: run_id(),
        generation: Generation(1),
        call: CallNumber(call),
        attempt: bellwether_journal::id::Attempt(attempt),
    }
}

fn call(number: u32) -> Command {
    Command::Call(Box::new(Call {
        number: CallNumber(number),
        kind: CallKind::Agent,
        prompt: format!("prompt {number}").into(),
        options: "{}".into(),
        label: None,
        phase: None,
        context: key::root(),
        line: 1,
    }))
}

fn log(text: &str) -> Command {
    Command::Log {
        level: Level::Info,
        text: text.to_owned(),
    }
}

fn done(value: &str) -> End {
    End::Completed(text::pack(value.into()), Usage::default())
}

fn failed(kind: FailureKind) -> End {
    let failure = Failure {
        kind,
        message: "because".to_owned(),
        evidence: None,
        retry_after: None,
    };
    End::Failed(failure, Usage::default())
}

fn cancelled() -> End {
    End::Cancelled(Usage::default())
}

#[test]
fn a06_agents_start_in_call_order_as_slots_come_free() {
    let mut run = Run::new(Some(2), 1_000);
    assert_eq!(
        run.calls(0..4),
        came(
            &[
                "scheduled 0",
                "scheduled 1",
                "scheduled 2",
                "scheduled 3",
                "started 0.1",
                "started 1.1"
            ],
            &["start 0.1", "start 1.1"],
        )
    );
    // The answer and the next start stand in the same commit.
    assert_eq!(
        run.ended(1, 1, done("1")),
        came(
            &["completed 1.1", "started 2.1"],
            &["deliver 1", "start 2.1"]
        )
    );
    // A late caller does not overtake the one that waits.
    assert_eq!(run.calls(4..5), came(&["scheduled 4"], &[]));
    assert_eq!(
        run.ended(0, 1, done("0")),
        came(
            &["completed 0.1", "started 3.1"],
            &["deliver 0", "start 3.1"]
        )
    );
    assert_eq!(run.permits.taken - run.permits.given_back, 2);
}

#[test]
fn c01_the_cap_on_agents_holds_at_the_limit_and_refuses_one_past_it() {
    let mut run = Run::new(None, 2);
    assert_eq!(run.calls(0..2).records.len(), 4, "two are within the cap");
    let came_out = run.calls(2..3);
    assert_eq!(
        came_out,
        came(
            &["scheduled 2", "refused 2 AGENT_CAP"],
            &["deliver AGENT_CAP"]
        )
    );
    let counts = run.machine.state().counts;
    assert_eq!((counts.total, counts.failed, counts.pending), (3, 1, 2));
}

#[test]
fn u01_no_agent_starts_once_the_budget_is_used_up() {
    let mut run = Run::with_budget(Some(1), 100, Some(20));
    let done = |value: &str| {
        let usage = Usage {
            output_tokens: 10,
            ..Usage::default()
        };
        End::Completed(text::pack(value.into()), usage)
    };
    run.calls(0..3);
    // 10 of 20: the next one starts, and whoever watches is told.
    assert_eq!(
        run.ended(0, 1, done("0")).records,
        ["completed 0.1", "noticed", "started 1.1"]
    );
    // 20 of 20: the one that waits never starts, and one that comes later neither.
    assert_eq!(
        run.ended(1, 1, done("1")),
        came(
            &["completed 1.1", "noticed", "refused 2 BUDGET"],
            &["deliver 1", "deliver BUDGET"]
        )
    );
    assert_eq!(
        run.calls(3..4),
        came(&["scheduled 3", "refused 3 BUDGET"], &["deliver BUDGET"])
    );
}

#[test]
fn a_failed_attempt_is_repeated_by_its_kind_and_the_script_hears_of_the_last_only() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    for attempt in 1..4 {
        assert_eq!(
            run.ended(0, attempt, failed(FailureKind::Transport)),
            came(&[&format!("attempt failed 0.{attempt}")], &["retry 0"])
        );
        let again = run.decide(|machine, now, permits, out| {
            machine.retry_due(CallNumber(0), now, permits, out);
        });
        let next = attempt + 1;
        assert_eq!(
            again,
            came(
                &[&format!("started 0.{next}")],
                &[&format!("start 0.{next}")]
            )
        );
    }
    assert_eq!(
        run.ended(0, 4, failed(FailureKind::Transport)),
        came(&["failed 0.4"], &["deliver null (transport)"])
    );
}

#[test]
fn an_agent_that_the_engine_lost_has_one_more_attempt() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    let lost = End::Lost("panicked".to_owned());
    assert_eq!(
        run.ended(0, 1, lost.clone()),
        came(&["attempt failed 0.1"], &["retry 0"])
    );
    run.decide(|machine, now, permits, out| machine.retry_due(CallNumber(0), now, permits, out));
    assert_eq!(
        run.ended(0, 2, lost),
        came(&["failed 0.2"], &["deliver null (crash)"])
    );
}

#[test]
fn the_word_of_a_replaced_attempt_is_refused() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    let nothing = came(&[], &[]);
    assert_eq!(
        run.ended(0, 2, done("1")),
        nothing,
        "an attempt that never started"
    );
    let old = FencingToken {
        epoch: Epoch(0),
        ..token(0, 1)
    };
    let refused =
        run.decide(|machine, now, permits, out| machine.ended(old, done("1"), now, permits, out));
    assert_eq!(refused, nothing, "an attempt of an engine that is gone");
    assert_eq!(run.ended(0, 1, done("1")).records, ["completed 0.1"]);
    assert_eq!(run.ended(0, 1, done("2")), nothing, "a second answer");
}

#[test]
fn a_pause_lets_running_agents_finish_and_starts_none() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..2);
    let pause = run.decide(|machine, now, _, out| machine.pause(Actor::Engine, None, now, out));
    assert_eq!(pause, came(&["status pausing"], &[]));
    assert_eq!(
        run.ended(0, 1, done("0")),
        came(&["completed 0.1", "status paused"], &["deliver 0"])
    );
    assert_eq!(
        run.calls(2..3),
        came(&["scheduled 2"], &[]),
        "the script may go on, agents not"
    );
    let resumed =
        run.decide(|machine, now, permits, out| machine.resume(Actor::Engine, now, permits, out));
    assert_eq!(
        resumed,
        came(&["status running", "started 1.1"], &["start 1.1"])
    );
}

#[test]
fn a_stop_keeps_what_is_done_and_leaves_the_rest_to_be_resumed() {
    let mut run = Run::new(None, 10);
    run.calls(0..3);
    assert_eq!(
        run.stop(Status::Stopped),
        came(&["status stopping"], &["DropScript", "CancelAgents"])
    );
    assert_eq!(
        run.ended(0, 1, done("0")),
        came(&["completed 0.1"], &[]),
        "kept, not delivered"
    );
    assert_eq!(run.ended(1, 1, cancelled()), came(&[], &[]));
    assert_eq!(
        run.stop(Status::Killed),
        came(&[], &["KillAgents"]),
        "a kill overtakes a stop"
    );
    assert_eq!(
        run.ended(2, 1, cancelled()),
        came(&["status stopped"], &["Finish"])
    );
    let counts = run.machine.state().counts;
    assert_eq!((counts.completed, counts.pending), (1, 2));
    assert_eq!(
        run.stop(Status::Stopped),
        came(&[], &[]),
        "a second stop changes nothing"
    );
}

#[test]
fn b08_agents_that_still_run_when_the_script_returns_are_cancelled() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..2);
    assert_eq!(
        run.turn(vec![], TurnStatus::Returned("7".into())),
        came(&["cancelled 1.0"], &["DropScript", "CancelAgents"])
    );
    assert_eq!(
        run.status(),
        Status::Running,
        "it has not ended before its agents have"
    );
    assert_eq!(
        run.ended(0, 1, cancelled()),
        came(&["cancelled 0.1", "ended completed"], &["Finish"])
    );
}

#[test]
fn a_run_whose_agents_failed_is_degraded() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    run.ended(0, 1, failed(FailureKind::Refused));
    let end = run.turn(vec![], TurnStatus::Returned("null".into()));
    assert_eq!(end, came(&["ended degraded"], &["DropScript", "Finish"]));
}

/// The calls that had no answer keep none, so that the run can go on with another limit.
#[test]
fn b07_a_turn_that_broke_a_limit_leaves_no_command_and_a_run_that_can_be_resumed() {
    let error = |code: &str| {
        Box::new(ScriptError {
            name: "CpuLimitError".to_owned(),
            code: Some(code.to_owned()),
            message: "30 s".to_owned(),
            line: 0,
            column: 0,
            stack: String::new(),
        })
    };
    let mut run = Run::new(Some(1), 10);
    run.calls(0..2);
    let limit = TurnStatus::LimitReached(error("LIMIT_CPU"));
    let broken = run.turn(vec![call(2), log("x")], limit);
    assert_eq!(broken, came(&[], &["DropScript", "CancelAgents"]));
    assert_eq!(
        run.ended(0, 1, cancelled()),
        came(&["ended failed"], &["Finish"])
    );
    assert!(run.machine.state().is_resumable());
    assert_eq!(run.machine.state().counts.pending, 2);

    let mut run = Run::new(Some(1), 10);
    run.turn(vec![], TurnStatus::Threw(error("LIMIT_CPU")));
    assert!(
        !run.machine.state().is_resumable(),
        "a script cannot say so itself"
    );
}

#[test]
fn a_vm_that_crashes_is_made_anew_and_twice_at_one_place_is_final() {
    let mut run = Run::new(None, 10);
    run.calls(0..1);
    let lose = |run: &mut Run| {
        run.decide(|machine, now, permits, out| {
            machine.orchestrator_lost("boom", false, now, permits, out);
        })
    };
    assert_eq!(
        lose(&mut run),
        came(&["orchestratorlost"], &["RebuildScript"])
    );
    assert_eq!(
        lose(&mut run),
        came(&["orchestratorlost"], &["DropScript", "CancelAgents"]),
        "its agents are ended first"
    );
    assert_eq!(
        run.ended(0, 1, cancelled()),
        came(&["cancelled 0.1", "ended quarantined"], &["Finish"])
    );
}

#[test]
fn f02_what_was_shown_is_not_shown_again_by_a_vm_made_anew() {
    let mut run = Run::new(None, 10);
    let commands = || {
        vec![
            log("one"),
            Command::Phase {
                title: "two".into(),
            },
            call(0),
        ]
    };
    let first = run.turn(commands(), TurnStatus::Running);
    assert_eq!(
        first.records,
        ["logged one", "phase two", "scheduled 0", "started 0.1"]
    );
    let mut more = commands();
    more.push(log("three"));
    let fresh = vec![(
        0,
        1_000,
        Turn {
            commands: more,
            status: TurnStatus::Running,
        },
    )];
    let again = run.decide(|machine, now, permits, out| {
        machine.rebuilt(BTreeMap::new(), fresh, now, permits, out);
    });
    assert_eq!(again, came(&["logged three"], &[]));
}

#[test]
fn x04_a_timer_fires_once_and_not_while_the_run_is_paused() {
    let mut run = Run::new(None, 10);
    let timer = |number| Command::Timer {
        timer: TimerNumber(number),
        milliseconds: 500,
        context: key::root(),
    };
    let armed = run.turn(vec![timer(0), timer(1), timer(2)], TurnStatus::Running);
    assert_eq!(
        armed,
        came(&[], &["arm 0 1500", "arm 1 1500", "arm 2 1500"])
    );
    run.now = 1_600;
    let due = |run: &mut Run, number| {
        run.decide(|machine, now, _, out| machine.timer_due(TimerNumber(number), now, out))
    };
    assert_eq!(due(&mut run, 0), came(&["fired 0"], &["deliver fired"]));
    assert_eq!(due(&mut run, 0), came(&[], &[]), "once");
    let cleared = Command::ClearTimer {
        timer: TimerNumber(1),
    };
    run.turn(vec![cleared], TurnStatus::Running);
    assert_eq!(due(&mut run, 1), came(&[], &[]), "cleared");
    run.decide(|machine, now, _, out| machine.pause(Actor::Engine, None, now, out));
    assert_eq!(due(&mut run, 2), came(&[], &[]), "held");
    let resumed =
        run.decide(|machine, now, permits, out| machine.resume(Actor::Engine, now, permits, out));
    assert_eq!(resumed, came(&["status running"], &["arm 2 1500"]));
    assert_eq!(due(&mut run, 2), came(&["fired 2"], &["deliver fired"]));
}

#[test]
fn nothing_is_done_before_the_records_that_it_depends_on() {
    let mut run = Run::new(None, 10);
    let turns = vec![Turn {
        commands: vec![call(0)],
        status: TurnStatus::Running,
    }];
    let mut out = Output::default();
    run.machine.turns(turns, 1_000, &mut run.permits, &mut out);
    let started = out
        .entries
        .iter()
        .find(|entry| matches!(entry.record, Record::AttemptStarted(_)));
    let position = started.map(|entry| entry.position.next());
    assert_eq!(position, Some(Position(5)));
    assert_eq!(
        out.actions
            .iter()
            .map(|(after, _)| Some(*after))
            .collect::<Vec<_>>(),
        [position]
    );
}

#[test]
fn a_run_taken_up_starts_what_was_cut_off_before_what_had_waited() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..3);
    let unused: Arc<dyn AgentBackend> = Arc::new(Unused);
    let backends = Backends::new(HashMap::from([("dry".to_owned(), unused)]), "dry");
    let caps = Caps {
        concurrency: Some(2),
        agents: 10,
        budget: Allowance::default(),
    };
    let state = run.machine.state().clone();
    let mut machine = Machine::new(
        state,
        Epoch(2),
        caps,
        Keys::new(Arc::new(backends)),
        BTreeMap::new(),
    );
    let mut out = Output::default();
    machine.go_on(
        Vec::new(),
        Actor::Engine,
        Way::Running,
        2_000,
        &mut Free::default(),
        &mut out,
    );
    assert_eq!(
        words(&out),
        came(
            &["recovered", "status running", "started 0.2", "started 1.1"],
            &["start 0.2", "start 1.1"],
        )
    );
    let Some((_, Action::Start(start))) = out.actions.first() else {
        panic!("a start comes first")
    };
    assert_eq!(start.previous_attempts[0].ended, "interrupted");
    assert_eq!(machine.state().calls[2].status, CallStatus::Waiting);
}

#[test]
fn x04_a_vm_made_anew_brings_its_timers_but_not_those_that_fired_meanwhile() {
    let mut run = Run::new(None, 10);
    let rebuilt = |run: &mut Run| {
        let armed = Armed {
            at: 1_500,
            wait: 500,
            key: Digest::default(),
            is_recorded: false,
        };
        let timers = BTreeMap::from([(TimerNumber(0), armed)]);
        run.decide(|machine, now, permits, out| {
            machine.rebuilt(timers, Vec::new(), now, permits, out);
        })
    };
    assert_eq!(rebuilt(&mut run), came(&[], &["arm 0 1500"]));
    assert_eq!(rebuilt(&mut run), came(&[], &["arm 0 1500"]), "armed still");
    run.now = 1_600;
    run.decide(|machine, now, _, out| machine.timer_due(TimerNumber(0), now, out));
    assert_eq!(rebuilt(&mut run), came(&[], &[]), "it has fired since");
}

#[test]
fn a_run_whose_supervisor_crashed_stays_paused_or_stopped() {
    for (way, status) in [
        (Way::Paused, Status::Paused),
        (Way::Stopped, Status::Stopped),
    ] {
        let mut run = Run::new(None, 10);
        run.calls(0..1);
        let unused: Arc<dyn AgentBackend> = Arc::new(Unused);
        let backends = Backends::new(HashMap::from([("dry".to_owned(), unused)]), "dry");
        let caps = Caps {
            concurrency: None,
            agents: 10,
            budget: Allowance::default(),
        };
        let state = run.machine.state().clone();
        let mut machine = Machine::new(
            state,
            Epoch(1),
            caps,
            Keys::new(Arc::new(backends)),
            BTreeMap::new(),
        );
        let mut out = Output::default();
        let permits = &mut Free::default();
        machine.go_on(Vec::new(), Actor::Engine, way, 2_000, permits, &mut out);
        assert_eq!(machine.state().status, status);
        assert!(
            !words(&out)
                .actions
                .iter()
                .any(|action| action.starts_with("start"))
        );
    }
}

//! X03: questions to people, as tables.

use bellwether_journal::record::{Order, Ordered};
use bellwether_journal::text::Text;

use super::super::orders::OrderError;
use super::super::questions::Asked;
use super::*;

fn question(number: u32, options: &str) -> Command {
    let Command::Call(call) = call(number) else {
        panic!("a call is a call")
    };
    Command::Call(Box::new(Call {
        kind: CallKind::Ask,
        options: options.into(),
        ..*call
    }))
}

impl Run {
    fn asks(&mut self, commands: Vec<Command>) -> Came {
        self.turn(commands, TurnStatus::Running)
    }

    /// What was asked has been read.
    fn read(&mut self, call: u32, options: &str, given: Option<&str>) -> (bool, Came) {
        let asked = Asked {
            question: format!("prompt {call}").into(),
            options: options.into(),
            given: given.map(Into::into),
        };
        let mut is_open = false;
        let came = self.decide(|machine, now, _, out| {
            is_open = machine.asked(CallNumber(call), asked, now, out);
        });
        (is_open, came)
    }

    fn answer(&mut self, call: u32, answer: &str) -> Result<Came, OrderError> {
        let order = Order::Answer(CallNumber(call), Text::Inline(answer.into()));
        let by = Actor::Caller("ann@host".to_owned());
        let mut ordered = Ok(());
        let came = self.decide(|machine, now, permits, out| {
            let order = Ordered {
                order: order.clone(),
                by: by.clone(),
                reason: None,
            };
            ordered = machine.order(&order, now, permits, out);
        });
        ordered.map(|()| came)
    }

    fn due(&mut self, call: u32) -> Came {
        self.decide(|machine, now, _, out| machine.deadline_due(CallNumber(call), now, out))
    }

    fn reason(&self) -> Option<&str> {
        self.machine.state().status_reason.as_deref()
    }

    /// The script has nothing to say to what it was given.
    fn quiet(&mut self) -> Came {
        self.turn(Vec::new(), TurnStatus::Running)
    }
}

#[test]
fn x03_the_run_waits_when_nothing_but_questions_is_open() {
    let mut run = Run::new(None, 1_000);
    assert_eq!(
        run.asks(vec![question(0, "{}"), call(1), question(2, "{}")]),
        came(
            &["scheduled 0", "scheduled 1", "scheduled 2", "started 1.1"],
            &["ask 0", "ask 2", "start 1.1"]
        )
    );
    assert_eq!(run.read(0, "{}", None), (true, came(&[], &[])));
    assert_eq!(run.read(2, "{}", None), (true, came(&[], &[])));
    assert_eq!(run.status(), Status::Running, "an agent runs");
    run.ended(1, 1, done("1"));
    assert_eq!(run.quiet(), came(&["status waiting"], &[]));
    assert_eq!(run.reason(), Some("a question: \"prompt 0\" (and 1 more)"));
    // Several at once, in any order; a question is no agent.
    assert_eq!(
        run.answer(2, "\"yes\""),
        Ok(came(&["ordered", "completed 2.0"], &["deliver \"yes\""]))
    );
    assert_eq!(run.quiet(), came(&["status waiting"], &[]));
    assert_eq!(run.reason(), Some("a question: \"prompt 0\""));
    assert_eq!(
        run.answer(0, "[1]"),
        Ok(came(
            &["ordered", "completed 0.0", "status running"],
            &["deliver [1]"]
        ))
    );
    assert_eq!(run.machine.state().counts.total, 1);
    assert_eq!(run.permits.taken, run.permits.given_back);
    assert_eq!(
        run.turn(Vec::new(), TurnStatus::Returned("1".into()))
            .records,
        ["ended completed"]
    );
}

#[test]
fn x03_an_answer_twice_is_one_and_another_is_an_error() {
    let mut run = Run::new(None, 1_000);
    run.asks(vec![question(0, "{}"), call(1)]);
    // It is not read yet, but it is in the journal, where somebody may have seen it.
    assert_eq!(
        run.answer(0, "1"),
        Ok(came(&["ordered", "completed 0.0"], &["deliver 1"]))
    );
    assert_eq!(run.read(0, "{}", None), (false, came(&[], &[])));
    assert_eq!(run.answer(0, "1"), Ok(came(&[], &[])));
    assert_eq!(run.answer(0, "2"), Err(OrderError::Answered(CallNumber(0))));
    assert_eq!(
        run.answer(1, "2"),
        Err(OrderError::NoQuestion(CallNumber(1), "agent"))
    );
    assert_eq!(run.answer(7, "2"), Err(OrderError::Unknown(CallNumber(7))));
    let stop = Order::StopAgent(CallNumber(0));
    let mut stopped = Ok(());
    run.decide(|machine, now, permits, out| {
        let stop = Ordered {
            order: stop,
            by: Actor::Engine,
            reason: None,
        };
        stopped = machine.order(&stop, now, permits, out);
    });
    assert_eq!(stopped, Err(OrderError::NoAgent(CallNumber(0), "ask")));
}

#[test]
fn x03_a_deadline_is_counted_from_the_call_on() {
    let options = "{\"timeout\":5000,\"default\":[\"no\"]}";
    let mut run = Run::new(None, 1_000);
    run.asks(vec![question(0, options)]);
    // However long it took to be read.
    run.now = 4_000;
    assert_eq!(
        run.read(0, options, None),
        (true, came(&["status waiting"], &["deadline 0 6000"]))
    );
    run.now = 5_999;
    assert_eq!(
        run.due(0),
        came(&[], &["deadline 0 6000"]),
        "the clock went back"
    );
    run.now = 6_000;
    assert_eq!(
        run.due(0),
        came(
            &["completed 0.0", "status running"],
            &["no deadline 0", "deliver [\"no\"]"]
        )
    );
    assert_eq!(run.due(0), came(&[], &[]));
    assert_eq!(
        run.answer(0, "[\"no\"]"),
        Err(OrderError::Over(CallNumber(0)))
    );
}

#[test]
fn x03_without_a_default_the_answer_is_null_and_the_log_says_so() {
    let mut run = Run::new(None, 1_000);
    let options = "{\"timeout\":1}";
    run.asks(vec![question(0, options)]);
    run.read(0, options, None);
    run.now = 2_000;
    assert_eq!(
        run.due(0),
        came(
            &["noticed", "completed 0.0", "status running"],
            &["no deadline 0", "deliver null"]
        )
    );
    let noticed: Vec<&String> = run.machine.state().noticed.iter().collect();
    assert_eq!(
        noticed,
        ["nobody answered \"prompt 0\" (a-0) in time, and it has no default: its answer is null"]
    );
}

#[test]
fn x03_a_pause_holds_deadlines_up_and_no_answers() {
    let mut run = Run::new(None, 1_000);
    let options = "{\"timeout\":10,\"default\":1}";
    run.asks(vec![question(0, options), question(1, "{}")]);
    run.read(0, options, None);
    run.read(1, "{}", None);
    run.decide(|machine, now, _, out| machine.pause(Actor::Engine, None, now, out));
    assert_eq!(run.status(), Status::Paused);
    run.now = 9_000;
    assert_eq!(run.due(0), came(&[], &[]));
    assert_eq!(
        run.answer(1, "2"),
        Ok(came(&["ordered", "completed 1.0"], &["deliver 2"]))
    );
    run.quiet();
    let resumed =
        run.decide(|machine, now, permits, out| machine.resume(Actor::Engine, now, permits, out));
    assert_eq!(
        resumed,
        came(&["status running", "status waiting"], &["deadline 0 1010"])
    );
    assert_eq!(run.due(0).actions, ["no deadline 0", "deliver 1"]);
}

#[test]
fn x03_a_recovered_run_asks_again_with_the_same_deadline() {
    let mut run = Run::new(None, 1_000);
    let options = "{\"timeout\":5000}";
    run.asks(vec![question(0, options), question(1, "{}")]);
    run.read(0, options, None);
    run.read(1, "{}", None);
    assert!(run.answer(1, "true").is_ok());
    run.quiet();
    assert_eq!(run.status(), Status::Waiting);
    run.stop(Status::Killed);
    run.now = 60_000;
    let mut run = run.recovered();
    assert_eq!(run.status(), Status::Running);
    assert_eq!(
        run.read(0, options, None),
        (true, came(&["status waiting"], &["deadline 0 6000"]))
    );
    // Nor does the answer that was given get lost or become another.
    assert_eq!(run.answer(1, "true"), Ok(came(&[], &[])));
    assert_eq!(
        run.answer(1, "false"),
        Err(OrderError::Answered(CallNumber(1)))
    );
}

/// An answer may wait for its place behind those of the base; it is durable when whoever gave it hears so.
#[test]
fn x03_an_answer_that_the_script_was_not_given_is_given_after_a_crash() {
    let mut run = Run::new(None, 1_000);
    run.asks(vec![question(0, "{}")]);
    run.read(0, "{}", None);
    let ordered = bellwether_journal::record::Ordered {
        order: Order::Answer(CallNumber(0), Text::Inline("7".into())),
        by: Actor::Engine,
        reason: None,
    };
    run.decide(|machine, now, _, out| {
        machine.append(Record::Ordered(Box::new(ordered)), now, out);
    });
    let mut run = run.recovered();
    assert_eq!(
        run.read(0, "{}", Some("7")),
        (false, came(&["completed 0.0"], &["deliver 7"]))
    );
}

#[test]
fn x03_a_script_that_returns_takes_its_questions_back() {
    let mut run = Run::new(None, 1_000);
    let came_out = run.turn(vec![question(0, "{}")], TurnStatus::Returned("1".into()));
    assert_eq!(
        came_out.records,
        ["scheduled 0", "cancelled 0.0", "ended completed"]
    );
    assert!(!run.read(0, "{}", None).0, "nobody is asked");
    assert_eq!(run.answer(0, "1"), Err(OrderError::Ending));
}

impl Run {
    /// Taken up by another engine, from its records.
    fn recovered(self) -> Self {
        let caps = Caps {
            concurrency: None,
            agents: 1_000,
            budget: Allowance::default(),
        };
        let state = self.machine.state().clone();
        let given = !state.answers.is_empty();
        let mut run = Self {
            machine: machine(state, Epoch(2), caps),
            permits: Free::default(),
            now: self.now,
            rows: self.rows,
        };
        let came_out = run.decide(|machine, now, permits, out| {
            machine.go_on(Vec::new(), Actor::Engine, Way::Running, now, permits, out);
        });
        let is_answered = given && came_out.actions == ["ask 0 (answered)"];
        assert!(is_answered || came_out.actions == ["ask 0"], "{came_out:?}");
        run
    }
}

#[test]
fn a_run_whose_quota_is_used_up_waits_and_goes_on_by_itself() {
    let mut run = Run::new(Some(2), 10);
    run.calls(0..3);
    let quota = || {
        let failure = Failure {
            kind: FailureKind::Quota,
            message: "no credit is left".to_owned(),
            evidence: None,
            retry_after: Some(60_000),
        };
        End::Failed(failure, Usage::default())
    };
    run.ended(0, 1, quota());
    run.ended(1, 1, quota());
    assert_eq!(run.status(), Status::Running, "one is at work");
    run.ended(2, 1, quota());
    assert_eq!(run.status(), Status::Waiting);
    assert!(
        run.reason()
            .is_some_and(|reason| reason.starts_with("quota until 1970-01-01T00:01:")),
        "{:?}",
        run.reason()
    );
    let again = run.decide(|machine, now, permits, out| {
        machine.retry_due(CallNumber(1), now, permits, out);
    });
    assert_eq!(again.actions, ["start 1.2"]);
    assert_eq!(run.status(), Status::Running);
    let done = run.ended(1, 2, done("1"));
    assert_eq!(done.actions, ["deliver 1"]);
}

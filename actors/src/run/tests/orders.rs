//! What people want of agents that are at work, and what follows.

use bellwether_journal::record::{Order, Ordered, RunLimits};

use super::super::orders::OrderError;
use super::*;

impl Run {
    fn order(&mut self, order: Order) -> (Result<(), OrderError>, Came) {
        let ordered = Ordered {
            order,
            by: Actor::Caller("someone".to_owned()),
            reason: None,
        };
        let mut said = Ok(());
        let came = self.decide(|machine, now, permits, out| {
            said = machine.order(&ordered, now, permits, out);
        });
        (said, came)
    }

    /// As above, for one that is carried out.
    fn obeys(&mut self, order: Order) -> Came {
        let (said, came) = self.order(order);
        assert_eq!(said, Ok(()));
        came
    }

    fn refuses(&mut self, order: Order) -> OrderError {
        let (said, came) = self.order(order);
        assert_eq!(came, super::came(&[], &[]), "nothing changes");
        let Err(error) = said else {
            panic!("it was carried out")
        };
        error
    }
}

fn number(call: u32) -> CallNumber {
    CallNumber(call)
}

#[test]
fn a02_an_agent_that_is_stopped_gives_null_whatever_it_says_last() {
    for last in [cancelled(), done("1"), failed(FailureKind::Transport)] {
        let mut run = Run::new(Some(1), 10);
        run.calls(0..2);
        let stopping = run.obeys(Order::StopAgent(number(0)));
        assert_eq!(stopping.records, ["ordered"]);
        assert!(
            stopping.actions[0].starts_with("CancelAgent"),
            "{stopping:?}"
        );
        let twice = run.obeys(Order::StopAgent(number(0)));
        assert_eq!(twice, came(&[], &[]), "asked twice is asked once");
        // Its slot goes to the next.
        assert_eq!(
            run.ended(0, 1, last),
            came(
                &["cancelled 0.1", "started 1.1"],
                &["deliver nothing(cancelled)", "start 1.1"]
            )
        );
        assert_eq!(run.obeys(Order::StopAgent(number(0))), came(&[], &[]));
    }
}

#[test]
fn a02_an_agent_that_waits_is_stopped_or_skipped_at_once() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..3);
    assert_eq!(
        run.obeys(Order::SkipAgent(number(1))),
        came(&["ordered", "skipped 1.0"], &["deliver nothing(skipped)"])
    );
    assert_eq!(run.obeys(Order::SkipAgent(number(1))), came(&[], &[]));
    assert_eq!(
        run.obeys(Order::StopAgent(number(2))),
        came(
            &["ordered", "cancelled 2.0"],
            &["deliver nothing(cancelled)"]
        )
    );
    // Neither starts when there is a slot.
    let ended = run.ended(0, 1, done("1"));
    assert_eq!(ended, came(&["completed 0.1"], &["deliver 1"]));
}

#[test]
fn an_agent_that_is_restarted_gets_another_attempt_that_is_no_retry() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..1);
    run.obeys(Order::RestartAgent(number(0)));
    assert_eq!(
        run.ended(0, 1, cancelled()),
        came(&["attempt failed 0.1", "started 0.2"], &["start 0.2"])
    );
    // A person's wish is no failure: four of this kind are tried, as ever.
    for attempt in 2..5 {
        let again = run.ended(0, attempt, failed(FailureKind::Transport));
        assert_eq!(again.actions, ["retry 0"]);
        run.decide(|machine, now, permits, out| machine.retry_due(number(0), now, permits, out));
    }
    let last = run.ended(0, 5, failed(FailureKind::Transport));
    assert_eq!(last.records, ["failed 0.5"]);
}

#[test]
fn what_cannot_be_ordered_is_named_and_changes_nothing() {
    let mut run = Run::new(Some(1), 10);
    run.calls(0..2);
    run.ended(0, 1, done("1"));
    let table = [
        (
            Order::StopAgent(number(0)),
            "a-0 is completed: it has ended",
        ),
        (
            Order::SkipAgent(number(0)),
            "a-0 is completed: it has ended",
        ),
        (
            Order::RestartAgent(number(0)),
            "a-0 is completed: it has ended",
        ),
        (
            Order::SkipAgent(number(1)),
            "a-1 has started: stop it instead",
        ),
        (Order::StopAgent(number(9)), "there is no agent a-9"),
    ];
    for (order, expected) in table {
        assert_eq!(run.refuses(order).to_string(), expected);
    }
    run.stop(Status::Stopped);
    let ending = run.refuses(Order::StopAgent(number(1)));
    assert_eq!(ending, OrderError::Ending);
}

#[test]
fn c01_limits_that_are_set_hold_from_then_on() {
    let mut run = Run::new(Some(1), 2);
    run.calls(0..2);
    let limits = |concurrency, agents| {
        Order::SetLimits(RunLimits {
            concurrency,
            agents,
        })
    };
    assert_eq!(
        run.obeys(limits(Some(2), None)),
        came(&["ordered", "started 1.1"], &["start 1.1"])
    );
    assert_eq!(run.obeys(limits(Some(2), None)), came(&[], &[]), "as it is");
    assert_eq!(
        run.calls(2..3).records,
        ["scheduled 2", "refused 2 AGENT_CAP"]
    );
    run.obeys(limits(Some(0), Some(5)));
    assert_eq!(run.calls(3..4).records, ["scheduled 3", "started 3.1"]);
}

#[test]
fn a_pause_at_once_ends_what_is_at_work_and_it_begins_anew() {
    let mut run = Run::new(None, 10);
    run.calls(0..2);
    let pausing = run.decide(|machine, now, _, out| {
        machine.pause_now(Actor::Engine, None, now, out);
    });
    assert_eq!(pausing.records, ["status pausing"]);
    assert_eq!(pausing.actions.len(), 2);
    run.ended(0, 1, cancelled());
    assert_eq!(
        run.ended(1, 1, cancelled()).records,
        ["attempt failed 1.1", "status paused"]
    );
    let resumed = run.decide(|machine, now, permits, out| {
        machine.resume(Actor::Engine, now, permits, out);
    });
    assert_eq!(
        resumed,
        came(
            &["status running", "started 0.2", "started 1.2"],
            &["start 0.2", "start 1.2"]
        )
    );
}

#[test]
fn a02_an_agent_that_was_stopped_is_not_begun_again_after_a_crash() {
    let mut run = Run::new(None, 10);
    run.calls(0..2);
    run.obeys(Order::StopAgent(number(0)));
    // The engine goes before the agent has ended.
    let caps = run.machine.caps;
    run.machine = machine(run.machine.state().clone(), Epoch(2), caps);
    let came_out = run.decide(|machine, now, permits, out| {
        machine.go_on(Vec::new(), Actor::Engine, Way::Running, now, permits, out);
    });
    assert_eq!(
        came_out,
        came(
            &[
                "recovered",
                "status running",
                "cancelled 0.1",
                "started 1.2"
            ],
            &["deliver nothing(cancelled)", "start 1.2"]
        )
    );
    assert!(run.machine.state().to_stop.is_empty());
}

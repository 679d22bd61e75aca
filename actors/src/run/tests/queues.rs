//! A06: a provider that takes no calls for now holds up its own and no others, and nothing of them is started.

use bellwether_journal::codec;
use bellwether_journal::record::{Order, Ordered};

use super::*;

/// A backend whose agents ask models.
struct Asking;

impl AgentBackend for Asking {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        panic!("these tests start nothing")
    }

    fn asks_models(&self) -> bool {
        true
    }
}

fn keys() -> Keys {
    let asking: Arc<dyn AgentBackend> = Arc::new(Asking);
    let named = ["paid", "other"].map(|name| (name.to_owned(), Arc::clone(&asking)));
    Keys::new(Arc::new(Backends::new(HashMap::from(named), "paid")))
}

fn agent(number: u32, backend: &str) -> Command {
    let Command::Call(call) = call(number) else {
        panic!("a call")
    };
    Command::Call(Box::new(Call {
        options: format!(r#"{{"backend":"{backend}"}}"#).into(),
        ..*call
    }))
}

fn empty(kind: FailureKind, milliseconds: u64) -> End {
    let failure = Failure {
        kind,
        message: "no more for today".to_owned(),
        evidence: None,
        retry_after: Some(milliseconds),
    };
    End::Failed(failure, Usage::default())
}

fn retry(run: &mut Run, call: u32) -> Came {
    run.decide(|machine, now, permits, out| {
        machine.retry_due(CallNumber(call), now, permits, out);
    })
}

fn starts(came: &Came) -> Vec<&str> {
    let actions = came.actions.iter();
    actions
        .filter_map(|action| action.strip_prefix("start "))
        .collect()
}

fn six_paid_and_two_others() -> Run {
    let mut run = Run::new(Some(2), 100);
    run.machine.keys = keys();
    let mut commands: Vec<Command> = (0..6).map(|number| agent(number, "paid")).collect();
    commands.extend((6..8).map(|number| agent(number, "other")));
    let came = run.turn(commands, TurnStatus::Running);
    assert_eq!(starts(&came), ["0.1", "1.1"]);
    run
}

#[test]
fn a06_calls_of_a_closed_queue_wait_unstarted_and_others_go_on() {
    let mut run = six_paid_and_two_others();
    let came = run.ended(0, 1, empty(FailureKind::Quota, 7_200_000));
    assert_eq!(
        starts(&came),
        ["6.1"],
        "the first that another provider has"
    );
    assert_eq!(starts(&run.ended(1, 1, done("1"))), ["7.1"]);
    assert_eq!(starts(&run.ended(6, 1, done("6"))), [""; 0]);
    assert_eq!(run.status(), Status::Running);
    run.ended(7, 1, done("7"));
    while !run.machine.owed.is_empty() {
        run.turn(Vec::new(), TurnStatus::Running);
    }
    assert_eq!(run.status(), Status::Waiting);
    let reason = run.machine.state().status_reason.clone();
    assert!(
        reason.is_some_and(|reason| reason.starts_with("quota until 1970-01-01T02:")),
        "with what is added so that not all come at once"
    );
    // It goes on by itself.
    run.now += 7_700_000;
    let came = retry(&mut run, 0);
    assert_eq!(starts(&came), ["2.1", "3.1"]);
    assert_eq!(run.status(), Status::Running);
    // And closes again, for the longest that anybody is told.
    run.ended(2, 1, empty(FailureKind::RateLimit, 5_000));
    run.ended(3, 1, empty(FailureKind::RateLimit, 9_000));
    run.now += 6_000;
    assert_eq!(starts(&retry(&mut run, 2)), [""; 0]);
    run.now += 4_000;
    assert_eq!(starts(&retry(&mut run, 3)), ["4.1", "5.1"]);
    for call in [4, 5] {
        run.ended(call, 1, done("x"));
    }
    for call in [0, 2, 3] {
        run.ended(call, 2, done("x"));
    }
    assert!(run.machine.state().unsettled().next().is_none());
    assert_eq!(run.permits.taken, run.permits.given_back);
}

#[test]
fn a06_a_queue_that_was_closed_is_closed_after_a_crash() {
    let mut run = six_paid_and_two_others();
    run.ended(0, 1, empty(FailureKind::Quota, 60_000));
    let mut state = RunState::new(run_id());
    for row in &run.rows {
        let entry = codec::decode(run_id(), row.position, &row.bytes);
        let entry = entry.unwrap_or_else(|error| panic!("{error}"));
        state
            .apply(&entry)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    // The script's replay tells each call's queue again.
    let mut keys = keys();
    for number in 0..8 {
        let backend = if number < 6 { "paid" } else { "other" };
        let Command::Call(call) = agent(number, backend) else {
            panic!("a call")
        };
        keys.next(&call);
    }
    let caps = run.machine.caps;
    run.machine = Machine::new(state, Epoch(2), caps, keys, BTreeMap::new());
    let came = run.decide(|machine, now, permits, out| {
        machine.go_on(Vec::new(), Actor::Engine, Way::Running, now, permits, out);
    });
    assert_eq!(starts(&came), ["6.2", "7.1"]);
    // Whoever stops the agent that closed it takes nothing from the others.
    run.now += 70_000;
    order(&mut run, Order::StopAgent(CallNumber(0)));
    run.machine.caps.concurrency = Some(4);
    assert_eq!(starts(&retry(&mut run, 0)), ["1.2", "2.1"]);
}

#[test]
fn a06_a_queue_opens_again_whatever_becomes_of_the_call_that_closed_it() {
    let mut run = six_paid_and_two_others();
    run.ended(0, 1, empty(FailureKind::Quota, 7_200_000));
    run.ended(1, 1, empty(FailureKind::RateLimit, 5_000));
    for call in [6, 7] {
        run.ended(call, 1, done("x"));
    }
    while !run.machine.owed.is_empty() {
        run.turn(Vec::new(), TurnStatus::Running);
    }
    // One waits for less, and in the same queue.
    run.now += 5_000;
    assert_eq!(starts(&retry(&mut run, 1)), [""; 0]);
    assert_eq!(run.status(), Status::Waiting);
    let stop = |run: &mut Run, call| {
        order(run, Order::StopAgent(CallNumber(call)));
    };
    stop(&mut run, 0);
    while !run.machine.owed.is_empty() {
        run.turn(Vec::new(), TurnStatus::Running);
    }
    assert_eq!(run.status(), Status::Waiting, "the quota is what it was");
    // Its time comes all the same; before that, it is not taken for it.
    assert_eq!(starts(&retry(&mut run, 0)), [""; 0]);
    run.now += 7_700_000;
    assert_eq!(starts(&retry(&mut run, 0)), ["2.1", "3.1"]);
    // A person who knows better has it opened by any call of it.
    run.ended(2, 1, empty(FailureKind::Quota, 7_200_000));
    assert_eq!(starts(&run.ended(3, 1, done("x"))), [""; 0]);
    assert_eq!(
        starts(&order(&mut run, Order::RestartAgent(CallNumber(4)))),
        ["4.1", "5.1"]
    );
}

fn order(run: &mut Run, order: Order) -> Came {
    let ordered = Ordered {
        order,
        by: Actor::Engine,
        reason: None,
    };
    run.decide(|machine, now, permits, out| {
        let heard = machine.order(&ordered, now, permits, out);
        heard.unwrap_or_else(|error| panic!("{error}"));
    })
}

//! What is at work when a run is rewound, and which call gets its end.

use std::collections::HashSet;

use bellwether_journal::id::Attempt;
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::record::{Base as BaseRecord, GenerationRewound};
use bellwether_journal::store::{Batch, Store as _};

use super::super::rewind::{Base, Rewind, Rules};
use super::*;

impl Run {
    /// The same run in its next generation, with the script begun anew.
    fn rewound(mut self, dirty: &[u32]) -> Self {
        let store = MemoryStore::new();
        let records = self.rows.iter();
        let records = records.map(|row| (run_id(), row.position, row.bytes.clone()));
        let batch = Batch {
            records: records.collect(),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        let state = self.machine.state().clone();
        let open = state.generation.clone().unwrap();
        let base = Base::read(&store, run_id(), open.number, state.next).unwrap();
        let rules = Rules {
            policy: Policy::Causal,
            keep_failed: false,
            dirty: dirty
                .iter()
                .copied()
                .map(CallNumber)
                .collect::<HashSet<_>>(),
        };
        let opened = GenerationOpened {
            number: open.number.next(),
            base: Some(BaseRecord {
                run: run_id(),
                generation: open.number,
                cut: state.next,
            }),
            script: open.script.clone(),
            args: None,
            vm_identity: Digest::default(),
            seed: [0; 32],
            time: 1_000,
            dirty: Vec::new(),
            policy: Policy::Causal,
            budget_total: None,
        };
        let rewound = GenerationRewound {
            opened,
            keep_failed: false,
            options: text::pack("{}".into()).stored,
            script_path: None,
            epoch: Epoch(1),
            by: Actor::Engine,
            reason: None,
        };
        let left = self.machine.leave();
        let caps = self.machine.caps;
        let rewind = Rewind::new(Arc::new(base), rules);
        self.machine = machine(state, Epoch(1), caps)
            .with_rewind(Some(rewind))
            .with_left(left);
        let records = vec![Record::GenerationRewound(Box::new(rewound))];
        self.decide(|machine, now, _, out| machine.begin(records, &[], Actor::Engine, now, out));
        self
    }

    /// An attempt of the first generation ends, as the pool says.
    fn pool_says(&mut self, call: u32, end: End) -> Came {
        let token = token(call, 1);
        self.decide(|machine, now, permits, out| {
            machine.attempt_ended(token, end, Vec::new(), now, permits, out);
        })
    }

    fn permits_out(&self) -> usize {
        self.permits.taken - self.permits.given_back
    }
}

/// Two agents at work, of three that may be.
fn two_at_work() -> Run {
    let mut run = Run::new(Some(3), 10);
    run.calls(0..2);
    run
}

#[test]
fn r03_the_same_call_gets_the_attempt_that_is_at_work_and_its_end() {
    let mut run = two_at_work().rewound(&[]);
    let adopted = |call: u32| format!("Adopted({:?})", token(call, 1));
    assert_eq!(
        run.calls(0..2),
        came(
            &[
                "scheduled 0",
                "attemptadopted",
                "scheduled 1",
                "attemptadopted"
            ],
            &[&adopted(0), &adopted(1)]
        )
    );
    assert_eq!(
        run.pool_says(1, done("1")),
        came(&["completed 1.1"], &["deliver 1"])
    );
    assert_eq!(run.permits_out(), 1);
    // It is a call like any other from here on.
    assert_eq!(
        run.pool_says(0, failed(FailureKind::Transport)),
        came(&["attempt failed 0.1"], &["retry 0"])
    );
    assert_eq!(run.permits_out(), 0);
    assert_eq!(run.pool_says(0, done("late")), came(&[], &[]));
}

#[test]
fn r03_an_end_that_comes_before_its_call_waits_for_it() {
    let mut run = two_at_work().rewound(&[]);
    assert_eq!(run.pool_says(1, done("1")), came(&[], &[]));
    let calls = run.calls(0..2);
    assert_eq!(
        calls.records,
        [
            "scheduled 0",
            "attemptadopted",
            "scheduled 1",
            "attemptadopted",
            "completed 1.1"
        ]
    );
    assert_eq!(calls.actions.last().unwrap(), "deliver 1");
    assert_eq!(run.permits_out(), 1);
}

#[test]
fn r03_what_no_call_asks_for_is_ended_and_its_slot_comes_free_then() {
    let mut run = two_at_work().rewound(&[1]);
    // Two are at work, so that only one of the two calls that are not can start.
    let calls = run.calls(0..3);
    let disowned = format!("Disowned({:?})", token(1, 1));
    assert!(calls.actions.contains(&disowned), "{calls:?}");
    assert_eq!(
        calls.records,
        [
            "scheduled 0",
            "attemptadopted",
            "scheduled 1",
            "scheduled 2",
            "started 1.1"
        ]
    );
    assert_eq!(
        run.pool_says(1, done("nobody asks")),
        came(&["started 2.1"], &["start 2.1"])
    );
    assert_eq!(run.permits_out(), 3);
}

#[test]
fn r03_a_script_that_ends_without_asking_leaves_nothing_at_work() {
    let mut run = two_at_work().rewound(&[]);
    assert_eq!(run.pool_says(0, done("0")), came(&[], &[]));
    let returned = TurnStatus::Returned("1".into());
    let last = run.turn(Vec::new(), returned);
    assert_eq!(
        last.records,
        Vec::<String>::new(),
        "an agent is still at work"
    );
    assert!(
        last.actions.contains(&"CancelAgents".to_owned()),
        "{last:?}"
    );
    assert_eq!(run.pool_says(1, cancelled()).records, ["ended completed"]);
    assert_eq!(run.permits_out(), 0);
}

#[test]
fn r03_a_lost_pool_takes_what_nobody_had_asked_for_yet_with_it() {
    let mut run = two_at_work().rewound(&[]);
    run.calls(0..1);
    let lost = run.decide(|machine, now, permits, out| {
        machine.pool_lost("it broke", now, permits, out);
    });
    assert_eq!(lost.records, ["attempt failed 0.1"]);
    assert_eq!(run.permits_out(), 0);
    assert_eq!(run.machine.running(), 0);
}

#[test]
fn r03_an_attempt_that_follows_an_adopted_one_is_the_same_work_to_its_backend() {
    let idempotency = |run: &mut Run, call: u32| {
        let mut found = None;
        run.decide(|machine, now, permits, out| {
            machine.retry_due(CallNumber(call), now, permits, out);
            for (_, action) in &out.actions {
                if let Action::Start(start) = action {
                    found = Some((start.token.attempt, start.idempotency_key));
                }
            }
        });
        found.unwrap()
    };
    let mut plain = two_at_work();
    plain.pool_says(0, failed(FailureKind::Transport));
    let expected = idempotency(&mut plain, 0);
    assert_eq!(expected.0, Attempt(2));
    let mut run = two_at_work().rewound(&[]);
    run.calls(0..2);
    run.pool_says(0, failed(FailureKind::Transport));
    assert_eq!(idempotency(&mut run, 0), expected);
}

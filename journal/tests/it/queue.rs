//! Group commit: what goes to the disk together.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::batch::{Limits, Queue, Submission};
use bellwether_journal::id::{Position, RunId};
use bellwether_journal::store::Row;
use proptest::prelude::*;

use crate::history::run;

const LIMITS: Limits = Limits {
    bytes_max: 100,
    records_max: 5,
};

/// A submission of `records` records of `bytes` bytes each, from position `from` on.
fn submission(number: u64, from: u64, records: u64, bytes: usize) -> Submission<(RunId, u64)> {
    Submission {
        run: run(number),
        rows: (from..from + records)
            .map(|position| Row {
                position: Position(position),
                bytes: vec![1; bytes],
            })
            .collect(),
        payloads: Vec::new(),
        blobs: Vec::new(),
        summary: None,
        ticket: (run(number), from),
    }
}

/// The tickets of every batch until nothing is left.
fn drain(queue: &mut Queue<(RunId, u64)>) -> Vec<Vec<(u64, u64)>> {
    std::iter::from_fn(|| queue.next_batch())
        .map(|(_, tickets)| {
            tickets
                .into_iter()
                .map(|(run, from)| (run.to_u64(), from))
                .collect()
        })
        .collect()
}

#[test]
fn batches_end_at_their_limits() {
    // What was submitted as (run, from, records, bytes a record), and the batches that come of it.
    type Case = (
        &'static str,
        &'static [(u64, u64, u64, usize)],
        &'static [&'static [(u64, u64)]],
    );
    let cases: &[Case] = &[
        ("nothing", &[], &[]),
        (
            "all that fits",
            &[(1, 0, 2, 10), (1, 2, 3, 10)],
            &[&[(1, 0), (1, 2)]],
        ),
        (
            "by records",
            &[(1, 0, 3, 1), (1, 3, 3, 1)],
            &[&[(1, 0)], &[(1, 3)]],
        ),
        (
            "by bytes",
            &[(1, 0, 1, 60), (1, 1, 1, 40), (1, 2, 1, 1)],
            &[&[(1, 0), (1, 1)], &[(1, 2)]],
        ),
        (
            "too large alone",
            &[(1, 0, 9, 99), (1, 9, 1, 1)],
            &[&[(1, 0)], &[(1, 9)]],
        ),
        (
            "too large behind another",
            &[(1, 0, 1, 1), (1, 1, 9, 99)],
            &[&[(1, 0)], &[(1, 1)]],
        ),
        (
            "runs take turns",
            &[
                (1, 0, 2, 1),
                (1, 2, 2, 1),
                (1, 4, 2, 1),
                (2, 0, 2, 1),
                (3, 0, 2, 1),
            ],
            &[&[(1, 0), (2, 0)], &[(3, 0), (1, 2)], &[(1, 4)]],
        ),
        (
            "no records at all",
            &[(1, 0, 0, 0), (2, 0, 0, 0)],
            &[&[(1, 0), (2, 0)]],
        ),
    ];
    for (name, submitted, expected) in cases {
        let mut queue = Queue::new(LIMITS);
        for &(run, from, records, bytes) in *submitted {
            queue.push(submission(run, from, records, bytes));
        }
        assert_eq!(drain(&mut queue), *expected, "{name}");
        assert!(queue.is_empty() && queue.pending_bytes() == 0, "{name}");
    }
}

#[test]
fn the_newest_summary_wins_and_nothing_is_left_behind() {
    let mut queue = Queue::new(LIMITS);
    for (from, summary) in [(0, Some(vec![1])), (1, Some(vec![2])), (2, None)] {
        queue.push(Submission {
            summary,
            payloads: vec![(Position(from), Arc::from([from as u8; 3]))],
            blobs: vec![(
                bellwether_journal::key::Digest([from as u8; 16]),
                Arc::from([9; 2]),
            )],
            ..submission(1, from, 1, 1)
        });
    }
    assert_eq!(queue.pending_bytes(), 3 * (1 + 3 + 2) + 2);
    let (batch, tickets) = queue.next_batch().unwrap();
    assert_eq!(tickets.len(), 3);
    assert_eq!(batch.summaries, [(run(1), vec![2])]);
    assert_eq!(
        (batch.records.len(), batch.payloads.len(), batch.blobs.len()),
        (3, 3, 3)
    );
    assert_eq!(queue.pending_bytes(), 0);
}

proptest! {
    /// Against the plainest thing that could be right: a list of lists.
    #[test]
    fn no_submission_is_lost_split_overtaken_or_starved(
        submitted in prop::collection::vec((0_u64..4, 0_u64..7, 0_usize..60), 0..80),
        taken_every in 1_usize..20,
    ) {
        let mut queue = Queue::new(LIMITS);
        let mut next: HashMap<u64, u64> = HashMap::new();
        let mut model: Vec<(u64, u64, usize, usize)> = Vec::new();
        let mut done: Vec<(u64, u64)> = Vec::new();
        let mut take = |queue: &mut Queue<(RunId, u64)>,
                        model: &mut Vec<(u64, u64, usize, usize)>| {
            let Some((batch, tickets)) = queue.next_batch() else {
                assert!(model.is_empty());
                return false;
            };
            let waiting: Vec<u64> = model.iter().map(|entry| entry.0).collect();
            let (mut bytes, mut records) = (0, 0);
            for (run, from) in &tickets {
                let index = model.iter().position(|entry| entry.0 == run.to_u64()).unwrap();
                let entry = model.remove(index);
                assert_eq!((entry.0, entry.1), (run.to_u64(), *from), "in order within a run");
                bytes += entry.2;
                records += entry.3;
                done.push((entry.0, entry.1));
            }
            assert_eq!(batch.bytes(), bytes);
            assert_eq!(batch.records.len(), records);
            let within = bytes <= LIMITS.bytes_max && records <= LIMITS.records_max;
            assert!(within || tickets.len() == 1);
            // No run has two more in a batch than another that still waits.
            for other in &waiting {
                let count = |run: u64| tickets.iter().filter(|(taken, _)| taken.to_u64() == run).count();
                if model.iter().any(|entry| entry.0 == *other) {
                    assert!(tickets.iter().all(|(run, _)| count(run.to_u64()) <= count(*other) + 1));
                }
            }
            true
        };
        for (index, &(number, records, bytes)) in submitted.iter().enumerate() {
            let from = next.entry(number).or_default();
            queue.push(submission(number, *from, records, bytes));
            model.push((number, *from, records as usize * bytes, records as usize));
            *from += records.max(1);
            let pending: usize = model.iter().map(|entry| entry.2).sum();
            prop_assert_eq!(queue.pending_bytes(), pending);
            if index % taken_every == 0 {
                take(&mut queue, &mut model);
            }
        }
        while take(&mut queue, &mut model) {}
        prop_assert!(queue.is_empty());
        prop_assert_eq!(done.len(), submitted.len());
    }
}

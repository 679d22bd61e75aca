//! Runs from one store into another: to carry one elsewhere, to bring it back, to keep only some.

use std::collections::BTreeSet;

use crate::codec;
use crate::error::{Damage, StoreError};
use crate::id::{Position, RunId};
use crate::key::Digest;
use crate::read::{self, PAGE_BYTES, PAGE_ROWS};
use crate::record::{Order, Outcome, Record};
use crate::store::{Batch, Store};
use crate::text::Text;

/// Copies a run, record by record as they are, with all texts that they refer to. Every record is checked on the way; the
/// run appears in `to` when all of it is there.
///
/// # Errors
/// [`StoreError`]: it cannot be read or written, is damaged, or is in `to` already.
pub fn copy(from: &dyn Store, to: &dyn Store, run: RunId) -> Result<(), StoreError> {
    let missing = || Damage::new(format!("there is no run {run}"));
    let summary = from.summary(run)?.ok_or_else(missing)?;
    let described = codec::decode_summary(run, &summary)?;
    let found = read::verify(from, run)?;
    if found != (described.next, described.head) {
        let what = format!(
            "the end of {run} is missing: {} of {} records are there",
            found.0, described.next
        );
        return Err(Damage::new(what).into());
    }
    let mut copied = BTreeSet::new();
    let mut position = Position(0);
    loop {
        let rows = from.records(run, position, PAGE_ROWS)?;
        let Some(last) = rows.last().map(|row| row.position) else {
            break;
        };
        let mut batch = Batch::default();
        for row in rows {
            let entry = codec::decode(run, row.position, &row.bytes)?;
            for hash in shared(&entry.record) {
                if copied.insert(hash)
                    && let Some(bytes) = from.blob(hash)?
                {
                    batch.blobs.push((hash, bytes.into()));
                }
            }
            batch.records.push((run, row.position, row.bytes));
        }
        to.commit(&batch)?;
        position = last.next();
    }
    let mut position = Position(0);
    loop {
        let rows = from.payloads(run, position, PAGE_ROWS, PAGE_BYTES)?;
        let Some(last) = rows.last().map(|row| row.position) else {
            break;
        };
        let payloads = rows.into_iter();
        let batch = Batch {
            payloads: payloads
                .map(|row| (run, row.position, row.bytes.into()))
                .collect(),
            ..Batch::default()
        };
        to.commit(&batch)?;
        position = last.next();
    }
    to.commit(&Batch {
        summaries: vec![(run, summary)],
        ..Batch::default()
    })
}

/// A run and those that it was forked from, as far back as they are there: what must be kept for it to go on.
///
/// # Errors
/// [`StoreError`]: it cannot be read.
pub fn with_bases(store: &dyn Store, run: RunId) -> Result<BTreeSet<RunId>, StoreError> {
    let mut found = BTreeSet::new();
    let mut open = vec![run];
    while let Some(run) = open.pop() {
        if !found.insert(run) {
            continue;
        }
        // A fork says so in its first generation.
        for entry in read::entries(store, run, Position(0)).take(2) {
            if let Record::GenerationRewound(rewound) = entry?.record
                && let Some(base) = rewound.opened.base
                && store.summary(base.run)?.is_some()
            {
                open.push(base.run);
            }
        }
    }
    Ok(found)
}

/// The texts that a record shares with others.
fn shared(record: &Record) -> impl Iterator<Item = Digest> {
    let mut texts: Vec<&Text> = Vec::new();
    match record {
        Record::RunStarted(started) => texts.push(&started.options),
        Record::GenerationOpened(opened) => {
            texts.push(&opened.script);
            texts.extend(&opened.args);
        }
        Record::GenerationRewound(rewound) => {
            texts.push(&rewound.options);
            texts.push(&rewound.opened.script);
            texts.extend(&rewound.opened.args);
        }
        Record::CallScheduled(call) => texts.extend([&call.prompt, &call.options]),
        Record::CallSettled(settled) => texts.extend(value(&settled.outcome)),
        Record::CallReused(reused) => texts.extend(value(&reused.outcome)),
        Record::RunEnded(ended) => texts.extend(&ended.result),
        Record::ChangesKept(kept) => texts.push(&kept.diff),
        Record::StepNoted(noted) => texts.push(&noted.note),
        Record::AttemptAdopted(adopted) => texts.extend(&adopted.notes),
        Record::Ordered(ordered) => {
            if let Order::Answer(_, answer) = &ordered.order {
                texts.push(answer);
            }
        }
        Record::AttemptStarted(_)
        | Record::AttemptFailed(_)
        | Record::TimerFired(_)
        | Record::CallRefused(_)
        | Record::Logged(_)
        | Record::PhaseEntered(_)
        | Record::StatusChanged(_)
        | Record::Recovered(_)
        | Record::OrchestratorLost(_)
        | Record::Noticed(_)
        | Record::TimerElapsed(_)
        | Record::UsageCounted(_)
        | Record::ModelAsked(_)
        | Record::TimerArmed(_) => {}
    }
    let hashes: Vec<Digest> = texts
        .into_iter()
        .filter_map(|text| match text {
            Text::Shared(reference) => Some(reference.hash),
            Text::Inline(_) | Text::Payload(_) => None,
        })
        .collect();
    hashes.into_iter()
}

const fn value(outcome: &Outcome) -> Option<&Text> {
    match outcome {
        Outcome::Completed(value) => Some(value),
        Outcome::Failed(_) | Outcome::Skipped | Outcome::Cancelled(_) => None,
    }
}

//! What every store must do, as a function: for the stores in here and for an embedder's own.

use std::sync::Arc;

use crate::error::StoreError;
use crate::id::{Epoch, Position, RunId};
use crate::key::Digest;
use crate::store::{Batch, Store};

/// A new, empty store and the way to open it again after its handle was dropped. Opening again must give what was
/// committed, and nothing else.
pub trait Bench {
    /// The store.
    type Store: Store;

    /// Opens it: the first time empty, afterwards with what is in it.
    fn open(&mut self) -> Self::Store;
}

impl<S: Store, F: FnMut() -> S> Bench for F {
    type Store = S;

    fn open(&mut self) -> S {
        self()
    }
}

type Check = Result<(), String>;
type NamedCheck<B> = (&'static str, fn(&mut B) -> Check);

/// Runs every check, each on a bench of its own that `bench` makes.
///
/// ```
/// use bellwether_journal::{memory::MemoryStore, suite};
///
/// suite::check(|| {
///     let store = MemoryStore::new();
///     move || store.clone()
/// })
/// .unwrap();
/// ```
///
/// # Errors
/// Says which check failed and how.
pub fn check<B: Bench>(mut bench: impl FnMut() -> B) -> Result<(), String> {
    let checks: [NamedCheck<B>; 9] = [
        ("an empty store has nothing", empty),
        ("what is committed is there after reopening", durable),
        ("records come in order, a page at a time", paged),
        ("payloads come in pages bounded by bytes", payload_pages),
        ("a shared text is kept as it was first", shared),
        ("a commit that is refused leaves nothing", atomic),
        ("the epoch rises with every opening", epochs),
        ("large values survive", large),
        ("runs do not mix, and summaries are the newest", separate),
    ];
    for (name, check) in checks {
        check(&mut bench()).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

fn run(number: u64) -> RunId {
    RunId::from_u64(number).unwrap_or(RunId::from_entropy([255; 5]))
}

fn record(run: RunId, position: u64) -> (RunId, Position, Vec<u8>) {
    (
        run,
        Position(position),
        format!("{run} {position}").into_bytes(),
    )
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Check {
    if found == expected {
        return Ok(());
    }
    let mut text = format!("{what}: expected {expected:?}, found {found:?}");
    if text.len() > 600 {
        text = format!("{what}: not what was expected");
    }
    Err(text)
}

fn done<T>(result: Result<T, StoreError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn empty<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    same("summaries", &done(store.summaries(None, 10))?, &Vec::new())?;
    same("summary", &done(store.summary(run(1)))?, &None)?;
    same(
        "records",
        &done(store.records(run(1), Position(0), 10))?,
        &Vec::new(),
    )?;
    same(
        "payloads",
        &done(store.payloads(run(1), Position(0), 10, 10))?,
        &Vec::new(),
    )?;
    same("payload", &done(store.payload(run(1), Position(0)))?, &None)?;
    same("blob", &done(store.blob(Digest([7; 16])))?, &None)?;
    done(store.commit(&Batch::default()))
}

fn durable<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    let identity = done(store.identity())?;
    let mut batch = Batch {
        records: vec![record(run(1), 0), record(run(1), 1)],
        payloads: vec![(run(1), Position(1), Arc::from(*b"payload"))],
        blobs: vec![(Digest([1; 16]), Arc::from(*b"blob"))],
        summaries: vec![(run(1), b"summary".to_vec())],
    };
    done(store.commit(&batch))?;
    drop(store);
    let store = bench.open();
    same("identity", &done(store.identity())?, &identity)?;
    let rows = done(store.records(run(1), Position(0), 10))?;
    let found: Vec<_> = rows
        .into_iter()
        .map(|row| (run(1), row.position, row.bytes))
        .collect();
    same("records", &found, &batch.records)?;
    same(
        "payload",
        &done(store.payload(run(1), Position(1)))?,
        &Some(b"payload".to_vec()),
    )?;
    same(
        "no payload",
        &done(store.payload(run(1), Position(0)))?,
        &None,
    )?;
    same(
        "blob",
        &done(store.blob(Digest([1; 16])))?,
        &Some(b"blob".to_vec()),
    )?;
    same(
        "summary",
        &done(store.summary(run(1)))?,
        &Some(b"summary".to_vec()),
    )?;
    batch = Batch {
        records: vec![record(run(1), 2)],
        ..Batch::default()
    };
    done(store.commit(&batch))?;
    drop(store);
    let rows = done(bench.open().records(run(1), Position(0), 10))?;
    same("records after the second reopening", &rows.len(), &3)
}

fn paged<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    let records = (0..2_500)
        .map(|position| record(run(1), position))
        .collect();
    done(store.commit(&Batch {
        records,
        ..Batch::default()
    }))?;
    let mut from = Position(3);
    for length in [1_000, 1_000, 497, 0] {
        let page = done(store.records(run(1), from, 1_000))?;
        same("length of a page", &page.len(), &length)?;
        for row in page {
            same("position", &row.position, &from)?;
            same("bytes", &row.bytes, &record(run(1), from.0).2)?;
            from = from.next();
        }
    }
    same(
        "a page of one",
        &done(store.records(run(1), Position(9), 1))?.len(),
        &1,
    )?;
    same(
        "a page of none",
        &done(store.records(run(1), Position(9), 0))?.len(),
        &0,
    )?;
    let behind = done(store.records(run(1), Position(u64::MAX), 10))?;
    same("behind the end", &behind.len(), &0)
}

fn payload_pages<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    let payloads = (0..20)
        .map(|position| (run(1), Position(position * 3), Arc::from(vec![1_u8; 100])))
        .collect();
    done(store.commit(&Batch {
        payloads,
        ..Batch::default()
    }))?;
    let page = |from, limit, bytes| done(store.payloads(run(1), Position(from), limit, bytes));
    same("bounded by rows", &page(0, 4, 10_000)?.len(), &4)?;
    same("bounded by bytes", &page(0, 100, 450)?.len(), &4)?;
    same("at least one", &page(0, 100, 1)?.len(), &1)?;
    same("none when none is asked for", &page(0, 0, 1)?.len(), &0)?;
    let page = page(1, 2, 10_000)?;
    let positions: Vec<u64> = page.iter().map(|row| row.position.0).collect();
    same("positions", &positions, &vec![3, 6])
}

fn shared<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    for text in [b"first".as_slice(), b"again"] {
        let blobs = vec![(Digest([3; 16]), Arc::from(text))];
        done(store.commit(&Batch {
            blobs,
            ..Batch::default()
        }))?;
    }
    same(
        "blob",
        &done(store.blob(Digest([3; 16])))?,
        &Some(b"first".to_vec()),
    )
}

fn atomic<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    done(store.commit(&Batch {
        records: vec![record(run(1), 1)],
        ..Batch::default()
    }))?;
    let batch = Batch {
        records: vec![record(run(1), 0), record(run(1), 1), record(run(1), 2)],
        payloads: vec![(run(1), Position(2), Arc::from(*b"payload"))],
        blobs: vec![(Digest([9; 16]), Arc::from(*b"blob"))],
        summaries: vec![(run(1), b"summary".to_vec())],
    };
    match store.commit(&batch) {
        Err(StoreError::Occupied { .. }) => {}
        Err(error) => return Err(format!("another error than `Occupied`: {error}")),
        Ok(()) => return Err("a record was written over".to_owned()),
    }
    same(
        "records",
        &done(store.records(run(1), Position(0), 10))?.len(),
        &1,
    )?;
    same("payload", &done(store.payload(run(1), Position(2)))?, &None)?;
    same("blob", &done(store.blob(Digest([9; 16])))?, &None)?;
    same("summary", &done(store.summary(run(1)))?, &None)?;
    done(store.commit(&Batch {
        records: vec![record(run(1), 2)],
        ..Batch::default()
    }))?;
    drop(store);
    same(
        "records",
        &done(bench.open().records(run(1), Position(0), 10))?.len(),
        &2,
    )
}

fn epochs<B: Bench>(bench: &mut B) -> Check {
    for epoch in 1..4 {
        let store = bench.open();
        same("epoch", &done(store.raise_epoch())?, &Epoch(epoch))?;
    }
    Ok(())
}

fn large<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    let mut bytes = vec![0_u8; 9 << 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    let large: Arc<[u8]> = bytes.as_slice().into();
    let batch = Batch {
        records: vec![(run(1), Position(0), bytes.clone())],
        payloads: vec![(run(1), Position(0), Arc::clone(&large))],
        blobs: vec![(Digest([2; 16]), large)],
        summaries: vec![(run(1), Vec::new())],
    };
    done(store.commit(&batch))?;
    drop(store);
    let store = bench.open();
    same(
        "payload",
        &done(store.payload(run(1), Position(0)))?.as_ref(),
        &Some(&bytes),
    )?;
    same(
        "blob",
        &done(store.blob(Digest([2; 16])))?.as_ref(),
        &Some(&bytes),
    )?;
    same(
        "an empty summary",
        &done(store.summary(run(1)))?,
        &Some(Vec::new()),
    )?;
    let rows = done(store.records(run(1), Position(0), 1))?;
    same("record", &rows.first().map(|row| &row.bytes), &Some(&bytes))
}

fn separate<B: Bench>(bench: &mut B) -> Check {
    let store = bench.open();
    // The greatest id there is, and one that is nothing but zeros.
    let runs = [run(0), run(1), run((1 << 40) - 1)];
    for round in 0..3 {
        let batch = Batch {
            records: runs.map(|run| record(run, round)).to_vec(),
            summaries: runs.map(|run| (run, vec![round as u8])).to_vec(),
            ..Batch::default()
        };
        done(store.commit(&batch))?;
    }
    for run in runs {
        let rows = done(store.records(run, Position(0), 10))?;
        let found: Vec<_> = rows
            .into_iter()
            .map(|row| (run, row.position, row.bytes))
            .collect();
        same(
            "records",
            &found,
            &(0..3).map(|position| record(run, position)).collect(),
        )?;
    }
    let newest = runs.map(|run| (run, vec![2])).to_vec();
    same("summaries", &done(store.summaries(None, 10))?, &newest)?;
    same(
        "summaries by one",
        &done(store.summaries(Some(runs[0]), 1))?,
        &newest[1..2].to_vec(),
    )?;
    same(
        "behind the last",
        &done(store.summaries(Some(runs[2]), 5))?,
        &Vec::new(),
    )
}

//! Death at every single write, length change and sync: with all that was not synced lost, with any part of it there,
//! and with all of it there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::*;
use crate::codec::{self, Sealer};
use crate::read;
use crate::record::{Level, Logged, Record};

const SECTOR: usize = 512;
const COMMITS: u64 = 6;
const RECORDS_A_COMMIT: u64 = 3;

/// A disk that loses what was not synced.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What survives.
    durable: Vec<u8>,
    /// What was done since the last sync.
    unsynced: Vec<Change>,
    /// Operations that change something, so far.
    operations: u64,
    /// The operation at which the disk dies.
    dies_at: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Lost,
    Torn,
    Kept,
}

impl Disk {
    fn over(contents: Vec<u8>, dies_at: Option<u64>) -> Self {
        let state = State {
            seen: contents.clone(),
            durable: contents,
            dies_at,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state
            .dies_at
            .is_some_and(|dies_at| state.operations >= dies_at)
        {
            return Err(io::Error::other("the disk has died"));
        }
        state.operations += 1;
        change(&mut state);
        Ok(())
    }

    /// What is on the disk after the power went.
    fn after_crash(&self, tail: Tail) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut contents = state.durable.clone();
        if tail == Tail::Lost {
            return contents;
        }
        for (number, change) in state.unsynced.iter().enumerate() {
            match change {
                Change::Length(length) => {
                    if tail == Tail::Kept || toss(state.operations, number, 0) {
                        contents.resize(*length, 0);
                    }
                }
                Change::Write(offset, bytes) => {
                    for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
                        let start = offset + sector * SECTOR;
                        let end = start + bytes.len();
                        let there = tail == Tail::Kept || toss(state.operations, number, sector);
                        if there && end <= contents.len() {
                            contents[start..end].copy_from_slice(bytes);
                        }
                    }
                }
            }
        }
        contents
    }
}

/// A coin that falls the same way every time.
fn toss(seed: u64, number: usize, sector: usize) -> bool {
    let [number, sector] = [number, sector].map(usize::to_le_bytes);
    Digest::of("coin", &[&seed.to_le_bytes(), &number, &sector]).0[0] & 1 == 0
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.seen.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state| {
            let length = usize::try_from(len).unwrap();
            state.seen.resize(length, 0);
            state.unsynced.push(Change::Length(length));
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|state| {
            state.durable.clone_from(&state.seen);
            state.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let offset = usize::try_from(offset).unwrap();
            state.seen[offset..offset + data.len()].copy_from_slice(data);
            state.unsynced.push(Change::Write(offset, data.to_vec()));
        })
    }
}

fn store(disk: Disk, quick_repair: QuickRepair) -> RedbStore {
    let options = Options::default()
        .cache_bytes(1 << 20)
        .quick_repair(quick_repair);
    let database = Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_with_backend(disk)
        .unwrap();
    RedbStore::over(database, Path::new("journal"), 0, options)
}

fn run() -> RunId {
    RunId::from_entropy([3; 5])
}

/// Writes until all is written or the disk dies; gives how many commits and epochs were acknowledged.
fn work(store: &RedbStore) -> (u64, u64) {
    let Ok(epoch) = store.raise_epoch() else {
        assert!(
            store.commit(&Batch::default()).is_err(),
            "a failed store takes more"
        );
        return (0, 0);
    };
    let mut sealer = Sealer::new(run());
    for commit in 0..COMMITS {
        let mut batch = Batch::default();
        for _ in 0..RECORDS_A_COMMIT {
            let position = sealer.next();
            let record = Record::Logged(Box::new(Logged {
                turn: position.0,
                ordinal: 0,
                level: Level::Info,
                text: format!("{position} ").repeat(200),
            }));
            let row = sealer.seal(0, &record).unwrap();
            batch.records.push((run(), position, row.bytes));
            batch
                .payloads
                .push((run(), position, vec![commit as u8; 5_000].into()));
        }
        batch
            .blobs
            .push((Digest([commit as u8; 16]), vec![commit as u8; 100].into()));
        batch
            .summaries
            .push((run(), sealer.next().0.to_le_bytes().to_vec()));
        if store.commit(&batch).is_err() {
            let error = store.commit(&Batch::default()).unwrap_err();
            assert!(
                error.to_string().contains("earlier write failed"),
                "{error}"
            );
            assert!(store.raise_epoch().is_err(), "a failed store takes more");
            return (commit, epoch.0);
        }
    }
    (COMMITS, epoch.0)
}

fn check(store: &RedbStore, identity: Digest, commits: u64, epoch: u64) {
    store.check_format().unwrap();
    assert_eq!(store.identity().unwrap(), identity);
    let (next, _) = read::verify(store, run()).unwrap();
    assert_eq!(next.0 % RECORDS_A_COMMIT, 0, "half a commit is there");
    let there = next.0 / RECORDS_A_COMMIT;
    // The commit that was under way may be there, one that was never begun cannot.
    assert!(
        there == commits || there == commits + 1,
        "{there} of {commits} commits are there"
    );
    let summary = store.summary(run()).unwrap();
    assert_eq!(summary, (there > 0).then(|| next.0.to_le_bytes().to_vec()));
    let payloads = store.payloads(run(), Position(0), 100, 1 << 30).unwrap();
    assert_eq!(payloads.len() as u64, next.0);
    for commit in 0..=COMMITS {
        let blob = store.blob(Digest([commit as u8; 16])).unwrap();
        assert_eq!(blob.is_some(), commit < there);
    }
    assert!(
        store.raise_epoch().unwrap().0 > epoch,
        "an epoch was given twice"
    );
    let row = Sealer::resume(run(), next, codec::origin(run()));
    let batch = Batch {
        records: vec![(run(), row.next(), vec![1])],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_disk_dies() {
    for quick_repair in [
        QuickRepair::Never,
        QuickRepair::Above(30_000),
        QuickRepair::Always,
    ] {
        let disk = Disk::default();
        let new = store(disk.clone(), quick_repair);
        new.write_meta(Digest([5; 16]), Epoch(0)).unwrap();
        drop(new);
        let empty = disk.after_crash(Tail::Lost);
        assert!(disk.0.lock().unwrap().unsynced.is_empty());

        let whole = Disk::over(empty.clone(), None);
        let undisturbed = store(whole.clone(), quick_repair);
        let opened = whole.0.lock().unwrap().operations;
        assert_eq!(work(&undisturbed), (COMMITS, 1));
        let operations = whole.0.lock().unwrap().operations;
        assert!(
            operations > opened + 3 * COMMITS,
            "the disk was hardly used"
        );

        let mut deaths = 0;
        for dies_at in opened..operations {
            let disk = Disk::over(empty.clone(), Some(dies_at));
            let victim = store(disk.clone(), quick_repair);
            let (commits, epoch) = work(&victim);
            for tail in [Tail::Lost, Tail::Torn, Tail::Kept] {
                let survivor = store(Disk::over(disk.after_crash(tail), None), quick_repair);
                check(&survivor, Digest([5; 16]), commits, epoch);
                deaths += 1;
            }
        }
        assert_eq!(deaths, 3 * (operations - opened));
    }
}

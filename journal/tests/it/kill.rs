//! `kill -9` at a random moment: nothing that was acknowledged is lost, nothing is half there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use bellwether_journal::codec::{self, Sealer};
use bellwether_journal::id::Position;
use bellwether_journal::read;
use bellwether_journal::record::Level;
use bellwether_journal::redb::{Options, RedbStore};
use bellwether_journal::store::{Batch, Store as _};
use bellwether_journal::text;

use crate::history::{START, logged, run, started};

/// Where the child finds its journal; set only for it.
const JOURNAL: &str = "BELLWETHER_JOURNAL_VICTIM";
const RECORDS_A_BATCH: u64 = 7;

/// Not a test of its own: the child that is killed. It writes batches for ever and says each number that is durable.
#[test]
fn victim() {
    let Ok(path) = std::env::var(JOURNAL) else {
        return;
    };
    let store = RedbStore::open(path, Options::default()).unwrap();
    store.raise_epoch().unwrap();
    let state = read::load_state(&store, run(5)).unwrap();
    let mut sealer = Sealer::resume(run(5), state.next, state.head);
    let mut state = state;
    let mut out = std::io::stdout();
    loop {
        let mut batch = Batch::default();
        for _ in 0..RECORDS_A_BATCH {
            let position = sealer.next();
            let record = if position.0 == 0 {
                started("victim")
            } else {
                logged(position.0, 0, Level::Info)
            };
            let row = sealer.seal(START, &record).unwrap();
            let entry = codec::decode(run(5), row.position, &row.bytes).unwrap();
            state.apply(&entry).unwrap();
            let payload = text::pack(format!("{position} ").repeat(2_000).into());
            batch
                .payloads
                .push((run(5), position, payload.compressed.unwrap()));
            batch.records.push((run(5), position, row.bytes));
        }
        batch
            .summaries
            .push((run(5), codec::encode_summary(&state.summary())));
        store.commit(&batch).unwrap();
        writeln!(out, "durable {}", sealer.next()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let mut before = 0;
    // Each round is killed behind another number of acknowledgements, in the middle of whatever it did then.
    for round in [1, 2, 5, 11, 30] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::victim", "--nocapture", "--test-threads=1"])
            .env(JOURNAL, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut durable = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("durable ")
                .and_then(|(_, number)| number.parse::<u64>().ok())
        });
        for (count, number) in (1..).zip(acknowledged) {
            durable = number;
            if count == round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            durable >= before + round * RECORDS_A_BATCH,
            "the victim wrote too little"
        );

        let store = RedbStore::open(&path, Options::default()).unwrap();
        let (next, head) = read::verify(&store, run(5)).unwrap();
        assert!(
            next.0 >= durable,
            "{durable} were acknowledged, {next} are there"
        );
        assert_eq!(next.0 % RECORDS_A_BATCH, 0, "half a batch is there");
        let summary = read::summary(&store, run(5)).unwrap().unwrap();
        assert_eq!((summary.next, summary.head), (next, head));
        assert_eq!(read::load_state(&store, run(5)).unwrap().next, next);
        let mut payloads = 0;
        loop {
            let page = store
                .payloads(run(5), Position(payloads), 100, 1 << 20)
                .unwrap();
            payloads += page.len() as u64;
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(payloads, next.0, "every record has its payload");
        before = next.0;
    }
}

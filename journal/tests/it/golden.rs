//! The format of every release stays readable: a journal that was written once, and what it says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bellwether_journal::codec;
use bellwether_journal::id::Position;
use bellwether_journal::record::{Kind, Record};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Row;

use crate::history::{adoption, everything, migration, models, rewind, run, seal, spending};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Each row behind its length, as a golden file has them.
fn dump(rows: &[Row]) -> Vec<u8> {
    rows.iter()
        .flat_map(|row| {
            let length = u32::try_from(row.bytes.len()).unwrap();
            length
                .to_le_bytes()
                .into_iter()
                .chain(row.bytes.iter().copied())
        })
        .collect()
}

fn rows(mut bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (row, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        rows.push(Row {
            position: Position(rows.len() as u64),
            bytes: row.to_vec(),
        });
        bytes = rest;
    }
    rows
}

fn describe(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut state = RunState::new(run(5));
    let mut head = codec::origin(run(5));
    for row in rows {
        head = codec::verify(head, &row.bytes).unwrap();
        let entry = codec::decode(run(5), row.position, &row.bytes).unwrap();
        writeln!(text, "{} {} {:?}", entry.position, entry.at, entry.record).unwrap();
        state.apply(&entry).unwrap();
    }
    let RunState {
        status,
        counts,
        usage,
        epoch,
        recoveries,
        ..
    } = &state;
    writeln!(
        text,
        "{status:?} {counts:?} {usage:?} {epoch} {}",
        recoveries.len()
    )
    .unwrap();
    text
}

type History = fn() -> Vec<Record>;

/// Each golden journal, and the history that it was written from: the first records of format 1, and those that came later.
const GOLDEN: [(&str, History); 6] = [
    ("v1", everything),
    ("v1-migrations", migration),
    ("v1-rewinds", rewind),
    ("v1-adoption", adoption),
    ("v1-usage", spending),
    ("v1-models", models),
];

/// Golden files are never written over: for new records, write a new file, by running this once without it.
fn write_if_missing(name: &str, history: History) {
    let journal = golden(&format!("{name}.journal"));
    if !journal.exists() {
        let (written, _) = seal(run(5), &history());
        std::fs::write(journal, dump(&written)).unwrap();
        std::fs::write(golden(&format!("{name}.txt")), describe(&written)).unwrap();
        panic!("the golden journal was missing; it is written now: look at it and commit it");
    }
}

#[test]
fn the_journals_of_format_1_read_as_ever() {
    for (name, history) in GOLDEN {
        write_if_missing(name, history);
        let bytes = std::fs::read(golden(&format!("{name}.journal"))).unwrap();
        let expected = std::fs::read_to_string(golden(&format!("{name}.txt"))).unwrap();
        assert_eq!(describe(&rows(&bytes)), expected);
    }
}

#[test]
fn this_program_still_writes_format_1() {
    for (name, history) in GOLDEN {
        let bytes = std::fs::read(golden(&format!("{name}.journal"))).unwrap();
        let (written, _) = seal(run(5), &history());
        assert!(
            dump(&written) == bytes,
            "{name}: the bytes of a record have changed: that is a new format"
        );
    }
}

#[test]
fn kinds_keep_their_numbers() {
    let numbers: Vec<(u16, &str)> = Kind::ALL
        .iter()
        .map(|kind| (*kind as u16, kind.name()))
        .collect();
    assert_eq!(
        numbers,
        [
            (1, "RunStarted"),
            (2, "GenerationOpened"),
            (3, "CallScheduled"),
            (4, "AttemptStarted"),
            (5, "AttemptFailed"),
            (6, "CallSettled"),
            (7, "TimerFired"),
            (8, "CallRefused"),
            (9, "Logged"),
            (10, "PhaseEntered"),
            (11, "StatusChanged"),
            (12, "Recovered"),
            (13, "OrchestratorLost"),
            (14, "RunEnded"),
            (15, "ChangesKept"),
            (16, "StepNoted"),
            (17, "Noticed"),
            (18, "GenerationRewound"),
            (19, "CallReused"),
            (20, "TimerElapsed"),
            (21, "TimerArmed"),
            (22, "Ordered"),
            (23, "AttemptAdopted"),
            (24, "UsageCounted"),
            (25, "ModelAsked"),
        ]
    );
    for (number, name) in numbers {
        assert_eq!(Kind::from_number(number).map(Kind::name), Some(name));
    }
}

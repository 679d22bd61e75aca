//! Records in bytes: they survive, and nothing else passes for them.

use bellwether_journal::codec::{self, Sealer};
use bellwether_journal::error::StoreError;
use bellwether_journal::id::Position;
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::read;
use bellwether_journal::record::{Kind, Record};
use bellwether_journal::state::RunState;
use bellwether_journal::store::{Batch, Row, Store as _};
use bellwether_journal::text;
use proptest::prelude::*;

use crate::history::{
    START, adoption, everything, logged, migration, models, random, rewind, run, seal, spending,
};

fn store(rows: &[Row]) -> MemoryStore {
    let store = MemoryStore::new();
    let records = rows
        .iter()
        .map(|row| (run(5), row.position, row.bytes.clone()))
        .collect();
    store
        .commit(&Batch {
            records,
            ..Batch::default()
        })
        .unwrap();
    store
}

#[test]
fn every_record_survives_its_bytes() {
    let histories = [
        everything(),
        migration(),
        rewind(),
        adoption(),
        spending(),
        models(),
    ];
    for kind in Kind::ALL {
        assert!(
            histories
                .iter()
                .flatten()
                .any(|record| record.kind() == *kind),
            "{} is missing from the histories",
            kind.name()
        );
    }
    for records in histories {
        let (rows, entries) = seal(run(5), &records);
        for (row, entry) in rows.iter().zip(&entries) {
            assert_eq!(
                codec::decode(run(5), row.position, &row.bytes).unwrap(),
                *entry
            );
            assert_eq!(codec::peek_kind(&row.bytes), Some(entry.record.kind()));
        }
        let read: Vec<_> = read::entries(&store(&rows), run(5), Position(0))
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, entries);
    }
}

#[test]
fn whoever_goes_on_sealing_goes_on_with_the_chain() {
    let records = everything();
    let (rows, _) = seal(run(5), &records);
    let mut state = RunState::new(run(5));
    for row in &rows[..20] {
        state
            .apply(&codec::decode(run(5), row.position, &row.bytes).unwrap())
            .unwrap();
    }
    let mut sealer = Sealer::resume(run(5), state.next, state.head);
    assert_eq!(sealer.seal(START + 21, &records[20]).unwrap(), rows[20]);
    assert_eq!(
        read::verify(&store(&rows), run(5)).unwrap().0,
        Position(rows.len() as u64)
    );
}

#[test]
fn what_a_newer_program_wrote_is_named() {
    let (rows, _) = seal(run(5), &everything()[..1]);
    let mut newer = rows[0].bytes.clone();
    newer[0] = 2;
    let error = codec::decode(run(5), Position(0), &newer).unwrap_err();
    assert!(
        matches!(error, StoreError::Format { found: 2, known: 1 }),
        "{error}"
    );
    let mut unknown = rows[0].bytes.clone();
    unknown[1] = 200;
    let error = codec::decode(run(5), Position(0), &unknown).unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownKind { kind: 200, .. }),
        "{error}"
    );
    assert_eq!(codec::peek_kind(&unknown), None);
    let mut longer = rows[0].bytes.clone();
    longer.push(0);
    let error = codec::decode(run(5), Position(0), &longer).unwrap_err();
    assert!(error.to_string().contains("1 bytes too long"), "{error}");
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (rows, _) = seal(run(5), &everything());
    for index in 0..rows.len() {
        for bit in 0..rows[index].bytes.len() * 8 {
            let mut rows = rows[..=index].to_vec();
            rows[index].bytes[bit / 8] ^= 1 << (bit % 8);
            let head = match index {
                0 => codec::origin(run(5)),
                _ => chain_of(&rows[index - 1]),
            };
            assert!(
                codec::verify(head, &rows[index].bytes).is_err(),
                "record {index}, bit {bit}"
            );
        }
    }
}

fn chain_of(row: &Row) -> bellwether_journal::key::Digest {
    codec::decode(run(5), row.position, &row.bytes)
        .unwrap()
        .chain
}

#[test]
fn a_lost_moved_or_foreign_record_is_found() {
    let (rows, _) = seal(run(5), &everything());
    let mut lost = rows.clone();
    lost.remove(7);
    let error = read::verify(&store(&lost), run(5)).unwrap_err();
    assert!(error.to_string().contains("record 7 of"), "{error}");
    let mut swapped = rows.clone();
    swapped.swap(7, 8);
    for (position, row) in (0..).zip(&mut swapped) {
        row.position = Position(position);
    }
    let error = read::verify(&store(&swapped), run(5)).unwrap_err();
    assert!(error.to_string().contains("record 7 of"), "{error}");
    let (foreign, _) = seal(run(6), &everything());
    let error = read::verify(&store(&foreign), run(5)).unwrap_err();
    assert!(error.to_string().contains("record 0 of"), "{error}");
}

#[test]
fn a_summary_survives_its_bytes() {
    let mut state = RunState::new(run(5));
    for entry in seal(run(5), &everything()).1 {
        state.apply(&entry).unwrap();
        let bytes = codec::encode_summary(&state.summary());
        assert_eq!(
            codec::decode_summary(run(5), &bytes).unwrap(),
            state.summary()
        );
        for end in 0..bytes.len() {
            assert!(codec::decode_summary(run(5), &bytes[..end]).is_err());
        }
    }
}

#[test]
fn texts_come_in_any_order() {
    let store = MemoryStore::new();
    let packed: Vec<_> = (0..3_000_u64)
        .map(|number| {
            (
                Position(number * 2),
                text::pack(format!("{number:>3000}").into()),
            )
        })
        .collect();
    let payloads = packed
        .iter()
        .map(|(position, packed)| (run(5), *position, packed.compressed.clone().unwrap()))
        .collect();
    store
        .commit(&Batch {
            payloads,
            ..Batch::default()
        })
        .unwrap();
    let mut texts = read::Texts::new(&store, run(5));
    let forwards = packed.iter();
    let leaping = packed.iter().step_by(700);
    let backwards = packed.iter().rev().step_by(90);
    for (position, packed) in forwards.chain(leaping).chain(backwards) {
        assert_eq!(
            texts.resolve(*position, &packed.stored).unwrap(),
            packed.text
        );
        assert_eq!(
            read::resolve(&store, run(5), *position, &packed.stored).unwrap(),
            packed.text
        );
        let error = texts.resolve(position.next(), &packed.stored).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");
    }
}

proptest! {
    #[test]
    fn random_runs_survive_their_bytes(choices in prop::collection::vec(any::<u32>(), 0..200)) {
        let (rows, entries) = seal(run(5), &random(&choices));
        let store = store(&rows);
        let mut state = RunState::new(run(5));
        for entry in &entries {
            state.apply(entry).unwrap();
        }
        prop_assert_eq!(read::load_state(&store, run(5)).unwrap(), state.clone());
        prop_assert_eq!(read::verify(&store, run(5)).unwrap(), (state.next, state.head));
    }

    #[test]
    fn garbage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = codec::decode(run(5), Position(0), &bytes);
        let _ = codec::decode_summary(run(5), &bytes);
        let _ = codec::verify(codec::origin(run(5)), &bytes);
        for kind in Kind::ALL {
            let mut envelope = vec![1];
            envelope.extend((*kind as u16).to_le_bytes());
            envelope.extend([0; 24]);
            envelope.extend(&bytes);
            let _ = codec::decode(run(5), Position(0), &envelope);
        }
    }

    #[test]
    fn a_cut_or_changed_record_is_no_panic(
        index in 0_usize..50,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (rows, _) = seal(run(5), &everything());
        let mut bytes = rows[index].bytes.clone();
        let at = at.index(bytes.len());
        prop_assert!(codec::decode(run(5), rows[index].position, &bytes[..at]).is_err());
        bytes[at] = byte;
        let _ = codec::decode(run(5), rows[index].position, &bytes);
    }

    #[test]
    fn long_lines_survive(length in 0_usize..3_000_000) {
        let mut record = logged(1, 2, bellwether_journal::record::Level::Info);
        if let Record::Logged(logged) = &mut record {
            logged.text = "x".repeat(length);
        }
        let row = Sealer::new(run(5)).seal(START, &record).unwrap();
        prop_assert_eq!(codec::decode(run(5), Position(0), &row.bytes).unwrap().record, record);
    }
}

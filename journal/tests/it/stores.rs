//! Both stores do what every store must, and a file that is no journal is left alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bellwether_journal::error::StoreError;
use bellwether_journal::id::Position;
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::read;
use bellwether_journal::redb::{Options, QuickRepair, RedbStore};
use bellwether_journal::store::{Batch, Store as _};
use bellwether_journal::suite;

use crate::history::{everything, run, seal};

#[test]
fn memory_store_does_what_a_store_must() {
    suite::check(|| {
        let store = MemoryStore::new();
        move || store.clone()
    })
    .unwrap();
}

#[test]
fn redb_store_does_what_a_store_must() {
    for quick_repair in [
        QuickRepair::Never,
        QuickRepair::Above(10_000),
        QuickRepair::Always,
    ] {
        suite::check(|| {
            let folder = tempfile::tempdir().unwrap();
            let options = Options::default()
                .cache_bytes(1 << 20)
                .quick_repair(quick_repair);
            move || RedbStore::open(folder.path().join("journal.redb"), options).unwrap()
        })
        .unwrap();
    }
}

fn open(path: &Path) -> Result<RedbStore, StoreError> {
    RedbStore::open(path, Options::default())
}

fn written(path: &Path) {
    let store = open(path).unwrap();
    let records = (0..2_000)
        .map(|position| (run(1), Position(position), vec![7; 500]))
        .collect();
    store
        .commit(&Batch {
            records,
            ..Batch::default()
        })
        .unwrap();
}

#[test]
fn what_is_no_journal_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    written(&path);
    let journal = fs::read(&path).unwrap();
    let truncated = |length: usize| journal[..length].to_vec();
    let mut other_format = journal.clone();
    let format = b"format";
    let mut found = 0;
    for index in 0..other_format.len() - 64 {
        if other_format[index..].starts_with(format) {
            found += 1;
            for byte in &mut other_format[index..index + format.len()] {
                *byte = b'f';
            }
        }
    }
    assert!(found > 0);
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "an empty file"),
        ("a short text", b"abc".to_vec(), "a file of another kind"),
        (
            "a long text",
            b"some prose, nothing else\n".repeat(1_000),
            "a file of another kind",
        ),
        ("cut in its first page", truncated(100), "is damaged"),
        (
            "cut in the middle",
            truncated(journal.len() / 2 / 4096 * 4096),
            "is damaged",
        ),
        (
            "cut within a page",
            truncated(journal.len() - 1_000),
            "is damaged",
        ),
        (
            "garbage behind the start",
            [&journal[..9], &vec![0xAB; 40_000]].concat(),
            "is damaged",
        ),
    ];
    for (name, bytes, expected) in cases {
        fs::write(&path, &bytes).unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(
            error.to_string().contains("move"),
            "{name}: says what to do: {error}"
        );
        assert!(fs::read(&path).unwrap() == bytes, "{name}: left as it was");
    }
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("a folder"), "{error}");
    let error = open(&folder.path().join("no/journal.redb")).unwrap_err();
    assert!(
        error.to_string().contains("its folder does not exist"),
        "{error}"
    );
    let error = open(&path.join("journal.redb")).unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    let missing = folder.path().join("other.redb");
    let error = RedbStore::open(&missing, Options::default().existing()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_database_of_another_program_or_time_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let table: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    for (format, expected) in [
        (None, "a database of another program"),
        (Some(7_u32), "has format 7, and this program knows 1"),
    ] {
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        if let Some(format) = format {
            let mut meta = transaction.open_table(table).unwrap();
            meta.insert("format", format.to_le_bytes().as_slice())
                .unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_journal_belongs_to_one_handle_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let first = open(&path).unwrap();
    let at_once = Options::default().patience(Duration::ZERO);
    let error = RedbStore::open(&path, at_once).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    open(&path).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["journal.redb"], "no draft is left");
}

#[cfg(unix)]
#[test]
fn a_new_journal_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    open(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let (rows, _) = seal(run(1), &everything());
    let store = open(&path).unwrap();
    for row in rows {
        let batch = Batch {
            payloads: vec![(run(1), row.position, vec![3; 3_000].into())],
            records: vec![(run(1), row.position, row.bytes)],
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % below
    };
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random(20) {
            // Half of it in the first pages, where the database keeps what matters most.
            let range = if round % 2 == 0 { 8_192 } else { bytes.len() };
            let at = random(range);
            bytes[at] = random(256) as u8;
        }
        fs::write(&path, &bytes).unwrap();
        let Ok(store) = open(&path) else { continue };
        let _ = store.identity();
        let _ = read::load_state(&store, run(1));
        let _ = read::verify(&store, run(1));
        let _ = store.payloads(run(1), Position(0), 1_000, 1 << 20);
        let _ = store.raise_epoch();
        let _ = store.commit(&Batch {
            payloads: vec![(run(1), Position(900), vec![3; 3_000].into())],
            ..Batch::default()
        });
    }
}

//! What a journal costs that `kill -9` left behind: the time to open it cold, with and without quick repair, and what
//! quick repair costs every commit.
//!
//! ```text
//! cargo run --release -p bellwether-journal --example repair -- 100000 10000 [CACHE_MB] [FOLDER]
//! ```
//!
//! A child writes N settled calls (three records each, values of so many bytes of prose) and is killed with its last
//! commits under way; then each reading is done in a process of its own, with nothing of the file in the page cache.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for a terminal"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_journal::codec::{self, Entry, Sealer};
use bellwether_journal::id::{Attempt, CallNumber, Generation, Position, RunId};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    AttemptStarted, CallKind, CallScheduled, CallSettled, GenerationOpened, Outcome, Policy,
    Record, RunStarted, Usage,
};
use bellwether_journal::redb::{Options, QuickRepair, RedbStore};
use bellwether_journal::state::RunState;
use bellwether_journal::store::{Batch, Row, Store as _};
use bellwether_journal::text::{self, Text};
use bellwether_journal::{read, redb};

const WORDS: &[&str] = &[
    "the", "function", "returns", "a", "promise", "that", "was", "changed", "to", "use", "new",
    "client", "in", "every", "module", "where", "fetch", "is", "called", "with", "headers", "and",
    "tests", "still", "pass", "except", "for", "two", "files", "which", "need", "review", "error",
    "handling", "of", "timeout", "response", "body", "parsed", "before", "status", "checked",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| {
        arguments
            .get(index)
            .map_or(default, |text| text.parse().unwrap())
    };
    match arguments.first().map(String::as_str) {
        Some("write") => write(&child(&arguments), number(4, 0), number(5, 0)),
        Some("read") => reading(&child(&arguments)),
        _ => {
            let folder = arguments
                .get(3)
                .map_or_else(std::env::temp_dir, PathBuf::from);
            compare(number(0, 10_000), number(1, 10_000), number(2, 16), &folder);
        }
    }
}

struct Child {
    path: PathBuf,
    options: Options,
}

/// `write|read PATH CACHE_MB QUICK_REPAIR …`
fn child(arguments: &[String]) -> Child {
    let cache_bytes = arguments[2].parse::<usize>().unwrap() << 20;
    let quick_repair = match arguments[3].as_str() {
        "Never" => QuickRepair::Never,
        "Always" => QuickRepair::Always,
        _ => Options::default().quick_repair,
    };
    let options = Options::default()
        .cache_bytes(cache_bytes)
        .quick_repair(quick_repair);
    Child {
        path: arguments[1].clone().into(),
        options,
    }
}

fn compare(calls: usize, payload_bytes: usize, cache_mb: usize, folder: &Path) {
    println!("{calls} calls with values of {payload_bytes} bytes, cache {cache_mb} MB");
    for quick_repair in ["Never", "Always", "Default"] {
        println!("\nquick repair: {quick_repair}");
        let path = folder.join(format!("repair-{}.redb", std::process::id()));
        let arguments = [
            path.display().to_string(),
            cache_mb.to_string(),
            quick_repair.to_string(),
            calls.to_string(),
            payload_bytes.to_string(),
        ];
        run_child("write", &arguments, true);
        let length = std::fs::metadata(&path).unwrap().len();
        println!("  {:<44}{:>9.1} MB", "file", length as f64 / 1e6);
        forget_pages(&path);
        run_child("read", &arguments, false);
        std::fs::remove_file(&path).unwrap();
    }
}

/// Runs this program in another mode and repeats what it says. One that is to be killed says `now` when it may be, and is
/// at work then.
fn run_child(mode: &str, arguments: &[String], kill: bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(mode)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if kill && line == "now" {
            child.kill().unwrap();
        } else {
            println!("{line}");
        }
    }
    let status = child.wait().unwrap();
    assert!(kill || status.success(), "{mode}: {status}");
}

/// Nothing of the file stays in memory.
fn forget_pages(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    // All the caches, where we may.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
}

struct Writer {
    store: RedbStore,
    sealer: Sealer,
    state: RunState,
    random: u64,
    batch: Batch,
}

impl Writer {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn prose(&mut self, bytes: usize) -> Arc<str> {
        let mut text = String::with_capacity(bytes + 32);
        text.push('"');
        while text.len() < bytes {
            let random = self.random();
            text.push_str(WORDS[random as usize % WORDS.len()]);
            text.push(' ');
            if random.is_multiple_of(11) {
                let _ = write!(text, "{:x}. ", random >> 48);
            }
        }
        text.push('"');
        text.into()
    }

    fn append(&mut self, record: Record) {
        let row = self.sealer.seal(1, &record).unwrap();
        let entry = Entry {
            position: row.position,
            at: 1,
            chain: self.sealer.head(),
            record,
        };
        self.state.apply(&entry).unwrap();
        self.batch
            .records
            .push((self.sealer.run(), row.position, row.bytes));
    }

    fn value(&mut self, bytes: usize) -> Text {
        let packed = text::pack(self.prose(bytes));
        if let Some(compressed) = packed.compressed {
            self.batch
                .payloads
                .push((self.sealer.run(), self.sealer.next(), compressed));
        }
        packed.stored
    }

    fn call(&mut self, payload_bytes: usize) {
        let call = self.state.next_call();
        self.append(scheduled(call));
        self.append(Record::AttemptStarted(AttemptStarted {
            call,
            attempt: Attempt(1),
        }));
        let value = self.value(payload_bytes);
        self.append(Record::CallSettled(Box::new(CallSettled {
            call,
            attempt: Attempt(1),
            outcome: Outcome::Completed(value),
            usage: Usage {
                input_tokens: 1_000,
                output_tokens: 100,
            },
        })));
    }

    /// How long the commit took.
    fn commit(&mut self) -> Duration {
        let summary = codec::encode_summary(&self.state.summary());
        self.batch.summaries.push((self.sealer.run(), summary));
        let batch = std::mem::take(&mut self.batch);
        let start = Instant::now();
        self.store.commit(&batch).unwrap();
        start.elapsed()
    }
}

fn run() -> RunId {
    RunId::from_entropy([1; 5])
}

fn scheduled(call: CallNumber) -> Record {
    let content = key::content("agent", &call.to_string(), "{}");
    Record::CallScheduled(Box::new(CallScheduled {
        call,
        kind: CallKind::Agent,
        turn: 0,
        content,
        context: key::root(),
        key: key::key(content, key::root(), 0),
        label: None,
        phase: None,
        prompt: Text::Inline(format!("review file {call} and say what must change").into()),
        options: Text::Inline("{}".into()),
        line: 3,
    }))
}

fn write(child: &Child, calls: usize, payload_bytes: usize) {
    let store = RedbStore::open(&child.path, child.options).unwrap();
    store.raise_epoch().unwrap();
    let mut writer = Writer {
        store,
        sealer: Sealer::new(run()),
        state: RunState::new(run()),
        random: 0x9E37_79B9_7F4A_7C15,
        batch: Batch::default(),
    };
    writer.append(Record::RunStarted(Box::new(RunStarted {
        name: "repair".to_owned(),
        script_path: None,
        options: Text::Inline("{}".into()),
        working_directory: String::new(),
        base_commit: None,
        started_by: "repair".to_owned(),
    })));
    writer.append(Record::GenerationOpened(Box::new(GenerationOpened {
        number: Generation(1),
        base: None,
        script: Text::Inline("return 1".into()),
        args: None,
        vm_identity: Digest::default(),
        seed: [0; 32],
        time: 1,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: None,
    })));
    writer.commit();
    seal_alone();
    let start = Instant::now();
    let mut large = Vec::new();
    for call in 1..=calls {
        writer.call(payload_bytes);
        // As group commit does it.
        let full = writer.batch.records.len() >= 1_998 || writer.batch.bytes() >= 4 << 20;
        if full || call == calls {
            large.push(writer.commit());
        }
    }
    say("all calls written", start.elapsed());
    say(
        "a commit of 2,000 records or 4 MB, median",
        median(&mut large),
    );
    let mut small = Vec::new();
    for _ in 0..300 {
        writer.call(100);
        small.push(writer.commit());
    }
    say("a commit of 3 small records, median", median(&mut small));
    say("the same, 9 of 10 within", small[small.len() * 9 / 10]);
    say(
        "fdatasync of 4 KB beside it, median",
        sync_alone(&child.path),
    );
    say_memory("peak memory of the writer");
    println!("now");
    std::io::stdout().flush().unwrap();
    loop {
        writer.call(payload_bytes);
        writer.commit();
    }
}

fn seal_alone() {
    const RECORDS: u32 = 200_000;
    let mut sealer = Sealer::new(run());
    let record = scheduled(CallNumber(7));
    let start = Instant::now();
    for _ in 0..RECORDS {
        std::hint::black_box(sealer.seal(1, &record).unwrap());
    }
    let nanoseconds = start.elapsed().as_nanos() / u128::from(RECORDS);
    println!("  {:<44}{nanoseconds:>9} ns", "seal a call's record");
}

fn sync_alone(path: &Path) -> Duration {
    let probe = path.with_extension("probe");
    let mut file = std::fs::File::create(&probe).unwrap();
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            file.write_all(&[1; 4096]).unwrap();
            let start = Instant::now();
            file.sync_data().unwrap();
            start.elapsed()
        })
        .collect();
    std::fs::remove_file(&probe).unwrap();
    median(&mut times)
}

fn reading(child: &Child) {
    let start = Instant::now();
    let store = redb::RedbStore::open(&child.path, child.options).unwrap();
    say("open, cold, after kill -9", start.elapsed());
    let start = Instant::now();
    store.raise_epoch().unwrap();
    say("raise the epoch", start.elapsed());
    let start = Instant::now();
    let state = read::load_state(&store, run()).unwrap();
    say("read and fold all records", start.elapsed());
    say_memory("peak memory so far");
    let start = Instant::now();
    let verified = read::verify(&store, run()).unwrap();
    say("verify the chain", start.elapsed());
    assert_eq!(verified, (state.next, state.head));
    let start = Instant::now();
    let mut bytes = 0;
    payloads(&store, |row| bytes += row.bytes.len());
    say("read all payloads (compressed)", start.elapsed());
    let texts_wanted: Vec<_> = read::entries(&store, run(), Position(0))
        .map(Result::unwrap)
        .filter_map(|entry| match entry.record {
            Record::CallSettled(settled) => match settled.outcome {
                Outcome::Completed(text) => Some((entry.position, text)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let start = Instant::now();
    let mut texts = read::Texts::new(&store, run());
    for (position, text) in &texts_wanted {
        std::hint::black_box(texts.resolve(*position, text).unwrap());
    }
    say("read, decompress and check them", start.elapsed());
    println!("  {:<44}{:>9.1} MB", "payloads", bytes as f64 / 1e6);
    say_memory("peak memory");
}

fn payloads(store: &RedbStore, mut each: impl FnMut(&Row)) {
    let mut from = Position(0);
    loop {
        let page = store.payloads(run(), from, 1_000, 4 << 20).unwrap();
        let Some(last) = page.last() else { break };
        from = last.position.next();
        page.iter().for_each(&mut each);
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn say(what: &str, time: Duration) {
    println!("  {what:<44}{:>9.2} ms", time.as_secs_f64() * 1e3);
}

fn say_memory(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("?")
        .trim();
    println!("  {what:<44}{peak:>12}");
}

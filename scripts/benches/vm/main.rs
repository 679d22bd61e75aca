//! What the VM alone costs: its start, with and without a use of `patterns`, and issuing and settling N calls, in one
//! fan-out and in sequence; and what reading, checking and outlining a script of 400 KB costs.
//!
//! `cargo bench -p bellwether-scripts -- [N]` prints one line a scenario; it asserts nothing about time.

#![expect(clippy::print_stdout, reason = "the figures are its purpose")]

mod plain;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use bellwether_journal::key::Digest;
use bellwether_scripts::check::{Anywhere, check};
use bellwether_scripts::outline::outline;
use bellwether_scripts::{
    About, Answer, Command, Limits, Settlement, Start, Target, Turn, TurnStatus, Vm, parse,
};

const CALLS: u64 = 10_000;
const STARTS: u32 = 1_000;
const ROUNDS: u32 = 5;

const SCENARIOS: [(&str, &str); 4] = [
    (
        "fanout",
        "await parallel(Array.from({ length: args }, (_, i) => () => agent('task ' + i)))",
    ),
    (
        "lanes",
        "await parallel(Array.from({ length: args }, (_, i) => async () => { const r = await agent('task ' + i); return r.length }))",
    ),
    (
        "pipeline",
        "await pipeline(Array.from({ length: args / 2 }, (_, i) => i), (i) => agent('one ' + i), (r, i) => agent('two ' + i))",
    ),
    (
        "sequence",
        "for (let i = 0; i < args; i++) await agent('task ' + i)",
    ),
];

fn main() {
    let calls = std::env::args()
        .skip(1)
        .find_map(|text| text.parse().ok())
        .unwrap_or(CALLS);
    for (name, body) in [
        ("start", "await agent('task')"),
        ("refute", "await patterns.refute('claim')"),
    ] {
        for _ in 0..3 {
            println!(
                "{name:9} {:9.1} us a start, up to the first wait",
                start(body)
            );
        }
    }
    let source = large_source();
    let limits = Limits::default();
    for _ in 0..3 {
        let began = Instant::now();
        let is_good = parse(&source, "bench.js", &limits).is_ok();
        println!(
            "parse     {:9.1} ms for {} bytes, {is_good}",
            milliseconds(began),
            source.len()
        );
        let began = Instant::now();
        let findings = check(&source, &limits, &Anywhere).len();
        println!(
            "check     {:9.1} ms for {} bytes, {findings} findings",
            milliseconds(began),
            source.len()
        );
        let began = Instant::now();
        let rows = outline(&source, "bench.js", &limits).map_or(0, |outline| outline.rows().len());
        println!(
            "outline   {:9.1} ms for {} bytes, {rows} rows",
            milliseconds(began),
            source.len()
        );
    }
    for (name, body) in SCENARIOS {
        beside_plain(name, body, calls);
    }
    for (name, body) in SCENARIOS {
        // The first of three is the one whose memory is new, the last the one that is warm.
        for _ in 0..3 {
            if let Some(took) = scenario(body, calls, true) {
                println!(
                    "{name:9} {:7} calls  {:9.0} calls/s  issue {:7.1} ms  in all {:7.1} ms  {:5} bytes a pending call (commands included)",
                    took.calls,
                    took.calls_per_second(),
                    took.issued.as_secs_f64() * 1e3,
                    took.all.as_secs_f64() * 1e3,
                    took.bytes_a_call,
                );
            }
        }
    }
}

/// The script in plain rquickjs, and as much of that as the VM reaches: with contexts that hold exactly what was waited for,
/// and with the rolling hash that a script gets whose flow is not followed.
fn beside_plain(name: &str, body: &str, calls: u64) {
    // A promise that is made by hand is not followed.
    let rolling = format!("await new Promise((resolve) => resolve()); {body}");
    let (mut plain, mut exact, mut unfollowed) = (0.0_f64, 0.0_f64, 0.0_f64);
    // By turns, so that whatever else the machine does meets all three alike; the best of each counts.
    for _ in 0..ROUNDS {
        if let Ok((seconds, count)) = plain::run(body, calls) {
            plain = plain.max(count as f64 / seconds);
        }
        let rate =
            |body, is_exact| scenario(body, calls, is_exact).map(|took| took.calls_per_second());
        exact = exact.max(rate(body, true).unwrap_or_default());
        unfollowed = unfollowed.max(rate(&rolling, false).unwrap_or_default());
    }
    println!(
        "{name:9} plain {plain:9.0} calls/s  with contexts {exact:9.0}, {:4.2}  without {unfollowed:9.0}, {:4.2}",
        exact / plain,
        unfollowed / plain
    );
}

/// What a scenario took.
struct Took {
    calls: u64,
    issued: Duration,
    all: Duration,
    bytes_a_call: u64,
}

impl Took {
    fn calls_per_second(&self) -> f64 {
        self.calls as f64 / self.all.as_secs_f64()
    }
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// As long a script as the longest in the wild: prompts, schemas, fan-outs, functions, over and over.
fn large_source() -> String {
    let mut source =
        "export const meta = { name: 'bench', description: 'A bench', phases: ['Find'] };\n"
            .to_owned();
    let mut part = 0;
    while source.len() < 400_000 {
        let _ = write!(
            source,
            "const SCHEMA_{part} = {{ type: 'object', properties: {{ file: {{ type: 'string' }}, lines: {{ type: 'array', items: {{ type: 'integer' }} }} }}, required: ['file'] }}
const find_{part} = async (items, {{ depth = 1, ...rest }} = {{}}) => {{
  const found = await parallel(items.map((item, index) => () => agent(`Find ${{item.name}} in ${{index}}, ${{JSON.stringify(rest)}}`, {{ label: `find ${{item.name}}`, phase: 'Find', schema: SCHEMA_{part}, model: 'sonnet' }})))
  const good = found.filter(Boolean).flatMap((one) => one.lines.map((line) => ({{ ...one, line, depth }})))
  if (good.length === 0 && depth < 3) return find_{part}(items, {{ depth: depth + 1 }})
  for (const one of good) log(`${{one.file}}:${{one.line ?? 0}}`)
  return good.sort((a, b) => a.line - b.line)
}}
"
        );
        part += 1;
    }
    source
}

/// Microseconds that a VM takes from nothing to its first wait.
fn start(body: &str) -> f64 {
    let source =
        format!("export const meta = {{ name: 'bench', description: 'A bench' }};\n{body}");
    let limits = Limits::default();
    let Ok(script) = parse(&source, "bench.js", &limits) else {
        return f64::NAN;
    };
    let began = Instant::now();
    for _ in 0..STARTS {
        let start = Start {
            script: &script,
            args: None,
            limits: &limits,
            seed: [0; 32],
            time: 0,
            budget_total: None,
        };
        let (_, turn) = Vm::start(&start);
        if turn.status != TurnStatus::Running {
            return f64::NAN;
        }
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS)
}

fn scenario(body: &str, calls: u64, is_exact: bool) -> Option<Took> {
    let source =
        format!("export const meta = {{ name: 'bench', description: 'A bench' }};\n{body}");
    let mut limits = Limits::default();
    limits.items_max = u32::MAX;
    limits.heap_bytes = 1 << 34;
    let script = parse(&source, "bench.js", &limits).ok()?;
    if script.is_followed_exactly() != is_exact {
        return None;
    }
    let args = calls.to_string();
    let before = resident_bytes();
    let began = Instant::now();
    let start = Start {
        script: &script,
        args: Some(&args),
        limits: &limits,
        seed: [0; 32],
        time: 0,
        budget_total: None,
    };
    let (mut vm, turn) = Vm::start(&start);
    let mut done = 0;
    let mut open = numbers(&turn);
    let issued = began.elapsed();
    let grown = resident_bytes().saturating_sub(before);
    let pending = open.len() as u64;
    while let Some(target) = open.pop() {
        done += 1;
        let settlement = Settlement {
            target,
            answer: Answer::Value("\"a short answer\"".into()),
            time: done,
            version: Digest([(done % 251) as u8; 16]),
            spent: done,
            about: About::default(),
        };
        for turn in vm.deliver(&[settlement]) {
            open.extend(numbers(&turn));
            if turn.status != TurnStatus::Running {
                break;
            }
        }
    }
    Some(Took {
        calls: done,
        issued,
        all: began.elapsed(),
        bytes_a_call: grown / pending.max(1),
    })
}

fn numbers(turn: &Turn) -> Vec<Target> {
    let calls = turn.commands.iter().filter_map(|command| match command {
        Command::Call(call) => Some(Target::Call(call.number)),
        _ => None,
    });
    calls.collect()
}

/// Resident memory of this process; 0 where `/proc` does not tell.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * PAGE_BYTES
}

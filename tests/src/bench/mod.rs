//! The scenario benches: what the whole costs, beside what its parts cost on the same machine in the same process.
//!
//! | scenario | what runs | `ratio` |
//! |---|---|---|
//! | `fanout N` | one `parallel` of N agents that do nothing, no limit on concurrency | agents a second, of what the three parts allow |
//! | `alive N` | the same, all N held until the last has started | bytes an agent alive, of 12 KiB |
//! | `waiting N` | the same, one at a time and the first held | bytes an agent that waits, of 3 KiB |
//! | `sequence N` | N agents, each awaited before the next | milliseconds a step, of one fdatasync |
//! | `resume N` | N completed agents left by SIGKILL, nothing in the page cache | seconds, of 3 and what reading the file takes |
//! | `overhead N` | N agents of 100 ms | seconds, of the ideal |
//! | `worktrees N` | N worktrees of a repository of 5,000 files, from nothing | seconds, of 4 |
//! | `migrate N` | N files of it over 16 slots by agents of 2 s, in worktrees, then landed | seconds of the agents, of the ideal |
//! | `plan N` | a plan of N agents in a pipeline of two stages, with its check and its JSON | seconds, of 0.2 ms an agent |
//! | `turn N` | N agents in sequence, the journal in memory, once with the script in a process of its own and once within | the first, of the second |
//! | `hostile N` | N agents in sequence, alone and beside a script that computes without end | the 99th percentile of a step beside it, of that alone |
//! | `beside N` | a run of 10 agents that do nothing, alone and beside a run of N of them | the median to its end beside, of that alone; at most 2 |
//! | `runs N` | N runs of three agents each, all alive at once | MiB over all processes, of 500 |
//! | `heard N` | `pause` and `stop` of a run with N agents at work | milliseconds until durable, of 50 |
//! | `read N` | `ps` and `show` of the program, without a host, on a journal of N records in 200 runs | milliseconds of the slower, of 100 |
//! | `host N` | `bellwether run` by a host, N times each | milliseconds through one that is there, of those in the foreground |
//! | `startup` | a journal not in the page cache, to the first agent's start | milliseconds, of 30 |

pub mod backends;
pub mod concurrent;
pub mod measure;
pub mod migration;
pub mod parts;
pub mod program;
pub mod resume;
pub mod scenarios;

use std::path::PathBuf;

use bellwether::{Builder, Engine};
use serde::Serialize;
use serde_json::{Map, Value};

/// The scenarios' names, for who has to be told.
pub const SCENARIOS: &str = "fanout, alive, waiting, sequence, resume, overhead, plan, startup, turn, hostile, beside, runs, \
                             heard, read, host, worktrees, migrate";

/// What a scenario is run with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many agents or steps.
    pub n: usize,
    /// Bytes of each agent's answer (`resume`).
    pub payload_bytes: usize,
    /// Agents at once; 0 is no limit (`overhead`).
    pub concurrency: u32,
    /// Where journals are kept while it runs.
    pub folder: PathBuf,
    /// Whether scripts run within the bench's own process; without, they have one of their own, as the program has it.
    pub in_process: bool,
}

impl Settings {
    pub(crate) fn engine(&self) -> Builder {
        let builder = Engine::builder();
        if self.in_process {
            builder.vm_in_process()
        } else {
            builder
        }
    }
}

/// What a scenario showed. As JSON it is the bench's last line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// How many agents or steps.
    pub n: usize,
    /// How long it took.
    pub seconds: f64,
    /// How fast, in the scenario's own measure.
    #[serde(flatten)]
    pub speed: Speed,
    /// The most memory that the process had while it ran, in MiB.
    pub peak_mb: f64,
    /// Commits to the journal.
    pub commits: u64,
    /// What the parts allow, measured beside it, or the figure that is asked for.
    pub limit: Map<String, Value>,
    /// The whole against its limit.
    pub ratio: f64,
}

/// How fast.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Speed {
    /// Agents from start to settlement in a second.
    AgentsPerSecond(f64),
    /// Milliseconds from one step to the next.
    MsPerStep(f64),
    /// Runs from start to end in a second.
    RunsPerSecond(f64),
    /// Milliseconds of one thing that is done.
    Milliseconds(f64),
}

/// Runs a scenario by its name.
///
/// # Errors
/// When there is none of that name, or it cannot be run to its end.
pub fn run(scenario: &str, settings: &Settings) -> anyhow::Result<Report> {
    match scenario {
        "fanout" => scenarios::fanout(settings),
        "alive" => scenarios::alive(settings),
        "waiting" => scenarios::waiting(settings),
        "sequence" => scenarios::sequence(settings),
        "resume" => resume::resume(settings),
        "overhead" => scenarios::overhead(settings),
        "plan" => scenarios::plan(settings),
        "startup" => scenarios::startup(settings),
        "turn" => scenarios::turn(settings),
        "hostile" => scenarios::hostile(settings),
        "beside" => concurrent::beside(settings),
        "runs" => concurrent::runs(settings),
        "heard" => concurrent::heard(settings),
        "read" => program::read(settings),
        "host" => program::host(settings),
        "worktrees" => migration::worktrees(settings),
        "migrate" => migration::migrate(settings),
        other => anyhow::bail!("no scenario `{other}`: {SCENARIOS}"),
    }
}

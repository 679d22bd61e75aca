//! The crash campaign: many agents that each leave a line behind, an engine killed again and again at random moments, and
//! at the end no line missing, none twice without a reason, and the result as if nothing had happened.

pub mod migration;
pub mod mixed;
pub mod processes;
pub mod race;
pub mod soak;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellwether::RunId;
use bellwether_journal::id::Position;
use bellwether_journal::read;
use bellwether_journal::record::Record;
use bellwether_journal::redb::{Options, RedbStore};
use serde_json::{Value, json};

use rustix::process::{Pid, Signal, kill_process};

use crate::GUARD;
use crate::program::Running;
use crate::project::Project;
use crate::random::Random;

const SCRIPT: &str = "
const steps = i => JSON.stringify([
  { append: { to: args.ledger, line: String(i) } },
  { answer: { number: i } },
])
const values = await parallel(Array.from({ length: args.agents }, (_, i) => () => agent(steps(i), { label: `n${i}` })))
return values.map(value => value.number)
";

const JOURNAL: &str = "journal.redb";
const LEDGER: &str = "ledger";

/// A kill that does not wait for anything to happen comes within this time of the start: while the journal is opened, or
/// the run recovered.
const EARLY_MS_MAX: u64 = 100;

/// What a campaign is run with.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// How many agents.
    pub agents: usize,
    /// How often the engine is killed.
    pub kills: usize,
    /// Where the random moments come from.
    pub seed: u64,
    /// Agents at once.
    pub concurrency: usize,
    /// Whether a host carries the run out, and is what is killed; else the command itself.
    pub hosted: bool,
}

/// What a campaign showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Kills that met a live engine; fewer than asked for when the run was quicker.
    pub kills: usize,
    /// Kills before the run had ended any agent since its last start.
    pub early_kills: usize,
    /// Lines that were there twice or more, each in flight at a kill.
    pub repeated: usize,
    /// Agents in flight over all kills.
    pub in_flight: usize,
}

impl Campaign {
    /// Runs it and checks everything.
    ///
    /// # Errors
    /// Says what was lost, doubled, or different, with the seed.
    pub fn run(self) -> anyhow::Result<Outcome> {
        let project = Project::new()?;
        self.run_in(&project)
            .with_context(|| format!("seed {}, {}", self.seed, project.folder().display()))
    }

    fn run_in(self, project: &Project) -> anyhow::Result<Outcome> {
        project.script("campaign", SCRIPT)?;
        let args = json!({ "agents": self.agents, "ledger": project.path(LEDGER) });
        project.write("args.json", &args.to_string())?;
        let mut random = Random::new(self.seed);
        let (mut kills, mut early_kills, mut ended) = (0, 0, 0);
        while kills < self.kills {
            let mut running = self.start(project)?;
            // About as many agents between two kills as leaves some for each that is to come.
            let left = self.agents.saturating_sub(ended) / (self.kills - kills + 1);
            let wanted = random.below(left as u64 * 3 / 2 + 1) as usize;
            let early = kills > 0 && random.below(4) == 0;
            let seen = if early {
                let moment = Duration::from_millis(random.below(EARLY_MS_MAX));
                ended_within(&mut running, moment)
            } else {
                ended_until(&mut running, wanted)?
            };
            ended += seen.ended;
            if seen.finished {
                running.wait(GUARD)?.expect_code(0)?;
                break;
            }
            self.kill(project, running)?;
            kills += 1;
            early_kills += usize::from(seen.ended == 0);
        }
        let last = self.start(project)?.wait(GUARD * 10)?.expect_code(0)?;
        if self.hosted {
            let stop = project.bellwether(["host", "stop", "--journal", JOURNAL])?;
            stop.run()?.expect_code(0)?;
        }
        self.check(project, &last.json()?, kills, early_kills)
    }

    /// Kills whoever carries the run out.
    fn kill(self, project: &Project, running: Running) -> anyhow::Result<()> {
        if !self.hosted {
            running.kill()?;
            return Ok(());
        }
        let status = ["host", "status", "--json", "--journal", JOURNAL];
        let status = project.bellwether(status)?.run()?.expect_code(0)?.json()?;
        let Some(pid) = status["host"]["claim"]["pid"].as_i64() else {
            // None is there yet: the command that is about to begin one is killed in its place.
            running.kill()?;
            return Ok(());
        };
        let pid = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
        // It may have left just now.
        let _ = kill_process(pid, Signal::KILL);
        // A command that was not answered yet begins another host, and would watch that to the end.
        running.kill()?;
        Ok(())
    }

    /// Starts the run, or goes on with it once it is in the journal.
    fn start(self, project: &Project) -> anyhow::Result<Running> {
        let command = project.agent_command()?;
        let (agents, concurrency) = (self.agents.to_string(), self.concurrency.to_string());
        let known = project.path(JOURNAL).exists()
            && project
                .bellwether(["ps", "--all", "--json", "--journal", JOURNAL])?
                .run()?
                .expect_code(0)?
                .json()?
                .as_array()
                .is_some_and(|runs| !runs.is_empty());
        let mut arguments = if known {
            vec!["resume", "last"]
        } else {
            vec![
                "run",
                "campaign.js",
                "--args-file",
                "args.json",
                "--agent-command",
                &command,
            ]
        };
        arguments.extend(["--journal", JOURNAL, "--events", "--yes"]);
        arguments.extend(["--max-agents", &agents, "--max-items", &agents]);
        arguments.extend(["--concurrency", &concurrency]);
        let foreground = if self.hosted { "0" } else { "1" };
        let command = project.bellwether(arguments)?;
        command.env("BELLWETHER_FOREGROUND", foreground).start()
    }

    /// Compares ledger, journal and result.
    fn check(
        self,
        project: &Project,
        last: &Value,
        kills: usize,
        early_kills: usize,
    ) -> anyhow::Result<Outcome> {
        let expected: Vec<usize> = (0..self.agents).collect();
        ensure!(
            last["status"] == "completed",
            "the run is {}: {last}",
            last["status"]
        );
        ensure!(
            last["result"] == json!(expected),
            "the result is not that of an undisturbed run"
        );
        let counts = &last["agents"];
        ensure!(counts["total"] == self.agents, "counted: {counts}");
        ensure!(counts["completed"] == self.agents, "counted: {counts}");

        let calls = told(project)?;
        let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
        for line in project.lines(LEDGER) {
            let number = line.parse().with_context(|| format!("the line `{line}`"))?;
            *lines.entry(number).or_default() += 1;
        }
        let mut outcome = Outcome {
            kills,
            early_kills,
            repeated: 0,
            in_flight: 0,
        };
        for number in 0..self.agents {
            let lines = lines.get(&number).copied().unwrap_or(0);
            let attempts = calls.get(&number).map_or(0, |call| call.attempts);
            ensure!(lines >= 1, "agent {number} left no line");
            // An attempt more than one was in flight at a kill: nothing else starts an agent again here.
            ensure!(
                lines <= attempts,
                "agent {number} left {lines} lines in {attempts} attempts"
            );
            outcome.in_flight += attempts - 1;
            outcome.repeated += usize::from(lines > 1);
        }
        ensure!(
            lines.len() == self.agents,
            "lines of agents that never were"
        );
        ensure!(
            outcome.in_flight <= kills * self.concurrency,
            "{} attempts were repeated, more than were in flight",
            outcome.in_flight
        );
        Ok(outcome)
    }
}

/// Lets so much time pass: kills and rivals come at moments that nothing else names.
fn moment(length: Duration) {
    let end = std::time::Instant::now() + length;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

struct Seen {
    ended: usize,
    finished: bool,
}

/// Reads events until so many agents have ended, or the run has.
fn ended_until(running: &mut Running, wanted: usize) -> anyhow::Result<Seen> {
    let mut seen = Seen {
        ended: 0,
        finished: false,
    };
    while seen.ended < wanted {
        let Some(line) = running.next_line(GUARD)? else {
            seen.finished = true;
            break;
        };
        seen.note(&line);
    }
    Ok(seen)
}

/// Reads events for so long.
fn ended_within(running: &mut Running, moment: Duration) -> Seen {
    let deadline = std::time::Instant::now() + moment;
    let mut seen = Seen {
        ended: 0,
        finished: false,
    };
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match running.next_line(left) {
            Ok(Some(line)) => seen.note(&line),
            Ok(None) => {
                seen.finished = true;
                return seen;
            }
            Err(_) => return seen,
        }
    }
}

impl Seen {
    fn note(&mut self, line: &str) {
        self.ended += usize::from(line.contains("\"agentEnded\""));
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    attempts: usize,
    settled: bool,
}

/// What the journal tells of each call; fails when one was started after it was settled, or settled twice.
fn told(project: &Project) -> anyhow::Result<BTreeMap<usize, Told>> {
    let store = RedbStore::open(project.path(JOURNAL), Options::default().existing())?;
    let runs: Vec<RunId> = read::summaries(&store)
        .map(|row| row.map(|(run, _)| run))
        .collect::<Result<_, _>>()?;
    ensure!(
        runs.len() == 1,
        "one run was started, and the journal has {}",
        runs.len()
    );
    let mut calls: BTreeMap<usize, Told> = BTreeMap::new();
    for entry in read::entries(&store, runs[0], Position(0)) {
        match entry?.record {
            Record::AttemptStarted(started) => {
                let call = calls.entry(started.call.0 as usize).or_default();
                ensure!(
                    !call.settled,
                    "agent {} ran again after it was completed",
                    started.call
                );
                call.attempts += 1;
            }
            Record::CallSettled(answer) => {
                let call = calls.entry(answer.call.0 as usize).or_default();
                ensure!(!call.settled, "agent {} was settled twice", answer.call);
                call.settled = true;
            }
            _ => {}
        }
    }
    Ok(calls)
}

//! Hosts and agents killed at random moments while runs of all kinds go on, several at once: fan-out, pipeline, timers,
//! isolated agents, questions, child workflows, rewinds. In the end nothing is lost, doubled, left behind or different.

mod check;
mod kinds;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bellwether::RunId;
use serde_json::{Value, json};

use self::kinds::{KINDS, Kind};
use super::processes::{Process, of_folder, until_none};
use super::{JOURNAL, LEDGER, moment};
use crate::GUARD;
use crate::fifo::Fifo;
use crate::program::Running;
use crate::project::Project;
use crate::random::Random;

/// So long at most passes before a kill.
const MOMENT_MS_MAX: u64 = 400;
/// So many agents at most go through the gate between two kills.
const PASSES_MAX: u64 = 12;
/// So many go through at once when nobody is killed any more.
const PASSES_CALM: usize = 32;
/// Of ten kills so many are of agents, one of a command, and the others, and those that find nobody, of the host.
const AGENTS_OF_TEN: u64 = 4;
/// An agent that is to be killed is waited for so long: after a kill of the host there is none for a while.
const AGENT_PATIENCE: Duration = Duration::from_secs(1);
/// Agents of a run at once.
const CONCURRENCY: &str = "4";
/// So often in a row nothing may have changed before the campaign gives up, once nobody is killed any more.
const CALM_ROUNDS_MAX: usize = 200;

/// What a campaign is run with.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    /// How many processes are killed.
    pub kills: usize,
    /// Where the random moments come from.
    pub seed: u64,
}

/// What a campaign showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Hosts that were killed.
    pub hosts: usize,
    /// Agents that were killed.
    pub agents: usize,
    /// Commands that were killed while they waited for a host.
    pub commands: usize,
    /// Runs that were begun, all of which completed.
    pub runs: usize,
    /// Commands that could begin no run, since the host that they had begun was killed at once.
    pub refused: usize,
    /// Generations beyond the first, over all runs.
    pub rewinds: usize,
    /// Attempts over all agents.
    pub attempts: usize,
    /// Attempts that were cut off: no outcome of theirs is in the journal.
    pub cut_off: usize,
    /// Tasks that left two lines or more, each in another attempt.
    pub repeated: usize,
    /// Calls that a generation answered from the one before.
    pub reused: usize,
    /// Worktrees that are there in the end, for the next runs.
    pub worktrees: usize,
}

impl Outcome {
    /// Kills in all.
    #[must_use]
    pub const fn kills(&self) -> usize {
        self.hosts + self.agents + self.commands
    }
}

impl Mixed {
    /// Runs it and checks everything.
    ///
    /// # Errors
    /// Says what was lost, doubled, left behind or different, with the seed.
    pub fn run(self) -> anyhow::Result<Outcome> {
        let mut site = Site::new(self)?;
        let went = site.go();
        if went.is_err() {
            // Nothing of a campaign that failed is left behind; its folder is where it is asked for.
            for process in of_folder(site.project.folder())? {
                process.kill();
            }
        }
        went.with_context(|| format!("seed {}, {}", self.seed, site.project.folder().display()))?;
        Ok(site.outcome)
    }
}

/// A run of the campaign.
struct Begun {
    kind: &'static Kind,
    /// Its agent was run again, as its kind asks for.
    restarted: bool,
    done: bool,
}

/// A command under way, and what it does.
struct Pending {
    running: Running,
    what: What,
    /// Somebody was killed since it was begun.
    disturbed: bool,
}

enum What {
    Begin(&'static Kind),
    Restart(RunId),
    Other,
}

struct Site {
    campaign: Mixed,
    project: Project,
    gate: Fifo,
    random: Random,
    runs: BTreeMap<RunId, Begun>,
    /// Kinds of which a run is to be begun.
    not_begun: Vec<&'static Kind>,
    pending: Vec<Pending>,
    outcome: Outcome,
}

impl Site {
    fn new(campaign: Mixed) -> anyhow::Result<Self> {
        let project = Project::with_git()?;
        kinds::write(&project)?;
        let gate = project.fifo("gate")?;
        let args = json!({ "ledger": project.path(LEDGER), "gate": gate.path() });
        project.write("args.json", &args.to_string())?;
        Ok(Self {
            campaign,
            project,
            gate,
            random: Random::new(campaign.seed),
            runs: BTreeMap::new(),
            not_begun: Vec::new(),
            pending: Vec::new(),
            outcome: Outcome::default(),
        })
    }

    fn go(&mut self) -> anyhow::Result<()> {
        while self.outcome.kills() < self.campaign.kills {
            self.gate.admit(self.random.below(PASSES_MAX) as usize)?;
            self.tend()?;
            if self.runs.values().all(|run| run.done) && self.not_begun.is_empty() {
                self.not_begun.extend(KINDS);
            }
            self.begin_runs()?;
            let between = self.random.below(2) == 0;
            if between {
                // While commands look for a host, begin one, or are answered.
                self.wait_a_moment();
                self.kill_somebody()?;
                self.finish_commands()?;
            } else {
                self.finish_commands()?;
                self.wait_a_moment();
                let host_died = self.kill_somebody()?;
                if host_died && self.random.below(4) == 0 {
                    until_none(self.project.folder(), GUARD, is_agent)
                        .context("agents have outlived their host")?;
                }
            }
        }
        let mut rounds = 0;
        while !self.runs.values().all(|run| run.done) || !self.not_begun.is_empty() {
            rounds += 1;
            ensure!(
                rounds < CALM_ROUNDS_MAX,
                "runs do not end though nobody is killed: {}",
                self.rows()?
            );
            self.gate.admit(PASSES_CALM)?;
            self.tend()?;
            self.begin_runs()?;
            self.finish_commands()?;
            moment(Duration::from_millis(50));
        }
        let stop = ["host", "stop", "--journal", JOURNAL];
        self.project.bellwether(stop)?.run()?.expect_code(0)?;
        until_none(self.project.folder(), GUARD, |_| true).context("orphans")?;
        self.outcome.runs = self.runs.len();
        check::check(&self.project, &mut self.outcome)
    }

    fn wait_a_moment(&mut self) {
        moment(Duration::from_millis(self.random.below(MOMENT_MS_MAX)));
    }

    /// Begins the runs that are due.
    fn begin_runs(&mut self) -> anyhow::Result<()> {
        let agent = self.project.agent_command()?;
        for kind in std::mem::take(&mut self.not_begun) {
            let script = format!("{}.js", kind.name);
            let mut words = vec!["run", &script, "--args-file", "args.json"];
            words.extend(["--agent-command", &agent, "--concurrency", CONCURRENCY]);
            self.begin(&words, What::Begin(kind))?;
        }
        Ok(())
    }

    /// Begins a command that has a host do its work and does not wait for it.
    fn begin(&mut self, words: &[&str], what: What) -> anyhow::Result<()> {
        let mut words = words.to_vec();
        words.extend(["--detach", "--yes"]);
        self.ask_for(&words, what)
    }

    fn ask_for(&mut self, words: &[&str], what: What) -> anyhow::Result<()> {
        let mut all = words.to_vec();
        all.extend(["--journal", JOURNAL]);
        let command = self.project.bellwether(all)?;
        self.pending.push(Pending {
            running: command.env("BELLWETHER_FOREGROUND", "0").start()?,
            what,
            disturbed: false,
        });
        Ok(())
    }

    /// The runs as anybody is told of them who asks.
    fn rows(&self) -> anyhow::Result<Value> {
        let ps = ["ps", "--all", "--json", "--journal", JOURNAL];
        let finished = self.project.bellwether(ps)?.run()?;
        finished.expect_code(0)?.json()
    }

    /// Does for each run what it needs to go on.
    fn tend(&mut self) -> anyhow::Result<()> {
        for row in self.rows()?.as_array().context("rows")? {
            let id = row["runId"].as_str().context("an id")?;
            let run: RunId = id.parse()?;
            let status = row["status"].as_str().context("a status")?;
            let begun = self.runs.get_mut(&run).context("a run that nobody began")?;
            let kind = begun.kind;
            match status {
                _ if begun.done => {}
                "completed" => match kind.restarted {
                    Some(agent) if !begun.restarted => {
                        self.begin(&["restart", id, "--agent", agent], What::Restart(run))?;
                    }
                    _ => begun.done = true,
                },
                "degraded" => self.begin(&["resume", id, "--retry-failed"], What::Other)?,
                "interrupted" | "stopped" | "killed" | "paused" => {
                    self.begin(&["resume", id], What::Other)?;
                }
                "waiting" => {
                    for (question, answer) in kind.questions {
                        let words = ["answer", id, "--question", question, answer];
                        self.ask_for(&words, What::Other)?;
                    }
                }
                "queued" | "running" | "stopping" => {}
                other => anyhow::bail!("{} {run} is {other}: {row}", kind.name),
            }
        }
        Ok(())
    }

    /// Waits for the commands that were begun.
    fn finish_commands(&mut self) -> anyhow::Result<()> {
        for Pending {
            running,
            what,
            disturbed,
        } in std::mem::take(&mut self.pending)
        {
            let finished = running.wait(GUARD)?;
            match what {
                // One whose host was killed may fail; then there is no run either, which everybody who asks for the runs sees.
                What::Begin(kind) if !finished.status.success() => {
                    ensure!(disturbed, "{finished}");
                    self.outcome.refused += 1;
                    self.not_begun.push(kind);
                }
                What::Begin(kind) => {
                    let told = finished.stdout.trim().parse();
                    let run: RunId = told.with_context(|| finished.to_string())?;
                    let begun = Begun {
                        kind,
                        restarted: false,
                        done: false,
                    };
                    let twice = self.runs.insert(run, begun);
                    ensure!(twice.is_none(), "{run} was begun twice");
                }
                What::Restart(run) => {
                    let done = finished.status.success();
                    ensure!(done || disturbed, "{finished}");
                    if done && let Some(begun) = self.runs.get_mut(&run) {
                        begun.restarted = true;
                    }
                }
                What::Other => ensure!(finished.status.success() || disturbed, "{finished}"),
            }
        }
        Ok(())
    }

    /// Kills a host, some agents, or a command; says whether it was a host.
    fn kill_somebody(&mut self) -> anyhow::Result<bool> {
        let (kind, count) = (self.random.below(10), 1 + self.random.below(3) as usize);
        let deadline = Instant::now() + AGENT_PATIENCE;
        let there = loop {
            let there = of_folder(self.project.folder())?;
            if kind >= AGENTS_OF_TEN || there.iter().any(is_agent) || Instant::now() > deadline {
                break there;
            }
            moment(Duration::from_millis(5));
        };
        let agents: Vec<&Process> = there.iter().filter(|process| is_agent(process)).collect();
        let mut host_died = false;
        match kind {
            0..AGENTS_OF_TEN if !agents.is_empty() => {
                for _ in 0..count.min(agents.len()) {
                    let one = self.random.below(agents.len() as u64) as usize;
                    agents[one].kill();
                    self.outcome.agents += 1;
                }
            }
            AGENTS_OF_TEN if !self.pending.is_empty() => {
                let one = self.random.below(self.pending.len() as u64) as usize;
                let pending = &self.pending[one];
                // Of a run whose beginning nobody is told, nobody could say later what it was.
                if !matches!(pending.what, What::Begin(_)) {
                    pending.running.signal(rustix::process::Signal::KILL)?;
                    self.outcome.commands += 1;
                }
            }
            _ => {
                for host in there.iter().filter(|process| is_host(process)) {
                    host.kill();
                    self.outcome.hosts += 1;
                    host_died = true;
                }
            }
        }
        for pending in &mut self.pending {
            pending.disturbed = true;
        }
        Ok(host_died)
    }
}

fn is_agent(process: &Process) -> bool {
    process.program == "fake_agent"
}

fn is_host(process: &Process) -> bool {
    process.program == "bellwether" && process.words.iter().any(|word| word == "serve")
}

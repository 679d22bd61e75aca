//! Commands that begin a host for the same fresh journal at once: always one of the hosts holds it, nobody else ever did, and
//! every run that a command was told of is in the journal.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellwether::{Epoch, RunId};
use bellwether_journal::read;
use bellwether_journal::redb::{Options, RedbStore};
use bellwether_journal::store::Store as _;
use rustix::process::Pid;

use super::moment;
use super::processes::{of_folder, until_none};
use crate::GUARD;
use crate::project::Project;
use crate::random::Random;

/// Its run is live until the host is stopped, so that the host does not leave by itself.
const SCRIPT: &str = "return await ask('Is it enough?')";

/// Commands begin within so many microseconds of one another, half of the times at once.
const APART_MICROSECONDS_MAX: u64 = 20_000;

/// What a campaign is run with.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    /// How often.
    pub tries: usize,
    /// Where the random moments come from.
    pub seed: u64,
    /// Commands at once, at least two.
    pub at_once: usize,
}

/// What a campaign showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tries that were made.
    pub tries: usize,
    /// Commands that began a run.
    pub runs: usize,
    /// Hosts that were begun directly, besides those that commands begin.
    pub hosts: usize,
}

impl Race {
    /// Runs it and checks everything.
    ///
    /// # Errors
    /// Says which try did what else, with the seed.
    pub fn run(self) -> anyhow::Result<Outcome> {
        let project = Project::new()?;
        project.script("race", SCRIPT)?;
        let mut random = Random::new(self.seed);
        let mut outcome = Outcome::default();
        for number in 0..self.tries {
            let journal = format!("race-{number}.redb");
            let raced = self.one(&project, &journal, &mut random, &mut outcome);
            if raced.is_err() {
                // A host that was begun is not left behind.
                for process in of_folder(project.folder())? {
                    process.kill();
                }
            }
            raced.with_context(|| format!("seed {}, try {number}", self.seed))?;
            outcome.tries += 1;
        }
        Ok(outcome)
    }

    fn one(
        self,
        project: &Project,
        journal: &str,
        random: &mut Random,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let at_once = 2 + random.below(self.at_once.saturating_sub(1) as u64) as usize;
        let apart = random.below(2) == 0;
        let (mut runs, mut hosts) = (Vec::new(), Vec::new());
        for place in 0..at_once {
            // The first two are runs: of one that is not begun by a command nobody is told.
            if place >= 2 && random.below(3) == 0 {
                let serve = ["host", "serve", "--journal", journal];
                hosts.push(project.bellwether(serve)?.start()?);
            } else {
                // The backend that makes answers up would answer the question, too.
                let mut words = vec!["run", "race.js", "--agent-command", "true"];
                words.extend(["--detach", "--journal", journal]);
                let command = project.bellwether(words)?;
                runs.push(command.env("BELLWETHER_FOREGROUND", "0").start()?);
            }
            if apart {
                moment(Duration::from_micros(random.below(APART_MICROSECONDS_MAX)));
            }
        }
        outcome.runs += runs.len();
        outcome.hosts += hosts.len();
        let mut begun = BTreeSet::new();
        for run in runs {
            let finished = run.wait(GUARD)?.expect_code(0)?;
            let id: RunId = finished
                .stdout
                .trim()
                .parse()
                .with_context(|| finished.to_string())?;
            ensure!(begun.insert(id), "{id} was given to two commands");
        }

        // Whoever came second leaves by itself; the one that holds the journal stays.
        let status = ["host", "status", "--json", "--journal", journal];
        let status = project.bellwether(status)?.run()?.expect_code(0)?.json()?;
        let holder = status["host"]["claim"]["pid"].as_i64();
        let holder = holder.with_context(|| format!("nobody holds the journal: {status}"))?;
        let is_holder = |pid: Pid| i64::from(pid.as_raw_pid()) == holder;
        until_none(project.folder(), GUARD, |process| {
            process.words.iter().any(|word| word == "serve") && !is_holder(process.pid)
        })?;
        let live = status["host"]["runs"].as_array().map_or(0, Vec::len);
        ensure!(
            live == begun.len(),
            "{} runs were begun, and live are: {status}",
            begun.len()
        );
        let is_there = of_folder(project.folder())?
            .iter()
            .any(|process| is_holder(process.pid));
        ensure!(is_there, "the host that held the journal has left");

        let stop = ["host", "stop", "--journal", journal];
        project.bellwether(stop)?.run()?.expect_code(0)?;
        for host in hosts {
            host.wait(GUARD)?.expect_code(0)?;
        }
        until_none(project.folder(), GUARD, |_| true)?;
        check(&project.path(journal), &begun)?;
        for entry in fs::read_dir(project.folder())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("race-") && path.is_file() {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The journal has these runs and no others, and one engine had it.
fn check(path: &Path, begun: &BTreeSet<RunId>) -> anyhow::Result<()> {
    let store = RedbStore::open(path, Options::default().existing())?;
    let runs = read::summaries(&store)
        .map(|row| row.map(|(run, _)| run))
        .collect::<Result<BTreeSet<RunId>, _>>()?;
    ensure!(
        runs == *begun,
        "begun were {begun:?}, and the journal has {runs:?}"
    );
    // Each engine that opens the journal raises it by one.
    let epoch = store.raise_epoch()?;
    ensure!(epoch == Epoch(2), "{} engines had the journal", epoch.0 - 1);
    Ok(())
}

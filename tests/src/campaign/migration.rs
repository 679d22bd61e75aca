//! A migration that is killed on the way: agents in worktrees, whose branches land one at a time behind a verification. In
//! the end the landed tree is byte for byte that of a run that nobody disturbed, and so is what was left out.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{JOURNAL, ended_until, told};
use crate::GUARD;
use crate::fifo::Fifo;
use crate::program::Running;
use crate::project::Project;
use crate::random::Random;

/// Each agent adds a line to its file, which a second time would show. Some add one to a file of all, so that all but the
/// first of them are in conflict; some make what the verification refuses.
const SCRIPT: &str = "
const adds = i => [
  { append: { to: `files/${i}.txt`, line: i % 40 === 7 ? 'poison' : `migrated ${i}` } },
  ...(i % 40 === 11 ? [{ append: { to: 'shared.txt', line: `${i}` } }] : []),
  { answer: i },
]
const works = await parallel(Array.from({ length: args.files }, (_, i) => () =>
  attempt(JSON.stringify(adds(i)), { isolation: 'worktree', label: `${i}` })))
const worktrees = works.map(work => work.worktree)
const { landed, left } = await merge(worktrees, { into: 'landed', verify: args.verify })
return {
  values: works.map(work => work.value),
  landed: landed.map(one => one.files),
  left: left.map(one => [worktrees.findIndex(worktree => worktree.branch === one.branch), one.reason]),
}
";

/// A branch that is being verified rings here.
const BELL: &str = "bell";

/// What a campaign is run with.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// How many files, an agent each.
    pub files: usize,
    /// How often the engine is killed: each time within its own stretch of the way.
    pub kills: usize,
    /// Where the random moments come from.
    pub seed: u64,
    /// Agents at once.
    pub concurrency: usize,
}

/// What a campaign showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Kills while agents worked.
    pub while_working: usize,
    /// Kills while branches landed.
    pub while_landing: usize,
    /// Agents in flight over all kills.
    pub in_flight: usize,
    /// Branches that landed.
    pub landed: usize,
    /// Branches that were left out.
    pub left: usize,
}

impl Migration {
    /// Runs it twice, undisturbed and killed, and compares.
    ///
    /// # Errors
    /// Says what was lost, doubled, or different, with the seed.
    pub fn run(self) -> anyhow::Result<Outcome> {
        self.compare()
            .with_context(|| format!("seed {}", self.seed))
    }

    fn compare(self) -> anyhow::Result<Outcome> {
        let calm = Site::new(self)?;
        let expected = calm.start()?.wait(GUARD * 10)?.expect_code(0)?.json()?;
        let mut site = Site::new(self)?;
        let mut outcome = site.disturb()?;
        let last = site.start()?.wait(GUARD * 10)?.expect_code(0)?.json()?;

        ensure!(last["status"] == "completed", "the run is {last}");
        ensure!(
            last["result"] == expected["result"],
            "the result is {}, and undisturbed {}",
            last["result"],
            expected["result"]
        );
        let tree = |site: &Site| site.git(&["rev-parse", "landed^{tree}"]);
        ensure!(tree(&site)? == tree(&calm)?, "another tree has landed");
        ensure!(
            site.git(&["status", "--porcelain"])?.is_empty(),
            "the checkout was changed"
        );
        let count = |field: &str| last["result"][field].as_array().map_or(0, Vec::len);
        (outcome.landed, outcome.left) = (count("landed"), count("left"));
        let merges = site.git(&["rev-list", "--count", "--merges", "main..landed"])?;
        ensure!(
            merges == outcome.landed.to_string(),
            "{merges} merges were made"
        );
        ensure!(
            outcome.landed + outcome.left == self.files,
            "branches are missing"
        );

        let calls = told(&site.project)?;
        let agents = calls.range(..self.files);
        outcome.in_flight = agents.map(|(_, call)| call.attempts - 1).sum();
        let most = outcome.while_working * self.concurrency;
        ensure!(
            outcome.in_flight <= most,
            "{} attempts were repeated, and no more than {most} were in flight",
            outcome.in_flight
        );
        Ok(outcome)
    }
}

/// A repository with a journal.
struct Site {
    project: Project,
    bell: Fifo,
    migration: Migration,
}

impl Site {
    fn new(migration: Migration) -> anyhow::Result<Self> {
        let project = Project::with_git()?;
        project.script("migration", SCRIPT)?;
        let mut lines = String::new();
        for number in 0..migration.files {
            writeln!(lines, "file {number}")?;
            project.write(&format!("files/{number}.txt"), &lines)?;
        }
        project.write("shared.txt", "of all\n")?;
        project.write(
            ".gitignore",
            "/migration.js\n/args.json\n/journal*\n/bell\n",
        )?;
        let bell = project.fifo(BELL)?;
        let verify = format!(
            "echo v >> {}; ! grep -rq poison files",
            bell.path().display()
        );
        let args = json!({ "files": migration.files, "verify": verify });
        project.write("args.json", &args.to_string())?;
        let site = Self {
            project,
            bell,
            migration,
        };
        site.git(&["add", "."])?;
        site.git(&["commit", "--quiet", "--message=files"])?;
        Ok(site)
    }

    fn git(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
        let output = git
            .args(words)
            .current_dir(self.project.folder())
            .output()?;
        ensure!(output.status.success(), "git {words:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Starts the run, or goes on with it once it is in the journal.
    fn start(&self) -> anyhow::Result<Running> {
        let command = self.project.agent_command()?;
        let mut words = if self.project.path(JOURNAL).exists() {
            vec!["resume", "last"]
        } else {
            let args = ["--args-file", "args.json", "--allow", "merge"];
            let mut words = vec!["run", "migration.js", "--agent-command", &command];
            words.extend(args);
            words
        };
        let concurrency = self.migration.concurrency.to_string();
        words.extend(["--journal", JOURNAL, "--events", "--yes", "--foreground"]);
        words.extend(["--concurrency", &concurrency]);
        self.project.bellwether(words)?.start()
    }

    /// Starts the run and kills it, each time within the next stretch of the way.
    fn disturb(&mut self) -> anyhow::Result<Outcome> {
        let Migration {
            files, kills, seed, ..
        } = self.migration;
        let mut outcome = Outcome {
            while_working: 0,
            while_landing: 0,
            in_flight: 0,
            landed: 0,
            left: 0,
        };
        let mut random = Random::new(seed);
        // An agent's end is a step of the way, and a verification is one. A branch in conflict is not verified.
        let way = files + files * 9 / 10;
        let (mut ended, mut verified) = (0, 0);
        for kill in 0..kills {
            let stretch = way / kills;
            let moment = kill * stretch + random.below(stretch as u64) as usize;
            let mut running = self.start()?;
            let wanted = moment.min(files).saturating_sub(ended);
            let seen = ended_until(&mut running, wanted)?;
            ensure!(!seen.finished, "the run ended before agent {moment} did");
            if moment > files {
                while verified < moment - files {
                    self.bell.next_line(GUARD)?;
                    verified += 1;
                }
                outcome.while_landing += 1;
            } else {
                outcome.while_working += 1;
            }
            running.kill()?;
            // More have ended than were heard of.
            let calls = told(&self.project)?;
            ended = calls.values().filter(|call| call.settled).count();
        }
        Ok(outcome)
    }
}

/// The outcome in words, for a terminal.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let Outcome {
        while_working,
        while_landing,
        in_flight,
        landed,
        left,
    } = outcome;
    format!(
        "killed {while_working} times while agents worked ({in_flight} in flight) and {while_landing} times while branches \
         landed: {landed} branches landed and {left} were left out, tree and result are as undisturbed, and no completed \
         agent ran again"
    )
}

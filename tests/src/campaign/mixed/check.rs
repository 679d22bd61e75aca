//! What a mixed campaign must have left: in the journal, in the ledger, in the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use bellwether::{CallNumber, Generation, RunId};
use bellwether_journal::id::Position;
use bellwether_journal::record::{CallKind, Outcome as Answer, Record};
use bellwether_journal::redb::{Options, RedbStore};
use bellwether_journal::{key, read};
use serde_json::Value;

use super::kinds::{self, ISOLATED, Kind};
use super::{JOURNAL, LEDGER, Outcome};
use crate::project::Project;

/// The lines of one task: how many each of its attempts left.
type Lines = BTreeMap<u32, usize>;

/// Compares journal, ledger and repository with what an undisturbed campaign leaves.
pub(super) fn check(project: &Project, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut ledger: BTreeMap<String, Lines> = BTreeMap::new();
    for line in project.lines(LEDGER) {
        let mut words = line.split(' ');
        let (task, attempt) = (
            words.next(),
            words.next().and_then(|word| word.parse().ok()),
        );
        let (Some(task), Some(attempt)) = (task, attempt) else {
            anyhow::bail!("a broken line in the ledger: `{line}`");
        };
        *ledger
            .entry(task.to_owned())
            .or_default()
            .entry(attempt)
            .or_default() += 1;
    }
    outcome.repeated = ledger.values().filter(|lines| lines.len() > 1).count();

    let store = RedbStore::open(project.path(JOURNAL), Options::default().existing())?;
    let mut branches = BTreeSet::new();
    let mut runs = 0;
    for row in read::summaries(&store) {
        let (id, summary) = row?;
        let kind = kinds::of_name(&summary.name).context("a run of no kind")?;
        let mut told = Told::new(id, kind);
        told.read(&store, &mut ledger)
            .with_context(|| format!("{id}, {}", kind.name))?;
        outcome.attempts += told.attempts;
        outcome.cut_off += told.cut_off;
        outcome.reused += told.reused;
        outcome.rewinds += told.generation.0 as usize - 1;
        branches.append(&mut told.branches);
        runs += 1;
    }
    ensure!(
        runs == outcome.runs,
        "{} runs were begun, and the journal has {runs}",
        outcome.runs
    );
    ensure!(
        ledger.is_empty(),
        "lines of tasks that the journal does not have: {ledger:?}"
    );
    outcome.worktrees = repository(project, &branches)?;
    Ok(())
}

/// A call as the journal tells of it, within a generation.
#[derive(Default)]
struct Call {
    label: String,
    task: String,
    has_attempts: bool,
    started: u32,
    settled: bool,
}

/// What the journal tells of a run.
struct Told {
    run: RunId,
    kind: &'static Kind,
    generation: Generation,
    calls: BTreeMap<CallNumber, Call>,
    /// The labels of agents that have completed, in any generation.
    completed: BTreeSet<String>,
    branches: BTreeSet<String>,
    attempts: usize,
    cut_off: usize,
    reused: usize,
}

impl Told {
    fn new(run: RunId, kind: &'static Kind) -> Self {
        Self {
            run,
            kind,
            generation: Generation(0),
            calls: BTreeMap::new(),
            completed: BTreeSet::new(),
            branches: BTreeSet::new(),
            attempts: 0,
            cut_off: 0,
            reused: 0,
        }
    }

    fn read(
        &mut self,
        store: &RedbStore,
        ledger: &mut BTreeMap<String, Lines>,
    ) -> anyhow::Result<()> {
        let mut ended = None;
        for entry in read::entries(store, self.run, Position(0)) {
            let entry = entry?;
            ended = None;
            match entry.record {
                Record::GenerationOpened(opened) => self.generation = opened.number,
                Record::GenerationRewound(rewound) => {
                    self.close(ledger)?;
                    self.generation = rewound.opened.number;
                }
                Record::CallScheduled(scheduled) => {
                    let task = key::idempotency(self.run, self.generation, scheduled.key);
                    let call = Call {
                        label: scheduled.label.as_deref().unwrap_or_default().to_owned(),
                        task: task.to_hex(),
                        has_attempts: scheduled.kind == CallKind::Agent,
                        ..Call::default()
                    };
                    let twice = self.calls.insert(scheduled.call, call);
                    ensure!(twice.is_none(), "a-{} was scheduled twice", scheduled.call);
                }
                Record::AttemptStarted(started) => self.starts(started.call, started.attempt.0)?,
                Record::CallSettled(settled) => {
                    let done = matches!(settled.outcome, Answer::Completed(_));
                    self.settles(settled.call, done, Some(settled.attempt.0), ledger)?;
                }
                Record::CallReused(reused) => {
                    self.reused += 1;
                    let done = matches!(reused.outcome, Answer::Completed(_));
                    self.settles(reused.call, done, None, ledger)?;
                }
                Record::ChangesKept(kept) => self.branches.extend(kept.branch),
                Record::RunEnded(end) => ended = Some((entry.position, end)),
                _ => {}
            }
        }
        self.close(ledger)?;
        let (position, end) = ended.context("its last record is not its end")?;
        let text = end.result.context("it has no result")?;
        let result: Value =
            serde_json::from_str(&read::resolve(store, self.run, position, &text)?)?;
        let expected = (self.kind.result)();
        ensure!(
            result == expected,
            "it gave {result}, and undisturbed gives {expected}"
        );
        Ok(())
    }

    fn starts(&mut self, call: CallNumber, attempt: u32) -> anyhow::Result<()> {
        let told = self.calls.get_mut(&call).context("an attempt of no call")?;
        let label = &told.label;
        ensure!(!told.settled, "{label} ran again after it was settled");
        ensure!(
            attempt == told.started + 1,
            "{label}: attempt {attempt} after {}",
            told.started
        );
        ensure!(
            !(self.kind.independent && self.completed.contains(label)),
            "{label} ran again though it had completed and waits for nothing"
        );
        told.started = attempt;
        self.attempts += 1;
        Ok(())
    }

    fn settles(
        &mut self,
        call: CallNumber,
        completed: bool,
        attempt: Option<u32>,
        ledger: &BTreeMap<String, Lines>,
    ) -> anyhow::Result<()> {
        let told = self.calls.get_mut(&call).context("an answer to no call")?;
        let label = &told.label;
        ensure!(!told.settled, "{label} was settled twice");
        told.settled = true;
        if completed && told.has_attempts {
            if let Some(attempt) = attempt {
                let lines = ledger.get(&told.task).and_then(|lines| lines.get(&attempt));
                ensure!(
                    lines == Some(&1),
                    "{label} completed in attempt {attempt} and left {lines:?}"
                );
            }
            self.completed.insert(label.clone());
        }
        Ok(())
    }

    /// The generation is over: each line that its tasks left is one of an attempt that the journal knows, and no attempt
    /// left two.
    fn close(&mut self, ledger: &mut BTreeMap<String, Lines>) -> anyhow::Result<()> {
        for call in std::mem::take(&mut self.calls).into_values() {
            let Call {
                label,
                task,
                started,
                settled,
                ..
            } = call;
            self.cut_off += (started as usize).saturating_sub(usize::from(settled));
            for (attempt, count) in ledger.remove(&task).unwrap_or_default() {
                ensure!(
                    attempt <= started,
                    "{label}: a line of attempt {attempt}, and the journal knows {started}"
                );
                ensure!(count == 1, "{label}: attempt {attempt} left {count} lines");
            }
        }
        Ok(())
    }
}

/// The repository has the branches that the journal names and no others, and no worktrees but those of the pool, which are no
/// more than ever worked at once. Gives how many these are.
fn repository(project: &Project, kept: &BTreeSet<String>) -> anyhow::Result<usize> {
    let git = |words: &[&str]| -> anyhow::Result<Vec<String>> {
        let output = Command::new("git")
            .args(words)
            .current_dir(project.folder())
            .output()?;
        ensure!(output.status.success(), "git {words:?}: {output:?}");
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let branches = git(&[
        "for-each-ref",
        "--format=%(refname:short)",
        "refs/heads/bellwether",
    ])?;
    let branches: BTreeSet<String> = branches.into_iter().collect();
    ensure!(
        branches == *kept,
        "the branches are {branches:#?}, and kept were {kept:#?}"
    );

    let list = git(&["worktree", "list", "--porcelain"])?;
    let mut registered = BTreeSet::new();
    for line in &list {
        ensure!(
            !line.starts_with("prunable"),
            "a worktree without its folder: {list:#?}"
        );
        if let Some(path) = line.strip_prefix("worktree ") {
            registered.insert(path.to_owned());
        }
    }
    let pool = fs::read_dir(project.path(JOURNAL).with_extension("worktrees"))?;
    let pool = pool.last().context("no pool of worktrees")??.path();
    let mut folders = BTreeSet::from([project.folder().display().to_string()]);
    for entry in fs::read_dir(pool)? {
        let path = entry?.path();
        if path.join(".git").exists() {
            folders.insert(path.display().to_string());
        }
    }
    ensure!(
        folders == registered,
        "worktrees are {registered:#?}, and folders {folders:#?}"
    );
    // The checkout itself is one of them.
    let worktrees = registered.len() - 1;
    // One that a killed agent leaves waits for the next attempt of its call, which has another.
    ensure!(
        worktrees <= 2 * ISOLATED,
        "{worktrees} worktrees for {ISOLATED} agents at once: {list:#?}"
    );
    Ok(worktrees)
}

//! What the tests of the program share: a project whose agents do what their prompts say.

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use bellwether_tests::program::{Bellwether, Finished, Running};
use bellwether_tests::project::Project;
use serde_json::Value;

/// What scripts of these tests begin with: `does(step, …)` asks an agent for these steps, `note` is the step that leaves
/// a trace in the ledger.
const HELPERS: &str = "
const does = (...steps) => JSON.stringify(steps)
const note = line => ({ append: { to: 'ledger', line: String(line) } })
const ring = line => ({ append: { to: 'bell', line: String(line) } })
";

/// A project with the script `flow.js`, and agents that work in its folder.
pub(crate) struct Bed {
    pub(crate) project: Project,
}

impl Bed {
    /// A project with a script of this body.
    pub(crate) fn new(body: &str) -> anyhow::Result<Self> {
        let project = Project::new()?;
        project.script("flow", &format!("{HELPERS}{body}"))?;
        Ok(Self { project })
    }

    /// `bellwether` with these words.
    pub(crate) fn command(&self, words: &[&str]) -> anyhow::Result<Bellwether> {
        self.project.bellwether(words)
    }

    /// `bellwether run` of a script, with agents.
    pub(crate) fn run_of(&self, script: &str, more: &[&str]) -> anyhow::Result<Bellwether> {
        let agent = self.project.agent_command()?;
        let mut words = vec!["run", script, "--agent-command", &agent, "--yes"];
        words.extend(more);
        self.project.bellwether(words)
    }

    /// `bellwether run flow.js`, with agents.
    pub(crate) fn run(&self, more: &[&str]) -> anyhow::Result<Bellwether> {
        self.run_of("flow.js", more)
    }

    /// `bellwether` with these words, to its end; gives the JSON that it printed.
    pub(crate) fn json(&self, words: &[&str], code: i32) -> anyhow::Result<Value> {
        self.command(words)?.run()?.expect_code(code)?.json()
    }

    /// All records of the latest run.
    pub(crate) fn dump(&self) -> anyhow::Result<Vec<Value>> {
        let dump = self.json(&["journal", "dump", "last", "--json"], 0)?;
        dump.as_array().cloned().context("a dump is an array")
    }

    /// The records of one kind of the latest run.
    pub(crate) fn records(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let mut records = self.dump()?;
        records.retain(|line| line["kind"] == kind);
        Ok(records
            .into_iter()
            .map(|mut line| line["record"].take())
            .collect())
    }

    /// What agents noted, sorted.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let mut lines = self.project.lines("ledger");
        lines.sort();
        lines
    }
}

/// Reads events until so many agents have ended.
pub(crate) fn agents_ended(running: &mut Running, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        running.event("agentEnded")?;
    }
    Ok(())
}

/// The names of an object's members, in order.
pub(crate) fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default();
    names.sort_unstable();
    names
}

/// Waits for a command's end and for its final object.
pub(crate) fn ended(running: Running, code: i32) -> anyhow::Result<(Value, Finished)> {
    let finished = running.wait(GUARD)?.expect_code(code)?;
    Ok((finished.json()?, finished))
}

/// Fails unless stderr says this.
pub(crate) fn says(finished: &Finished, wanted: &str) -> anyhow::Result<()> {
    ensure!(
        finished.stderr.contains(wanted),
        "`{wanted}` was expected: {finished}"
    );
    Ok(())
}

//! The agents: what each does with its task, and Bellwether's `command` protocol around it.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::candidates::Search;
use crate::clock;
use crate::discover::{Refusal, client_text, discover};
use crate::ledger::{self, Entry, Event};
use crate::repository::Repository;
use crate::review::{Claim, review};
use crate::verify::{Refutation, verify};

/// How an agent works, besides its task.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Where it writes down when it begins and ends.
    pub ledger: Option<PathBuf>,
    /// How long it takes at least.
    pub pace: Duration,
}

/// The task as the engine gives it. Fields that these agents have no use for are left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Task {
    agent_id: String,
    idempotency_key: String,
    attempt: u32,
    prompt: String,
    cwd: String,
}

/// What the prompt's last line orders. All paths are relative to the folder that the run works in.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", tag = "task")]
enum Order {
    /// List the files to migrate.
    Discover {
        path: String,
        client: Option<String>,
    },
    /// Write the client's module, where there is none.
    Client { client: String },
    /// Check a migrated file: its text in the commit `base` against that in `commit`.
    Verify {
        base: String,
        commit: String,
        client: String,
        file: String,
        refused: Vec<Refusal>,
    },
    /// List the files in which a pattern may match.
    Candidates {
        path: String,
        pattern: String,
        files: Option<String>,
        language: Option<String>,
    },
    /// Check a file that was rewritten by a rule.
    Review {
        base: String,
        commit: String,
        #[serde(flatten)]
        claim: Claim,
    },
}

impl Order {
    /// The order in a prompt: its last line that is one.
    fn from_prompt(prompt: &str) -> Result<Self> {
        let line = prompt
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| line.starts_with('{'));
        let line = line.context("the prompt has no line with a JSON order")?;
        serde_json::from_str(line).context("the prompt's order is not one of mine")
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Discover { .. } => "discover",
            Self::Client { .. } => "client",
            Self::Verify { .. } => "verify",
            Self::Candidates { .. } => "candidates",
            Self::Review { .. } => "review",
        }
    }

    fn file(&self) -> &str {
        match self {
            Self::Discover { path, .. } | Self::Candidates { path, .. } => path,
            Self::Client { client } => client,
            Self::Verify { file, .. } => file,
            Self::Review { claim, .. } => &claim.file,
        }
    }
}

/// One task from `input`, one answer to `output`.
///
/// # Errors
/// Only those of the two streams: a task that fails is an answer too.
pub fn once(mut input: impl BufRead, mut output: impl Write, manner: &Manner) -> io::Result<()> {
    let mut task = String::new();
    input.read_to_string(&mut task)?;
    writeln!(output, "{}", answer(&task, manner))?;
    output.flush()
}

/// A task a line, an answer a line, until the input ends.
///
/// # Errors
/// Only those of the two streams.
pub fn lines(input: impl BufRead, mut output: impl Write, manner: &Manner) -> io::Result<()> {
    for task in input.lines() {
        let task = task?;
        if !task.trim().is_empty() {
            writeln!(output, "{}", answer(&task, manner))?;
            output.flush()?;
        }
    }
    Ok(())
}

/// The answer to a task, both as JSON text.
pub fn answer(task: &str, manner: &Manner) -> Value {
    let usage = json!({ "inputTokens": 0, "outputTokens": 0 });
    match work(task, manner) {
        Ok(value) => json!({ "value": value, "usage": usage }),
        Err(error) => {
            let error = json!({ "kind": "refused", "message": format!("{error:#}") });
            json!({ "error": error, "usage": usage })
        }
    }
}

fn work(task: &str, manner: &Manner) -> Result<Value> {
    let task: Task =
        serde_json::from_str(task).context("the task is not the JSON object of the protocol")?;
    let order = Order::from_prompt(&task.prompt)?;
    note(manner, &task, &order, Event::Start)?;
    clock::pause(manner.pace);
    let value = perform(&order, Path::new(&task.cwd))?;
    note(manner, &task, &order, Event::Finish)?;
    Ok(value)
}

fn note(manner: &Manner, task: &Task, order: &Order, event: Event) -> Result<()> {
    let Some(ledger) = &manner.ledger else {
        return Ok(());
    };
    let entry = Entry {
        event,
        idempotency_key: task.idempotency_key.clone(),
        agent_id: task.agent_id.clone(),
        attempt: task.attempt,
        task: order.name().to_owned(),
        file: order.file().to_owned(),
        process: std::process::id(),
        at: clock::microseconds(),
    };
    ledger::append(ledger, &entry).context("cannot write the ledger")
}

fn perform(order: &Order, working_folder: &Path) -> Result<Value> {
    let repository = Repository::open(working_folder)?;
    match order {
        Order::Discover { path, client } => {
            let under = folder_inside(&repository, path)?;
            let found = discover(&repository, &under, client.as_deref())?;
            Ok(serde_json::to_value(found)?)
        }
        Order::Client { client } => {
            let created = repository.read(client).is_err();
            if created {
                repository.write(client, client_text(client))?;
            }
            Ok(json!({ "file": client, "created": created }))
        }
        Order::Verify {
            base,
            commit,
            client,
            file,
            refused,
        } => {
            let (old, new) = (
                repository.original(base, file)?,
                repository.original(commit, file)?,
            );
            let findings = verify(Path::new(file), &old, &new, Path::new(client), refused);
            let findings = findings.map_err(anyhow::Error::msg)?;
            let checked = [format!("{} tokens of both texts", findings.tokens)];
            Ok(verdict(&findings.refutations, &checked))
        }
        Order::Candidates {
            path,
            pattern,
            files,
            language,
        } => {
            let under = folder_inside(&repository, path)?;
            let search = Search {
                under: &under,
                pattern,
                files: files.as_deref(),
                language: language.as_deref(),
            };
            Ok(serde_json::to_value(search.candidates(&repository)?)?)
        }
        Order::Review {
            base,
            commit,
            claim,
        } => {
            let review = review(&repository, base, commit, claim)?;
            Ok(verdict(&review.refutations, &review.checked))
        }
    }
}

/// What a reviewer answers.
fn verdict(refutations: &[Refutation], checked: &[String]) -> Value {
    let verdict = if refutations.is_empty() {
        "stands"
    } else {
        "refuted"
    };
    json!({ "verdict": verdict, "evidence": refutations, "checked": checked })
}

/// A folder as the way to it from the one that the run works in, in which worktrees are made.
fn folder_inside(repository: &Repository, path: &str) -> Result<String> {
    let root = repository.root();
    let folder =
        fs::canonicalize(root.join(path)).with_context(|| format!("there is no folder {path}"))?;
    let inside = folder.strip_prefix(root).ok().with_context(|| {
        format!(
            "{path} does not lie in {}, where the run works: start the run in that repository",
            root.display()
        )
    })?;
    Ok(inside.to_string_lossy().into_owned())
}

//! The agents: what each does with its task, and Bellwether's `command` protocol around it.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::discover::{client_text, discover, package_is_module};
use crate::edit::{Migration, migrate};
use crate::ledger::{self, Entry, Event};
use crate::repository::Repository;
use crate::verify::verify;

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

/// What the prompt's last line orders.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", tag = "task")]
enum Order {
    /// List the files to migrate.
    Discover {
        path: String,
        client: Option<String>,
    },
    /// Write the client's module, where there is none.
    Client { root: PathBuf, client: String },
    /// Migrate a file.
    Migrate {
        root: PathBuf,
        base: String,
        client: String,
        file: String,
    },
    /// Check a migrated file.
    Verify {
        root: PathBuf,
        base: String,
        client: String,
        file: String,
        refused: Vec<usize>,
    },
    /// Put a file back.
    Restore {
        root: PathBuf,
        base: String,
        file: String,
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
            Self::Migrate { .. } => "migrate",
            Self::Verify { .. } => "verify",
            Self::Restore { .. } => "restore",
        }
    }

    fn file(&self) -> &str {
        match self {
            Self::Discover { path, .. } => path,
            Self::Client { client, .. } => client,
            Self::Migrate { file, .. } | Self::Verify { file, .. } | Self::Restore { file, .. } => {
                file
            }
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
    match order {
        Order::Discover { path, client } => {
            let repository = Repository::open(&working_folder.join(path))?;
            Ok(serde_json::to_value(discover(
                &repository,
                client.as_deref(),
            )?)?)
        }
        Order::Client { root, client } => {
            let repository = Repository::open(root)?;
            let created = repository.read(client).is_err();
            if created {
                repository.write(client, client_text(client))?;
            }
            Ok(json!({ "file": client, "created": created }))
        }
        Order::Migrate {
            root,
            base,
            client,
            file,
        } => {
            let answer = migrate_file(&Repository::open(root)?, base, client, file)?;
            Ok(serde_json::to_value(answer)?)
        }
        Order::Verify {
            root,
            base,
            client,
            file,
            refused,
        } => {
            let repository = Repository::open(root)?;
            let (old, new) = (repository.original(base, file)?, repository.read(file)?);
            let findings = verify(Path::new(file), &old, &new, Path::new(client), refused);
            let findings = findings.map_err(anyhow::Error::msg)?;
            let verdict = if findings.refutations.is_empty() {
                "passed"
            } else {
                "refuted"
            };
            Ok(json!({
                "file": file,
                "verdict": verdict,
                "refutations": findings.refutations,
                "tokens": findings.tokens,
            }))
        }
        Order::Restore { root, base, file } => {
            let repository = Repository::open(root)?;
            repository.write(file, &repository.original(base, file)?)?;
            Ok(json!({ "file": file, "restored": true }))
        }
    }
}

/// What a migrating agent answers.
#[derive(Clone, Debug, Serialize)]
struct Migrated<'m> {
    file: &'m str,
    state: &'static str,
    calls: usize,
    changes: &'m [crate::edit::Change],
    refused: &'m [crate::edit::Refusal],
}

/// Migrates a file from its committed text, so that a second attempt writes what the first one
/// wrote or finds it written.
fn migrate_file(repository: &Repository, base: &str, client: &str, file: &str) -> Result<Value> {
    let old = repository.original(base, file)?;
    let now = repository.read(file)?;
    let is_module = package_is_module(repository, file);
    let migration: Migration = migrate(Path::new(file), &old, Path::new(client), is_module)
        .map_err(|problem| {
            anyhow::anyhow!(
                "{file}:{} does not parse: {}",
                problem.line,
                problem.message
            )
        })?;
    let state = if migration.text == old {
        "unchanged"
    } else if now == migration.text {
        "migrated before"
    } else {
        "migrated"
    };
    if now != old && now != migration.text {
        bail!("{file} was changed by somebody else since the commit {base}");
    }
    if state == "migrated" {
        repository.write(file, &migration.text)?;
    }
    let (changes, refused) = (&migration.changes, &migration.refused);
    let answer = Migrated {
        file,
        state,
        calls: migration.calls,
        changes,
        refused,
    };
    Ok(serde_json::to_value(answer)?)
}

//! The way to a journal: its lock, or the process that has it.

use std::path::Path;
use std::time::Duration;

use super::client::Client;
use super::lock::{self, Claim, Lock};
use crate::error::{CommandError, Result};

/// How long a holder that does not answer is waited for: one that only reads is done before, one that
/// opens its journal answers before, one that leaves is gone before.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first wait; each next one is twice as long, up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_millis(200);

/// Who has the journal.
#[derive(Debug)]
pub(crate) enum Reached {
    /// This process.
    Free(Lock),
    /// Another one, which answers.
    Held(Client),
}

/// Takes the journal's lock, or finds the process that has it.
///
/// # Errors
/// When the lock cannot be used, or its holder does not answer in [`PATIENCE`].
pub(crate) async fn reach(journal: &Path, purpose: &str) -> Result<Reached> {
    let path = lock::path_for(journal).map_err(|error| {
        CommandError::host(format!(
            "the journal {} cannot be used: {error}",
            journal.display()
        ))
    })?;
    let (mut wait, mut waited) = (WAIT_MIN, Duration::ZERO);
    loop {
        let taken = Lock::try_take(&path).map_err(|error| {
            CommandError::host(format!(
                "the journal's lock {} cannot be used: {error}",
                path.display()
            ))
        })?;
        if let Some(mut lock) = taken {
            // A claim that cannot be written (a full disk) costs others a name, not the journal.
            if let Err(error) = lock.describe(&Claim::of_this_process(purpose)) {
                tracing::warn!(%error, "the journal's lock does not say who holds it");
            }
            return Ok(Reached::Free(lock));
        }
        let claim = lock::read_claim(&path);
        if let Some(socket) = claim.as_ref().and_then(|claim| claim.socket.as_deref()) {
            // Who listens and does not answer yet is opening its journal.
            match tokio::time::timeout(PATIENCE, Client::connect(socket)).await {
                Ok(Some(client)) => return Ok(Reached::Held(client)),
                Ok(None) => {}
                Err(_) => return Err(silent(journal, claim.as_ref())),
            }
        }
        if waited >= PATIENCE {
            return Err(silent(journal, claim.as_ref()));
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Takes the journal to work on it.
///
/// # Errors
/// Who has it and what to do, when another process has it.
pub(crate) async fn hold(journal: &Path, purpose: &str) -> Result<Lock> {
    match reach(journal, purpose).await? {
        Reached::Free(lock) => Ok(lock),
        Reached::Held(client) => Err(held(journal, &client)),
    }
}

/// Says which process holds the journal, what it runs, and what to do.
pub(crate) fn held(journal: &Path, client: &Client) -> CommandError {
    let claim = &client.host.claim;
    let runs: Vec<String> = client
        .host
        .runs
        .iter()
        .map(|run| format!("{} ({}, {})", run.run_id, run.name, run.status.name()))
        .collect();
    let running = if runs.is_empty() {
        "and is about to leave".to_owned()
    } else {
        format!("running {}", runs.join(", "))
    };
    let error = CommandError::host(format!(
        "the journal {} is held by process {} since {}, {running}",
        journal.display(),
        claim.pid,
        since(claim)
    ));
    error.help(match client.host.runs.first() {
        Some(run) => format!(
            "watch it with `bellwether show {id}`, end it with `bellwether stop {id}`,\n\
             or use another journal: `--journal FILE`",
            id = run.run_id
        ),
        None => "try again, or use another journal: `--journal FILE`".to_owned(),
    })
}

fn silent(journal: &Path, claim: Option<&Claim>) -> CommandError {
    let journal = journal.display();
    match claim {
        Some(claim) => CommandError::host(format!(
            "the journal {journal} is held by process {} since {} (`bellwether {}`), which does not answer",
            claim.pid,
            since(claim),
            claim.purpose
        ))
        .help(format!(
            "look at it with `ps -p {}`; end it, or use another journal: `--journal FILE`",
            claim.pid
        )),
        None => CommandError::host(format!("the journal {journal} is held by another process"))
            .help("try again, or use another journal: `--journal FILE`"),
    }
}

fn since(claim: &Claim) -> String {
    format!("{} UTC", crate::time::date_and_clock(&claim.since))
}

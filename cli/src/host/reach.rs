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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;

    use super::super::socket;
    use super::*;

    fn holder(journal: &Path, claim: &Claim) -> Lock {
        let mut lock = Lock::try_take(&lock::path_for(journal).unwrap())
            .unwrap()
            .unwrap();
        lock.describe(claim).unwrap();
        lock
    }

    #[tokio::test]
    async fn a_second_process_finds_who_holds_the_journal_and_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.redb");
        let place = folder.path().join("s.sock");
        let claim = Claim {
            pid: 4242,
            since: "2026-01-02T03:04:05Z".to_owned(),
            socket: Some(place.clone()),
            ..Claim::of_this_process("run")
        };
        let _lock = holder(&journal, &claim);
        let info = json!({
            "claim": claim,
            "runs": [{ "runId": "r-7k2m9q4d", "name": "migrate", "status": "running" }],
        });
        let refusal = (
            axum::http::StatusCode::NOT_FOUND,
            r#"{"exit":2,"message":"no","help":null}"#,
        );
        let router = Router::new()
            .route("/v1/host", get(|| async { Json(info) }))
            .route(
                "/v1/runs/{run}/journal",
                get(|| async { "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n" }),
            )
            .route("/v1/runs/{run}", get(move || async move { refusal }))
            .fallback(|| async { (axum::http::StatusCode::IM_A_TEAPOT, "?") });
        let listener = socket::bind(&place).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });

        let Reached::Held(client) = reach(&journal, "show").await.unwrap() else {
            panic!("free")
        };
        assert_eq!(client.host.claim.pid, 4242);
        assert_eq!(client.host.runs[0].run_id, "r-7k2m9q4d");
        assert_eq!(
            client.get("/v1/runs/r-1").await.unwrap_err().message(),
            "no"
        );
        let error = client.get("/v1/else").await.unwrap_err();
        assert!(error.message().contains("process 4242") && error.exit_code().number() == 5);
        let mut lines = Vec::new();
        let mut take = |line: &str| {
            lines.push(line.to_owned());
            lines.len() < 2
        };
        client
            .lines("/v1/runs/r-1/journal", &mut take)
            .await
            .unwrap();
        assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_never_answers_is_named_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.redb");
        // The socket of a holder that is gone.
        let socket = Some(folder.path().join("gone.sock"));
        let claim = Claim {
            pid: 4242,
            socket,
            ..Claim::of_this_process("journal dump")
        };
        let lock = holder(&journal, &claim);
        let error = reach(&journal, "run").await.unwrap_err();
        assert_eq!(error.exit_code().number(), 5);
        assert!(
            error.message().contains("process 4242"),
            "{}",
            error.message()
        );
        assert!(
            error.message().contains("`bellwether journal dump`"),
            "{}",
            error.message()
        );
        drop(lock);
        let free = reach(&journal, "run").await.unwrap();
        assert!(matches!(free, Reached::Free(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_a_reader_has_the_journal_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("j.redb");
        let lock = holder(&journal, &Claim::of_this_process("ps"));
        let (taken, ()) = tokio::join!(reach(&journal, "run"), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(lock);
        });
        let Reached::Free(lock) = taken.unwrap() else {
            panic!("held")
        };
        assert_eq!(lock::read_claim(lock.path()).unwrap().purpose, "run");
    }
}

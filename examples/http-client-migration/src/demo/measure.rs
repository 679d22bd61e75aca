//! The numbers of the demonstration, from two independent sources: what the journal says and
//! what the agents wrote down themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http_client_migration::clock;
use http_client_migration::discover::Discovery;
use http_client_migration::ledger::{self, Entry, Event};
use serde_json::Value;

use super::engine::Final;

/// What there was when the engine was dead.
#[derive(Debug)]
pub(crate) struct Killed {
    /// The run's id.
    pub(crate) run: String,
    /// The run's status, read from the journal after the kill.
    pub(crate) status: String,
    /// Calls that the journal holds as completed, with how often their agents had begun.
    pub(crate) completed: BTreeMap<String, u64>,
    /// Files whose check the journal holds as completed.
    pub(crate) files_done: usize,
    /// Agents that had begun and were not completed.
    pub(crate) in_flight: usize,
    /// Lines of the ledger.
    lines: usize,
}

/// What the resume did.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// From the start of `bellwether resume` to the first agent at work, in seconds; none began
    /// when nothing was left to do.
    pub(crate) seconds: Option<f64>,
    /// Completed calls whose agent ran again, by the ledger or by the journal.
    pub(crate) ran_again: usize,
    /// Calls whose value came from the journal, by the engine.
    pub(crate) reused: Option<u64>,
    /// The most often that an agent began for the same call, by the ledger.
    pub(crate) most_attempts: usize,
}

/// Files whose check has ended, by the ledger.
pub(crate) fn files_done(entries: &[Entry]) -> usize {
    let ends = entries
        .iter()
        .filter(|entry| entry.event == Event::Finish && entry.task == "verify");
    ends.map(|entry| entry.file.as_str())
        .collect::<BTreeSet<_>>()
        .len()
}

/// Waits until no agent of the ledger is alive, or the time is up; gives the number that is.
pub(crate) fn wait_for_agents(path: &Path, patience: Duration) -> Result<usize> {
    let started = clock::now();
    loop {
        let entries = ledger::read(path)?;
        let processes: BTreeSet<u32> = entries.iter().map(|entry| entry.process).collect();
        let alive = processes
            .into_iter()
            .filter(|process| is_agent(*process))
            .count();
        if alive == 0 || started.elapsed() > patience {
            return Ok(alive);
        }
        clock::pause(Duration::from_millis(1));
    }
}

/// Whether a process is alive and runs this program: its number may belong to another by now.
fn is_agent(process: u32) -> bool {
    let folder = Path::new("/proc").join(process.to_string());
    let Ok(stat) = fs::read_to_string(folder.join("stat")) else {
        return false;
    };
    // The state stands behind the name, which is in brackets and may hold anything.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    let runs_this = match (fs::read_link(folder.join("exe")), std::env::current_exe()) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    };
    !matches!(state, Some('Z' | 'X')) && runs_this
}

/// Reads what `bellwether show` says of the killed run, beside the ledger.
pub(crate) fn killed(run: String, shown: &Value, entries: &[Entry]) -> Result<Killed> {
    let calls = calls(shown).context("`bellwether show --json` lists no agents")?;
    let completed = calls.iter().filter(|call| call.status == "completed");
    let files_done = completed
        .clone()
        .filter(|call| call.label.starts_with("verify ") && !call.label.contains(", round "))
        .count();
    let completed: BTreeMap<String, u64> = completed
        .map(|call| (call.id.clone(), call.attempts))
        .collect();
    // Of the codemod, which keeps no ledger, the journal says what had begun.
    let mut begun: BTreeSet<&str> = calls
        .iter()
        .filter(|call| call.attempts > 0 && call.status != "failed")
        .map(|call| call.id.as_str())
        .collect();
    begun.extend(entries.iter().map(|entry| entry.agent_id.as_str()));
    let in_flight = begun
        .iter()
        .filter(|id| !completed.contains_key(**id))
        .count();
    let status = shown
        .pointer("/status")
        .or_else(|| shown.pointer("/run/status"));
    Ok(Killed {
        run,
        status: status
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned(),
        files_done,
        in_flight,
        lines: entries.len(),
        completed,
    })
}

/// One call in the answer of `show`.
struct Call {
    id: String,
    label: String,
    status: String,
    attempts: u64,
}

/// The calls of a run, wherever in the answer their list stands.
fn calls(shown: &Value) -> Option<Vec<Call>> {
    let mut lists = ["/calls", "/agents"]
        .iter()
        .filter_map(|place| shown.pointer(place));
    let list = lists.find_map(Value::as_array)?;
    let text = |call: &Value, names: &[&str]| {
        let found = names
            .iter()
            .find_map(|name| call.get(*name))
            .and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let read = |call: &Value| Call {
        id: text(call, &["agent", "agentId"]),
        label: text(call, &["label"]),
        status: text(call, &["state", "status"]),
        attempts: call["attempts"].as_u64().unwrap_or_default(),
    };
    Some(list.iter().map(read).collect())
}

/// Measures the resume by the ledger's lines behind the kill, and takes the engine's own count.
pub(crate) fn resumed(
    killed: &Killed,
    resumed_at: u64,
    entries: &[Entry],
    shown: &Value,
    end: &Final,
) -> Result<Resumed> {
    let later = entries.get(killed.lines..).unwrap_or_default();
    let begun: Vec<&Entry> = later
        .iter()
        .filter(|entry| entry.event == Event::Start)
        .collect();
    let first = begun.iter().map(|entry| entry.at).min();
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.event == Event::Start) {
        *attempts.entry(entry.idempotency_key.as_str()).or_default() += 1;
    }
    let calls = calls(shown).context("`bellwether show --json` lists no agents")?;
    let mut again: BTreeSet<&str> = calls
        .iter()
        .filter(|call| {
            let before = killed.completed.get(&call.id);
            before.is_some_and(|before| call.attempts > *before)
        })
        .map(|call| call.id.as_str())
        .collect();
    let ids = begun.iter().map(|entry| entry.agent_id.as_str());
    again.extend(ids.filter(|id| killed.completed.contains_key(*id)));
    Ok(Resumed {
        seconds: first.map(|at| at.saturating_sub(resumed_at) as f64 / 1e6),
        ran_again: again.len(),
        reused: end.agents("reused"),
        most_attempts: attempts.into_values().max().unwrap_or_default(),
    })
}

/// What did not hold of what the demonstration shows.
pub(crate) fn check(
    killed: &Killed,
    resumed: &Resumed,
    end: &Final,
    plan: &Discovery,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut hold = |holds: bool, failure: String| {
        if !holds {
            failures.push(failure);
        }
    };
    let files = plan.files.len();
    hold(
        killed.status == "interrupted",
        format!("after the kill the run is {}", killed.status),
    );
    let is_middle = (1..files).contains(&killed.files_done);
    hold(
        is_middle,
        format!("killed with {} of {files} files done", killed.files_done),
    );
    hold(
        resumed.ran_again == 0,
        format!("{} completed agents ran again", resumed.ran_again),
    );
    let completed = killed.completed.len() as u64;
    let reused = resumed.reused;
    hold(
        reused == Some(completed),
        format!("{completed} calls were completed at the kill, and {reused:?} reused"),
    );
    let most = resumed.most_attempts;
    hold(
        most <= 2,
        format!("an agent began {most} times for one call, with one kill"),
    );
    let status = end.object["status"].as_str().unwrap_or("unknown");
    hold(
        status == "completed" && end.status.success(),
        format!("the run is {status}, {}", end.status),
    );
    failures
}

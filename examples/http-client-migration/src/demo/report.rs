//! What the demonstration prints at its end, and the last checks of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use http_client_migration::discover::Discovery;
use http_client_migration::repository::Repository;
use http_client_migration::verify::verify;
use serde_json::Value;

use super::engine::{Engine, Final};
use super::measure::{Killed, Resumed};
use super::workspace::{Workspace, shown};

/// The kill and the resume in one line.
pub(crate) fn sentence(killed: &Killed, resumed: &Resumed, plan: &Discovery) -> String {
    let reused = resumed
        .reused
        .map_or_else(|| "?".to_owned(), |reused| reused.to_string());
    let took = resumed.seconds.map_or_else(
        || "resumed with nothing left to do".to_owned(),
        |seconds| format!("resumed in {seconds:.2} s"),
    );
    format!(
        "\nkilled with {} of {} files done and {} agents in flight; {took}; {reused} reused, \
         {} completed agents ran again",
        killed.files_done,
        plan.files.len(),
        killed.in_flight,
        resumed.ran_again,
    )
}

/// Checks every file once more in this process, and that no other file changed.
pub(crate) fn check_files(
    repository: &Repository,
    plan: &Discovery,
    end: &Final,
) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let refused = end.report()["refused"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for found in &plan.files {
        let file = found.file.as_str();
        let lines: Vec<usize> = refused
            .iter()
            .filter(|refusal| refusal["file"] == file)
            .filter_map(|refusal| refusal["line"].as_u64().map(|line| line as usize))
            .collect();
        let (old, new) = (
            repository.original(&plan.base, file)?,
            repository.read(file)?,
        );
        match verify(Path::new(file), &old, &new, Path::new(&plan.client), &lines) {
            Ok(findings) => failures.extend(
                findings
                    .refutations
                    .iter()
                    .map(|one| format!("{}:{}: {}", one.file, one.line, one.reason)),
            ),
            Err(reason) => failures.push(format!("{file}: {reason}")),
        }
    }
    let changed = repository.changed()?;
    let is_planned = |path: &String| plan.files.iter().any(|found| found.file == *path);
    failures.extend(
        changed
            .iter()
            .filter(|path| !is_planned(path))
            .map(|path| format!("{path} changed")),
    );
    failures.extend(
        repository
            .untracked()?
            .iter()
            .map(|path| format!("{path} was left behind")),
    );
    let reported = end.report()["changed"].as_u64();
    if reported != Some(changed.len() as u64) {
        failures.push(format!(
            "{} files changed, the report says {reported:?}",
            changed.len()
        ));
    }
    Ok(failures)
}

/// The report: counts, refusals, three hunks, the patch.
pub(crate) fn print(
    workspace: &Workspace,
    repository: &Repository,
    plan: &Discovery,
    end: &Final,
    patch: &Path,
    took: Duration,
) -> Result<()> {
    let report = end.report();
    let refused = report["refused"].as_array().cloned().unwrap_or_default();
    say!(
        "\n{} files changed of {}, {} calls migrated, {} uses refused, {} refuted; \
         {} tokens compared; {:.1} s in all",
        report["changed"],
        plan.files.len(),
        report["calls"],
        refused.len(),
        report["refuted"].as_array().map_or(0, Vec::len),
        report["checked"],
        took.as_secs_f64(),
    );
    say!("\nrefused:");
    for one in &refused {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        say!("  {}:{}: {}", text("file"), one["line"], text("reason"));
    }
    for one in report["unfinished"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        say!("  {one}: not finished");
    }
    say!("\nthree hunks of the patch:");
    let text = repository.git(&["diff", "--no-ext-diff", "--no-color", "--unified=1", "HEAD"])?;
    for hunk in three_hunks(&String::from_utf8_lossy(&text)) {
        say!("\n{hunk}");
    }
    say!("\nthe full patch: {}", shown(patch));
    say!("everything else: {}", shown(&workspace.folder));
    Ok(())
}

/// Three hunks that show a call, from different places of the patch.
fn three_hunks(patch: &str) -> Vec<String> {
    let mut hunks: Vec<String> = Vec::new();
    let mut file = "";
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            file = path;
        } else if line.starts_with("@@") {
            hunks.push(format!("{file}\n{line}"));
        } else if line.starts_with([' ', '+', '-'])
            && !line.starts_with("---")
            && let Some(hunk) = hunks.last_mut()
        {
            hunk.push('\n');
            hunk.push_str(line.trim_end());
        }
    }
    let is_telling = |hunk: &String| {
        hunk.lines().count() < 12 && hunk.contains("\n-") && hunk.contains("request")
    };
    hunks.retain(is_telling);
    let step = (hunks.len() / 3).max(1);
    hunks
        .into_iter()
        .skip(step / 2)
        .step_by(step)
        .take(3)
        .collect()
}

/// Three commands to try, each tried here first; gives those that do not work.
pub(crate) fn next_commands(engine: &Engine, workspace: &Workspace, run: &str) -> Vec<String> {
    let program = shown(engine.program());
    let journal = shown(&workspace.journal);
    let words: [&[&str]; 3] = [&["show", run], &["result", run], &["journal", "dump", run]];
    let mut failures = Vec::new();
    say!("\nto try next:");
    for command in words {
        let all = [
            &[program.as_str()],
            command,
            &["--journal", journal.as_str()],
        ]
        .concat();
        let line = shlex::try_join(all.iter().copied()).unwrap_or_else(|_| all.join(" "));
        say!("  {line}");
        let mut tried = Command::new(&program);
        tried
            .args(&all[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match tried.status() {
            Ok(status) if status.success() => {}
            Ok(status) => failures.push(format!("`{line}` gives {status}")),
            Err(error) => failures.push(format!("`{line}`: {error}")),
        }
    }
    failures
}

//! What the demonstration prints at its end, and the last checks of its own.

use std::collections::BTreeSet;
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

/// Checks that the service's own checkout is as it was.
pub(crate) fn check_checkout(repository: &Repository, plan: &Discovery) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let head = repository.head()?;
    if head != plan.base {
        failures.push(format!("the checkout's commit became {head}"));
    }
    let changed = repository.changed()?;
    failures.extend(
        changed
            .iter()
            .map(|path| format!("{path} changed in the checkout")),
    );
    let left = repository.untracked()?;
    failures.extend(left.iter().map(|path| format!("{path} was left behind")));
    Ok(failures)
}

/// Checks every landed file once more in this process, and that no other file landed.
pub(crate) fn check_files(
    repository: &Repository,
    plan: &Discovery,
    after: &str,
    end: &Final,
) -> Result<Vec<String>> {
    let report = end.report();
    let mut failures = Vec::new();
    let words = [
        "diff",
        "--name-only",
        "-z",
        "--no-ext-diff",
        &plan.base,
        after,
    ];
    let names = String::from_utf8_lossy(&repository.git(&words)?).into_owned();
    let changed: BTreeSet<&str> = names.split_terminator('\0').collect();
    let quarantined = texts(&report["quarantined"], "file");
    let left_out = texts(&report["leftOut"], "file");
    for found in &plan.files {
        let file = found.file.as_str();
        let stays = quarantined.contains(&file) || left_out.contains(&file);
        if changed.contains(file) == stays {
            let word = if stays { "landed" } else { "did not land" };
            failures.push(format!("{file} {word}"));
        }
        if !changed.contains(file) {
            continue;
        }
        let (old, new) = (
            repository.original(&plan.base, file)?,
            repository.original(after, file)?,
        );
        let path = Path::new(file);
        match verify(path, &old, &new, Path::new(&plan.client), &found.refused) {
            Ok(findings) => failures.extend(
                findings
                    .refutations
                    .iter()
                    .map(|one| format!("{}:{}: {}", one.file, one.line, one.reason)),
            ),
            Err(reason) => failures.push(format!("{file}: {reason}")),
        }
    }
    let is_planned = |path: &str| plan.files.iter().any(|found| found.file == path);
    let others = changed.iter().filter(|path| !is_planned(path));
    failures.extend(others.map(|path| format!("{path} landed")));
    if report["landed"].as_u64() != Some(changed.len() as u64) {
        failures.push(format!(
            "{} files landed, the report says {}",
            changed.len(),
            report["landed"]
        ));
    }
    Ok(failures)
}

/// One text of each object in a list.
fn texts<'v>(list: &'v Value, name: &str) -> Vec<&'v str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item[name].as_str()).collect()
}

/// How many items a list has.
fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

/// The report: counts, what was refuted and what became of it, refusals, three hunks, the patch.
pub(crate) fn print(
    workspace: &Workspace,
    repository: &Repository,
    plan: &Discovery,
    after: &str,
    end: &Final,
    patch: &Path,
    took: Duration,
) -> Result<()> {
    let report = end.report();
    let (refuted, fixed) = (&report["refutedInRoundOne"], &report["fixedInRoundTwo"]);
    say!(
        "\n{} files, {} calls migrated; {} refuted in round one, {} of them fixed in round two, {} \
         quarantined; {} landed on {}, {} left out; {:.1} s in all",
        report["files"],
        report["calls"],
        count(refuted),
        count(fixed),
        count(&report["quarantined"]),
        report["landed"],
        report["into"].as_str().unwrap_or("no branch"),
        count(&report["leftOut"]),
        took.as_secs_f64(),
    );
    say!("\nrefuted in round one:");
    for one in refuted.as_array().into_iter().flatten() {
        print_evidence(one);
    }
    say!("\nfixed in round two, by a narrower rule:");
    for one in fixed.as_array().into_iter().flatten() {
        let rules = one["rules"].as_array().into_iter().flatten();
        let rules: Vec<&str> = rules.filter_map(Value::as_str).collect();
        say!("  {}: {}", text(one, "file"), rules.join("; "));
    }
    say!("\nquarantined, on branches that landed nowhere:");
    for one in report["quarantined"].as_array().into_iter().flatten() {
        print_evidence(one);
        say!("    {}; {}", text(one, "reason"), text(one, "branch"));
    }
    for one in report["leftOut"].as_array().into_iter().flatten() {
        say!(
            "  {}: left out: {}",
            text(one, "file"),
            text(one, "message")
        );
    }
    let refused = report["refused"].as_array().into_iter().flatten();
    say!(
        "\nrefused before anything was changed ({} files have nothing else):",
        report["refusedFiles"]
    );
    for one in refused {
        say!(
            "  {}:{}: fetch {}",
            text(one, "file"),
            one["line"],
            text(one, "reason")
        );
    }
    say!("\nthree hunks of the patch:");
    let words = [
        "diff",
        "--no-ext-diff",
        "--no-color",
        "--unified=1",
        &plan.base,
        after,
    ];
    let difference = repository.git(&words)?;
    for hunk in three_hunks(&String::from_utf8_lossy(&difference)) {
        say!("\n{hunk}");
    }
    say!("\nthe full patch: {}", shown(patch));
    say!("everything else: {}", shown(&workspace.folder));
    Ok(())
}

fn text<'v>(one: &'v Value, name: &str) -> &'v str {
    one[name].as_str().unwrap_or_default()
}

fn print_evidence(one: &Value) {
    for evidence in one["evidence"].as_array().into_iter().flatten() {
        let (file, reason) = (text(one, "file"), text(evidence, "reason"));
        say!("  {file}:{}: {reason}", evidence["line"]);
    }
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
pub(crate) fn next_commands(
    engine: &Engine,
    workspace: &Workspace,
    run: &str,
    end: &Final,
) -> Vec<String> {
    let program = shown(engine.program());
    let journal = shown(&workspace.journal);
    let quarantined = texts(&end.report()["quarantined"], "file");
    let label = format!("codemod {}", quarantined.first().unwrap_or(&""));
    let words: [&[&str]; 3] = [
        &["show", run],
        &["diff", run, &label],
        &["diff", run, "--stat"],
    ];
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

//! Runs in words and tables, for people.

use bellwether::view::{
    CallView, ChangesView, Counts, FailureGroup, LogLine, Money, PhaseView, Question, RunRow,
    RunView,
};
use bellwether::{Level, RunId, ScriptError, Status, Usage};
use serde_json::Value;
use serde_json::value::RawValue;

use super::paint::{Paint, one_line, plain};
use super::table::{self, Cell, WIDTH};
use crate::model::Outcome;
use crate::time::{clock, date_and_clock, date_and_minute, elapsed};

/// Agents of a phase that are listed one by one; those that are well come last.
const AGENTS_SHOWN: usize = 30;

/// Lines of a question that are shown: its last ones.
const QUESTION_LINES: usize = 12;

/// Which run was meant when none was named.
pub(crate) fn latest(run: RunId, name: &str) -> String {
    format!("the latest run: {run} ({})", one_line(name, 60))
}

/// A list of runs.
pub(crate) fn runs(rows: &[RunRow], paint: Paint) -> Vec<String> {
    let cells = rows
        .iter()
        .map(|row| {
            let status = row.status;
            let started = date_and_minute(&row.started_at.to_string());
            vec![
                Cell::new(row.run_id.to_string()).painted(move |text| paint.bold(text)),
                Cell::new(&row.name),
                Cell::new(status.name()).painted(move |text| paint.status(status, text)),
                Cell::new(started),
                Cell::right(elapsed(row.duration_ms)),
                Cell::right(progress(&row.agents)),
                Cell::right(number(tokens(row.usage))),
            ]
        })
        .collect();
    let heads = [
        "RUN",
        "NAME",
        "STATUS",
        "STARTED (UTC)",
        "TIME",
        "AGENTS",
        "TOKENS",
    ];
    table::lines(&heads, cells, 1, WIDTH)
}

/// How many agents have their answer, of how many.
fn progress(agents: &Counts) -> String {
    let settled = agents.total.saturating_sub(agents.pending);
    if agents.pending == 0 {
        agents.total.to_string()
    } else {
        format!("{settled}/{}", agents.total)
    }
}

/// All of a run that fits a screen.
pub(crate) fn run(view: &RunView, paint: Paint, proposal: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.bold(&view.run_id.to_string()),
        one_line(&view.name, 40),
        paint.status(view.status, view.status.name())
    )];
    lines.push(format!(
        "started {} UTC, {}",
        date_and_clock(&view.started_at.to_string()),
        elapsed(view.duration_ms)
    ));
    lines.push(format!(
        "{}, {}{}",
        counts(&view.agents),
        usage(view.usage),
        cost(view.cost)
    ));
    if let Some(path) = &view.script_path {
        lines.push(format!("script {}", plain(path)));
    }
    if let Some(reason) = &view.status_reason {
        lines.push(format!("why: {}", plain(reason)));
    }
    if let Some(error) = &view.error {
        lines.push(paint.red(&script_error(error)));
    }
    for phase in &view.phases {
        lines.push(String::new());
        lines.extend(self::phase(phase, view, paint));
    }
    if !view.failures.is_empty() {
        lines.push(String::new());
        lines.extend(failures(&view.failures, paint));
    }
    if !view.questions.is_empty() {
        lines.extend([String::new(), paint.bold("questions")]);
        lines.extend(questions(&view.questions, paint, proposal));
    }
    let resume = proposal(&format!("resume {}", view.run_id));
    if can_be_resumed(view.status) {
        lines.extend([String::new(), format!("go on with `{resume}`")]);
    }
    lines
}

fn phase(phase: &PhaseView, view: &RunView, paint: Paint) -> Vec<String> {
    let title = phase
        .title
        .as_deref()
        .map_or("(no phase)".to_owned(), |title| one_line(title, 48));
    let mut lines = vec![format!(
        "{}  {}, {}{}{}",
        paint.bold(&title),
        counts(&phase.agents),
        usage(phase.usage),
        cost(phase.cost),
        phase
            .duration_ms
            .map(|time| format!(", {}", elapsed(time)))
            .unwrap_or_default()
    )];
    let known = |title: &Option<_>| view.phases.iter().any(|phase| phase.title == *title);
    let mut calls: Vec<&CallView> = view
        .calls
        .iter()
        .filter(|call| call.phase == phase.title || (phase.title.is_none() && !known(&call.phase)))
        .collect();
    if calls.is_empty() {
        return lines;
    }
    let all = calls.len();
    // A stable sort: within their kind agents stay in the order of their calls.
    calls.sort_by_key(|call| all > AGENTS_SHOWN && call.status == "completed");
    calls.truncate(AGENTS_SHOWN);
    let rows = calls
        .iter()
        .map(|call| {
            let status = call.status.clone();
            let shown = match &call.failure {
                Some(failure) => format!("{status} ({})", failure.kind.name()),
                None if call.reused => "reused".to_owned(),
                // What the journal has last of an agent whose engine is gone.
                None if status == "running" && !view.status.needs_engine() => "cut off".to_owned(),
                None => status.clone(),
            };
            // A step of the engine's is told from an agent by what it is.
            let label = match (&call.label, call.kind.as_str()) {
                (Some(label), _) => label.to_string(),
                (None, "agent") => String::new(),
                (None, kind) => format!("({kind})"),
            };
            vec![
                Cell::new(&call.agent_id),
                Cell::new(label),
                Cell::new(shown).painted(move |text| paint.outcome(&status, text)),
                Cell::right(call.attempts.to_string()),
                Cell::right(call.duration_ms.map(elapsed).unwrap_or_default()),
                Cell::right(number(tokens(call.usage))),
            ]
        })
        .collect();
    let heads = ["AGENT", "LABEL", "STATE", "ATTEMPTS", "TIME", "TOKENS"];
    let table = table::lines(&heads, rows, 1, WIDTH - 2);
    lines.extend(table.into_iter().map(|line| format!("  {line}")));
    if all > AGENTS_SHOWN {
        let more = number((all - AGENTS_SHOWN) as u64);
        lines.push(paint.dim(&format!("  … and {more} more: `show --json` has them all")));
    }
    lines
}

/// One agent.
pub(crate) fn agent(call: &CallView, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.bold(&call.agent_id),
        one_line(call.label.as_deref().unwrap_or_default(), 40),
        paint.outcome(&call.status, &call.status)
    )];
    if let Some(phase) = &call.phase {
        lines.push(format!("phase: {}", one_line(phase, WIDTH)));
    }
    let time = call
        .duration_ms
        .map(|time| format!(", {}", elapsed(time)))
        .unwrap_or_default();
    lines.push(format!(
        "attempts: {}{time}, {}{}",
        call.attempts,
        usage(call.usage),
        cost(call.cost)
    ));
    if let Some(model) = &call.model {
        lines.push(format!("model: {}", one_line(model, WIDTH)));
    }
    for past in &call.past_attempts {
        let time = elapsed(past.ended_at.0.saturating_sub(past.started_at.0));
        let message = one_line(&past.message, 300);
        lines.push(format!(
            "  attempt {}, {time}: {}: {message}",
            past.attempt, past.kind
        ));
    }
    for changes in &call.changes {
        lines.push(kept(changes));
    }
    if let Some(failure) = &call.failure {
        let text = format!("{}: {}", failure.kind.name(), plain(&failure.message));
        lines.push(paint.red(&text));
        let evidence = failure.evidence.as_deref().unwrap_or_default();
        lines.extend(
            evidence
                .lines()
                .map(|line| paint.dim(&format!("  {}", plain(line)))),
        );
    }
    lines
}

/// What an attempt changed, and where that is.
pub(crate) fn kept(changes: &ChangesView) -> String {
    let files = match changes.file_count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    match &changes.branch {
        Some(branch) => format!("changed {files}, kept on branch {}", plain(branch)),
        None => format!(
            "changed {files} in attempt {}, kept as a patch",
            changes.attempt
        ),
    }
}

/// What is asked, what may be answered, and how.
fn questions(
    questions: &[Question],
    paint: Paint,
    proposal: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let mut lines = Vec::new();
    for question in questions {
        let id = &question.id;
        let all = question
            .question
            .lines()
            .filter(|line| !line.trim().is_empty());
        let all: Vec<&str> = all.collect();
        // What is asked stands at its end, behind what there is to know.
        let left_out = all.len().saturating_sub(QUESTION_LINES);
        if left_out > 0 {
            let more = format!("… {left_out} lines more: `show --json` has them all");
            lines.push(format!("  {}  {}", paint.bold(id), paint.dim(&more)));
        }
        for (index, line) in all.iter().skip(left_out).enumerate() {
            let lead = match index {
                0 if left_out == 0 => paint.bold(id),
                _ => " ".repeat(id.len()),
            };
            lines.push(format!("  {lead}  {}", one_line(line, 200)));
        }
        let said =
            |what: &str, value: &Value| format!("{what} {}", one_line(&value.to_string(), 80));
        let mut about = Vec::new();
        if !question.choices.is_empty() {
            let choices: Vec<String> = question.choices.iter().map(Value::to_string).collect();
            about.push(format!("one of {}", one_line(&choices.join(", "), 120)));
        }
        about.extend(
            question
                .schema
                .as_ref()
                .map(|schema| said("must fit", schema)),
        );
        about.extend(
            question
                .default
                .as_ref()
                .map(|default| said("default", default)),
        );
        about.extend(
            question
                .proposed
                .as_ref()
                .map(|before| said("answered before with", before)),
        );
        about.extend(
            question
                .deadline
                .map(|deadline| format!("until {} UTC", date_and_clock(&deadline.to_string()))),
        );
        if !about.is_empty() {
            lines.push(format!("       {}", about.join("; ")));
        }
        let command = format!("answer {} --question {id} VALUE", question.run_id);
        lines.push(paint.dim(&format!("       `{}`", proposal(&command))));
    }
    lines
}

/// Whether somebody has to resume the run before it goes on.
const fn can_be_resumed(status: Status) -> bool {
    !status.is_final() && !status.needs_engine()
}

/// Why agents failed, a line for each sort.
fn failures(groups: &[FailureGroup], paint: Paint) -> Vec<String> {
    const NAMED: usize = 5;
    let mut lines = vec![paint.bold("failures")];
    for group in groups {
        let mut who: Vec<&str> = group
            .agents
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        if group.agents.len() > NAMED {
            who.push("…");
        }
        lines.push(format!(
            "  {} × {} ({}): {}",
            number(group.count),
            paint.red(group.kind.name()),
            who.join(", "),
            one_line(&group.first_message, 200)
        ));
    }
    lines
}

/// What a person is told when a run has ended.
pub(crate) fn outcome(
    outcome: &Outcome,
    paint: Paint,
    proposal: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let id = &outcome.run_id;
    let status = outcome.status;
    let mut lines = vec![format!(
        "{} {}: {}, {}{}, {}",
        paint.bold(&format!("run {id}")),
        paint.status(status, status.name()),
        counts(&outcome.agents),
        usage(outcome.usage),
        cost(outcome.cost),
        elapsed(outcome.duration_ms)
    )];
    if let Some(reason) = &outcome.reason {
        lines.push(format!("why: {}", plain(reason)));
    }
    if let Some(error) = &outcome.error {
        lines.push(paint.red(&script_error(error)));
        lines.extend(
            error
                .stack
                .lines()
                .map(|line| paint.dim(&format!("  {}", plain(line.trim())))),
        );
    }
    if !outcome.failures.is_empty() {
        lines.extend(failures(&outcome.failures, paint));
    }
    lines.extend(questions(&outcome.questions, paint, proposal));
    if !status.is_final() && status != Status::Waiting {
        lines.push(format!(
            "go on with `{}`",
            proposal(&format!("resume {id}"))
        ));
    } else if outcome.agents.failed > 0 || outcome.error.is_some() {
        lines.push(format!("see `{}`", proposal(&format!("show {id}"))));
    }
    lines
}

/// A script's error in one line.
pub(crate) fn script_error(error: &ScriptError) -> String {
    let place = match (error.line, error.column) {
        (0, _) => String::new(),
        (line, 0) => format!(" (line {line})"),
        (line, column) => format!(" (line {line}, column {column})"),
    };
    let code = error
        .code
        .as_deref()
        .map(|code| format!(" [{code}]"))
        .unwrap_or_default();
    format!(
        "{}: {}{code}{place}",
        plain(&error.name),
        plain(&error.message)
    )
}

/// A script's value: a text as it is, anything else as readable JSON.
pub(crate) fn value(value: Option<&RawValue>) -> String {
    let Some(raw) = value else {
        return "null".to_owned();
    };
    match serde_json::from_str(raw.get()) {
        Ok(Value::String(text)) => text,
        Ok(value) => format!("{value:#}"),
        // Nested deeper than the reader goes: as it came.
        Err(_) => raw.get().to_owned(),
    }
}

/// A line of a run's log.
pub(crate) fn log_line(line: &LogLine, paint: Paint) -> String {
    // Further lines are set in, so that no text can pass for another entry.
    let text = plain(&line.text).replace('\n', "\n         ");
    let text = match line.level {
        Level::Warning => paint.yellow(&format!("warning: {text}")),
        Level::Error => paint.red(&format!("error: {text}")),
        _ => text,
    };
    format!("{} {text}", paint.dim(clock(&line.at.to_string())))
}

/// Agents by outcome: `60 agents (58 completed, 2 failed)`.
pub(crate) fn counts(agents: &Counts) -> String {
    let parts: Vec<String> = [
        (agents.completed, "completed"),
        (agents.failed, "failed"),
        (agents.cancelled, "cancelled"),
        (agents.skipped, "skipped"),
        (agents.pending, "pending"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, name)| match (name, agents.reused) {
        ("completed", reused) if reused > 0 => {
            format!(
                "{} completed, {} of them reused",
                number(count),
                number(reused)
            )
        }
        _ => format!("{} {name}", number(count)),
    })
    .collect();
    let noun = if agents.total == 1 { "agent" } else { "agents" };
    if parts.is_empty() {
        return format!("no {noun}");
    }
    format!("{} {noun} ({})", number(agents.total), parts.join(", "))
}

/// Tokens in words.
fn usage(usage: Usage) -> String {
    format!("{} tokens", number(tokens(usage)))
}

/// Money behind tokens, where it is known.
pub(crate) fn cost(cost: Option<Money>) -> String {
    cost.map_or_else(String::new, |cost| format!(", {cost}"))
}

/// Tokens read and written.
pub(crate) fn tokens(usage: Usage) -> u64 {
    usage.input_tokens.saturating_add(usage.output_tokens)
}

/// A number with its thousands apart, short from a hundred thousand on.
pub(crate) fn number(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..100_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        100_000..10_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

#[cfg(test)]
mod tests;

//! Runs in words and tables, for people.

use bellwether::{ScriptError, Usage};
use serde_json::Value;
use serde_json::value::RawValue;

use super::paint::{Paint, one_line, plain};
use super::table::{self, Cell, WIDTH};
use crate::model::{CallRow, Counts, FailureGroup, LogLine, Outcome, Phase, Row, View};
use crate::time::{clock, date_and_clock, date_and_minute, elapsed};

/// Agents of a phase that are listed one by one; those that are well come last.
const AGENTS_SHOWN: usize = 30;

/// Which run was meant when none was named.
pub(crate) fn latest(row: &Row) -> String {
    format!("the latest run: {} ({})", row.run_id, row.name)
}

/// A list of runs.
pub(crate) fn runs(rows: &[Row], paint: Paint) -> Vec<String> {
    let cells = rows
        .iter()
        .map(|row| {
            let status = row.status;
            let started = row
                .started_at
                .as_deref()
                .map(date_and_minute)
                .unwrap_or_default();
            vec![
                Cell::new(&row.run_id).painted(move |text| paint.bold(text)),
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
pub(crate) fn run(view: &View, paint: Paint, resume: &str) -> Vec<String> {
    let row = &view.row;
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.bold(&row.run_id),
        one_line(&row.name, 40),
        paint.status(row.status, row.status.name())
    )];
    if let Some(started) = &row.started_at {
        lines.push(format!(
            "started {} UTC, {} at work",
            date_and_clock(started),
            elapsed(row.duration_ms)
        ));
    }
    lines.push(format!("{}, {}", counts(&row.agents), usage(row.usage)));
    if let Some(reason) = &view.reason {
        lines.push(format!("why: {}", plain(reason)));
    }
    if let Some(error) = &view.error {
        lines.push(paint.red(&script_error(error)));
    }
    for phase in phases(view) {
        lines.push(String::new());
        lines.extend(self::phase(&phase, view, paint));
    }
    if !view.failures.is_empty() {
        lines.push(String::new());
        lines.extend(failures(&view.failures, paint));
    }
    if !row.status.is_final() && !row.status.needs_engine() {
        lines.extend([String::new(), format!("go on with `{resume}`")]);
    }
    lines
}

/// The phases, and one without a title for agents that belong to none.
fn phases(view: &View) -> Vec<Phase> {
    let mut phases = view.phases.clone();
    for call in &view.calls {
        if !phases.iter().any(|phase| phase.title == call.phase) {
            phases.push(Phase {
                title: call.phase.clone(),
                ..Phase::default()
            });
        }
    }
    phases.retain(|phase| {
        phase.title.is_some() || view.calls.iter().any(|call| call.phase.is_none())
    });
    phases
}

fn phase(phase: &Phase, view: &View, paint: Paint) -> Vec<String> {
    let title = phase
        .title
        .as_deref()
        .map_or("(no phase)".to_owned(), |title| one_line(title, 48));
    let mut calls: Vec<&CallRow> = view
        .calls
        .iter()
        .filter(|call| call.phase == phase.title)
        .collect();
    let mut head = paint.bold(&title);
    if phase.agents.total > 0 {
        head = format!("{head}  {}, {}", counts(&phase.agents), usage(phase.usage));
    }
    let mut lines = vec![head];
    if calls.is_empty() {
        return lines;
    }
    let all = calls.len();
    // A stable sort: within their kind agents stay in the order of their calls.
    calls.sort_by_key(|call| all > AGENTS_SHOWN && call.state == "completed");
    calls.truncate(AGENTS_SHOWN);
    let rows = calls
        .iter()
        .map(|call| {
            let state = call.state.clone();
            let shown = match &call.kind {
                Some(kind) => format!("{state} ({kind})"),
                None => state.clone(),
            };
            vec![
                Cell::new(&call.agent),
                Cell::new(call.label.as_deref().unwrap_or_default()),
                Cell::new(shown).painted(move |text| paint.outcome(&state, text)),
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
        let more = all - AGENTS_SHOWN;
        lines.push(paint.dim(&format!(
            "  … and {} more: `show --json` has them all",
            number(more as u64)
        )));
    }
    lines
}

/// One agent.
pub(crate) fn agent(call: &CallRow, paint: Paint) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.bold(&call.agent),
        one_line(call.label.as_deref().unwrap_or_default(), 40),
        paint.outcome(&call.state, &call.state)
    )];
    if let Some(phase) = &call.phase {
        lines.push(format!("phase: {}", one_line(phase, WIDTH)));
    }
    let time = call
        .duration_ms
        .map(|time| format!(", {}", elapsed(time)))
        .unwrap_or_default();
    lines.push(format!(
        "attempts: {}{time}, {}",
        call.attempts,
        usage(call.usage)
    ));
    if let Some(message) = &call.message {
        let kind = call.kind.as_deref().unwrap_or("error");
        lines.push(paint.red(&format!("{kind}: {}", plain(message))));
    }
    lines
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
            paint.red(&group.kind),
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
        "{} {}: {}, {}, {}",
        paint.bold(&format!("run {id}")),
        paint.status(status, status.name()),
        counts(&outcome.agents),
        usage(outcome.usage),
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
    if !status.is_final() {
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
    let text = plain(&line.text);
    let text = match line.level.as_str() {
        "warning" => paint.yellow(&format!("warning: {text}")),
        "error" => paint.red(&format!("error: {text}")),
        _ => text,
    };
    format!("{} {text}", paint.dim(clock(&line.at)))
}

/// A record of the journal in one line: place, time, kind, and what it holds.
pub(crate) fn record(json: &str, paint: Paint) -> String {
    const SHOWN: usize = 300;
    let Ok(Value::Object(mut record)) = serde_json::from_str(json) else {
        return plain(json);
    };
    let mut take = |name: &str| match record.shift_remove(name) {
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let (position, at, kind) = (take("position"), take("at"), take("kind"));
    let rest: Vec<String> = record
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name}={}", one_line(&value.to_string(), SHOWN)))
        .collect();
    format!(
        "{position:>6}  {}  {:<16}  {}",
        paint.dim(clock(&at)),
        paint.bold(&kind),
        rest.join(" ")
    )
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

//! Plans and outlines in words and tables, for people.

use std::collections::HashMap;

use bellwether::Level;
use bellwether::plan::outline::{Kind, Outline, Row};
use bellwether::plan::{Plan, PlanStatus, PlannedAgent, PlannedPhase};
use serde_json::Value;

use super::human::{number, script_error};
use super::paint::{Paint, one_line, plain};
use super::shape::shape;
use super::table::{self, Cell, WIDTH};
use crate::time::elapsed;

/// So many phases, rows of a phase, lines of the log, workflows and merges are shown; JSON has all.
const PHASES_SHOWN: usize = 50;
const ROWS_SHOWN: usize = 30;
const LOGS_SHOWN: usize = 20;
const LISTED: usize = 10;
/// Texts of the script are cut to so many characters.
const TEXT: usize = 70;

/// A plan, with what it is expected to use and without its findings.
pub(crate) fn plan(plan: &Plan, expected: &[String], paint: Paint) -> Vec<String> {
    let name = if plan.name.is_empty() {
        &plan.script
    } else {
        &plan.name
    };
    let status = plan.status.name();
    let status = match plan.status {
        PlanStatus::Completed => paint.green(status),
        _ => paint.red(status),
    };
    let mut lines = vec![format!(
        "plan of {}  {status}  {}",
        paint.bold(&one_line(name, 40)),
        paint.dim(&format!("{} of virtual time", elapsed(plan.duration_ms)))
    )];
    lines.push(agents(plan));
    lines.extend_from_slice(expected);
    if let Some(longest) = &plan.longest_prompt {
        let whose = longest.label.as_deref().unwrap_or(&longest.id);
        let place = line_of(longest.line);
        lines.push(format!(
            "longest prompt: {} ({}{place})",
            many(longest.characters, "character"),
            one_line(whose, 40)
        ));
    }
    if let Some(error) = &plan.error {
        lines.push(paint.red(&script_error(error)));
    }
    let told = plan.error.as_ref().map(|error| error.message.as_str());
    for refused in &plan.refused {
        if refused.count == 1 && told == Some(&refused.message) {
            continue;
        }
        let text = format!(
            "refused{}: {} × {}: {}",
            line_of(refused.line),
            refused.code,
            number(refused.count),
            one_line(&refused.message, 200)
        );
        lines.push(paint.yellow(&text));
    }
    for phase in plan.phases.iter().take(PHASES_SHOWN) {
        lines.push(String::new());
        lines.extend(self::phase(phase, paint));
    }
    lines.extend(more(plan.phases.len(), PHASES_SHOWN, "phases", paint));
    lines.extend(others(plan, paint));
    if !plan.logs.is_empty() {
        lines.extend([String::new(), paint.bold("Log")]);
        for log in plan.logs.iter().take(LOGS_SHOWN) {
            let text = one_line(&log.text, WIDTH - 2);
            let text = match log.level {
                Level::Error => paint.red(&text),
                Level::Warning => paint.yellow(&text),
                _ => text,
            };
            lines.push(format!("  {text}"));
        }
        lines.extend(more(plan.logs.len(), LOGS_SHOWN, "lines", paint));
    }
    if let Some(result) = &plan.result {
        let shape = match serde_json::from_str::<Value>(result.get()) {
            Ok(value) => plain(&shape(&value)),
            // JSON may be nested deeper than its reader goes along.
            Err(_) => format!("{} bytes of JSON", number(result.get().len() as u64)),
        };
        let title = paint.bold("Returns");
        lines.extend([String::new(), format!("{title} {shape}")]);
    }
    lines
}

/// How many agents, at once and in all, against the caps.
fn agents(plan: &Plan) -> String {
    let caps = &plan.caps;
    let at_once = match caps.concurrency {
        Some(cap) if plan.peak_outstanding > cap => format!(
            "cap {}; {} asked for at once",
            number(cap),
            number(plan.peak_outstanding)
        ),
        Some(cap) => format!("cap {}", number(cap)),
        None => "no cap".to_owned(),
    };
    let budget = caps.budget.map_or_else(String::new, |total| {
        format!(
            "; a budget of {} output tokens, of which each writes 2,000",
            number(total)
        )
    });
    format!(
        "{} (cap {}), at most {} at once ({at_once}){budget}",
        many(plan.agent_calls, "agent"),
        number(caps.agents),
        number(plan.peak_in_flight),
    )
}

fn many(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{} {noun}s", number(count)),
    }
}

fn line_of(line: u32) -> String {
    match line {
        0 => String::new(),
        line => format!(" line {line}"),
    }
}

/// What was left out of a list.
fn more(all: usize, shown: usize, what: &str, paint: Paint) -> Option<String> {
    let rest = all.saturating_sub(shown);
    (rest > 0).then(|| paint.dim(&format!("  … {rest} {what} more; --json has all")))
}

fn phase(phase: &PlannedPhase, paint: Paint) -> Vec<String> {
    let title = phase.title.as_deref().unwrap_or("(no phase)");
    let title = paint.bold(&one_line(title, 48));
    let detail = phase.detail.as_deref().map(|detail| one_line(detail, TEXT));
    let detail = detail.map_or_else(String::new, |detail| "  ".to_owned() + &detail);
    let count = match phase.agents.len() {
        0 => paint.dim("no agents"),
        count => many(count as u64, "agent"),
    };
    let failed = phase
        .agents
        .iter()
        .filter(|agent| agent.outcome == "failed");
    let failed = match failed.count() {
        0 => String::new(),
        count => paint.red(&format!(", {count} failed")),
    };
    let mut lines = vec![format!("{title}  {count}{failed}{}", paint.dim(&detail))];
    let groups = groups(&phase.agents);
    let all = groups.len();
    if all > 0 {
        let rows = groups
            .iter()
            .take(ROWS_SHOWN)
            .map(|group| row(group, paint));
        let heads = ["AGENTS", "LABEL", "TYPE", "MODEL", "ISOLATION", "LINE"];
        let table = table::lines(&heads, rows.collect(), 1, WIDTH - 2);
        lines.extend(table.into_iter().map(|line| format!("  {line}")));
    }
    lines.extend(more(all, ROWS_SHOWN, "rows", paint));
    lines
}

/// Agents that a table shows as one row: asked at one place, with the same options.
fn groups(agents: &[PlannedAgent]) -> Vec<Vec<&PlannedAgent>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&PlannedAgent>> = Vec::new();
    for agent in agents {
        let same = (
            (agent.line, &agent.workflow, &agent.agent_type, &agent.model),
            (&agent.effort, &agent.isolation, &agent.backend),
            // Where the line is not known, the label says what belongs together.
            agent.label.as_ref().filter(|_| agent.line == 0),
        );
        let place = *places.entry(same).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(agent),
            None => groups.push(vec![agent]),
        }
    }
    groups
}

fn row(group: &[&PlannedAgent], paint: Paint) -> Vec<Cell> {
    let labels: Vec<&str> = group
        .iter()
        .map(|agent| agent.label.as_deref().unwrap_or_default())
        .collect();
    let label = match pattern(&labels) {
        // Without labels the prompts say what they are.
        label if label.is_empty() => {
            let prompts: Vec<&str> = group.iter().map(|agent| agent.prompt.as_str()).collect();
            format!("\"{}\"", one_line(&pattern(&prompts), TEXT))
        }
        label => one_line(&label, TEXT),
    };
    let cell = |text: Option<&String>| {
        Cell::new(text.map_or_else(|| "-".to_owned(), |text| one_line(text, 30)))
    };
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let model = match (&first.model, &first.effort) {
        (Some(model), Some(effort)) => Some(format!("{model} {effort}")),
        (None, Some(effort)) => Some(format!("- {effort}")),
        (model, None) => model.clone(),
    };
    let line = match (&first.workflow, first.line) {
        (_, 0) => "-".to_owned(),
        (None, line) => line.to_string(),
        (Some(file), line) => {
            let file = file.rsplit('/').next().unwrap_or(file);
            format!("{}:{line}", one_line(file, 24))
        }
    };
    vec![
        Cell::right(number(group.len() as u64)),
        Cell::new(label),
        cell(first.agent_type.as_ref()),
        cell(model.as_ref()),
        cell(first.isolation.as_ref()),
        Cell::new(line).painted(move |text| paint.dim(text)),
    ]
}

/// What labels have in common, with `…` for the rest.
fn pattern(labels: &[&str]) -> String {
    let Some((first, rest)) = labels.split_first() else {
        return String::new();
    };
    if rest.iter().all(|label| label == first) {
        return (*first).to_owned();
    }
    let letters: Vec<char> = first.chars().collect();
    let (mut start, mut end) = (letters.len(), letters.len());
    for label in rest {
        let other: Vec<char> = label.chars().collect();
        let same = letters
            .iter()
            .zip(&other)
            .take_while(|(one, other)| one == other);
        start = start.min(same.count());
        let same = letters.iter().rev().zip(other.iter().rev());
        end = end.min(same.take_while(|(one, other)| one == other).count());
        // What both ends share counts for the beginning.
        end = end.min(letters.len().min(other.len()).saturating_sub(start));
    }
    let before: String = letters.iter().take(start).collect();
    let after: String = letters.iter().skip(letters.len() - end).collect();
    format!("{before}…{after}")
}

/// Workflows and merges.
fn others(plan: &Plan, paint: Paint) -> Vec<String> {
    let workflows = plan.workflow_calls.iter().map(|call| {
        let found = match &call.file {
            Some(file) => paint.dim(&plain(&file.to_string_lossy())),
            None => paint.red("not found: it gives null"),
        };
        (
            call.line,
            format!("{}  {found}", one_line(&call.target, TEXT)),
        )
    });
    let merges = plan.merges.iter().map(|merge| {
        let into = merge.into.as_deref().map(|into| one_line(into, 40));
        let into = into.unwrap_or_else(|| "the run's own branch".to_owned());
        let verify = match &merge.verify {
            Some(command) => format!("verified by `{}`", one_line(command, TEXT)),
            None => paint.yellow("not verified"),
        };
        let branches = match merge.branches.len() {
            1 => "1 branch".to_owned(),
            count => format!("{count} branches"),
        };
        (merge.line, format!("{branches} into {into}, {verify}"))
    });
    let mut lines = listed("Workflows", workflows, paint);
    lines.extend(listed("Merges", merges, paint));
    lines
}

/// Lines of the script and what they do, with equal ones that follow each other counted.
fn listed(title: &str, rows: impl Iterator<Item = (u32, String)>, paint: Paint) -> Vec<String> {
    let mut counted: Vec<((u32, String), usize)> = Vec::new();
    for row in rows {
        match counted.last_mut() {
            Some((last, count)) if *last == row => *count += 1,
            _ => counted.push((row, 1)),
        }
    }
    if counted.is_empty() {
        return Vec::new();
    }
    let all = counted.len();
    let mut lines = vec![String::new(), paint.bold(title)];
    for ((line, text), count) in counted.into_iter().take(LISTED) {
        let times = if count > 1 {
            format!(" × {count}")
        } else {
            String::new()
        };
        let place = line_of(line);
        let between = if place.is_empty() { "" } else { ": " };
        lines.push(format!(" {place}{between}{text}{times}"));
    }
    lines.extend(more(all, LISTED, "calls", paint));
    lines
}

/// The last line: errors and warnings.
pub(crate) fn found(errors: usize, warnings: usize, paint: Paint) -> String {
    let text = format!(
        "{} and {}",
        many(errors as u64, "error"),
        many(warnings as u64, "warning")
    );
    if errors > 0 {
        paint.red(&text)
    } else {
        paint.yellow(&text)
    }
}

/// A script's shape.
pub(crate) fn outline(outline: &Outline, paint: Paint) -> Vec<String> {
    let rows = outline.rows();
    let width = rows.iter().map(|row| row.line.to_string().len()).max();
    let width = width.unwrap_or_default();
    let mut lines: Vec<String> = rows.iter().map(|row| outlined(row, width, paint)).collect();
    if rows.is_empty() {
        lines.push("nothing is asked of agents here".to_owned());
    }
    if outline.left_out {
        lines.push(paint.dim("… and more than is drawn"));
    }
    lines
}

fn outlined(row: &Row, width: usize, paint: Paint) -> String {
    let line = match row.line {
        0 => String::new(),
        line => line.to_string(),
    };
    let gutter = paint.dim(&format!("{line:>width$}  {}", row.tree));
    let word = match row.kind {
        Kind::Agent | Kind::Attempt | Kind::Workflow | Kind::Pattern | Kind::Merge | Kind::Ask => {
            paint.cyan(row.kind.word())
        }
        Kind::Phase => paint.bold(row.kind.word()),
        kind => kind.word().to_owned(),
    };
    let mut text = format!("{gutter}{word}");
    if !row.text.is_empty() {
        text = text + " " + &plain(&row.text);
    }
    if !row.bound.is_empty() {
        let bound = format!("({})", row.bound);
        text = text
            + " "
            + &if row.is_bounded {
                paint.dim(&bound)
            } else {
                paint.yellow(&bound)
            };
    }
    match row.role {
        "" => text,
        "verifies" => text + "  " + &paint.green(row.role),
        role => text + "  " + &paint.yellow(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_row_show_what_they_share() {
        for (labels, wanted) in [
            (&["one"][..], "one"),
            (&["one", "one"], "one"),
            (
                &["review:a.ts", "review:b.ts", "review:long.ts"],
                "review:….ts",
            ),
            (&["a", "b"], "…"),
            (&["aa", "a"], "a…"),
            (&["aba", "ababa"], "aba…"),
            (&["", "x"], "…"),
        ] {
            assert_eq!(pattern(labels), wanted, "{labels:?}");
        }
    }
}

//! What a rewind would do, in words and a table, for people.

use bellwether::explain::{Explained, Explanation, Fate};

use super::human::{number, script_error};
use super::paint::{Paint, one_line};
use super::table::{self, Cell, WIDTH};

/// So many calls are shown; JSON has all.
const CALLS_SHOWN: usize = 200;
const DROPPED_SHOWN: usize = 20;
const NAME: usize = 30;
const REASON: usize = 110;

/// An explanation, with the calls that are reused or without.
pub(crate) fn lines(explanation: &Explanation, all: bool, paint: Paint) -> Vec<String> {
    let totals = explanation.totals;
    let runs = totals.again + totals.new;
    let at_work = match totals.adopted {
        0 => String::new(),
        agents => format!("{} at work go on, ", number(agents)),
    };
    let mut lines = vec![format!(
        "{} from generation {}: {} reused, {}{} again, {} new, {} not asked for any more",
        paint.bold(&explanation.run_id.to_string()),
        explanation.generation,
        number(totals.reused),
        at_work,
        number(totals.again),
        number(totals.new),
        number(totals.dropped)
    )];
    lines.push(paint.dim(&format!(
        "output tokens: {} are not spent again, {} are to be expected",
        number(totals.output_tokens_saved),
        number(totals.output_tokens_expected)
    )));
    for note in &explanation.notes {
        lines.push(format!("{} {note}", paint.yellow("note:")));
    }
    for step in &explanation.repeats {
        lines.push(format!(
            "{} would be done again: {step}",
            paint.red("refused:")
        ));
    }
    let shown: Vec<&Explained> = explanation
        .calls
        .iter()
        .filter(|call| all || call.fate != Fate::Reused)
        .collect();
    if !shown.is_empty() {
        lines.push(String::new());
        let rows = shown.iter().take(CALLS_SHOWN).map(|call| row(call, paint));
        let heads = ["CALL", "FATE", "NAME", "LINE", "INSTEAD OF", "TOKENS"];
        let mut rows = table::lines(&heads, rows.collect(), 2, WIDTH).into_iter();
        lines.extend(rows.next());
        for (line, call) in rows.zip(&shown) {
            lines.push(line);
            if let Some(reason) = &call.reason {
                lines.push(paint.dim(&format!("    {}", one_line(reason, REASON))));
            }
        }
        if shown.len() > CALLS_SHOWN {
            lines.push(format!(
                "… and {} more: --json has all",
                shown.len() - CALLS_SHOWN
            ));
        }
    }
    if !explanation.dropped.is_empty() {
        let names = explanation.dropped.iter().take(DROPPED_SHOWN);
        let names = names.map(|dropped| match &dropped.label {
            Some(label) => format!("{} ({})", dropped.agent_id, one_line(label, NAME)),
            None => dropped.agent_id.clone(),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        let more = explanation.dropped.len().saturating_sub(DROPPED_SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        lines.push(String::new());
        lines.push(format!("not asked for any more: {names}{more}"));
    }
    if let Some(error) = &explanation.error {
        lines.push(String::new());
        lines.push(format!(
            "gone through so, the script fails: {}",
            paint.red(&script_error(error))
        ));
    } else if runs == 0 {
        lines.push("nothing would run".to_owned());
    }
    lines
}

fn row(call: &Explained, paint: Paint) -> Vec<Cell> {
    let name = call.label.as_deref().unwrap_or(&call.kind);
    let fate = call.fate;
    vec![
        Cell::new(&call.agent_id),
        Cell::new(fate.name()).painted(move |text| match fate {
            Fate::Reused | Fate::Adopted => paint.green(text),
            Fate::Again => paint.yellow(text),
            _ => paint.cyan(text),
        }),
        Cell::new(one_line(name, NAME)),
        Cell::right(call.line.to_string()),
        Cell::new(call.from.clone().unwrap_or_default()),
        Cell::right(number(call.output_tokens)),
    ]
}

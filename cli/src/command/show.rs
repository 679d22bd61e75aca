//! `bellwether show`

use super::source::{Question, Source};
use super::{Place, proposal};
use crate::args::Show;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::model::{CallRow, View};
use crate::output::{self, Screen, human};

pub(super) async fn execute(flags: Show, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "show").await?;
    let text = source
        .ask(Question::View(flags.run.as_deref().unwrap_or("last")))
        .await?;
    drop(source);
    let mut view: View = parse(&text)?;
    if flags.run.is_none() {
        screen.note(&human::latest(&view.row));
    }
    let Some(agent) = &flags.agent else {
        if flags.common.json {
            output::line(&text);
        } else {
            let resume = proposal(
                &format!("resume {}", view.row.run_id),
                &flags.common.journal,
            );
            print(human::run(&view, screen.out, &resume));
        }
        return Ok(ExitCode::Success);
    };
    view.calls.retain(|call| is_called(call, agent));
    let Some(call) = view.calls.first() else {
        return Err(
            CommandError::usage(format!("run {} has no agent `{agent}`", view.row.run_id)).help(
                format!("`bellwether show {}` lists its agents", view.row.run_id),
            ),
        );
    };
    if view.calls.len() > 1 {
        let all: Vec<&str> = view.calls.iter().map(|call| call.agent.as_str()).collect();
        return Err(
            CommandError::usage(format!("`{agent}` is more than one agent"))
                .help(format!("one of {}", all.join(", "))),
        );
    }
    if flags.common.json {
        let all: serde_json::Value = parse(&text)?;
        let found = all["calls"].as_array().and_then(|calls| {
            calls
                .iter()
                .find(|found| found["agent"] == call.agent.as_str())
        });
        output::line(&found.map(ToString::to_string).unwrap_or_default());
    } else {
        print(human::agent(call, screen.out));
    }
    Ok(ExitCode::Success)
}

fn is_called(call: &CallRow, text: &str) -> bool {
    call.agent == text || call.label.as_deref() == Some(text)
}

fn print(all: Vec<String>) {
    let mut lines = output::Lines::new();
    for line in all {
        if !lines.line(&line) {
            break;
        }
    }
    lines.finish();
}

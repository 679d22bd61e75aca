//! `bellwether show`

use bellwether::view::{CallView, RunView};

use super::source::{Question, Source};
use super::{Place, proposal};
use crate::args::Show;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::{self, Screen, human};
use crate::read::json;

pub(super) async fn execute(flags: Show, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "show").await?;
    let text = source
        .ask(Question::View(flags.run.as_deref().unwrap_or("last")))
        .await?;
    drop(source);
    let view: RunView = parse(&text)?;
    if flags.run.is_none() {
        screen.note(&human::latest(view.run_id, &view.name));
    }
    match &flags.agent {
        None if flags.common.json => {
            output::line(&text);
        }
        None => {
            let proposal = |command: &str| proposal(command, &flags.common.journal);
            print(human::run(&view, screen.out, &proposal));
        }
        Some(agent) => {
            let call = find(&view, agent)?;
            if flags.common.json {
                output::line(&json(call)?);
            } else {
                print(human::agent(call, screen.out));
            }
        }
    }
    Ok(ExitCode::Success)
}

/// The agent that a text names: by its id, or by its label when only one has it.
fn find<'view>(view: &'view RunView, text: &str) -> Result<&'view CallView> {
    if let Some(call) = view.calls.iter().find(|call| call.agent_id == text) {
        return Ok(call);
    }
    let mut labelled = view
        .calls
        .iter()
        .filter(|call| call.label.as_deref() == Some(text));
    match (labelled.next(), labelled.next()) {
        (Some(call), None) => Ok(call),
        (None, _) => Err(
            CommandError::usage(format!("no agent `{text}` in {}", view.run_id)).help(format!(
                "`bellwether show {}` lists its agents",
                view.run_id
            )),
        ),
        (Some(one), Some(other)) => {
            let more = if labelled.next().is_some() {
                ", …"
            } else {
                ""
            };
            let (one, other) = (&one.agent_id, &other.agent_id);
            Err(
                CommandError::usage(format!("`{text}` may be any of {one}, {other}{more}"))
                    .help("give the agent's id"),
            )
        }
    }
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

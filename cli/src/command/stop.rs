//! `bellwether stop`

use bellwether::Status;
use bellwether::view::RunRow;
use serde::Deserialize;
use serde_json::json;

use super::source::{Question, Source};
use super::{Place, proposal};
use crate::args::Stop;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::{parse, segment};
use crate::output::{self, Screen};

/// What the holder of the journal answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    run_id: String,
    status: Status,
    stopped: bool,
}

pub(super) async fn execute(flags: Stop, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "stop").await?;
    let answer = match &source {
        Source::Held(client) => {
            let path = format!("/v1/runs/{}/stop", segment(&flags.run));
            parse(&client.post(&path, &json!({ "by": caller() })).await?)?
        }
        Source::Open { .. } => {
            // Nobody holds the journal: no run of it is live.
            let row: RunRow = source.read(Question::Row(&flags.run)).await?;
            Answer {
                run_id: row.run_id.to_string(),
                status: row.status,
                stopped: false,
            }
        }
    };
    drop(source);
    let Answer {
        run_id,
        status,
        stopped,
    } = &answer;
    if flags.common.json {
        let text = json!({ "runId": run_id, "status": status, "stopped": stopped });
        output::line(&text.to_string());
    }
    let resume = proposal(&format!("resume {run_id}"), &flags.common.journal);
    let name = status.name();
    screen.note(&match (stopped, status.is_final()) {
        (true, false) => format!("run {run_id} is {name}; go on with `{resume}`"),
        (_, true) => format!("run {run_id} is {name}: nothing is left to stop"),
        (false, false) => {
            format!("run {run_id} is {name}, no process works on it; go on with `{resume}`")
        }
    });
    Ok(ExitCode::Success)
}

/// Who asks, for the record: `user@host`.
pub(super) fn caller() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.unwrap_or_else(|_| "localhost".to_owned());
    format!("{user}@{}", host.trim())
}

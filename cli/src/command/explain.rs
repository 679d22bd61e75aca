//! `bellwether explain`

use super::Place;
use super::carry::{Carrier, Way};
use super::rewind::{call, calls, options};
use super::run::listen;
use crate::args::Explain;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::order::Asked;
use crate::output::{self, Lines, Screen, explanation, human};
use crate::read::json;

pub(super) async fn execute(flags: Explain, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let (journal, _) = place.config.journal();
    let selector = flags.run.as_deref().unwrap_or("last");
    let mut signals = listen()?;
    let way = Way {
        journal: &journal,
        place: &place,
        purpose: "explain",
        foreground: true,
        notify: None,
    };
    let carrier = Carrier::reach(way, &mut signals).await?;
    let explained = async {
        let view = carrier.view(selector).await?;
        if flags.run.is_none() {
            screen.note(&human::latest(view.run_id, &view.name));
        }
        let mut options = options(&flags.rewind, &flags.limits, &place, &view, screen)?;
        options.again = calls(&view, &flags.agents)?;
        let before = flags.at.as_ref().map(|at| call(&view, at)).transpose()?;
        let asked = Asked {
            run: view.run_id.to_string(),
            before,
            options,
        };
        carrier.explain(&asked).await
    };
    let explained = explained.await;
    carrier.leave().await;
    let explained = explained?;
    if flags.common.json {
        output::line(&json(&explained)?);
        return Ok(ExitCode::Success);
    }
    let mut lines = Lines::new();
    for line in explanation::lines(&explained, flags.all, screen.out) {
        if !lines.line(&line) {
            break;
        }
    }
    lines.finish();
    Ok(ExitCode::Success)
}

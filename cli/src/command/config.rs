//! `bellwether config`

use serde_json::{Map, json};

use super::Place;
use crate::args::ConfigShow;
use crate::config::file;
use crate::config::key::Value;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::output::table::{self, Cell};
use crate::output::{self, Screen};

pub(super) fn show(flags: &ConfigShow, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(
        screen,
        &flags.common.journal,
        Some(&flags.agents),
        Some(&flags.limits),
    )?;
    let settings = place.config.effective();
    if flags.common.json {
        let object: Map<String, serde_json::Value> = settings
            .iter()
            .map(|setting| {
                let entry = json!({
                    "value": setting.value.as_ref().map(Value::to_json),
                    "source": setting.source.name(),
                    "place": setting.source.place(),
                });
                (setting.key.name().to_owned(), entry)
            })
            .collect();
        output::line(&format!("{:#}", serde_json::Value::Object(object)));
        return Ok(ExitCode::Success);
    }
    let paint = screen.out;
    let rows = settings
        .iter()
        .map(|setting| {
            let value = setting.value.as_ref().map_or("-".to_owned(), Value::show);
            let source = match setting.source.place() {
                Some(place) => format!("{} {place}", setting.source.name()),
                None => setting.source.name().to_owned(),
            };
            vec![
                Cell::new(setting.key.name()).painted(move |text| paint.bold(text)),
                Cell::new(value),
                Cell::new(source).painted(move |text| paint.dim(text)),
            ]
        })
        .collect();
    // Paths are wanted whole here: nothing gives way.
    for line in table::lines(&["SETTING", "VALUE", "FROM"], rows, 1, usize::MAX) {
        output::line(&line);
    }
    Ok(ExitCode::Success)
}

/// A schema is JSON whether that was asked for or not.
pub(super) fn schema() -> ExitCode {
    output::line(&format!("{:#}", file::schema()));
    ExitCode::Success
}

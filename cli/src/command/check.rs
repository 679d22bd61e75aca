//! `bellwether check`

use std::path::Path;

use bellwether::check::{Finding, Severity, check};
use bellwether::workflow::discover;
use bellwether::{Script, StartOptions};
use serde::Serialize;

use super::run::agent_types;
use super::{Place, script};
use crate::args::Check;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::output::paint::{Paint, plain};
use crate::output::{self, Lines, Screen};
use crate::read::json;

/// A finding with its file, as programs get it.
#[derive(Serialize)]
struct Told<'a> {
    path: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

pub(super) fn execute(flags: &Check, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let options = options(&place, screen);
    let mut checked: Vec<(String, Vec<Finding>)> = Vec::new();
    let mut is_unreadable = false;
    for file in &flags.files {
        match read(file) {
            Ok((name, script)) => checked.push((name, check(&script, &options))),
            // The others are checked all the same.
            Err(error) => {
                is_unreadable = true;
                output::error_line(&screen.err.error(&error.to_string()));
            }
        }
    }
    if flags.common.json {
        print_json(&checked)?;
    } else {
        print(&checked, screen.out);
    }
    Ok(if is_unreadable {
        ExitCode::Usage
    } else if count(&checked, Severity::Error) > 0 {
        ExitCode::Failed
    } else {
        ExitCode::Success
    })
}

/// What a run in this place would be started with, as far as it decides what is wrong.
fn options(place: &Place, screen: Screen) -> StartOptions {
    let mut options = place.start_options();
    options.agent_types = agent_types(place, &place.directory, screen);
    options.workflows = discover(&place.directory, &place.config.home).files();
    options
}

/// A script and how it is named.
pub(super) fn read(file: &Path) -> Result<(String, Script)> {
    if file.as_os_str() == "-" {
        return Ok(("stdin".to_owned(), Script::text(script::read_stdin()?)));
    }
    let source = script::read(file)?;
    Ok((file.display().to_string(), Script::file(file, source)))
}

fn count(checked: &[(String, Vec<Finding>)], severity: Severity) -> usize {
    let findings = checked.iter().flat_map(|(_, findings)| findings);
    findings.filter(|it| it.severity == severity).count()
}

fn print_json(checked: &[(String, Vec<Finding>)]) -> Result<()> {
    let mut texts = Vec::new();
    for (path, findings) in checked {
        for finding in findings {
            texts.push(json(&Told { path, finding })?);
        }
    }
    let mut lines = Lines::new();
    output::array(&mut lines, texts.iter().map(String::as_str));
    lines.finish();
    Ok(())
}

fn print(checked: &[(String, Vec<Finding>)], paint: Paint) {
    let mut lines = Lines::new();
    for (path, findings) in checked {
        for finding in findings {
            for line in shown(path, finding, paint) {
                lines.line(&line);
            }
        }
    }
    lines.line(&counts(checked, paint));
    lines.finish();
}

/// A finding with its line and a caret under the place, as a refusal is shown.
pub(super) fn shown(path: &str, finding: &Finding, paint: Paint) -> Vec<String> {
    let path = plain(path);
    let place = match finding.line {
        0 => path.clone(),
        line => format!("{path}:{line}:{}", finding.column),
    };
    let severity = match finding.severity {
        Severity::Error => paint.red("error:"),
        Severity::Info => paint.dim("note:"),
        _ => paint.yellow("warning:"),
    };
    let message = plain(&finding.message);
    let code = paint.dim(&format!("[{}]", finding.code));
    let mut lines = vec![format!(
        "{}: {severity} {message} {code}",
        paint.bold(&place)
    )];
    lines.extend(finding.excerpt().map(|excerpt| plain(&excerpt)));
    if !finding.remedy.is_empty() {
        lines.push(format!("  = {}", plain(&finding.remedy)));
    }
    for related in &finding.related {
        let (line, column) = (related.line, related.column);
        lines.push(format!(
            "  {path}:{line}:{column}: {}",
            plain(&related.message)
        ));
    }
    // Findings stand apart.
    lines.push(String::new());
    lines
}

/// The last line.
fn counts(checked: &[(String, Vec<Finding>)], paint: Paint) -> String {
    let many = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let files = many(checked.len(), "file");
    let (errors, warnings) = (
        count(checked, Severity::Error),
        count(checked, Severity::Warning),
    );
    match (errors, warnings) {
        (0, 0) => paint.green(&format!("nothing found in {files}")),
        (0, _) => paint.yellow(&format!("{} in {files}", many(warnings, "warning"))),
        _ => {
            let (errors, warnings) = (many(errors, "error"), many(warnings, "warning"));
            paint.red(&format!("{errors} and {warnings} in {files}"))
        }
    }
}

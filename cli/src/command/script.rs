//! What a run is made from: the script's file and its arguments.

use std::io::{self, Read as _};
use std::path::Path;

use serde_json::value::RawValue;

use crate::args::ArgsFlags;
use crate::error::{CommandError, Result};

/// Arguments larger than this are no arguments: they are held in memory, and journaled.
const ARGS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A script on stdin that is longer is refused for its length all the same.
const SCRIPT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Reads the script.
///
/// # Errors
/// A usage error when it is not there, is a folder, cannot be read, or is no text.
pub(super) fn read(path: &Path) -> Result<String> {
    if let Some(text) = bellwether::workflow::bundled(path) {
        return Ok(text.to_owned());
    }
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            CommandError::usage(format!("no script at {shown}"))
                .help("give the path of a workflow script: `bellwether run path/to/script.js`")
        }
        _ => CommandError::usage(format!("the script {shown} cannot be read: {error}")),
    })?;
    if metadata.is_dir() {
        return Err(
            CommandError::usage(format!("the script {shown} is a folder, not a file"))
                .help("give the path of a workflow script: `bellwether run path/to/script.js`"),
        );
    }
    let bytes = std::fs::read(path).map_err(|error| {
        CommandError::usage(format!("the script {shown} cannot be read: {error}"))
    })?;
    text(bytes, &shown.to_string())
}

/// Reads a script from stdin.
///
/// # Errors
/// A usage error when it cannot be read, or is no text.
pub(super) fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(SCRIPT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| CommandError::usage(format!("stdin cannot be read: {error}")))?;
    text(bytes, "on stdin")
}

fn text(bytes: Vec<u8>, shown: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid]
            .split(|&byte| byte == b'\n')
            .count();
        CommandError::usage(format!(
            "the script {shown} is not UTF-8: line {line}, byte {valid}"
        ))
        .help("save it as UTF-8")
    })
}

/// The script's arguments as JSON text.
///
/// # Errors
/// A usage error that shows the place when they are no JSON.
pub(super) fn arguments(flags: &ArgsFlags) -> Result<Option<String>> {
    if let Some(text) = &flags.text {
        return Ok(Some(serde_json::Value::from(text.as_str()).to_string()));
    }
    let (text, name) = match (&flags.args, &flags.args_file) {
        (Some(text), _) => (text.to_owned(), "--args".to_owned()),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = String::new();
            io::stdin()
                .lock()
                .take(ARGS_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|error| {
                    CommandError::usage(format!("--args-file -: stdin cannot be read: {error}"))
                })?;
            (text, "stdin".to_owned())
        }
        (None, Some(file)) => {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|error| {
                CommandError::usage(format!("--args-file {name}: cannot be read: {error}"))
            })?;
            (text, name)
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim_start_matches('\u{feff}').trim_end();
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Ok(Some(value.get().to_owned())),
        Err(error) => Err(no_json(&name, text, &error)),
    }
}

fn no_json(name: &str, text: &str, error: &serde_json::Error) -> CommandError {
    let (line, column) = (error.line(), error.column());
    let what = error.to_string();
    let what = what
        .rsplit_once(" at line ")
        .map_or(what.as_str(), |(what, _)| what);
    let mut message = format!("{name}:{line}:{column}: args are no JSON: {what}");
    if let Some(source) = text.lines().nth(line.saturating_sub(1)) {
        let (start, shown) = excerpt(source, column);
        let caret = column.saturating_sub(1 + start);
        let caret = source
            .get(start..start + caret)
            .map_or(caret, |part| part.chars().count());
        message = format!("{message}\n  {shown}\n  {}^", " ".repeat(caret));
    }
    CommandError::usage(message).help(
        "a text needs quotation marks of its own: --args '\"text\"'; a file: --args-file FILE",
    )
}

/// The part of a long line around a column, and the byte at which it begins.
fn excerpt(line: &str, column: usize) -> (usize, &str) {
    const AROUND: usize = 38;
    let mut start = column.saturating_sub(AROUND).min(line.len());
    while !line.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (column + AROUND).min(line.len());
    while !line.is_char_boundary(end) {
        end += 1;
    }
    (start, &line[start..end])
}

/// The commit that is checked out in `directory`, if git is there and has one.
pub(super) fn base_commit(directory: &Path) -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["rev-parse", "--verify", "--quiet", "HEAD"])
        .current_dir(directory)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    let commit = commit.trim();
    (output.status.success() && !commit.is_empty()).then(|| commit.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn arguments(text: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
        super::arguments(&ArgsFlags {
            text: None,
            args: text.map(str::to_owned),
            args_file: file.map(Path::to_owned),
        })
    }

    #[test]
    fn a_script_that_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.js");
        let said = |path: &Path| {
            let error = read(path).unwrap_err();
            assert_eq!(error.exit_code().number(), 2);
            error.message().to_owned()
        };
        assert!(said(&file).starts_with("no script at "));
        assert!(said(folder.path()).ends_with("is a folder, not a file"));
        std::fs::write(&file, b"one\ntwo \xff").unwrap();
        assert!(said(&file).ends_with("is not UTF-8: line 2, byte 8"));
        std::fs::write(&file, "\u{feff}export const meta = {}\r\n").unwrap();
        assert_eq!(read(&file).unwrap(), "\u{feff}export const meta = {}\r\n");
    }

    #[test]
    fn arguments_stay_as_they_were_written() {
        assert_eq!(arguments(None, None).unwrap(), None);
        let text = " {\"b\": 1.50, \"a\": [ ]}\n";
        assert_eq!(
            arguments(Some(text), None).unwrap().unwrap(),
            "{\"b\": 1.50, \"a\": [ ]}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("args.json");
        std::fs::write(&file, "\u{feff}[1]\n").unwrap();
        assert_eq!(
            arguments(None, Some(file.as_path())).unwrap().unwrap(),
            "[1]"
        );
        assert!(arguments(None, Some(&folder.path().join("none"))).is_err());
    }

    #[test]
    fn wrong_arguments_show_their_place() {
        let error = arguments(Some("{\"a\": 1,\n \"b\": x}"), None).unwrap_err();
        assert_eq!(
            error.message(),
            "--args:2:7: args are no JSON: expected value\n   \"b\": x}\n        ^"
        );
        for text in [
            "",
            "é",
            "é x",
            "plain text",
            "{",
            "1 2",
            &format!("\"{}", "é".repeat(200)),
        ] {
            let error = arguments(Some(text), None).unwrap_err();
            assert!(
                error.message().starts_with("--args:"),
                "{text}: {}",
                error.message()
            );
            assert_eq!(error.exit_code().number(), 2);
        }
    }
}

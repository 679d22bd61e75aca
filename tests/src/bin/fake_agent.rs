//! The fake agent: a real process that speaks the `command` protocol and does the steps that its prompt lists.
//!
//! `fake_agent`            one task as a JSON object on stdin, one answer on stdout
//! `fake_agent --prompt`   the prompt alone on stdin
//! `fake_agent --lines`    a task a line on stdin, an answer a line on stdout, until stdin ends
//! `fake_agent --linger F` a session of its own that writes its process id to F and hangs
#![expect(
    clippy::print_stderr,
    reason = "what it writes to stderr is evidence for the engine"
)]

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use bellwether_tests::fake_agent::Step;
use bellwether_tests::fifo::{append_line, pass};
use serde_json::{Value, json};

const WORDS: &str = "the quick brown fox jumps over the lazy dog and ";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["--linger", bell] => linger(Path::new(bell)),
        ["--lines"] => {
            for line in std::io::stdin().lock().lines() {
                if let Some(code) = work(&serde_json::from_str(&line?)?)? {
                    return Ok(code);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        ["--prompt", ..] => {
            let prompt = std::io::read_to_string(std::io::stdin())?;
            Ok(work(&json!({ "prompt": prompt, "attempt": 1 }))?.unwrap_or(ExitCode::SUCCESS))
        }
        _ => {
            let task = serde_json::from_reader(std::io::stdin().lock())?;
            Ok(work(&task)?.unwrap_or(ExitCode::SUCCESS))
        }
    }
}

/// Does the steps of a task. Gives a code when the process is to end with it.
fn work(task: &Value) -> anyhow::Result<Option<ExitCode>> {
    let prompt = task["prompt"].as_str().context("a task without a prompt")?;
    take(
        serde_json::from_str(prompt).context("the prompt lists no steps")?,
        task,
    )
}

fn take(steps: Vec<Step>, task: &Value) -> anyhow::Result<Option<ExitCode>> {
    for step in steps {
        match step {
            Step::Append { to, line } => append_line(&to, &filled(&line, task))?,
            Step::Pass(gate) => pass(&gate)?,
            Step::Progress(event) => say(&json!({ "event": event }).to_string())?,
            Step::Say(text) => say(&filled(&text, task))?,
            Step::Complain(text) => eprintln!("{text}"),
            Step::Flood(bytes) => flood(bytes)?,
            Step::Grandchild(bell) => grandchild(&bell)?,
            Step::FailBefore { attempt, kind } => {
                if task["attempt"].as_u64().unwrap_or(1) < u64::from(attempt) {
                    return fail(&kind, "not yet");
                }
            }
            Step::AnswerTask => return answer(task),
            Step::InTurn { file, mut turns } => {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                append_line(&file, &task["violations"].to_string())?;
                let turn = text.lines().count();
                anyhow::ensure!(turn < turns.len(), "there is no turn {turn}");
                return take(turns.swap_remove(turn), task);
            }
            Step::Answer(Value::String(text)) => return answer(&filled(&text, task).into()),
            Step::Answer(value) => return answer(&value),
            Step::Fail { kind, message } => return fail(&kind, &message),
            Step::Exit(code) => return Ok(Some(ExitCode::from(u8::try_from(code)?))),
            Step::IgnoreTerminate => ignore_terminate()?,
            Step::Hang => hang(),
            other => anyhow::bail!("a step that this agent does not know: {other:?}"),
        }
    }
    Ok(None)
}

fn filled(text: &str, task: &Value) -> String {
    let mut text = text.replace("{attempt}", &task["attempt"].to_string());
    for name in ["agentId", "runId", "idempotencyKey"] {
        text = text.replace(
            &format!("{{{name}}}"),
            task[name].as_str().unwrap_or_default(),
        );
    }
    text
}

fn say(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn answer(value: &Value) -> anyhow::Result<Option<ExitCode>> {
    let usage = json!({ "inputTokens": 5, "outputTokens": 7 });
    say(&json!({ "value": value, "usage": usage }).to_string())?;
    Ok(None)
}

fn fail(kind: &str, message: &str) -> anyhow::Result<Option<ExitCode>> {
    say(&json!({ "error": { "kind": kind, "message": message } }).to_string())?;
    Ok(None)
}

fn flood(bytes: u64) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        let count = left.min(WORDS.len());
        stdout.write_all(&WORDS.as_bytes()[..count])?;
        left -= count;
    }
    writeln!(stdout)?;
    stdout.flush()
}

/// A handler that does nothing takes the place of the default, which would end the process.
fn ignore_terminate() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    // Its stream is of no use; the handler stays.
    let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(())
}

fn grandchild(bell: &Path) -> anyhow::Result<()> {
    Command::new(std::env::current_exe()?)
        .arg("--linger")
        .arg(bell)
        .stdin(Stdio::null())
        .spawn()
        .context("the grandchild")?;
    Ok(())
}

fn linger(bell: &Path) -> ! {
    // In the child itself, so that no code runs between fork and exec.
    let _ = rustix::process::setsid();
    let _ = append_line(bell, &std::process::id().to_string());
    hang()
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

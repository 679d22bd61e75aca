//! The fake model server as a program, for agents that are programs.
//!
//! `model-server [--port N] [--script FILE] [--log FILE]` says on the first line of stdout where it listens, and serves until
//! it is killed. The script is for prompts that carry none; the log has a line of JSON for every exchange.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bellwether_tests::model_server::Settings;

const USAGE: &str = "usage: model-server [--port N] [--script FILE] [--log FILE]";

fn main() -> anyhow::Result<()> {
    let mut settings = Settings::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value; {USAGE}"))?;
        settings = match option.as_str() {
            "--port" => settings.port(value.parse().with_context(|| format!("--port {value}"))?),
            "--script" => {
                let source = std::fs::read_to_string(&value).with_context(|| value.clone())?;
                settings.script(&source).with_context(|| value.clone())?
            }
            "--log" => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&value)
                    .with_context(|| value.clone())?;
                let file = Mutex::new(file);
                settings.observer(move |exchange| {
                    let line = format!("{}\n", exchange.summary());
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    // A log that cannot be written stops nobody.
                    let _ = file.write_all(line.as_bytes());
                })
            }
            _ => bail!("{option} is no option; {USAGE}"),
        };
    }
    let server = settings.start().context("the server does not start")?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", server.url())?;
    stdout.flush()?;
    drop(stdout);
    loop {
        std::thread::park();
    }
}

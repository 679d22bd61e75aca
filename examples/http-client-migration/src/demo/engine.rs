//! The program `bellwether` as a child process: started, killed, resumed and asked.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::workspace::Workspace;

/// The program and what every call of it needs.
#[derive(Debug)]
pub(crate) struct Engine {
    program: PathBuf,
    journal: PathBuf,
    folder: PathBuf,
}

impl Engine {
    /// The program given, or the one beside this one.
    pub(crate) fn find(program: Option<&Path>, workspace: &Workspace) -> Result<Self> {
        let beside =
            env::current_exe()?.with_file_name(format!("bellwether{}", env::consts::EXE_SUFFIX));
        let program = program.map_or(beside, Path::to_owned);
        if !program.is_file() {
            bail!(
                "there is no {}: run ./demo, or `cargo build --release -p bellwether-cli` first",
                program.display()
            );
        }
        let program = fs::canonicalize(program)?;
        Ok(Self {
            program,
            journal: workspace.journal.clone(),
            folder: workspace.folder.clone(),
        })
    }

    /// The program's path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts the migration, in a process that is the whole engine.
    pub(crate) fn start(&self, workspace: &Workspace, pace: u64, concurrency: u32) -> Result<Run> {
        let program = env::current_exe()?;
        let words = [
            program.to_string_lossy().into_owned(),
            "agent".to_owned(),
            "--ledger".to_owned(),
            workspace.ledger.to_string_lossy().into_owned(),
            "--pace".to_owned(),
            pace.to_string(),
        ];
        let agent = shlex::try_join(words.iter().map(String::as_str))?;
        let check = ["check", "--client", workspace.client.as_str()];
        let verify = [&[&*words[0]], &check[..]].concat();
        let verify = shlex::try_join(verify)?;
        let arguments = json!({ "verify": verify }).to_string();
        let concurrency = concurrency.to_string();
        let mut command = self.command();
        // Worktrees are made of the repository that the run works in.
        command.current_dir(&workspace.service);
        command.arg("run").arg(&workspace.script);
        command.args(["--agent-command", &agent, "--allow", "merge"]);
        command.args(["--args", &arguments, "--concurrency", &concurrency]);
        self.spawn(command, "run")
    }

    /// Resumes a run.
    pub(crate) fn resume(&self, _workspace: &Workspace, id: &str) -> Result<Run> {
        let mut command = self.command();
        command.args(["resume", id]);
        self.spawn(command, "resume")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn spawn(&self, mut command: Command, name: &str) -> Result<Run> {
        command.arg("--journal").arg(&self.journal);
        command.args(["--foreground", "--yes", "--events", "--json"]);
        let errors = self.folder.join(format!("{name}.stderr"));
        command
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?);
        let mut child = command.spawn().context("cannot start bellwether")?;
        let output = child
            .stdout
            .take()
            .context("bellwether has no standard output")?;
        let said = Arc::new(Mutex::new(Said::default()));
        let mut copy = File::create(self.folder.join(format!("{name}.events")))?;
        let reader = thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The copy is for reading afterwards: without it the story goes on.
                    let _ = writeln!(copy, "{line}");
                    said.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .hear(&line);
                }
            }
        });
        Ok(Run {
            child,
            said,
            reader: Some(reader),
            errors,
        })
    }

    /// What a verb says as JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = self.command();
        let output = command
            .args(words)
            .arg("--journal")
            .arg(&self.journal)
            .arg("--json")
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("bellwether {}: {}", words.join(" "), errors.trim()))
    }

    /// The id of the newest run of the journal.
    pub(crate) fn latest(&self) -> Option<String> {
        let runs = self.ask(&["ps", "--all"]).ok()?;
        runs.get(0)?.get("runId")?.as_str().map(str::to_owned)
    }
}

/// What a run has said so far.
#[derive(Debug, Default)]
struct Said {
    id: Option<String>,
    last: Option<Value>,
}

impl Said {
    /// The one place that reads the lines of `--events`: the run's id stands in any of them, and
    /// the object of `--json` is the last.
    fn hear(&mut self, line: &str) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return;
        };
        if self.id.is_none() {
            self.id = value
                .get("runId")
                .and_then(Value::as_str)
                .map(str::to_owned);
        }
        self.last = Some(value);
    }
}

/// A run in its process.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    said: Arc<Mutex<Said>>,
    reader: Option<JoinHandle<()>>,
    errors: PathBuf,
}

impl Run {
    /// The process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL, which nothing can catch; gives back when the process is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the engine")?;
        let status = self.child.wait()?;
        self.listen_to_the_end();
        if status.code().is_some() {
            bail!("the engine had ended by itself before it was killed: {status}");
        }
        Ok(())
    }

    /// The run's id, if it was said.
    pub(crate) fn id(&self) -> Option<String> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id
            .clone()
    }

    /// The object that a run that has ended printed last.
    pub(crate) fn final_object(&mut self) -> Result<Final> {
        self.listen_to_the_end();
        let status = self.child.wait()?;
        let last = self
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .take();
        match last {
            Some(object) if object.get("status").is_some() && object.get("result").is_some() => {
                Ok(Final { object, status })
            }
            _ => bail!(
                "the resumed run gave no result ({status})\n{}",
                self.last_words()
            ),
        }
    }

    /// The end of what the process wrote to standard error.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn listen_to_the_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has told what it heard all the same.
            let _ = reader.join();
        }
    }
}

/// Whatever goes wrong here, no engine is left behind.
impl Drop for Run {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Final {
    /// The object of `--json`.
    pub(crate) object: Value,
    /// The process's status.
    pub(crate) status: ExitStatus,
}

impl Final {
    /// The workflow's report.
    pub(crate) fn report(&self) -> &Value {
        &self.object["result"]
    }

    /// One of the counts of agents.
    pub(crate) fn agents(&self, count: &str) -> Option<u64> {
        self.object["agents"][count].as_u64()
    }
}

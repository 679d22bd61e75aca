//! Tells that a run has ended, or waits for somebody: by a command, at least once, whatever crashes in between.
//!
//! Before a run begins there is a file for it in `<journal>.notify`, which says what to tell and how. The file goes when the
//! run's end was told; whoever opens the journal next tells what was not.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bellwether::{RunHandle, RunId, Status};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::daemon::Presence;
use crate::error::{CommandError, Result};
use crate::read::{Reader, json};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is tried, and how long before each further time.
const WAITS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(4),
];
/// How long a process that leaves waits for commands that it has begun.
const LEAVING: Duration = Duration::from_secs(10);

/// What to do when a run has ended or waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notify {
    /// A line for a shell.
    pub(crate) command: String,
    /// Where it is carried out.
    pub(crate) directory: PathBuf,
}

/// What the file of a run says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(flatten)]
    notify: Notify,
    /// For what the run was waiting when that was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<String>,
}

/// What was entrusted to a [`Notifier`], and can be taken back.
#[derive(Debug)]
pub(crate) struct Entrusted {
    run: String,
    /// What had been entrusted before it.
    before: Option<Entry>,
}

/// The files, and who looks after them in the process that holds the journal.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    folder: Arc<Path>,
    reader: Reader,
    presence: Arc<Presence>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Notifier {
    /// For the journal that this process holds.
    pub(crate) fn new(journal: &Path, reader: Reader, presence: Arc<Presence>) -> Self {
        let mut folder = journal.as_os_str().to_owned();
        folder.push(".notify");
        Self {
            folder: PathBuf::from(folder).into(),
            reader,
            presence,
            tasks: Arc::default(),
        }
    }

    /// Sees to it that a run's end will be told. To be asked before the run begins.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) fn entrust(&self, run: &str, notify: Notify) -> Result<Entrusted> {
        let before = self.read(run);
        let entry = Entry { notify, told: None };
        self.write(run, &entry).map_err(|error| {
            let folder = self.folder.display();
            CommandError::host(format!(
                "what to do at the end of the run cannot be written down in {folder}: {error}"
            ))
        })?;
        let run = run.to_owned();
        Ok(Entrusted { run, before })
    }

    /// What was to begin never began: whoever was to be told before is told still, and nobody else.
    pub(crate) fn withdraw(&self, entrusted: Entrusted) {
        let Entrusted { run, before } = entrusted;
        match before {
            None => self.forget(&run),
            Some(before) => {
                if let Err(error) = self.write(&run, &before) {
                    tracing::warn!(%run, %error, "whom to tell of the run cannot be put back");
                }
            }
        }
    }

    fn forget(&self, run: &str) {
        if let Err(error) = fs::remove_file(self.file(run)) {
            tracing::debug!(%run, %error, "nothing was to be told of the run");
        }
    }

    /// Tells when the run waits or has ended, if somebody wants to know.
    pub(crate) async fn watch(&self, handle: RunHandle) {
        if self.read(&handle.id().to_string()).is_none() {
            return;
        }
        let notifier = self.clone();
        let mut tasks = self.tasks.lock().await;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { notifier.follow(handle).await });
    }

    async fn follow(&self, handle: RunHandle) {
        let run = handle.id();
        let mut known = Status::Queued;
        while let Some(status) = handle.next_status(known).await {
            known = status;
            if status == Status::Waiting {
                let reason = handle.reason().unwrap_or_default();
                self.tell(run, status, Some(reason)).await;
            }
        }
        let status = handle.status();
        if status.is_final() || handle.journal_failed() {
            self.tell(run, status, handle.reason()).await;
        }
    }

    /// Tells what a process before this one could not.
    pub(crate) async fn catch_up(&self) {
        let Ok(files) = fs::read_dir(&self.folder) else {
            return;
        };
        for file in files.filter_map(std::result::Result::ok) {
            let name = file.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            let Ok(run) = name.parse::<RunId>() else {
                continue;
            };
            match self.reader.row(run) {
                Ok(row) if row.status.is_final() => {
                    let notifier = self.clone();
                    let mut tasks = self.tasks.lock().await;
                    tasks.spawn(async move { notifier.tell(run, row.status, None).await });
                }
                Ok(_) => {}
                // It never came to be.
                Err(error) if error.exit_code() == crate::exit_code::ExitCode::Usage => {
                    self.forget(name);
                }
                Err(error) => {
                    tracing::warn!(%run, error = error.message(), "a run cannot be told of");
                }
            }
        }
    }

    /// Waits for commands that were begun. What is not told then is told by the next process.
    pub(crate) async fn finish(&self) {
        let told = async {
            let mut tasks = self.tasks.lock().await;
            while tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(LEAVING, told).await.is_err() {
            tracing::warn!("a command that tells of a run takes too long: it is tried again later");
        }
    }

    /// Tells how a run stands; its file goes when it has ended.
    async fn tell(&self, run: RunId, status: Status, reason: Option<String>) {
        let name = run.to_string();
        let Some(mut entry) = self.read(&name) else {
            return;
        };
        if status == Status::Waiting && entry.told == reason {
            return;
        }
        // While it is told the process stays.
        let _busy = self.presence.enter();
        let (reader, told) = (self.reader.clone(), reason.clone());
        let outcome = tokio::task::spawn_blocking(move || {
            let mut outcome = reader.outcome(run)?;
            outcome.status = status;
            outcome.reason = reason.or(outcome.reason);
            json(&outcome)
        });
        let text = match outcome.await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::warn!(%run, error = error.message(), "a run cannot be told of");
                return;
            }
            Err(error) => {
                tracing::warn!(%run, %error, "a run cannot be told of");
                return;
            }
        };
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            match carry_out(&entry.notify, &name, status, &text).await {
                Ok(ended) if ended.success() => {
                    if status == Status::Waiting {
                        entry.told = told;
                        if let Err(error) = self.write(&name, &entry) {
                            tracing::warn!(%run, %error, "that a run waits may be told twice");
                        }
                    } else if status.is_final() {
                        self.forget(&name);
                    }
                    return;
                }
                Ok(ended) => {
                    tracing::warn!(%run, command = entry.notify.command, %ended, "the command that tells of a run failed");
                }
                Err(error) => {
                    tracing::warn!(%run, command = entry.notify.command, %error, "the command that tells of a run failed");
                }
            }
        }
    }

    fn file(&self, run: &str) -> PathBuf {
        self.folder.join(format!("{run}.json"))
    }

    fn read(&self, run: &str) -> Option<Entry> {
        let text = fs::read(self.file(run)).ok()?;
        serde_json::from_slice(&text)
            .inspect_err(
                |error| tracing::warn!(%run, %error, "what to do at a run's end is illegible"),
            )
            .ok()
    }

    /// Writes a file that is there whole, after a crash too, or as it was.
    fn write(&self, run: &str, entry: &Entry) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(entry)?)?;
        file.as_file().sync_all()?;
        file.persist(self.file(run))?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

/// Carries the command out, with the run's outcome on its stdin.
async fn carry_out(
    notify: &Notify,
    run: &str,
    status: Status,
    outcome: &str,
) -> io::Result<ExitStatus> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(&notify.command)
        .current_dir(&notify.directory)
        .env("BELLWETHER_RUN", run)
        .env("BELLWETHER_STATUS", status.name())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    let told = async {
        if let Some(mut input) = input {
            // One that does not read is told by its environment.
            let _ = input.write_all(outcome.as_bytes()).await;
        }
        child.wait().await
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

//! The git program, as the engine calls it: never asking anybody, in no hurry to guess, and with answers that are read by
//! their bytes.
//!
//! Every call names its folder (`git -C`), speaks English, asks for no password, runs no hook, signs nothing, starts no
//! maintenance, and knows nothing of a repository that the engine's own environment may point to: an engine that was
//! started by a git hook must not work on that hook's index. Settings are given for one call (`git -c`); a repository's
//! configuration is never written.

mod error;
pub(crate) mod parse;
mod path;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

pub use self::error::GitError;
pub(crate) use self::error::is_disk_full;
pub(crate) use self::path::RepoPath;

/// The oldest git that does what is asked here: `merge-tree --write-tree` came with it.
pub(crate) const VERSION_MIN: (u32, u32) = (2, 38);

/// Variables that point git to a repository, an index or a configuration: those that `git rev-parse --local-env-vars`
/// names, and others that change what a call means. They must not reach git, nor an agent that works in a worktree.
pub(crate) const LOCAL_VARIABLES: [&str; 31] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_AUTHOR_DATE",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_DATE",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// What holds for every call.
const SETTINGS: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "i18n.commitEncoding=UTF-8",
    "index.sparse=false",
    "index.version=2",
    "maintenance.auto=false",
    "submodule.recurse=false",
];

/// What a commit, a tree or a branch must be before anybody hears of it: on the disk.
const DURABLE: [&str; 2] = [
    "core.fsync=committed,loose-object",
    "core.fsyncMethod=batch",
];

/// Who the engine is as author and committer.
const NAME: &str = "Bellwether";
const EMAIL: &str = "bellwether@localhost";

/// How much of the end of stderr stands in an error, in bytes.
const STDERR_BYTES: usize = 2048;
/// How much of a command stands in an error, in characters.
const COMMAND_CHARS: usize = 120;

/// The git program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git(Arc<Program>);

#[derive(Debug)]
struct Program {
    path: PathBuf,
    checked: OnceCell<()>,
}

impl Default for Git {
    /// `git`, as found in `PATH`.
    fn default() -> Self {
        Self::program("git")
    }
}

impl Git {
    /// Another git: a name to look up in `PATH`, or a path.
    #[must_use]
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Program {
            path: path.into(),
            checked: OnceCell::new(),
        }))
    }

    /// Makes sure, once, that git is there and new enough.
    ///
    /// # Errors
    /// [`GitError::Missing`], [`GitError::TooOld`].
    pub async fn check(&self) -> Result<(), GitError> {
        let check = async {
            let said = self.call_anywhere().arg("version").text().await?;
            match version(&said) {
                Some(found) if found < VERSION_MIN => Err(GitError::TooOld { said }),
                Some(_) => Ok(()),
                None => Err(GitError::unreadable("version")),
            }
        };
        self.0.checked.get_or_try_init(|| check).await.copied()
    }

    /// A call that works in `folder`.
    pub(crate) fn call(&self, folder: &Path) -> Call {
        let mut call = self.call_anywhere();
        call.command.arg("-C").arg(folder);
        call
    }

    fn call_anywhere(&self) -> Call {
        let mut command = Command::new(&self.0.path);
        for variable in LOCAL_VARIABLES {
            command.env_remove(variable);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .kill_on_drop(true);
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        Call {
            program: self.0.path.clone(),
            command,
            words: Vec::new(),
            input: None,
            output_max: usize::MAX,
        }
    }
}

/// One call of git that is being put together.
#[derive(Debug)]
pub(crate) struct Call {
    program: PathBuf,
    command: Command,
    /// The arguments, for messages.
    words: Vec<OsString>,
    input: Option<Vec<u8>>,
    output_max: usize,
}

/// What a call said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    /// Stdout was longer than was asked for, and git was ended.
    pub(crate) cut: bool,
    status: ExitStatus,
    stderr: String,
    words: Vec<OsString>,
}

impl Call {
    /// A setting for this call. To be given before the first argument.
    pub(crate) fn setting(mut self, setting: impl AsRef<OsStr>) -> Self {
        self.command.arg("-c").arg(setting);
        self
    }

    /// What is written is on the disk when the call has ended.
    pub(crate) fn durable(mut self) -> Self {
        for setting in DURABLE {
            self = self.setting(setting);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The engine is author and committer.
    pub(crate) fn identity(self) -> Self {
        self.env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", EMAIL)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", EMAIL)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(argument.as_ref().to_owned());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        for argument in arguments {
            self = self.arg(argument);
        }
        self
    }

    /// What git reads from stdin. Without it there is nothing to read.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// How much of stdout is wanted, in bytes. When there is more git is ended, and that is no error.
    pub(crate) const fn output_max(mut self, bytes: usize) -> Self {
        self.output_max = bytes;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Git could not be started. A call that failed is an [`Output`], too.
    pub(crate) async fn output(mut self) -> Result<Output, GitError> {
        let pipe_or_null = |wanted| {
            if wanted {
                Stdio::piped()
            } else {
                Stdio::null()
            }
        };
        self.command
            .stdin(pipe_or_null(self.input.is_some()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GitError::Missing {
                program: self.program.clone(),
            },
            _ => GitError::Io(error),
        })?;
        let (input, output_max) = (self.input.take(), self.output_max);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ((), read, stderr) = tokio::join!(
            write(&mut child, input),
            head(stdout, output_max),
            tail(stderr)
        );
        let (stdout, cut) = read?;
        let status = child.wait().await?;
        Ok(Output {
            stdout,
            cut,
            status,
            stderr,
            words: self.words,
        })
    }

    /// Runs it, and takes any end but success for an error.
    ///
    /// # Errors
    /// [`GitError`].
    pub(crate) async fn run(self) -> Result<Vec<u8>, GitError> {
        let output = self.output().await?;
        if !output.success() {
            return Err(output.error());
        }
        Ok(output.stdout)
    }

    /// The one line that it answers.
    ///
    /// # Errors
    /// [`GitError`]; also when the answer is no UTF-8.
    pub(crate) async fn text(self) -> Result<String, GitError> {
        let words = self.words.clone();
        let bytes = self.run().await?;
        let mut text =
            String::from_utf8(bytes).map_err(|_| GitError::unreadable(&command(&words)))?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }

    /// The one path that it answers.
    ///
    /// # Errors
    /// [`GitError`].
    pub(crate) async fn path(self) -> Result<PathBuf, GitError> {
        use std::os::unix::ffi::OsStringExt as _;
        let mut bytes = self.run().await?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}

impl Output {
    pub(crate) fn success(&self) -> bool {
        self.status.success() || self.cut
    }

    /// The exit code; `None` when a signal ended git.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The end of stderr.
    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }

    /// This end as an error.
    pub(crate) fn error(&self) -> GitError {
        GitError::of(&command(&self.words), self.status, &self.stderr)
    }
}

/// The arguments as a person reads them.
fn command(words: &[OsString]) -> String {
    let text = words
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    match text.char_indices().nth(COMMAND_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `git version 2.47.3 (Apple Git-154)`: the first two numbers.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

async fn write(child: &mut Child, input: Option<Vec<u8>>) {
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A git that does not read to the end says why by how it ends.
        let _ = stdin.write_all(&input).await;
    }
}

/// Up to `max` bytes of the beginning, and whether there was more.
async fn head(from: Option<impl AsyncRead + Unpin>, max: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let Some(from) = from else {
        return Ok((bytes, false));
    };
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit).read_to_end(&mut bytes).await?;
    let cut = bytes.len() > max;
    bytes.truncate(max);
    Ok((bytes, cut))
}

/// The end, of any length.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        while let Ok(read) = from.read_buf(&mut bytes).await
            && read > 0
        {
            if bytes.len() > 2 * STDERR_BYTES {
                bytes.drain(..bytes.len() - STDERR_BYTES);
            }
        }
    }
    let surplus = bytes.len().saturating_sub(STDERR_BYTES);
    String::from_utf8_lossy(&bytes[surplus..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whoever_built_git() {
        for (said, wanted) in [
            ("git version 2.38.0", Some((2, 38))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 3.0.rc1", Some((3, 0))),
            ("git version 2.47.1.windows.2", Some((2, 47))),
            ("hub version 2.14", None),
            ("git version x", None),
        ] {
            assert_eq!(version(said), wanted, "{said}");
        }
    }
}

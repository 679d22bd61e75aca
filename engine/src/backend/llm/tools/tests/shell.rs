//! `shell`, over a way to run commands that is only for tests.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::super::{End, Means, Output, Permitted, Ran, Shell, Switches, Toolbox, Workplace};
use super::Agent;

struct Plain;

impl Shell for Plain {
    fn run(
        &self,
        command: String,
        directory: PathBuf,
        timeout: Duration,
        cancelled: CancellationToken,
    ) -> BoxFuture<'static, io::Result<Ran>> {
        Box::pin(async move {
            let mut child = Command::new("sh")
                .args(["-c", &format!("exec 2>&1\n{command}")])
                .current_dir(directory)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let mut output = Output::default();
            let Some(mut stdout) = child.stdout.take() else {
                return Err(io::Error::other("no stdout"));
            };
            let time = tokio::time::sleep(timeout);
            tokio::pin!(time);
            let mut buffer = [0; 4_096];
            loop {
                let read = tokio::select! {
                    read = stdout.read(&mut buffer) => read?,
                    () = &mut time => {
                        child.kill().await?;
                        return Ok(Ran { output, end: End::TimedOut });
                    }
                    () = cancelled.cancelled() => {
                        child.kill().await?;
                        return Ok(Ran { output, end: End::Signalled(9) });
                    }
                };
                if read == 0 {
                    break;
                }
                output.push(&buffer[..read]);
            }
            let status = child.wait().await?;
            let end = match status.code() {
                Some(code) => End::Exited(code),
                None => End::Signalled(status.signal().unwrap_or_default()),
            };
            Ok(Ran { output, end })
        })
    }
}

pub(super) fn agent() -> Agent {
    Agent::with(&Means {
        shell: Some(Arc::new(Plain)),
        web: None,
    })
}

#[tokio::test]
async fn a_command_runs_in_the_agents_folder_and_says_how_it_ended() {
    let agent = agent();
    let run = |command: &str| agent.call("shell", json!({"command": command}));
    let answer = run("echo out; echo err >&2; pwd").await;
    let root = agent
        .root()
        .canonicalize()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.text, format!("out\nerr\n{}\n", root.display()));
    assert!(!answer.is_error);
    let answer = run("true").await;
    assert_eq!(
        (answer.text.as_str(), answer.is_error),
        ("(exit code 0, no output)", false)
    );
    let answer = run("printf oops; exit 3").await;
    assert_eq!(
        (answer.text.as_str(), answer.is_error),
        ("oops\n(exit code 3)", true)
    );
    let answer = run("kill -9 $$").await;
    assert_eq!(
        (answer.text.as_str(), answer.is_error),
        ("(ended by signal 9)", true)
    );
    let answer = run("seq 1 20000").await;
    assert!(answer.text.starts_with("1\n2\n") && answer.text.ends_with("19999\n20000\n"));
    assert!(answer.text.contains("bytes left out …]\n") && answer.text.len() < 34_000);
    let refused = agent
        .refused("shell", json!({"command": "true", "timeout_seconds": 601}))
        .await;
    assert!(
        refused.contains("`timeout_seconds`") && refused.contains("600"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_that_takes_too_long_is_ended() {
    let agent = agent();
    let answer = agent
        .call("shell", json!({"command": "exec sleep 1000"}))
        .await;
    assert!(
        answer.is_error && answer.text.starts_with("(ended after 120 seconds"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_cancelled_command_has_ended() {
    let agent = agent();
    let cancelled = CancellationToken::new();
    // It says that it runs by making the file, which only `inotify` or looking again and again could see; the pipe
    // waits.
    let pipe = agent.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let command = json!({"command": "echo $$ > pipe; exec sleep 1000"});
    let (answer, id) = tokio::join!(agent.toolbox.call("shell", &command, &cancelled), async {
        let id = tokio::fs::read_to_string(&pipe).await;
        cancelled.cancel();
        id.unwrap_or_else(|error| panic!("{error}"))
    });
    assert!(answer.is_error, "{}", answer.text);
    let id = id
        .trim()
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let id = id.unwrap_or_else(|| panic!("no process id"));
    assert_eq!(
        rustix::process::test_kill_process(id),
        Err(rustix::io::Errno::SRCH)
    );
}

#[tokio::test]
async fn without_the_switch_or_without_means_there_is_no_shell() {
    let agent = agent();
    let means = Means {
        shell: Some(Arc::new(Plain)),
        web: None,
    };
    let workplace =
        || Workplace::new(&agent.root(), "b-1").unwrap_or_else(|error| panic!("{error}"));
    let tools = ["Bash".to_owned()];
    let (off, _) = Permitted::new(Some(&tools), &[], Switches::default());
    let on = Switches {
        shell: true,
        web_fetch: false,
    };
    let (on, _) = Permitted::new(Some(&tools), &[], on);
    for (permitted, means) in [(&off, means), (&on, Means::default())] {
        let toolbox = Toolbox::new(workplace(), permitted, &means);
        assert_eq!(toolbox.definitions(), []);
        let cancelled = CancellationToken::new();
        let answer = toolbox
            .call("shell", &json!({"command": "true"}), &cancelled)
            .await;
        assert!(
            answer.is_error && answer.text.starts_with("there is no tool `shell`"),
            "{}",
            answer.text
        );
    }
}

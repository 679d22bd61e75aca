//! Real processes: shell scripts as agents. This test program is its own launcher.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::backend::conformance::{Behaviour, conforms, failure, lives, process_id, watched};
use crate::backend::fixtures::{context, task};
use bellwether_actors::backend::{AgentOutcome, PreviousAttempt, Violation};

bellwether_launcher::child_main_before_tests!();

fn options(script: &str, input: InputMode) -> Options {
    let words = ["sh", "-c", script, "agent"].map(str::to_owned);
    Options {
        input,
        ..Options::new(words.into())
    }
}

fn backend(options: Options) -> Arc<CommandBackend> {
    Arc::new(CommandBackend::new(
        options,
        Arc::new(Launcher::default()),
        Arc::new(|| 0),
    ))
}

fn agent(script: &str) -> Arc<CommandBackend> {
    backend(options(script, InputMode::Task))
}

async fn run(backend: &CommandBackend, call: u32) -> Ended {
    backend.run(task(call, None), context()).await
}

fn value(ended: Ended) -> Value {
    match ended.outcome {
        AgentOutcome::Completed(value) => serde_json::from_str(&value).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn script(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::Answers => {
            r#"printf '%s\n' '{"value": {"z": 1e400, "a": [12345678901234567890]}, "usage": {"inputTokens": 3, "outputTokens": 4}}'"#
        }
        Behaviour::Babbles => r#"printf 'na \377\n{"event": "hm"}\n{"value":\n{"value": 1}\n'"#,
        Behaviour::AnswersAtLength => {
            r#"printf '{"value":"'; head -c 10485760 /dev/zero | tr '\0' x; printf '"}\n'"#
        }
        Behaviour::Reports => {
            r#"printf '{"error": {"kind": "quota", "message": "spent", "retryAfter": 2}}\n'"#
        }
        Behaviour::Crashes => "echo oops >&2; exit 3",
        Behaviour::Waits => r#"setsid sleep 10000 & printf '{"event": %s}\n' $!; wait"#,
        Behaviour::IsDeaf => {
            r#"trap "" TERM; setsid sleep 10000 & printf '{"event": %s}\n' $!; while :; do wait; done"#
        }
    }
}

fn behaving(
    input: InputMode,
    behaviour: Behaviour,
    timeout: Option<Duration>,
) -> Arc<dyn AgentBackend> {
    let script = script(behaviour);
    let script = match input {
        InputMode::Lines => format!("while read -r line; do {script}; done"),
        _ => format!("cat > /dev/null; {script}"),
    };
    backend(Options {
        timeout,
        ..options(&script, input)
    })
}

#[tokio::test]
async fn a_process_for_a_task_conforms() {
    conforms(&|behaviour, timeout| behaving(InputMode::Task, behaviour, timeout)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_for_a_prompt_conforms() {
    conforms(&|behaviour, timeout| behaving(InputMode::Prompt, behaviour, timeout)).await;
}

#[tokio::test]
async fn a_process_for_many_tasks_conforms() {
    conforms(&|behaviour, timeout| behaving(InputMode::Lines, behaviour, timeout)).await;
}

#[tokio::test]
async fn a_task_is_one_json_object() {
    let mut work = Arc::unwrap_or_clone(task(12, Some("{\"type\":\n\"string\"}")));
    work.options.model = Some("m".to_owned());
    work.label = Some("é\n".into());
    work.previous_attempts = vec![PreviousAttempt {
        attempt: 1,
        ended: "interrupted".to_owned(),
        message: String::new(),
    }];
    work.options.system_prompt = Some("Be brief.".into());
    work.options.tools = Some(vec!["Read".to_owned()]);
    work.options.disallowed_tools = vec!["Bash".to_owned()];
    work.options.max_turns = Some(3);
    work.violations = vec![violation("/a", "too short")];
    work.previous_answer = Some("{\"a\":\n\"\"}".into());
    let directory = work.working_directory.to_str().unwrap().to_owned();
    let ended = agent("pwd; cat").run(Arc::new(work), context()).await;
    let output = value(ended);
    let (pwd, line) = output.as_str().unwrap().split_once('\n').unwrap();
    assert_eq!(pwd, directory);
    assert!(!line.contains('\n'));
    let seen: Value = serde_json::from_str(line).unwrap();
    let key = bellwether_journal::key::Digest::of("test", &[]).to_hex();
    let run = task(12, None).token.run.to_string();
    let expected = json!({
        "runId": run, "agentId": "a-12", "idempotencyKey": key, "attempt": 1,
        "previousAttempts": [{"attempt": 1, "ended": "interrupted", "message": ""}],
        "prompt": "Fix it.", "schema": {"type": "string"}, "model": "m", "effort": null,
        "agentType": null, "label": "é\n", "phase": null, "cwd": directory,
        "systemPrompt": "Be brief.", "tools": ["Read"], "disallowedTools": ["Bash"], "maxTurns": 3,
        "violations": [{"path": "/a", "message": "too short"}], "previousAnswer": {"a": ""}, "models": null,
    });
    assert_eq!(seen, expected);
    // All keys are there when there is nothing to say.
    let plain = value(agent("cat").run(task(0, None), context()).await);
    let plain: Value = serde_json::from_str(plain.as_str().unwrap()).unwrap();
    let keys = |object: &Value| {
        object
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&plain), keys(&expected));
    assert_eq!(
        (&plain["tools"], &plain["disallowedTools"]),
        (&Value::Null, &json!([]))
    );
}

fn violation(path: &str, message: &str) -> Violation {
    Violation {
        path: path.to_owned(),
        message: message.to_owned(),
    }
}

#[tokio::test]
async fn a_prompt_holds_all_that_there_is_to_say() {
    let run = async |words: &[&str], work: Task| {
        let mut options = options(r#"cat; printf '|%s' "$@""#, InputMode::Prompt);
        options
            .command
            .extend(words.iter().map(|&word| word.to_owned()));
        let ended = backend(options).run(Arc::new(work), context()).await;
        value(ended).as_str().unwrap().to_owned()
    };
    let mut work = Arc::unwrap_or_clone(task(0, Some("{\"type\": \"object\"}")));
    work.options.system_prompt = Some("Be brief.".into());
    let first = run(&[], work.clone()).await;
    assert_eq!(
        first,
        "Be brief.\n\n---\n\nFix it.\n\n---\n\nAnswer with one JSON value and nothing else: no text around it, no code \
         fence. It must fit this JSON Schema:\n\n{\"type\": \"object\"}|"
    );
    work.violations = vec![violation("", "no object"), violation("/a", "too short")];
    work.previous_answer = Some("\"Sorry\"".into());
    let again = run(&["{systemPrompt}", "{prompt}"], work).await;
    let (input, words) = again.split_once("|Be brief.|").unwrap();
    // Whoever takes it by its placeholder is not told it twice.
    assert!(input.starts_with("Fix it.\n\n---\n"));
    assert!(input.ends_with(
        "\n\nYour last answer did not fit:\n\n\"Sorry\"\n\nWhat is wrong with it, by its place in the answer:\n\n- (root): \
         no object\n- /a: too short\n\nGive the whole answer again."
    ));
    assert_eq!(words, input);
}

#[tokio::test]
async fn a_prompt_is_stdin_and_fills_the_command() {
    let mut options = options(r#"cat; printf '|%s' "$@""#, InputMode::Prompt);
    options
        .command
        .extend(["-{prompt}-", "{model}", "{cwd} {x}"].map(str::to_owned));
    let ended = backend(options).run(task(0, None), context()).await;
    let directory = std::env::temp_dir();
    let expected = format!("Fix it.|-Fix it.-||{} {{x}}", directory.display());
    assert_eq!(value(ended), Value::from(expected));
}

#[tokio::test]
async fn silence_is_an_empty_text() {
    assert_eq!(run(&agent(":"), 0).await, Ended::completed("\"\""));
}

#[tokio::test]
async fn an_agent_need_not_read_its_task() {
    let mut work = Arc::unwrap_or_clone(task(0, None));
    work.prompt = "x".repeat(1 << 20).into();
    let work = Arc::new(work);
    for script in ["echo early", "exec <&-; echo early"] {
        let ended = agent(script).run(Arc::clone(&work), context()).await;
        assert_eq!(ended, Ended::completed("\"early\""));
    }
}

#[tokio::test]
async fn an_exit_that_is_no_success_is_a_crash() {
    let failed = failure(run(&agent("echo '{\"value\": 1}'; echo why >&2; exit 3"), 0).await);
    assert_eq!(failed.kind, FailureKind::Crash);
    assert_eq!(failed.message, "the agent ended with exit code 3: why");
    assert_eq!(failed.evidence.as_deref(), Some("why\n"));
    let failed = failure(run(&agent("kill -9 $$"), 0).await);
    assert!(
        failed.message.contains("signal 9 (SIGKILL"),
        "{}",
        failed.message
    );
    // With an error object the agent's own word counts, whatever the exit.
    for exit in [0, 1] {
        let script = format!("echo '{{\"error\": {{\"kind\": \"refused\"}}}}'; exit {exit}");
        assert_eq!(
            failure(run(&agent(&script), 0).await).kind,
            FailureKind::Refused
        );
    }
    // The end counts, not the end of stdout.
    let script =
        "echo '{\"value\": 1}'; exec >&-; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; exit 4";
    assert!(
        failure(run(&agent(script), 0).await)
            .message
            .contains("exit code 4")
    );
}

#[tokio::test]
async fn what_cannot_be_started_is_a_crash_that_says_why() {
    let command = Options::new(vec!["no-such-agent".to_owned()]);
    let failed = failure(run(&backend(command), 0).await);
    assert_eq!(failed.kind, FailureKind::Crash);
    assert!(failed.message.contains("`no-such-agent`") && failed.message.contains("PATH"));

    let mut work = Arc::unwrap_or_clone(task(0, None));
    work.working_directory = "/no/such/place".into();
    let failed = failure(agent(":").run(Arc::new(work), context()).await);
    assert!(
        failed.message.contains("/no/such/place"),
        "{}",
        failed.message
    );

    let mut long = Arc::unwrap_or_clone(task(0, None));
    long.prompt = "x".repeat(3 << 20).into();
    let mut command = options(":", InputMode::Prompt);
    command.command.push("{prompt}".to_owned());
    let failed = failure(backend(command).run(Arc::new(long), context()).await);
    assert!(
        failed.message.contains("leave `{prompt}` out"),
        "{}",
        failed.message
    );

    let mut nul = Arc::unwrap_or_clone(task(0, None));
    nul.prompt = "a\0b".into();
    let mut command = options(":", InputMode::Prompt);
    command.command.push("{prompt}".to_owned());
    assert_eq!(
        failure(backend(command).run(Arc::new(nul), context()).await).kind,
        FailureKind::Crash
    );

    let failed = failure(run(&backend(Options::new(Vec::new())), 0).await);
    assert_eq!(failed.message, "the agent's command is empty");
}

#[tokio::test]
async fn stderr_is_drained_and_its_end_kept() {
    let script = "head -c 5000000 /dev/zero | tr '\\0' e >&2; echo the end >&2; exit 1";
    let evidence = failure(run(&agent(script), 0).await).evidence.unwrap();
    assert_eq!(evidence.len(), 4096);
    assert!(evidence.ends_with("eethe end\n"));
}

#[tokio::test]
async fn output_is_bounded_and_progress_is_not_counted() {
    for input in [InputMode::Task, InputMode::Lines] {
        for script in ["yes", "tr '\\0' x < /dev/zero"] {
            let options = Options {
                output_bytes_max: 1000,
                ..options(script, input)
            };
            let failed = failure(run(&backend(options), 0).await);
            assert_eq!(failed.kind, FailureKind::Other);
            assert!(
                failed.message.contains("1000 bytes")
                    && failed.message.contains("output_bytes_max")
            );
        }
        let script = r#"i=0; while [ $i -lt 200 ]; do echo '{"event": "going on"}'; i=$((i+1)); done; echo '{"value": 1}'"#;
        let options = Options {
            output_bytes_max: 1000,
            ..options(script, input)
        };
        assert_eq!(run(&backend(options), 0).await, Ended::completed("1"));
    }
}

#[tokio::test]
async fn a_killed_launcher_asks_for_another_attempt_and_leaves_nothing() {
    let backend = agent(
        r#"setsid sleep 10000 & printf '{"event": %s}\n{"event": %s}\n' $! $PPID; exec cat /dev/zero > /dev/null"#,
    );
    let (context, mut progress) = watched();
    // A call of its own: the sweep for its attempt must not find those of the tests beside it.
    let running = tokio::spawn(backend.run(task(7777, None), context));
    let escaped = process_id(&mut progress).await;
    let launcher = process_id(&mut progress).await;
    let kill = ["-9".to_owned(), launcher.to_string()];
    assert!(
        std::process::Command::new("kill")
            .args(kill)
            .status()
            .unwrap()
            .success()
    );
    let failed = failure(running.await.unwrap());
    assert_eq!(failed.kind, FailureKind::Transport);
    assert!(
        failed.message.contains("launcher was killed"),
        "{}",
        failed.message
    );
    while lives(escaped) {
        // Dead already; only its new parent has not taken leave of it yet.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hundred_at_once() {
    let backend = agent("cat > /dev/null; echo $$");
    let running: Vec<_> = (0..100)
        .map(|call| tokio::spawn(backend.run(task(call, None), context())))
        .collect();
    let mut seen = std::collections::HashSet::new();
    for running in running {
        assert!(seen.insert(value(running.await.unwrap()).to_string()));
    }
}

/// Answers with its process id and the task's number.
const SERVER: &str = r#"while read -r line; do id=${line#*\"agentId\":\"}; id=${id%%\"*}; printf '{"value": [%s, "%s"]}\n' $$ $id; done"#;

#[test]
fn a_process_serves_many_tasks_also_from_another_runtime() {
    let backend = backend(options(SERVER, InputMode::Lines));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = value(runtime().block_on(run(&backend, 0)));
    let process = first[0].clone();
    assert_eq!(first[1], "a-0");
    for call in 1..4 {
        assert_eq!(
            value(runtime().block_on(run(&backend, call))),
            json!([process, format!("a-{call}")])
        );
    }
    // Another place, another process.
    let mut elsewhere = Arc::unwrap_or_clone(task(4, None));
    elsewhere.working_directory = "/".into();
    let other = value(runtime().block_on(backend.run(Arc::new(elsewhere), context())));
    assert_ne!(other[0], process);
    // They end with the backend.
    drop(backend);
    while lives(u32::try_from(process.as_u64().unwrap()).unwrap()) {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_process_serves_one_task_at_a_time() {
    let backend = backend(options(SERVER, InputMode::Lines));
    let (one, two) = tokio::join!(run(&backend, 1), run(&backend, 2));
    let (one, two) = (value(one), value(two));
    assert_ne!(one[0], two[0]);
    assert_eq!((&one[1], &two[1]), (&json!("a-1"), &json!("a-2")));
}

#[tokio::test]
async fn a_dead_process_fails_its_task_and_is_replaced() {
    let script = r#"read -r line; echo "{\"value\": $$}"; read -r line; exit 9"#;
    let backend = backend(options(script, InputMode::Lines));
    let first = value(run(&backend, 0).await);
    let failed = failure(run(&backend, 1).await);
    assert_eq!(failed.kind, FailureKind::Crash);
    assert!(failed.message.contains("exit code 9"), "{}", failed.message);
    assert_ne!(value(run(&backend, 2).await), first);
}

#[tokio::test]
async fn an_answer_to_another_task_is_refused() {
    let script = r#"while read -r line; do
        echo '{"value": "stale", "agentId": "a-99"}'; echo '{"value": "stale", "attempt": 7}'
        echo "{\"value\": $$}"; done"#;
    let backend = backend(options(script, InputMode::Lines));
    let first = value(run(&backend, 0).await);
    assert!(first.is_u64());
    assert_eq!(value(run(&backend, 1).await), first);
}

#[tokio::test]
async fn a_process_that_speaks_unasked_is_not_used_again() {
    let script = r#"while read -r line; do printf '{"value": %s}\n{"value": "late"}\n' $$; done"#;
    let backend = backend(options(script, InputMode::Lines));
    let first = value(run(&backend, 0).await);
    let second = value(run(&backend, 1).await);
    assert!(first.is_u64() && second.is_u64() && first != second);
}

#[tokio::test]
async fn a_process_that_speaks_while_it_waits_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let [ask, done] = ["ask", "done"].map(|name| directory.path().join(name));
    let made = std::process::Command::new("mkfifo")
        .args([&ask, &done])
        .status()
        .unwrap();
    assert!(made.success());
    let script = format!(
        r#"read -r line; echo "{{\"value\": $$}}"; cat {}; echo > {}; while read -r line; do :; done"#,
        ask.display(),
        done.display()
    );
    let backend = backend(options(&script, InputMode::Lines));
    let first = value(run(&backend, 0).await);
    // Each opening of a pipe waits for the other side: afterwards the line is written, and the process lives.
    std::fs::write(&ask, "{\"value\": \"unasked\"}\n").unwrap();
    std::fs::read(&done).unwrap();
    let second = value(run(&backend, 1).await);
    assert!(second.is_u64() && first != second);
}

#[tokio::test]
async fn a_fingerprint_tells_commands_apart() {
    let same = agent("a").fingerprint();
    assert_eq!(same, agent("a").fingerprint());
    assert_ne!(same, agent("b").fingerprint());
    assert_ne!(same, backend(options("a", InputMode::Prompt)).fingerprint());
}

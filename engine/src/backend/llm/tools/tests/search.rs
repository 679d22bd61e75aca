//! `glob` and `grep`.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::search::{Search, Wanted};
use super::super::tool::abandoned_when_cancelled;
use super::super::{Answer, walk};
use super::Agent;

/// Gives files times in the order of their names, the first the oldest.
fn in_order(agent: &Agent, files: &[&str]) {
    for (index, file) in files.iter().enumerate() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + index as u64);
        let opened = File::options().write(true).open(agent.path(file));
        let set = opened.and_then(|opened| opened.set_modified(time));
        set.unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[tokio::test]
async fn files_are_found_newest_first_and_what_is_ignored_is_not() {
    let agent = Agent::new();
    let files = [
        "a.rs",
        "src/b.rs",
        "src/deep/c.rs",
        "src/d.txt",
        ".hidden/e.rs",
    ];
    for file in files.iter().chain(&["target/f.rs", ".git/g.rs"]) {
        agent.put(file, "x\n");
    }
    agent.put(".gitignore", "target\n");
    in_order(&agent, &files);
    let found = |arguments| agent.done("glob", arguments);
    assert_eq!(
        found(json!({"pattern": "**/*.rs"})).await,
        ".hidden/e.rs\nsrc/deep/c.rs\nsrc/b.rs\na.rs\n"
    );
    assert_eq!(found(json!({"pattern": "*.rs"})).await, "a.rs\n");
    assert_eq!(
        found(json!({"pattern": "*.{rs,txt}", "path": "src"})).await,
        "src/d.txt\nsrc/b.rs\n"
    );
    let folders = found(json!({"pattern": "src/*"})).await;
    let mut folders: Vec<_> = folders.lines().collect();
    folders.sort_unstable();
    assert_eq!(folders, ["src/b.rs", "src/d.txt", "src/deep/"]);
    let whole = agent.path("src/*.txt");
    assert_eq!(found(json!({"pattern": whole})).await, "src/d.txt\n");
    assert_eq!(
        found(json!({"pattern": "*.toml"})).await,
        "no file matches `*.toml` in .; `**/*.toml` looks in the folders below, too"
    );
    agent
        .refused("glob", json!({"pattern": "[", "path": "src"}))
        .await;
    agent
        .refused("glob", json!({"pattern": "*", "path": "src/b.rs"}))
        .await;
}

#[tokio::test]
async fn of_many_files_the_newest_are_named_and_the_others_counted() {
    let agent = Agent::new();
    let names: Vec<_> = (0..230).map(|n| format!("{n:03}.txt")).collect();
    for name in &names {
        agent.put(name, "x\n");
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    in_order(&agent, &names);
    let text = agent.done("glob", json!({"pattern": "*.txt"})).await;
    assert!(text.starts_with("229.txt\n228.txt\n"), "{text}");
    assert!(
        text.ends_with("030.txt\n(the newest 200; 30 more match: narrow the pattern)\n"),
        "{text}"
    );
    let text = agent
        .done(
            "grep",
            json!({"pattern": "x", "mode": "files", "limit": 10}),
        )
        .await;
    assert!(
        text.ends_with("009.txt\n(220 more files match: narrow the pattern, `path` or `glob`)\n"),
        "{text}"
    );
    let text = agent
        .done("grep", json!({"pattern": "x", "limit": 10}))
        .await;
    assert!(
        text.contains("009.txt:1:x\n(the first 10 matching lines; there are more"),
        "{text}"
    );
    assert!(!text.contains("010.txt"), "{text}");
}

#[tokio::test]
async fn lines_are_found_with_what_is_around_them() {
    let agent = Agent::new();
    agent.put("a.rs", "one\nTwo\r\nthree\nfour\nfive\nTWO");
    agent.put("src/b.txt", "two\n");
    agent.put("binary", b"two\n\0two\n");
    agent.put(".git/two", "two\n");
    agent.put("ignored/x", "two\n");
    agent.put(".gitignore", "ignored/\n");
    let found = |arguments| agent.done("grep", arguments);
    assert_eq!(found(json!({"pattern": "two$"})).await, "src/b.txt:1:two\n");
    assert_eq!(
        found(json!({"pattern": "two$", "ignore_case": true})).await,
        "a.rs:2:Two\na.rs:6:TWO\nsrc/b.txt:1:two\n"
    );
    assert_eq!(
        found(json!({"pattern": "T[wW]", "context": 1})).await,
        "a.rs-1-one\na.rs:2:Two\na.rs-3-three\n--\na.rs-5-five\na.rs:6:TWO\n"
    );
    assert_eq!(
        found(json!({"pattern": "o", "glob": "*.txt"})).await,
        "src/b.txt:1:two\n"
    );
    assert_eq!(
        found(json!({"pattern": "two", "glob": "!*.txt"})).await,
        "no line matches `two` in .\n"
    );
    assert_eq!(
        found(json!({"pattern": "o", "mode": "count", "glob": "!.*"})).await,
        "a.rs:3\nsrc/b.txt:1\n(4 lines in 2 files)\n"
    );
    assert_eq!(
        found(json!({"pattern": "o", "mode": "files"})).await,
        ".gitignore\na.rs\nsrc/b.txt\n"
    );
    // One that is named is looked into, ignored or not.
    assert_eq!(
        found(json!({"pattern": "t", "path": "ignored/x"})).await,
        "ignored/x:1:two\n"
    );
    for (arguments, part) in [
        (json!({"pattern": "("}), "cannot be used"),
        (json!({"pattern": "a(?=b)"}), "look-around"),
        (json!({"pattern": "a\nb"}), "one line"),
        (
            json!({"pattern": "(((a{99}){99}){99}){99}"}),
            "cannot be used",
        ),
        (json!({"pattern": "a", "glob": "["}), "glob"),
        (
            json!({"pattern": "a", "path": "nowhere"}),
            "there is no nowhere",
        ),
    ] {
        let text = agent.refused("grep", arguments).await;
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn long_lines_are_cut_around_the_match() {
    let agent = Agent::new();
    let line = format!("{}NEEDLE{}\n", "é".repeat(3_000), "x".repeat(3_000));
    agent.put("a", line);
    let text = agent.done("grep", json!({"pattern": "NEEDLE"})).await;
    assert!(
        text.starts_with("a:1:…é") && text.contains("NEEDLE") && text.len() < 600,
        "{text}"
    );
    assert!(text.ends_with("x… [line of 6006 characters]\n"), "{text}");
}

/// A file without an end, in which nothing is found; it is cancelled after some of it.
struct Endless<'e> {
    read: usize,
    cancelled: &'e CancellationToken,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read += 1;
        if self.read == 3 {
            self.cancelled.cancel();
        }
        buffer.fill(b'\n');
        Ok(buffer.len())
    }
}

#[test]
fn a_search_ends_in_the_middle_of_a_file_and_of_a_folder() {
    let cancelled = CancellationToken::new();
    let wanted = Wanted {
        pattern: "needle",
        ignore_case: false,
        context: 0,
    };
    let mut search = Search::new(wanted).unwrap_or_else(|error| panic!("{error}"));
    let mut file = Endless {
        read: 0,
        cancelled: &cancelled,
    };
    assert_eq!(search.run(&mut file, "endless", 1, true, &cancelled), None);
    assert_eq!(file.read, 3);

    let agent = Agent::new();
    for n in 0..10 {
        agent.put(&format!("{n}"), "");
    }
    let cancelled = CancellationToken::new();
    let mut walk = walk::below(&agent.root(), &cancelled);
    assert!(matches!(walk.next(), Some(Ok(_))));
    cancelled.cancel();
    assert!(matches!(walk.next(), Some(Err(walk::Stopped))));
    assert!(walk.next().is_none());
}

#[tokio::test]
async fn nobody_waits_for_a_search_that_is_cancelled_and_it_is_told() {
    for is_dropped in [false, true] {
        let cancelled = CancellationToken::new();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let call = abandoned_when_cancelled(&cancelled, move |stop| {
            let _ = started.send(());
            while !stop.is_cancelled() {
                std::thread::yield_now();
            }
            let _ = ended.send(());
            Answer::done("nobody waits for this")
        });
        if is_dropped {
            tokio::select! {
                biased;
                _ = call => panic!("it ended by itself"),
                _ = has_started => {}
            }
        } else {
            let (answer, ()) = tokio::join!(call, async {
                let _ = has_started.await;
                cancelled.cancel();
            });
            assert_eq!(answer, Answer::error("cancelled"));
        }
        assert!(has_ended.await.is_ok());
    }
}

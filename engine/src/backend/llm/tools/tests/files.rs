//! `read`, `write`, `edit`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::Workplace;
use super::super::memory::Version;
use super::super::put::{Expected, put};
use super::super::refusal::Refusal;
use super::Agent;

#[tokio::test]
async fn a_file_is_read_with_numbers_and_in_parts() {
    let agent = Agent::new();
    agent.put("a.txt", "one\ntwo\nthree");
    let text = agent.done("read", json!({"path": "a.txt"})).await;
    assert_eq!(
        text,
        "     1\tone\n     2\ttwo\n     3\tthree\n(no line end after the last line)\n"
    );
    let text = agent
        .done("read", json!({"path": "a.txt", "offset": 2, "limit": 1}))
        .await;
    assert_eq!(text, "     2\ttwo\n(lines 2-2 of 3; go on with offset 3)\n");
    let text = agent
        .refused("read", json!({"path": "a.txt", "offset": 4}))
        .await;
    assert!(text.contains("only 3 lines"), "{text}");

    let lines: String = (0..3_000)
        .flat_map(|n| [n.to_string(), "\n".to_owned()])
        .collect();
    agent.put("long.txt", lines);
    let text = agent
        .done("read", json!({"path": agent.path("long.txt")}))
        .await;
    assert!(
        text.ends_with("  2000\t1999\n(lines 1-2000 of 3000; go on with offset 2001)\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_said_with_what_to_do() {
    let agent = Agent::new();
    agent.put("src/main.rs", "");
    agent.put("picture.png", b"\x89PNG\r\n\x1a\n....");
    let png = agent.done("read", json!({"path": "picture.png"})).await;
    assert_eq!(
        png,
        "picture.png is a PNG image of 12 bytes, and is not shown"
    );
    assert_eq!(
        agent.done("read", json!({"path": "src/main.rs"})).await,
        "src/main.rs is empty"
    );
    for (path, part) in [
        ("src/Main.rs", "did you mean src/main.rs?"),
        ("srcs/main.rs", "nor a folder srcs"),
        ("src", "is a folder: glob"),
        ("", "empty"),
        ("a\0b", "NUL"),
        ("src/main.rs/x", "src/main.rs"),
    ] {
        let text = agent.refused("read", json!({"path": path})).await;
        assert!(text.contains(part), "{path}: {text}");
    }
    let huge = fs::File::create(agent.path("huge")).unwrap_or_else(|error| panic!("{error}"));
    huge.set_len((16 << 20) + 1)
        .unwrap_or_else(|error| panic!("{error}"));
    let text = agent.refused("read", json!({"path": "huge"})).await;
    assert!(
        text.contains("16777217 bytes") && text.contains("grep"),
        "{text}"
    );
}

#[tokio::test]
async fn pipes_sockets_and_devices_are_not_opened() {
    let agent = Agent::new();
    // Whoever opens this to read waits for a writer, for ever.
    let pipe = agent.path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap_or_else(|error| panic!("{error}"));
    let _socket =
        UnixListener::bind(agent.path("socket")).unwrap_or_else(|error| panic!("{error}"));
    for (path, kind) in [("pipe", "a pipe"), ("socket", "a socket")] {
        for (tool, arguments) in [
            ("read", json!({"path": path})),
            ("write", json!({"path": path, "content": ""})),
            (
                "edit",
                json!({"path": path, "old_string": "a", "new_string": "b"}),
            ),
            ("grep", json!({"path": path, "pattern": "x"})),
        ] {
            let text = agent.refused(tool, arguments).await;
            assert!(text.contains(kind), "{tool}: {text}");
        }
    }
    // In a folder they are passed over.
    let text = agent.done("grep", json!({"pattern": "x"})).await;
    assert!(text.starts_with("no line matches"), "{text}");
}

#[tokio::test]
async fn a_file_is_written_whole_and_only_after_it_was_read() {
    let agent = Agent::new();
    let text = agent
        .done(
            "write",
            json!({"path": "new/deep/a.sh", "content": "one\n"}),
        )
        .await;
    assert_eq!(text, "made new/deep/a.sh: 1 lines, 4 bytes");
    // What the agent wrote, it knows.
    agent
        .done(
            "write",
            json!({"path": "new/deep/a.sh", "content": "two\n"}),
        )
        .await;
    assert_eq!(agent.bytes("new/deep/a.sh"), b"two\n");

    agent.put("theirs.sh", "#!/bin/sh\n");
    let mode = fs::Permissions::from_mode(0o754);
    fs::set_permissions(agent.path("theirs.sh"), mode).unwrap_or_else(|error| panic!("{error}"));
    let write = json!({"path": "theirs.sh", "content": "#!/bin/bash\n"});
    let text = agent.refused("write", write.clone()).await;
    assert!(text.contains("read it first"), "{text}");
    agent.done("read", json!({"path": "theirs.sh"})).await;
    agent.done("write", write.clone()).await;
    assert_eq!(agent.bytes("theirs.sh"), b"#!/bin/bash\n");
    let metadata = fs::metadata(agent.path("theirs.sh")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o754);

    // Of the same length, and within the same tick of the file system's clock.
    agent.put("theirs.sh", "#!/bin/dash\n");
    let text = agent.refused("write", write).await;
    assert!(text.contains("changed since"), "{text}");
    assert_eq!(agent.bytes("theirs.sh"), b"#!/bin/dash\n");

    let mode = fs::Permissions::from_mode(0o444);
    fs::set_permissions(agent.path("theirs.sh"), mode).unwrap_or_else(|error| panic!("{error}"));
    agent.done("read", json!({"path": "theirs.sh"})).await;
    let text = agent
        .refused("write", json!({"path": "theirs.sh", "content": ""}))
        .await;
    assert!(text.contains("write-protected"), "{text}");

    let names = fs::read_dir(agent.root()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names.count(), 2, "nothing is left beside what was written");
}

#[test]
fn what_somebody_else_put_there_in_the_last_moment_stays() {
    let agent = Agent::new();
    agent.put("a", "theirs");
    let workplace = Workplace::new(&agent.root(), "a-1").unwrap_or_else(|error| panic!("{error}"));
    let place = workplace.place_to_write("a");
    let place = place.unwrap_or_else(|error| panic!("{error}"));
    let stop = CancellationToken::new();
    let other = Expected::File(Version::of(b"as it was read"));
    let changed = put(&workplace, &place, b"ours", other, &stop);
    assert!(
        matches!(changed, Err(Refusal::Changed { .. })),
        "{changed:?}"
    );
    let taken = put(&workplace, &place, b"ours", Expected::Nothing, &stop);
    assert!(matches!(taken, Err(Refusal::NotRead { .. })), "{taken:?}");
    let same = Expected::File(Version::of(b"theirs"));
    stop.cancel();
    let cancelled = put(&workplace, &place, b"ours", same, &stop);
    assert!(
        matches!(cancelled, Err(Refusal::Cancelled)),
        "{cancelled:?}"
    );
    assert_eq!(agent.bytes("a"), b"theirs");
    let names = fs::read_dir(agent.root()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names.count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn what_a_killed_attempt_left_is_written_over() {
    let agent = Agent::new();
    agent.put(".bellwether-a-1.tmp", "torn");
    agent
        .done("write", json!({"path": "a", "content": "whole"}))
        .await;
    assert_eq!(agent.bytes("a"), b"whole");
    assert!(!agent.path(".bellwether-a-1.tmp").exists());
}

#[tokio::test]
async fn what_is_gits_is_read_and_not_written() {
    let agent = Agent::new();
    agent.put(".git/config", "[core]\n");
    agent.done("read", json!({"path": ".git/config"})).await;
    for path in [
        ".git/config",
        ".git/hooks/post-checkout",
        "sub/.GIT/config",
        ".git",
    ] {
        let text = agent
            .refused("write", json!({"path": path, "content": "x"}))
            .await;
        assert!(text.contains("belongs to git"), "{path}: {text}");
    }
    agent
        .done(
            "write",
            json!({"path": ".gitignore", "content": "target\n"}),
        )
        .await;
}

#[tokio::test]
async fn an_edit_keeps_everything_else() {
    let agent = Agent::new();
    agent.put("a.txt", "\u{feff}one\r\ntwo\r\nthree");
    let edit = json!({"path": "a.txt", "old_string": "one\ntwo", "new_string": "1\n2\n2"});
    let text = agent.refused("edit", edit.clone()).await;
    assert!(text.contains("read it first"), "{text}");
    agent.done("read", json!({"path": "a.txt"})).await;
    let text = agent.done("edit", edit).await;
    assert!(
        text.contains("at line 1") && text.contains("     3\t2\n     4\tthree\n"),
        "{text}"
    );
    assert_eq!(
        agent.bytes("a.txt"),
        "\u{feff}1\r\n2\r\n2\r\nthree".as_bytes()
    );

    agent.put("a.txt", "1 2 1");
    let again = json!({"path": "a.txt", "old_string": "1", "new_string": "x"});
    let text = agent.refused("edit", again.clone()).await;
    assert!(text.contains("changed since"), "{text}");
    agent.done("read", json!({"path": "a.txt"})).await;
    let text = agent.refused("edit", again).await;
    assert!(
        text.contains("2 times (lines 1, 1)") && text.contains("replace_all"),
        "{text}"
    );
    let all = json!({"path": "a.txt", "old_string": "1", "new_string": "x", "replace_all": true});
    agent.done("edit", all).await;
    assert_eq!(agent.bytes("a.txt"), b"x 2 x");

    fs::remove_file(agent.path("a.txt")).unwrap_or_else(|error| panic!("{error}"));
    let gone = json!({"path": "a.txt", "old_string": "x", "new_string": "y"});
    let text = agent.refused("edit", gone).await;
    assert!(text.contains("was removed"), "{text}");
}

#[tokio::test]
async fn what_an_edit_would_lose_is_left() {
    let agent = Agent::new();
    agent.put("latin.txt", b"caf\xe9 one");
    let text = agent.done("read", json!({"path": "latin.txt"})).await;
    assert!(
        text.contains("caf\u{fffd} one") && text.contains("not UTF-8"),
        "{text}"
    );
    agent.put("wide.txt", b"\xff\xfeo\0n\0e\0");
    let text = agent.done("read", json!({"path": "wide.txt"})).await;
    assert!(
        text.contains("\tone\n") && text.contains("UTF-16LE"),
        "{text}"
    );
    for (path, bytes) in [
        ("latin.txt", b"caf\xe9 one".as_slice()),
        ("wide.txt", b"\xff\xfeo\0n\0e\0"),
    ] {
        let edit = json!({"path": path, "old_string": "one", "new_string": "two"});
        let text = agent.refused("edit", edit).await;
        assert!(text.contains("left as it is"), "{text}");
        assert_eq!(agent.bytes(path), bytes);
    }
}

#[tokio::test]
async fn changes_of_one_file_side_by_side_are_all_made() {
    let agent = Agent::new();
    agent.put("a.txt", "a b c d e f g h");
    agent.done("read", json!({"path": "a.txt"})).await;
    let edits = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|letter| {
        let upper = letter.to_uppercase();
        agent.done(
            "edit",
            json!({"path": "a.txt", "old_string": letter, "new_string": upper}),
        )
    });
    futures_util::future::join_all(edits).await;
    assert_eq!(agent.bytes("a.txt"), b"A B C D E F G H");
}

#[tokio::test]
async fn a_cancelled_call_changes_nothing() {
    let agent = Agent::new();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let write = json!({"path": "folder/a", "content": "x"});
    let answer = agent.toolbox.call("write", &write, &cancelled).await;
    assert!(answer.is_error, "{}", answer.text);
    assert!(!agent.path("folder").exists());
}

//! No path leads out of the agent's folder, and none that stays in it is refused.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::memory::Version;
use super::super::put::Expected;
use super::super::{Means, Permitted, Switches, Toolbox, Workplace};
use super::{Agent, put};

const SECRET: &str = "a secret\n";

#[tokio::test]
async fn links_that_lead_out_are_not_followed() {
    let agent = Agent::new();
    let outside = agent.around.path().join("outside");
    put(&outside.join("secret.txt"), SECRET.as_bytes());
    put(&agent.path("inner/file.txt"), b"inner\n");
    let link = |to: &Path, name: &str| {
        symlink(to, agent.path(name)).unwrap_or_else(|error| panic!("{error}"));
    };
    link(&outside, "folder");
    link(Path::new("../outside/secret.txt"), "file");
    link(&outside.join("not-there-yet"), "dangling");
    link(Path::new("loop"), "loop");
    link(Path::new("inner/file.txt"), "relative");
    link(&agent.path("inner"), "absolute");

    let secret = outside.join("secret.txt").display().to_string();
    for path in [
        "folder/secret.txt",
        "file",
        "../outside/secret.txt",
        &secret,
        "/etc/passwd",
        "dangling",
        "loop",
        "folder/new",
        "inner/../../outside/secret.txt",
        "missing/../../outside/secret.txt",
    ] {
        for (tool, arguments) in [
            ("read", json!({"path": path})),
            ("write", json!({"path": path, "content": "x"})),
            (
                "edit",
                json!({"path": path, "old_string": "secret", "new_string": "x"}),
            ),
            ("grep", json!({"path": path, "pattern": "secret"})),
            ("glob", json!({"path": path, "pattern": "*"})),
        ] {
            let text = agent.refused(tool, arguments).await;
            assert!(!text.contains(SECRET.trim()), "{tool} {path}: {text}");
        }
    }
    for pattern in ["../**", "/etc/*", "inner/../../*"] {
        agent.refused("glob", json!({"pattern": pattern})).await;
    }
    let text = agent.done("grep", json!({"pattern": "."})).await;
    assert_eq!(
        text, "inner/file.txt:1:inner\n",
        "links are not followed in a folder"
    );
    let after: Vec<_> = fs::read_dir(&outside)
        .unwrap_or_else(|error| panic!("{error}"))
        .collect();
    assert_eq!(after.len(), 1);

    // What stays inside is as good as any other path.
    for path in [
        "relative",
        "absolute/file.txt",
        "inner/../inner/./file.txt",
        "../own/inner/file.txt",
    ] {
        let text = agent.done("read", json!({"path": path})).await;
        assert!(text.contains("inner"), "{path}: {text}");
        let write = json!({"path": path, "content": "inner\n"});
        let text = agent.done("write", write).await;
        assert!(
            text.starts_with("replaced inner/file.txt"),
            "{path}: {text}"
        );
    }
    assert!(
        agent.path("relative").is_symlink(),
        "the link is kept, and what it leads to is written"
    );
}

#[tokio::test]
async fn other_folders_are_read_and_not_written() {
    let agent = Agent::new();
    let library = agent.around.path().join("library");
    put(&library.join("a.txt"), b"shared\n");
    symlink(&library, agent.path("link")).unwrap_or_else(|error| panic!("{error}"));
    let workplace =
        Workplace::new(&agent.root(), "a-1").and_then(|place| place.also_reads(&library));
    let workplace = workplace.unwrap_or_else(|error| panic!("{error}"));
    let (permitted, _) = Permitted::new(None, &[], Switches::default());
    let agent = Agent {
        toolbox: Toolbox::new(workplace, &permitted, &Means::default()),
        ..agent
    };
    let real = library
        .canonicalize()
        .unwrap_or_else(|error| panic!("{error}"));
    let whole = real.join("a.txt").display().to_string();
    for path in [whole.as_str(), "../library/a.txt", "link/a.txt"] {
        assert_eq!(
            agent.done("read", json!({"path": path})).await,
            "     1\tshared\n"
        );
        let text = agent
            .refused("write", json!({"path": path, "content": "x"}))
            .await;
        assert!(text.contains("can be read and not written"), "{text}");
    }
    let text = agent
        .done("grep", json!({"pattern": "shared", "path": library}))
        .await;
    assert_eq!(text, format!("{whole}:1:shared\n"));
    let text = agent
        .done("glob", json!({"pattern": "*", "path": "link"}))
        .await;
    assert_eq!(text, format!("{whole}\n"));
}

#[test]
fn what_is_put_in_the_way_after_a_path_was_looked_up_does_not_lead_out() {
    let agent = Agent::new();
    let outside = agent.around.path().join("outside");
    put(&outside.join("f.txt"), SECRET.as_bytes());
    put(&agent.path("d/f.txt"), b"inside\n");
    let workplace = Workplace::new(&agent.root(), "a-1").unwrap_or_else(|error| panic!("{error}"));
    let place = |path: &str| {
        let place = workplace.place_to_write(path);
        place.unwrap_or_else(|error| panic!("{error}"))
    };
    let (old, new) = (place("d/f.txt"), place("d/new/g.txt"));
    assert!(old.open().is_ok());
    fs::rename(agent.path("d"), agent.path("away")).unwrap_or_else(|error| panic!("{error}"));
    symlink(&outside, agent.path("d")).unwrap_or_else(|error| panic!("{error}"));

    assert!(old.open().is_err());
    let stop = CancellationToken::new();
    let version = Version::of(SECRET.as_bytes());
    for (place, expected) in [
        (&old, Expected::File(version)),
        (&old, Expected::Nothing),
        (&new, Expected::Nothing),
    ] {
        let written = super::super::put::put(&workplace, place, b"x", expected, &stop);
        assert!(written.is_err(), "{expected:?}");
    }
    let after = snapshot(&outside);
    assert_eq!(after, [(outside.join("f.txt"), SECRET.into())]);
}

/// A link: in which folder, of which name, to where.
type Link = (usize, usize, String);

const FOLDERS: [&str; 3] = ["", "d", "d/e"];
const NAMES: [&str; 3] = ["a", "b", "c"];

fn paths() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "d",
        "e",
        "..",
        ".",
        "f.txt",
        "secret.txt",
        "outside",
        "own",
        "new",
    ]);
    let parts = prop::collection::vec(part, 1..7).prop_map(|parts| parts.join("/"));
    let start = prop::sample::select(vec![
        "",
        "",
        "",
        "{around}/",
        "{around}/own/",
        "{around}/outside/",
        "/",
    ]);
    (start, parts).prop_map(|(start, parts)| format!("{start}{parts}"))
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    prop::collection::vec((0..FOLDERS.len(), 0..NAMES.len(), paths()), 0..6)
}

fn place(around: &Path, path: &str) -> String {
    path.replace("{around}", &around.display().to_string())
}

/// What there is in a folder, links not followed: paths and contents.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}"));
    for entry in entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}"))) {
        let path = entry.path();
        if path.is_symlink() {
            all.push((path, Vec::new()));
        } else if path.is_dir() {
            all.extend(snapshot(&path));
        } else {
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{error}"));
            all.push((path, content));
        }
    }
    all.sort();
    all
}

async fn holds(links: Vec<Link>, tried: Vec<String>) -> Result<(), TestCaseError> {
    let agent = Agent::new();
    let around = agent
        .around
        .path()
        .canonicalize()
        .unwrap_or_else(|error| panic!("{error}"));
    let root = around.join("own");
    put(&around.join("outside/secret.txt"), SECRET.as_bytes());
    put(&around.join("outside/d/secret.txt"), SECRET.as_bytes());
    put(&around.join("outside/d/unlisted.txt"), SECRET.as_bytes());
    put(&around.join("secret.txt"), SECRET.as_bytes());
    for inner in ["f.txt", "d/f.txt", "d/e/f.txt"] {
        put(&root.join(inner), b"inside\n");
    }
    for (folder, name, to) in links {
        let link = root.join(FOLDERS[folder]).join(NAMES[name]);
        // Two may have one name; the first stays.
        let _ = symlink(place(&around, &to), link);
    }
    let outside = || {
        let mut all = snapshot(&around);
        all.retain(|(path, _)| !path.starts_with(&root));
        all
    };
    let before = outside();
    for path in tried {
        let path = place(&around, &path);
        // `.` at the end says nothing; the system would want a folder there.
        let whole: PathBuf = root.join(&path).components().collect();
        let real = whole.canonicalize().ok();
        let is_inside = real.as_ref().is_some_and(|real| real.starts_with(&root));
        let is_file = real.as_ref().is_some_and(|real| real.is_file());

        let read = agent.call("read", json!({"path": path})).await;
        prop_assert_eq!(
            !read.is_error,
            is_inside && is_file,
            "read {}: {}",
            path,
            read.text
        );
        let found = agent
            .call("grep", json!({"path": path, "pattern": "."}))
            .await;
        prop_assert_eq!(!found.is_error, is_inside, "grep {}: {}", path, found.text);
        let listed = agent
            .call("glob", json!({"path": path, "pattern": "**"}))
            .await;
        prop_assert_eq!(
            !listed.is_error,
            is_inside && !is_file,
            "glob {}: {}",
            path,
            listed.text
        );
        for answer in [&read, &found] {
            prop_assert!(
                !answer.text.contains(SECRET.trim()),
                "{}: {}",
                path,
                answer.text
            );
        }
        prop_assert!(!listed.text.contains("unlisted"), "{}", listed.text);

        let written = agent
            .call("write", json!({"path": path, "content": "inside\n"}))
            .await;
        if is_inside && is_file {
            prop_assert!(!written.is_error, "write {}: {}", path, written.text);
        }
        if !written.is_error {
            let real = whole
                .canonicalize()
                .unwrap_or_else(|error| panic!("{error}"));
            prop_assert!(real.starts_with(&root), "{} was written", real.display());
        }
        prop_assert_eq!(&outside(), &before, "{} changed what is outside", path);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_path_and_no_link_leads_out(links in links(), tried in prop::collection::vec(paths(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        runtime.block_on(holds(links, tried))?;
    }
}

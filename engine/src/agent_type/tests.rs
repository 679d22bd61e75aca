//! Files as they are in the wild, and which of them counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bellwether_actors::restart::Retries;
use bellwether_journal::record::FailureKind;

use std::fs;
use std::path::Path;

use super::*;

fn file(text: &str) -> Result<Option<AgentType>, String> {
    file::read(text, Path::new("agents/a.md"), false)
}

fn agent(text: &str) -> AgentType {
    file(text).unwrap().unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn y01_every_field_of_a_file_is_read() {
    let text = "---\nname: Product Owner\ndescription: Decides\nbackend: command\ncommand: ./agent --say 'two words'\nagentInput: lines\ntools: Read, Bash(git log:*, git diff:*), mcp__a__b\ndisallowedTools: [Write, Edit]\nmodel: opus\neffort: high\nmaxTurns: 12\ntimeout: PT10M\nstallTimeout: {silent: PT2M, tool: PT1H}\nretries: {crash: 2}\npermissionMode: plan\nisolation: worktree\nmcpServers: [github]\ncolor: blue\nskills: [a]\nmemory: user\n---\n\nYou decide.\n\n---\nAnd so on.\n";
    let mut expected = AgentType::new("Product Owner");
    expected.description = "Decides".to_owned();
    expected.backend = Some("command".to_owned());
    expected.command = Some(words(&["./agent", "--say", "two words"]));
    expected.agent_input = Some(AgentInput::Lines);
    expected.tools = Some(words(&["Read", "Bash(git log:*, git diff:*)", "mcp__a__b"]));
    expected.disallowed_tools = words(&["Write", "Edit"]);
    expected.model = Some("opus".to_owned());
    expected.effort = Some("high".to_owned());
    expected.max_turns = Some(12);
    expected.timeout = Some(Duration::from_mins(10));
    expected.stall_timeout = Some(Stall {
        silent: Some(Duration::from_mins(2)),
        tool: Some(Duration::from_hours(1)),
        person: None,
    });
    expected.retries = Some(Retries::default().of(FailureKind::Crash, 2));
    expected.permission_mode = Some("plan".to_owned());
    expected.isolation = Some("worktree".to_owned());
    expected.mcp_servers = Some(serde_json::json!(["github"]));
    expected.system_prompt = Some("You decide.\n\n---\nAnd so on.".into());
    expected.source = Some("agents/a.md".into());
    expected.unread = words(&["skills", "memory"]);
    let mut found = agent(text);
    // However its lines end, it is the same agent.
    let dos = agent(&format!("\u{feff}{}", text.replace('\n', "\r\n")));
    assert_eq!(found, dos);
    assert_eq!(found.content.take().map(|hash| hash.len()), Some(32));
    assert_eq!(found, expected);

    // As a run's options hold it: all but what is only shown, and nothing that it does not say.
    let small = agent("---\nname: a\n---\n");
    let kept = serde_json::to_value(&small).unwrap();
    assert_eq!(kept.as_object().unwrap().len(), 3, "{kept}");
    let again: AgentType = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    found.description.clear();
    assert_eq!(again, found);
}

#[test]
fn y01_tools_are_a_list_or_a_text_with_commas() {
    for (field, tools) in [
        (
            "tools: Read, Grep,Glob",
            Some(&["Read", "Grep", "Glob"][..]),
        ),
        (
            "tools: [Read, \"Grep, Glob\"]",
            Some(&["Read", "Grep", "Glob"]),
        ),
        (
            "tools:\n  - Read\n  - Bash(a, b)",
            Some(&["Read", "Bash(a, b)"]),
        ),
        ("tools: []", Some(&[])),
        ("tools: \"*\"", None),
        ("tools: *", None),
        ("tools:", None),
        ("tools: ''", None),
        ("model: x", None),
    ] {
        let found = agent(&format!("---\nname: a\n{field}\n---\n"));
        assert_eq!(found.tools, tools.map(words), "{field}");
    }
}

#[test]
fn y01_wild_files_are_agents_are_none_or_say_what_is_wrong() {
    // Name, or what the error says; `None` for what is no agent.
    let table: [(&str, Option<Result<&str, &str>>); 20] = [
        ("", None),
        ("# Helpers\n\nname: x\n", None),
        ("Text\n---\nname: x\n---\n", None),
        ("---\n\nA line above, no head.\n", None),
        ("---\nname: x\nno end\n", Some(Err("has no end"))),
        (
            "---\nname: sdd-fleet:scribe\n---",
            Some(Ok("sdd-fleet:scribe")),
        ),
        (
            "\n---\nname:   'two  words' \n---\n",
            Some(Ok("two  words")),
        ),
        (
            "---\nname: a\ndescription: Use when: it breaks\n---\n",
            Some(Ok("a")),
        ),
        ("---\nname: a\ntools:\n\t- Read\n---\n", Some(Ok("a"))),
        ("---\nname: 7\n---\n", Some(Ok("7"))),
        ("---\ndescription: x\n---\n", Some(Err("no `name`"))),
        ("---\n---\n", Some(Err("no `name`"))),
        (
            "---\nname: [a]\n---\n",
            Some(Err("its `name` is no text, but a list")),
        ),
        ("---\nname: \"a\\nb\"\n---\n", Some(Err("no name"))),
        (
            "---\nname: a\nmaxTurns: many\n---\n",
            Some(Err("its `maxTurns` is `many`")),
        ),
        (
            "---\nname: a\ntimeout: 300\n---\n",
            Some(Err("its `timeout` is 300; give an ISO 8601 duration")),
        ),
        (
            "---\nname: a\nretries: {sleep: 1}\n---\n",
            Some(Err("its `retries` has no `sleep`; there is: rate_limit")),
        ),
        (
            "---\nname: a\ncommand: \"'\"\n---\n",
            Some(Err("its `command` is none")),
        ),
        (
            "---\nname: a\nbackend: dry\ncommand: x\n---\n",
            Some(Err("give one of them")),
        ),
        (
            "---\nname: a\nagentInput: file\n---\n",
            Some(Err("`task`, `prompt` or `lines`")),
        ),
    ];
    for (text, expected) in table {
        match (file(text), expected) {
            (Ok(found), None) => assert_eq!(found, None, "{text:?}"),
            (Ok(Some(found)), Some(Ok(name))) => assert_eq!(found.name, name, "{text:?}"),
            (Err(error), Some(Err(part))) => {
                assert!(error.contains(part), "{text:?}: {error}");
            }
            (found, expected) => panic!("{text:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn y01_a_file_that_is_cut_anywhere_is_read_or_refused() {
    let text = "\u{feff}---\r\nname: é: a\ndescription: \"x\" 'y\n\ttools: [a, {b: c\nmodel: |\n  z\n---\nbody — ü\n";
    for (cut, _) in text.char_indices() {
        for part in [text[..cut].to_owned(), format!("---\n{}", &text[cut..])] {
            // It is an agent with a name, none, or says what is wrong: in no case does it panic.
            match file(&part) {
                Ok(found) => assert!(found.is_none_or(|found| !found.name.is_empty())),
                Err(error) => assert!(!error.is_empty(), "{part:?}"),
            }
        }
    }
}

#[test]
fn y01_reading_tools_write_nothing() {
    for (tools, disallowed, writes) in [
        (None, &[][..], true),
        (None, &["Write", "Edit", "Bash"], true),
        (Some(&["Read", "Grep(src/**)", "WebFetch"][..]), &[], false),
        (Some(&[]), &[], false),
        (Some(&["Read", "Bash(git log:*)"]), &[], true),
        (Some(&["Read", "Bash(git log:*)"]), &["Bash"], false),
        (Some(&["Read", "mcp__files__put"]), &[], true),
        (Some(&["*"]), &[], true),
    ] {
        let tools = tools.map(words);
        assert_eq!(
            may_write(tools.as_deref(), &words(disallowed)),
            writes,
            "{tools:?} {disallowed:?}"
        );
    }
    let [general, explore] = built_in();
    assert!(may_write(general.tools.as_deref(), &[]));
    assert!(!may_write(explore.tools.as_deref(), &[]));
}

/// A home, and in it a repository with a folder to work in.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.path("home/repo/.git")).unwrap();
        fs::create_dir_all(place.path("home/repo/src/deep")).unwrap();
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// An agent's file whose prompt is its path.
    fn agent(&self, path: &str, name: &str) {
        self.write(path, format!("---\nname: {name}\n---\n{path}"));
    }

    fn discover(&self) -> Discovered {
        discover(
            &self.path("home/repo/src/deep"),
            &Home::at(&self.path("home")),
        )
    }

    /// Names and prompts, in order.
    fn found(&self) -> Vec<(String, String)> {
        let prompt = |found: &AgentType| found.system_prompt.as_deref().unwrap().to_owned();
        let types = self.discover().types;
        types
            .iter()
            .map(|found| (found.name.clone(), prompt(found)))
            .collect()
    }
}

#[test]
fn y01_the_nearest_file_of_a_name_counts() {
    let place = Place::new();
    // From the one that goes before all to the one that all others go before.
    let order = [
        "home/repo/src/deep/.bellwether/agents/a.md",
        "home/repo/src/deep/.claude/agents/sub/folder/a.md",
        "home/repo/src/.claude/agents/z.md",
        "home/repo/.bellwether/agents/a.md",
        "home/repo/.claude/agents/a.md",
        "home/.config/bellwether/agents/a.md",
        "home/.claude/agents/a.md",
    ];
    for path in order.iter().rev() {
        place.agent(path, "Code Reviewer");
        assert_eq!(
            place.found(),
            [("Code Reviewer".to_owned(), (*path).to_owned())]
        );
    }
    // Nothing from beyond the repository, and case makes another name.
    place.agent("home/.bellwether/agents/b.md", "beyond");
    place.agent("home/repo/.claude/agents/b.md", "code reviewer");
    let names: Vec<String> = place.found().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Code Reviewer", "code reviewer"]);
    assert_eq!(place.discover().problems, []);
}

#[test]
fn y01_without_git_a_project_ends_at_the_nearest_folder_of_ours() {
    let place = Place::new();
    fs::remove_dir(place.path("home/repo/.git")).unwrap();
    place.agent("home/repo/.claude/agents/a.md", "far");
    assert_eq!(place.found().len(), 1);
    place.agent("home/repo/src/.bellwether/agents/a.md", "near");
    assert_eq!(place.found()[0].0, "near");
    assert_eq!(place.found().len(), 1);
}

#[test]
fn y01_a_broken_file_is_told_of_and_hides_no_others() {
    let place = Place::new();
    let folder = "home/repo/.claude/agents";
    place.agent(&format!("{folder}/good.md"), "good");
    place.agent(&format!("{folder}/good-again.md"), "good");
    place.write(&format!("{folder}/README.md"), "# Our agents\n");
    place.write(&format!("{folder}/notes.txt"), "---\nname: no\n---\n");
    place.write(&format!("{folder}/empty.md"), "");
    place.write(&format!("{folder}/huge-notes.md"), "x".repeat(300 << 10));
    place.write(&format!("{folder}/latin-notes.md"), b"caf\xe9");
    place.write(
        &format!("{folder}/huge.md"),
        format!("---\nname: huge\n---\n{}", "x".repeat(300 << 10)),
    );
    place.write(&format!("{folder}/latin.md"), b"---\nname: caf\xe9\n---\n");
    place.write(&format!("{folder}/torn.md"), "---\nname: [a\n---\n");
    std::os::unix::fs::symlink("nowhere.md", place.path(&format!("{folder}/dangling.md"))).unwrap();
    std::os::unix::fs::symlink(".", place.path(&format!("{folder}/circle"))).unwrap();
    named_pipe(&place.path(&format!("{folder}/pipe.md")));
    let found = place.discover();
    let names: Vec<&str> = found.types.iter().map(|found| &*found.name).collect();
    assert_eq!(names, ["good"]);
    let problems: Vec<(String, &str)> = found
        .problems
        .iter()
        .map(|problem| {
            let name = problem.file.file_name().unwrap().to_string_lossy();
            (name.into_owned(), &*problem.message)
        })
        .collect();
    let expected = [
        ("good.md", "`good` too"),
        ("huge.md", "longer than 262144 bytes"),
        ("latin.md", "not UTF-8 (byte 13)"),
        ("torn.md", "line 2: its frontmatter is no YAML"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for ((name, message), (file, part)) in problems.iter().zip(expected) {
        assert!(name == file && message.contains(part), "{name}: {message}");
    }
}

/// A named pipe, which nobody writes to: who opened it would wait for ever.
fn named_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn y01_plugins_put_their_name_in_front() {
    let place = Place::new();
    let plugins = "home/.claude/plugins";
    place.agent(&format!("{plugins}/cache/fleet/agents/scribe.md"), "scribe");
    place.agent(
        &format!("{plugins}/cache/fleet/agents/review/safe.md"),
        "safe",
    );
    place.write(
        &format!("{plugins}/cache/polaris/agents/unused.md"),
        "---\nname: unused\n---\n",
    );
    place.write(
        &format!("{plugins}/cache/polaris/more/auditor.md"),
        "---\ndescription: x\n---\nhome/plain",
    );
    place.write(
        &format!("{plugins}/cache/polaris/.claude-plugin/plugin.json"),
        r#"{"name": "polaris", "agents": ["./more/auditor.md", "../fleet/agents"]}"#,
    );
    place.agent(&format!("{plugins}/cache/off/agents/a.md"), "a");
    place.agent(&format!("{plugins}/cache/other/agents/a.md"), "a");
    let path = |name: &str| place.path(&format!("{plugins}/cache/{name}"));
    let installed = serde_json::json!({ "version": 2, "plugins": {
        "fleet@market": [{ "scope": "user", "installPath": path("fleet") }],
        "polaris@market": { "installPath": path("polaris") },
        "off@market": [{ "scope": "user", "installPath": path("off") }],
        "other@market": [{ "scope": "project", "projectPath": place.path("elsewhere"), "installPath": path("other") }],
    }});
    place.write(
        &format!("{plugins}/installed_plugins.json"),
        installed.to_string(),
    );
    place.write(
        "home/.claude/settings.json",
        r#"{"enabledPlugins": {"off@market": true, "fleet@market": true}}"#,
    );
    place.write(
        "home/repo/.claude/settings.json",
        r#"{"enabledPlugins": {"off@market": false}}"#,
    );
    let found = place.discover();
    let names: Vec<&str> = found.types.iter().map(|found| &*found.name).collect();
    assert_eq!(
        names,
        ["fleet:review:safe", "fleet:scribe", "polaris:auditor"]
    );
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert!(found.problems[0].message.contains("../fleet/agents"));
}

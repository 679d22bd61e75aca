//! The workflow of `examples/real-code`, with each of its rules and an agent of a few lines of shell.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use bellwether_tests::project::Project;
use serde_json::{Value, json};

/// An agent for the workflow: it finds three files, refutes what was done to the third, and sees no difference elsewhere.
const AGENT: &str = r#"task=$(cat)
case $task in
*discover*) echo '{"value": ["src/1", "src/2", "src/3"]}' ;;
*reviewed*) echo '{"value": []}' ;;
*review*src/3*) echo '{"value": {"refuted": ["line 1: it is wrong"], "places": 1}}' ;;
*) echo '{"value": {"refuted": [], "places": 1}}' ;;
esac
"#;

fn example(file: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/real-code");
    PathBuf::from(folder).join(file)
}

fn git(project: &Project, words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(words)
        .current_dir(project.folder())
        .output()
        .context("git")?;
    ensure!(output.status.success(), "git {words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the workflow with a rule's file over three files of the same text, of which the second breaks the verification.
fn lands_one_of_three(
    rule: &str,
    extension: &str,
    before: &str,
    after: &str,
) -> anyhow::Result<()> {
    let project = Project::with_git()?;
    let file = |number: usize| format!("src/{number}.{extension}");
    for number in 1..=3 {
        project.write(&file(number), before)?;
    }
    git(&project, &["add", "src"])?;
    git(&project, &["commit", "--quiet", "-m", "files"])?;

    let agent = AGENT.replace("src/1", &file(1)).replace("src/2", &file(2));
    let agent = project.write("agent", &agent.replace("src/3", &file(3)))?;
    let mut args: Value = serde_json::from_str(&fs::read_to_string(example(rule))?)?;
    args["verify"] = json!(format!("git diff --quiet main -- {}", file(2)));
    let args = project.write("args.json", &args.to_string())?;

    let words = [
        "run".as_ref(),
        example("migrate.js").as_os_str(),
        "--args-file".as_ref(),
        args.as_os_str(),
        "--agent-command".as_ref(),
        format!("sh {}", agent.display()).as_ref(),
        "--allow=merge".as_ref(),
        "--json".as_ref(),
    ]
    .map(std::ffi::OsStr::to_owned);
    let ended = project.bellwether(words)?.run()?.expect_code(0)?;
    let result = &ended.json()?["result"];
    let of = |list: &str| {
        let files = result[list].as_array().into_iter().flatten();
        files.map(|one| one["file"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(result["changed"], 3, "{ended}");
    assert_eq!(of("quarantined"), [file(3)]);
    assert_eq!(of("left"), [file(2)]);
    assert_eq!(result["left"][0]["reason"], "verify");
    // Both together, the first alone; that both will fail again is known, and the second is asked for its output.
    assert_eq!(
        (&result["landed"], &result["verifications"]),
        (&json!(1), &json!(3))
    );

    let into = result["into"].as_str().context("a branch")?;
    let landed = |number| git(&project, &["show", &format!("{into}:{}", file(number))]);
    assert_eq!(
        (landed(1)?, landed(2)?, landed(3)?),
        (after.to_owned(), before.to_owned(), before.to_owned())
    );
    assert_eq!(git(&project, &["status", "--porcelain", "src"])?, "");
    Ok(())
}

#[test]
fn real_code_django() -> anyhow::Result<()> {
    lands_one_of_three(
        "rules/django.json",
        "py",
        "def name(value, pair):\n    return \"<%s>\" % value, \"%s\" % (value,), b\"\" % pair\n",
        "def name(value, pair):\n    return \"<{}>\".format(value), \"%s\" % (value,), b\"\" % pair\n",
    )
}

#[test]
fn real_code_networkx() -> anyhow::Result<()> {
    lands_one_of_three(
        "rules/networkx.json",
        "py",
        "if not G.has_edge(u, v) and H.has_node(n):\n    print(G.order(), G.has_edge(*e), G.has_edge(u, v, k))\n",
        "if v not in G[u] and n in H:\n    print(len(G), G.has_edge(*e), G.has_edge(u, v, k))\n",
    )
}

#[test]
fn real_code_tokio() -> anyhow::Result<()> {
    lands_one_of_three(
        "rules/tokio.json",
        "rs",
        "use std::mem::{self, take};\nuse std::io;\n// std::fmt\nfn name(value: std::num::NonZeroU8) {}\n",
        "use core::mem::{self, take};\nuse std::io;\n// std::fmt\nfn name(value: core::num::NonZeroU8) {}\n",
    )
}

//! Isolated agents, merging and landing through the real program and the real git: what is in the repository afterwards,
//! however often the engine was killed on the way.

use std::process::Command;

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use bellwether_tests::project::Project;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

/// More passes than anybody takes at a gate.
const SPARE: usize = 100;

/// What scripts of these tests begin with: `changes(file, line)` asks an agent to add a line to a file of its worktree.
const HELPERS: &str = "
const does = (...steps) => JSON.stringify(steps)
const add = (to, line) => ({ append: { to, line } })
const isolated = { isolation: 'worktree' }
";

/// A project under git with three files, and a script of this body.
fn bed(body: &str) -> anyhow::Result<Bed> {
    let project = Project::with_git()?;
    for name in ["a.txt", "b.txt", "c.txt"] {
        project.write(name, &format!("{name}\n"))?;
    }
    project.write(".gitignore", "/ledger\n/bell\n/gate\n/*.js\n/fake*\n")?;
    let bed = Bed { project };
    bed.project.script("flow", &format!("{HELPERS}{body}"))?;
    git(&bed, &["add", "a.txt", "b.txt", "c.txt", ".gitignore"])?;
    git(&bed, &["commit", "--quiet", "-m", "files"])?;
    Ok(bed)
}

fn git(bed: &Bed, words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(words)
        .current_dir(bed.project.folder())
        .output()
        .context("git")?;
    ensure!(output.status.success(), "git {words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The branches that agents' work is kept on.
fn kept(bed: &Bed) -> anyhow::Result<Vec<String>> {
    let list = git(
        bed,
        &[
            "branch",
            "--list",
            "--format=%(refname:short)",
            "bellwether/*/a-*",
        ],
    )?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// A run to its end; gives its final object.
fn run(bed: &Bed, more: &[&str], code: i32) -> anyhow::Result<Value> {
    let mut words = vec!["--json"];
    words.extend(more);
    Ok(ended(bed.run(&words)?.start()?, code)?.0)
}

#[test]
fn t02_what_changed_is_on_a_branch_and_the_checkout_has_seen_nothing() -> anyhow::Result<()> {
    let bed = bed(
        "const [changed, unchanged] = await parallel([
           () => attempt(does(add('a.txt', 'more'), add('new.txt', 'new'), { answer: 1 }), isolated),
           () => attempt(does({ answer: 2 }), isolated),
         ])
         return { changed, unchanged }",
    )?;
    let outcome = run(&bed, &[], 0)?;
    let changed = &outcome["result"]["changed"]["worktree"];
    let branch = changed["branch"].as_str().context("a branch")?;
    ensure!(
        branch.starts_with("bellwether/r-") && branch.ends_with("/a-0"),
        "{branch}"
    );
    assert_eq!(outcome["result"]["unchanged"]["worktree"], Value::Null);
    assert_eq!(kept(&bed)?, [branch]);
    assert_eq!(
        git(&bed, &["show", &format!("{branch}:a.txt")])?,
        "a.txt\nmore"
    );
    assert_eq!(
        git(&bed, &["log", "-1", "--format=%an <%ae> %cn", branch])?,
        "Bellwether <bellwether@localhost> Bellwether"
    );
    assert_eq!(git(&bed, &["status", "--porcelain"])?, "");
    assert_eq!(git(&bed, &["branch", "--show-current"])?, "main");

    let patch = bed
        .command(&["diff", "last", "a-0"])?
        .run()?
        .expect_code(0)?
        .stdout;
    ensure!(patch.contains("+more"), "{patch}");
    let view = bed.json(&["show", "last", "a-0", "--json"], 0)?;
    assert_eq!(view["changes"][0]["branch"], branch);
    Ok(())
}

#[test]
fn t01_without_a_base_isolated_agents_fail_by_name_and_nothing_runs_in_the_checkout()
-> anyhow::Result<()> {
    let body = "return await attempt(does(add('a.txt', 'more')), isolated)";
    // Uncommitted changes.
    let dirty = bed(body)?;
    dirty.project.write("b.txt", "mine\n")?;
    let outcome = run(&dirty, &[], 4)?;
    let message = outcome["result"]["error"]["message"]
        .as_str()
        .unwrap_or_default();
    ensure!(message.contains("uncommitted changes (b.txt)"), "{outcome}");
    assert_eq!(git(&dirty, &["status", "--porcelain"])?, " M b.txt");
    assert_eq!(kept(&dirty)?, [""; 0]);
    // Included when asked: the agent sees them, the checkout keeps them.
    dirty.project.write(
        ".bellwether/config.toml",
        "[worktree]\nuncommitted = 'include'\n",
    )?;
    run(&dirty, &[], 0)?;
    let branches = kept(&dirty)?;
    let branch = branches.first().context("a branch")?;
    assert_eq!(git(&dirty, &["show", &format!("{branch}:b.txt")])?, "mine");
    assert_eq!(git(&dirty, &["diff", "--name-only"])?, "b.txt");
    // No repository at all.
    let bed = Bed::new(
        &format!("{HELPERS}{body}")
            .replace("const does = (...steps) => JSON.stringify(steps)\n", ""),
    )?;
    let outcome = run(&bed, &[], 4)?;
    let message = outcome["result"]["error"]["message"]
        .as_str()
        .unwrap_or_default();
    ensure!(message.contains("no git repository"), "{outcome}");
    ensure!(
        !bed.project.path("a.txt").exists(),
        "it ran in the checkout"
    );
    Ok(())
}

#[test]
fn t02_what_a_killed_attempt_had_changed_is_a_patch_and_the_next_begins_clean() -> anyhow::Result<()>
{
    let bed = bed(
        "return await attempt(does(add('a.txt', 'from {attempt}'), add(args.bell, 'here'), { pass: args.gate }, { answer: 1 }), isolated)",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let args = json!({ "bell": bed.project.path("bell"), "gate": bed.project.path("gate") });
    let running = bed.run(&["--args", &args.to_string()])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    gate.admit(SPARE)?;
    let outcome = ended(bed.command(&["resume", "--json", "--yes"])?.start()?, 0)?.0;
    let branch = outcome["result"]["worktree"]["branch"]
        .as_str()
        .context("a branch")?;
    assert_eq!(
        git(&bed, &["show", &format!("{branch}:a.txt")])?,
        "a.txt\nfrom 2"
    );
    let changes = bed.json(&["diff", "last", "--json"], 0)?;
    assert_eq!(
        (&changes[0]["attempt"], &changes[0]["branch"]),
        (&json!(1), &Value::Null)
    );
    ensure!(
        changes[0]["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("+from 1")),
        "{changes}"
    );
    assert_eq!(git(&bed, &["status", "--porcelain"])?, "");
    Ok(())
}

/// Three agents whose branches land in `landed`; the verification rings and waits at a gate each time.
const LANDS: &str = "
const done = await parallel(['a.txt', 'b.txt', 'c.txt'].map((file) => () =>
  attempt(does(add(file, 'more'), { answer: file }), { ...isolated, label: file })))
return await merge(done, { into: 'landed', verify: args.verify })";

#[test]
fn t03_a_merge_that_is_killed_between_two_branches_lands_each_once() -> anyhow::Result<()> {
    let undisturbed = bed(LANDS)?;
    let args = json!({ "verify": "test -e a.txt" }).to_string();
    let whole = run(&undisturbed, &["--allow", "merge", "--args", &args], 0)?;
    assert_eq!(whole["result"]["landed"].as_array().map(Vec::len), Some(3));

    let bed = bed(LANDS)?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let (ring, pass) = (bed.project.path("bell"), bed.project.path("gate"));
    let verify = format!(
        "echo here > '{}'; head -c 1 < '{}' > /dev/null",
        ring.display(),
        pass.display()
    );
    let args = json!({ "verify": verify }).to_string();
    let running = bed.run(&["--allow", "merge", "--args", &args])?.start()?;
    bell.next_line(GUARD)?;
    gate.admit(1)?;
    bell.next_line(GUARD)?;
    running.kill()?;
    gate.admit(SPARE)?;
    let resumed = bed.command(&["resume", "--json", "--yes"])?.start()?;
    let outcome = ended(resumed, 0)?.0;
    assert_eq!(
        outcome["result"]["landed"].as_array().map(Vec::len),
        Some(3)
    );
    let merges = git(&bed, &["rev-list", "--count", "--merges", "landed"])?;
    assert_eq!(merges, "3");
    let tree = |bed: &Bed| git(bed, &["rev-parse", "landed^{tree}"]);
    assert_eq!(tree(&bed)?, tree(&undisturbed)?);
    // No agent ran again for it.
    assert_eq!(outcome["agents"]["reused"], 3);
    Ok(())
}

#[test]
fn x06_merge_is_off_unless_it_is_allowed() -> anyhow::Result<()> {
    let bed = bed(
        "try { return await merge(['bellwether/r-00000000/a-0']) } catch (error) { return [error.code, error.message] }",
    )?;
    let outcome = run(&bed, &[], 0)?;
    assert_eq!(outcome["result"][0], "NOT_ALLOWED");
    let message = outcome["result"][1].as_str().unwrap_or_default();
    ensure!(
        message.contains("--allow merge") && message.contains("[permissions]"),
        "{message}"
    );
    // What is allowed is to land agents' branches, not any that is there.
    bed.project
        .write(".bellwether/config.toml", "[permissions]\nmerge = true\n")?;
    bed.project.script(
        "flow",
        "try { return await merge(['main']) } catch (error) { return [error.code, error.message] }",
    )?;
    let outcome = run(&bed, &[], 0)?;
    assert_eq!(outcome["result"][0], "MERGE");
    Ok(())
}

#[test]
fn t03_land_puts_a_runs_branches_into_what_is_checked_out() -> anyhow::Result<()> {
    let bed = bed(
        "return await parallel(['a.txt', 'b.txt', 'a.txt'].map((file, n) => () =>
           agent(does(add(file, 'line ' + n), { answer: n }), { ...isolated, label: file + n })))",
    )?;
    run(&bed, &[], 0)?;
    let landing = bed.command(&["land", "last", "--verify", "! grep -q 'line 1' b.txt"])?;
    let finished = landing.run()?.expect_code(4)?;
    says(&finished, "a-0 a.txt0 landed, 1 file")?;
    says(&finished, "a-1 b.txt1 left out")?;
    says(&finished, "a-2 a.txt2 left out")?;
    ensure!(
        finished.stdout.contains("1 of 3 branches are in main"),
        "{finished}"
    );
    assert_eq!(
        std::fs::read_to_string(bed.project.path("a.txt"))?,
        "a.txt\nline 0\n"
    );
    assert_eq!(git(&bed, &["status", "--porcelain"])?, "");
    let landing = bed.json(&["land", "last", "b.txt1", "--into", "other", "--json"], 0)?;
    assert_eq!(landing["landed"][0]["files"], json!(["b.txt"]));
    bed.command(&["land", "last", "a-9"])?
        .run()?
        .expect_code(2)?;
    Ok(())
}

#[test]
fn t01_a_program_of_the_checkout_is_found_from_every_worktree() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = bed("return (await attempt('x', isolated)).worktree.files")?;
    let program = bed
        .project
        .write("fake.sh", "#!/bin/sh\ncat > task.json\necho done\n")?;
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))?;
    let words = ["run", "flow.js", "--agent-command", "./fake.sh", "--json"];
    assert_eq!(bed.json(&words, 0)?["result"], json!(["task.json"]));
    Ok(())
}

#[test]
fn t01_isolate_always_isolates_those_who_may_write() -> anyhow::Result<()> {
    let bed = bed(
        "const [writes, reads] = await parallel([
           () => attempt(does(add('a.txt', 'more'), 'answerTask')),
           () => attempt(does('answerTask'), { agentType: 'Explore' }),
         ])
         return { writes: writes.value.cwd, reads: reads.value.cwd, branch: writes.worktree?.branch }",
    )?;
    let outcome = run(&bed, &["--isolate", "always"], 0)?;
    let here = bed.project.folder().to_str().context("a path")?;
    assert_eq!(outcome["result"]["reads"], here);
    let there = outcome["result"]["writes"].as_str().unwrap_or_default();
    ensure!(
        there.starts_with(&format!("{here}/.bellwether/local/worktrees/")),
        "{there}"
    );
    assert_eq!(kept(&bed)?.len(), 1);
    assert_eq!(git(&bed, &["status", "--porcelain"])?, "");
    Ok(())
}

/// A link in the repository is no way out of the worktree (T01).
#[test]
fn x01_a_folder_to_work_in_lies_within_the_worktree() -> anyhow::Result<()> {
    let bed = bed(
        "const ask = async (cwd) => {
          const { value, error } = await attempt(does(add('here', 'x'), { answer: cwd }), { isolation: 'worktree', cwd })
          return value ?? error.message
        }
        return [await ask('below'), await ask('out'), await ask('missing')]",
    )?;
    bed.project.write("below/kept", "x\n")?;
    std::os::unix::fs::symlink("..", bed.project.path("out"))?;
    git(&bed, &["add", "below", "out"])?;
    git(&bed, &["commit", "--quiet", "-m", "folders"])?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    let result = &outcome["result"];
    assert_eq!(result[0], "below");
    let says = |place: usize, text: &str| {
        let message = result[place].as_str().unwrap_or_default();
        ensure!(message.contains(text), "{message}");
        Ok(())
    };
    says(1, "leads out of the worktree")?;
    says(2, "is no folder")
}

/// What a rewind would merge again is told before, and refused before anything runs; when a person says so it is done.
#[test]
fn r03_a_merge_that_was_done_is_not_done_again_unseen() -> anyhow::Result<()> {
    let bed = bed(
        "await agent(does({ answer: 1 }), { label: 'first' })
         const work = await attempt(does(add('a.txt', 'more'), { answer: 2 }), { ...isolated, label: 'work' })
         return (await merge([work.worktree], { into: 'landed' })).landed.length",
    )?;
    let outcome = run(&bed, &["--allow", "merge"], 0)?;
    assert_eq!(outcome["result"], 1);
    let landed = git(&bed, &["rev-parse", "landed"])?;
    // What does not lead to it leaves it alone: it is reused, not done.
    bed.command(&["resume", "last", "--keep-failed"])?
        .run()?
        .expect_code(0)?;
    assert_eq!(git(&bed, &["rev-parse", "landed"])?, landed);
    let explained = bed.json(&["explain", "last", "--agent", "first", "--json"], 0)?;
    let repeats = explained["repeats"].as_array().context("a list")?;
    assert_eq!(repeats.len(), 1, "{explained}");
    let refused = bed.command(&["restart", "last", "--agent", "first"])?;
    says(&refused.run()?.expect_code(2)?, "--repeat-merges")?;
    assert_eq!(git(&bed, &["rev-parse", "landed"])?, landed);
    assert_eq!(
        bed.records("GenerationRewound")?.len(),
        1,
        "nothing was begun"
    );
    let allowed = bed.command(&["restart", "last", "--agent", "first", "--repeat-merges"])?;
    allowed.run()?.expect_code(0)?;
    Ok(())
}

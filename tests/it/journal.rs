//! The journal's file under the program: full disks, files that are none, the dump.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

/// A small file system of its own, until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this user may not mount.
    fn mount(at: &'a Path, size: &str) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        Ok(mounted.then_some(Self(at)))
    }

    fn grow(&self, size: &str) -> anyhow::Result<()> {
        let status =
            Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.0).status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // A folder that stays mounted is left to the system.
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_pauses_the_run_and_no_agent_looks_failed() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const lengths = []
        for (let n = 0; n < 60; n++)
          lengths.push(JSON.stringify(await agent(does(note(n), { answer: { n, text: '{idempotencyKey}' } }))).length)
        return lengths.length",
    )?;
    let disk = bed.project.path("disk");
    let Some(small) = SmallDisk::mount(&disk, "100k")? else { return Ok(()) };
    let (outcome, finished) = ended(bed.run(&["--json", "--journal", "disk/j"])?.start()?, 5)?;
    assert_eq!(outcome["status"], "paused");
    let reason = outcome["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("No space left on device"), "{outcome}");
    assert_eq!((&outcome["agents"]["failed"], &outcome["failures"]), (&json!(0), &json!([])));
    says(&finished, "--journal disk/j")?;

    small.grow("64m")?;
    let (outcome, _) = ended(bed.command(&["resume", "--json", "--journal", "disk/j"])?.start()?, 0)?;
    assert_eq!(outcome["result"], 60);
    assert_eq!(outcome["agents"]["failed"], 0);
    // Completed agents ran once; the one whose end could not be written at most once more.
    let ledger = bed.ledger();
    let distinct: std::collections::BTreeSet<&String> = ledger.iter().collect();
    assert_eq!(distinct.len(), 60);
    ensure!(ledger.len() <= 61, "{} lines", ledger.len());
    Ok(())
}

#[test]
fn a_file_that_is_no_journal_is_left_alone_and_named() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    bed.project.write("folder/x", "")?;
    bed.project.write("text", &"no journal ".repeat(1_000))?;
    bed.project.write("empty", "")?;
    bed.command(&["run", "flow.js", "--backend", "dry", "--journal", "cut"])?.run()?.expect_code(0)?;
    let whole = std::fs::read(bed.project.path("cut"))?;
    std::fs::write(bed.project.path("cut"), &whole[..9_000])?;
    for (name, what) in
        [("folder", "is a folder"), ("text", "is no journal"), ("empty", "is no journal"), ("cut", "is damaged")]
    {
        let before = std::fs::read(bed.project.path(name)).ok();
        for words in [&["run", "flow.js", "--backend", "dry"][..], &["ps"], &["resume"], &["show"]] {
            let words: Vec<&str> = words.iter().copied().chain(["--journal", name]).collect();
            let finished = bed.command(&words)?.run()?.expect_code(5)?;
            says(&finished, what)?;
            ensure!(!finished.stderr.contains("panicked"), "{finished}");
        }
        ensure!(std::fs::read(bed.project.path(name)).ok() == before, "{name} was changed");
    }
    Ok(())
}

#[test]
fn a_dump_is_complete_and_each_record_is_chained() -> anyhow::Result<()> {
    let bed = Bed::new("log('line'); return await agent(does({ answer: 'x'.repeat(20000) }), { label: 'wide' })")?;
    bed.run(&["--args", "[1]", "--concurrency", "3"])?.run()?.expect_code(0)?;
    let dump = bed.dump()?;
    let kinds: Vec<&str> = dump.iter().map(|line| line["kind"].as_str().unwrap_or_default()).collect();
    let expected = [
        "RunStarted", "GenerationOpened", "StatusChanged", "Logged", "CallScheduled", "AttemptStarted",
        "CallSettled", "RunEnded",
    ];
    assert_eq!(kinds, expected);
    let places: Vec<u64> = dump.iter().filter_map(|line| line["position"].as_u64()).collect();
    assert_eq!(places, (0..8).collect::<Vec<_>>());
    let chain: std::collections::BTreeSet<&str> = dump.iter().filter_map(|line| line["chain"].as_str()).collect();
    assert_eq!(chain.len(), 8);
    // All that a resume needs is in it.
    let options = dump[0]["record"]["options"].as_str().context("options")?;
    let options: Value = serde_json::from_str(options)?;
    assert_eq!(options["concurrency"], 3);
    ensure!(options["agentCommand"].is_array(), "{options}");
    let opened = &dump[1]["record"];
    let source = opened["script"].as_str().context("the script")?;
    ensure!(source.contains("label: 'wide'") && opened["args"] == "[1]", "{opened}");
    let scheduled = &dump[4]["record"];
    for part in ["content", "context", "key"] {
        ensure!(scheduled[part].as_str().is_some_and(|hash| hash.len() == 32), "{scheduled}");
    }
    // The same for people, a line each.
    let people = bed.command(&["journal", "dump"])?.run()?.expect_code(0)?;
    assert_eq!(people.stdout.lines().count(), 8, "{people}");
    Ok(())
}

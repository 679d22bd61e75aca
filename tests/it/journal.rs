//! The journal's file under the program: full disks, files that are none, the dump.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
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

    /// Writes until nothing more fits; the file can be removed.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        while file.write_all(&[1; 512]).is_ok() {}
        Ok(path)
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
        "const values = [await agent(does(note('first'), { answer: 1 }))]
        values.push(...await parallel([1, 2].map(n => () => agent(does(note(n), ring(n), { pass: 'gate' }, { answer: n })))))
        for (const n of [3, 4]) values.push(await agent(does(note(n), { answer: n })))
        return values",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let disk = bed.project.path("disk");
    let Some(small) = SmallDisk::mount(&disk, "2m")? else {
        return Ok(());
    };
    let running = bed.run(&["--json", "--journal", "disk/j"])?.start()?;
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    let filler = small.fill()?;
    gate.admit(2)?;
    let (outcome, finished) = ended(running, 5)?;
    assert_eq!(outcome["status"], "paused");
    let reason = outcome["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("No space left on device"), "{outcome}");
    assert_eq!(
        (&outcome["agents"]["failed"], &outcome["failures"]),
        (&json!(0), &json!([]))
    );
    says(&finished, "--journal disk/j")?;

    // Room again: it goes on where the journal ends.
    std::fs::remove_file(filler)?;
    gate.admit(2)?;
    let (outcome, _) = ended(
        bed.command(&["resume", "--json", "--journal", "disk/j"])?
            .start()?,
        0,
    )?;
    assert_eq!(outcome["result"], json!([1, 1, 2, 3, 4]));
    assert_eq!(outcome["agents"]["reused"], 1);
    assert_eq!(bed.ledger(), ["1", "1", "2", "2", "3", "4", "first"]);
    Ok(())
}

#[test]
fn a_file_that_is_no_journal_is_left_alone_and_named() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    bed.project.write("folder/x", "")?;
    bed.project.write("text", &"no journal ".repeat(1_000))?;
    bed.project.write("empty", "")?;
    bed.command(&["run", "flow.js", "--backend", "dry", "--journal", "cut"])?
        .run()?
        .expect_code(0)?;
    let whole = std::fs::read(bed.project.path("cut"))?;
    std::fs::write(bed.project.path("cut"), &whole[..9_000])?;
    for (name, what) in [
        ("folder", "is a folder"),
        ("text", "is no journal"),
        ("empty", "is no journal"),
        ("cut", "is damaged"),
    ] {
        let before = std::fs::read(bed.project.path(name)).ok();
        for words in [
            &["run", "flow.js", "--backend", "dry"][..],
            &["ps"],
            &["resume"],
            &["show"],
        ] {
            let words: Vec<&str> = words.iter().copied().chain(["--journal", name]).collect();
            let finished = bed.command(&words)?.run()?.expect_code(5)?;
            says(&finished, what)?;
            ensure!(!finished.stderr.contains("panicked"), "{finished}");
        }
        ensure!(
            std::fs::read(bed.project.path(name)).ok() == before,
            "{name} was changed"
        );
    }
    Ok(())
}

#[test]
fn a_dump_is_complete_and_each_record_is_chained() -> anyhow::Result<()> {
    let bed = Bed::new(
        "log('line'); return await agent(does({ answer: 'x'.repeat(20000) }), { label: 'wide' })",
    )?;
    bed.run(&["--args", "[1]", "--concurrency", "3"])?
        .run()?
        .expect_code(0)?;
    let dump = bed.dump()?;
    let kinds: Vec<&str> = dump
        .iter()
        .map(|line| line["kind"].as_str().unwrap_or_default())
        .collect();
    let expected = [
        "RunStarted",
        "GenerationOpened",
        "StatusChanged",
        "Logged",
        "CallScheduled",
        "AttemptStarted",
        "CallSettled",
        "RunEnded",
    ];
    assert_eq!(kinds, expected);
    let places: Vec<u64> = dump
        .iter()
        .filter_map(|line| line["position"].as_u64())
        .collect();
    assert_eq!(places, (0..8).collect::<Vec<_>>());
    let chain: std::collections::BTreeSet<&str> = dump
        .iter()
        .filter_map(|line| line["chain"].as_str())
        .collect();
    assert_eq!(chain.len(), 8);
    // All that a resume needs is in it.
    let options = dump[0]["record"]["options"].as_str().context("options")?;
    let options: Value = serde_json::from_str(options)?;
    assert_eq!(options["concurrency"], 3);
    ensure!(options["agentCommand"].is_array(), "{options}");
    let opened = &dump[1]["record"];
    let source = opened["script"].as_str().context("the script")?;
    ensure!(
        source.contains("label: 'wide'") && opened["args"] == "[1]",
        "{opened}"
    );
    let scheduled = &dump[4]["record"];
    for part in ["content", "context", "key"] {
        ensure!(
            scheduled[part]
                .as_str()
                .is_some_and(|hash| hash.len() == 32),
            "{scheduled}"
        );
    }
    // The same for people, a line each.
    let people = bed.command(&["journal", "dump"])?.run()?.expect_code(0)?;
    assert_eq!(people.stdout.lines().count(), 8, "{people}");
    Ok(())
}

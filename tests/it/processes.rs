//! Agents' processes: none is left, however the engine ends.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use bellwether_tests::program::Running;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::bed::{Bed, ended};

/// An agent that heeds no SIGTERM and has a child in a session of its own, which keeps its output open.
const STUBBORN: &str =
    "return await agent(does('ignoreTerminate', { grandchild: 'child' }, ring('up'), 'hang'))";

/// A process that is watched until it is gone, so that its number cannot come to mean another.
struct Watched(std::os::fd::OwnedFd);

impl Watched {
    fn new(pid: &str) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(pid.trim().parse()?).context("process 0")?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Waits for its end. A process that nobody has waited for yet counts as gone: it does nothing any more.
    fn is_gone(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + GUARD;
        ensure!(
            bellwether_tests::fifo::readable(&self.0, deadline)?,
            "the process is still there"
        );
        Ok(())
    }

    /// Whether it is gone already.
    fn was_gone(&self) -> anyhow::Result<bool> {
        bellwether_tests::fifo::readable(&self.0, Instant::now())
    }
}

/// Starts a run whose agent is stubborn and gives it with its grandchild.
fn stubborn(bed: &Bed, words: &[&str]) -> anyhow::Result<(Running, Watched)> {
    let (mut child, mut bell) = (bed.project.fifo("child")?, bed.project.fifo("bell")?);
    let running = if words.is_empty() {
        bed.run(&["--json"])?
    } else {
        bed.command(words)?
    }
    .start()?;
    let grandchild = Watched::new(&child.next_line(GUARD)?)?;
    bell.next_line(GUARD)?;
    Ok((running, grandchild))
}

/// The engine's launcher, beside the process of its script.
fn launcher_of(running: &Running) -> anyhow::Result<Pid> {
    let id = running.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = match children {
        Ok(children) if !children.trim().is_empty() => children,
        // Its parent is the thread that started it.
        _ => std::fs::read_dir(format!("/proc/{id}/task"))?
            .filter_map(Result::ok)
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .collect(),
    };
    let is_launcher = |process: &&str| {
        let command = std::fs::read_to_string(format!("/proc/{process}/cmdline"));
        command.is_ok_and(|command| command.starts_with("bellwether-launcher"))
    };
    let launcher = children
        .split_whitespace()
        .find(is_launcher)
        .context("no launcher")?;
    Pid::from_raw(launcher.parse()?).context("process 0")
}

#[test]
fn killing_the_engine_leaves_no_process_grandchildren_included() -> anyhow::Result<()> {
    let bed = Bed::new(STUBBORN)?;
    let (running, grandchild) = stubborn(&bed, &[])?;
    running.kill()?;
    grandchild.is_gone()
}

#[test]
fn what_is_left_when_the_launcher_was_killed_too_is_swept_at_the_next_start() -> anyhow::Result<()>
{
    let bed = Bed::new(STUBBORN)?;
    let (running, grandchild) = stubborn(&bed, &[])?;
    let launcher = launcher_of(&running)?;
    // The engine first, stopped, so that it cannot answer the launcher's end.
    running.signal(Signal::STOP)?;
    kill_process(launcher, Signal::KILL)?;
    running.kill()?;
    ensure!(!grandchild.was_gone()?, "nothing was left to sweep");
    // Looking sweeps nothing and starts nothing; the next engine does, before its first agent.
    bed.command(&["ps"])?.run()?.expect_code(0)?;
    ensure!(
        !grandchild.was_gone()?,
        "a command that only looks has killed"
    );
    bed.project.script("other", "return await agent('x')")?;
    bed.command(&["run", "other.js", "--backend", "dry"])?
        .run()?
        .expect_code(0)?;
    grandchild.is_gone()
}

#[test]
fn a_stop_answers_when_the_processes_are_dead() -> anyhow::Result<()> {
    let bed = Bed::new(STUBBORN)?;
    bed.project
        .write(".bellwether/config.toml", "stop_grace = \"50ms\"\n")?;
    let (running, grandchild) = stubborn(&bed, &[])?;
    bed.command(&["stop", "last"])?.run()?.expect_code(0)?;
    ensure!(
        grandchild.was_gone()?,
        "the stop was answered before the processes were dead"
    );
    let (outcome, _) = ended(running, 3)?;
    ensure!(outcome["status"] == "stopped", "{outcome}");
    Ok(())
}

#[test]
fn an_agent_whose_answer_is_there_takes_its_children_along() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await agent(does({ grandchild: 'child' }, { pass: 'gate' }, { answer: 'done' }))",
    )?;
    let (mut child, mut gate) = (bed.project.fifo("child")?, bed.project.fifo("gate")?);
    let running = bed.run(&["--json"])?.start()?;
    let grandchild = Watched::new(&child.next_line(GUARD)?)?;
    gate.admit(1)?;
    let (outcome, _) = ended(running, 0)?;
    ensure!(outcome["result"] == "done", "{outcome}");
    ensure!(grandchild.was_gone()?, "the agent's child outlived it");
    Ok(())
}

#[test]
fn agents_still_at_work_when_the_script_returns_are_ended() -> anyhow::Result<()> {
    let bed = Bed::new(
        "agent(does({ grandchild: 'child' }, ring('up'), 'hang'))
        await agent(does({ pass: 'gate' }, { answer: 1 }))
        return 'enough'",
    )?;
    let (mut child, mut bell, mut gate) = (
        bed.project.fifo("child")?,
        bed.project.fifo("bell")?,
        bed.project.fifo("gate")?,
    );
    let running = bed.run(&["--json"])?.start()?;
    let grandchild = Watched::new(&child.next_line(GUARD)?)?;
    bell.next_line(GUARD)?;
    gate.admit(1)?;
    let (outcome, _) = ended(running, 0)?;
    ensure!(
        outcome["result"] == "enough" && outcome["agents"]["cancelled"] == 1,
        "{outcome}"
    );
    ensure!(grandchild.was_gone()?, "the agent outlived its run");
    Ok(())
}

#[test]
fn a_closed_pipe_at_the_other_end_ends_nothing() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await parallel([1, 2, 3].map(n => () => agent(does(note(n), { answer: n }))))",
    )?;
    let agent = bed.project.agent_command()?;
    let program = bellwether_tests::program::programs()?.join("bellwether");
    // Nobody reads: `true` has ended, or will have, before the run does.
    let line = format!(
        "exec 3>&1; {{ '{}' run flow.js --agent-command '{agent}' --events; echo $? >&3; }} 2>/dev/null | true",
        program.display()
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(bed.project.folder())
        .env("XDG_RUNTIME_DIR", bed.project.folder())
        .output()?;
    ensure!(
        String::from_utf8_lossy(&output.stdout).trim() == "0",
        "{output:?}"
    );
    ensure!(bed.ledger() == ["1", "2", "3"]);
    Ok(())
}

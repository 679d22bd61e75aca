//! Options of `agent()` that are about how it is carried out (X01), with shells as agents.

use anyhow::ensure;
use bellwether_tests::GUARD;
use serde_json::json;

use crate::bed::{Bed, ended};

/// A bed whose agents are shells: the prompt is what they run.
fn shells(body: &str) -> anyhow::Result<Bed> {
    let bed = Bed::new(&format!(
        "const shell = (prompt, options) => agent(prompt, {{ agentType: 'shell', ...options }})
        const failure = async (prompt, options) => {{
          const {{ error }} = await attempt(prompt, {{ agentType: 'shell', ...options }})
          return error && [error.kind, error.attempts, error.message]
        }}
        {body}"
    ))?;
    bed.project.write(
        ".bellwether/agents/shell.md",
        "---\nname: shell\ncommand: sh\nagentInput: prompt\n---\n",
    )?;
    Ok(bed)
}

#[test]
fn x01_time_limits_end_an_agent_with_all_that_it_started() -> anyhow::Result<()> {
    let bed = shells(
        "return [
          await failure('echo $$ >bell; exec sleep 600', { timeout: 300 }),
          await failure('exec sleep 600', { stallTimeout: 'PT0.1S', retries: 1 }),
          await shell('echo quick', { timeout: 'PT10M', stallTimeout: 'PT10M' }),
        ]",
    )?;
    let mut bell = bed.project.fifo("bell")?;
    let running = bed.run(&["--json"])?.start()?;
    let process = bell.next_line(GUARD)?;
    let (outcome, _) = ended(running, 4)?;
    assert_eq!(
        outcome["result"],
        json!([
            [
                "timeout",
                1,
                "the agent took longer than 300ms and was ended"
            ],
            [
                "timeout",
                2,
                "the agent gave no sign of life for 100ms and was ended"
            ],
            "quick",
        ])
    );
    ensure!(
        !std::path::Path::new(&format!("/proc/{process}")).exists(),
        "the agent's process is there still"
    );
    Ok(())
}

#[test]
fn x01_retries_where_and_with_which_environment() -> anyhow::Result<()> {
    let bed = shells(
        "return [
          await shell('echo x >>tries; test $(wc -l <tries) = 3 && echo third', { retries: 2 }),
          await failure('echo x >>again; exit 3', { retries: 1 }),
          await shell('cat tries | wc -l; basename $PWD', { cwd: 'below/here' }),
          await failure('true', { cwd: 'nowhere' }),
          (await shell('env | cut -d= -f1 | sort', { env: ['TOKEN'] })).split('\\n'),
          await shell('echo $OTHER'),
          await failure('true', { env: ['NOT_SET_ANYWHERE'] }),
        ]",
    )?;
    bed.project.write("below/here/tries", "1\n2\n")?;
    let command = bed
        .run(&["--json"])?
        .env("TOKEN", "secret")
        .env("OTHER", "seen");
    let (outcome, _) = ended(command.start()?, 4)?;
    let result = &outcome["result"];
    assert_eq!(result[0], "third");
    assert_eq!((&result[1][0], &result[1][1]), (&json!("crash"), &json!(2)));
    assert_eq!(bed.project.lines("again").len(), 2);
    assert_eq!(result[2], "2\nhere");
    let says = |place: usize, text: &str| {
        let message = result[place][2].as_str().unwrap_or_default();
        ensure!(message.contains(text), "{message}");
        Ok(())
    };
    says(3, "nowhere` is no folder")?;
    let names: Vec<&str> = result[4]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    ensure!(
        names.contains(&"TOKEN") && names.contains(&"PATH"),
        "{names:?}"
    );
    ensure!(!names.contains(&"OTHER"), "{names:?}");
    assert_eq!(result[5], "seen");
    says(6, "`NOT_SET_ANYWHERE` is not set")
}

#[test]
fn x01_a_type_says_of_what_and_how_often_its_agents_are_tried_again() -> anyhow::Result<()> {
    let bed = shells(
        "return [
          await failure('echo half of it; exec sleep 600', { timeout: 500, retries: { crash: 2 } }),
          await failure('exit 3', { retries: { crash: 1, timeout: 5 } }),
          await failure('exit 3', { agentType: 'stubborn' }),
          await failure('exec sleep 600', { agentType: 'stubborn' }),
        ]",
    )?;
    bed.project.write(
        ".bellwether/agents/stubborn.md",
        "---\nname: stubborn\ncommand: sh\nagentInput: prompt\ntimeout: PT0.2S\nretries:\n  crash: 2\n---\n",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    let attempts: Vec<(&str, u64)> = outcome["result"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|failure| failure[0].as_str().zip(failure[1].as_u64()))
        .collect();
    let expected = [("timeout", 1), ("crash", 2), ("crash", 3), ("timeout", 1)];
    assert_eq!(attempts, expected);
    // What it had written before it was ended is kept.
    let shown = bed.json(&["show", "last", "a-0", "--json"], 0)?;
    assert_eq!(shown["failure"]["evidence"], "half of it");
    Ok(())
}

//! The runs of a mixed campaign: what each does, and what it gives when nobody disturbs it.

use serde_json::{Value, json};

use crate::project::Project;

/// Each agent leaves a line that names its task and attempt, and passes a gate: before its line or behind it.
const PRELUDE: &str = "
const line = name => ({ append: { to: args.ledger, line: `{idempotencyKey} {attempt} ${name}` } })
const early = name => [JSON.stringify([line(name), { pass: args.gate }, { answer: name }]), { label: name }]
const late = name => [JSON.stringify([{ pass: args.gate }, line(name), { answer: name }]), { label: name }]
";

/// A run of its own kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Its name, and that of its script.
    pub(super) name: &'static str,
    body: &'static str,
    /// Whether no agent waits for another: what has completed never runs again then, in no generation.
    pub(super) independent: bool,
    /// The agent that is run again when it has ended.
    pub(super) restarted: Option<&'static str>,
    /// Its questions, by label, with the answers.
    pub(super) questions: &'static [(&'static str, &'static str)],
    /// What it gives.
    pub(super) result: fn() -> Value,
}

/// As many isolated agents work at once in a batch.
pub(super) const ISOLATED: usize = 3;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "fanout",
        body: "return parallel(Array.from({ length: 8 }, (_, i) => () => agent(...(i % 2 ? early : late)('fan ' + i))))",
        independent: true,
        restarted: None,
        questions: &[],
        result: || (0..8).map(|i| format!("fan {i}")).collect(),
    },
    Kind {
        name: "pipeline",
        body: "return pipeline([0, 1, 2, 3], i => agent(...early('first ' + i)), value => agent(...late('after ' + value)))",
        independent: false,
        restarted: None,
        questions: &[],
        result: || (0..4).map(|i| format!("after first {i}")).collect(),
    },
    Kind {
        name: "timers",
        body: "const values = []
            for (let i = 0; i < 3; i++) {
              await sleep(20)
              values.push(await Promise.race([agent(...early('timed ' + i)), sleep('PT1H')]))
            }
            return values",
        independent: false,
        restarted: None,
        questions: &[],
        result: || (0..3).map(|i| format!("timed {i}")).collect(),
    },
    Kind {
        name: "isolated",
        body: "const edit = i => [JSON.stringify([
              { append: { to: `file-${i}`, line: `work ${i}` } }, line('edit ' + i), { pass: args.gate }, { answer: i },
            ]), { label: 'edit ' + i, isolation: 'worktree' }]
            const works = await parallel([0, 1, 2].map(i => () => attempt(...edit(i))))
            return works.map(work => [work.value, work.worktree && work.worktree.files])",
        independent: true,
        restarted: None,
        questions: &[],
        result: || (0..ISOLATED).map(|i| json!([i, [format!("file-{i}")]])).collect(),
    },
    Kind {
        name: "questions",
        body: "const before = await agent(...early('before'))
            const answers = await parallel([
              () => ask('How many?', { choices: [1, 2], label: 'many' }), () => ask('Which?', { label: 'which' }),
            ])
            return [before, ...answers, await agent(...late('behind ' + answers.join(' ')))]",
        independent: false,
        restarted: None,
        questions: &[("many", "2"), ("which", "that")],
        result: || json!(["before", 2, "that", "behind 2 that"]),
    },
    Kind {
        name: "child",
        body: "return parallel(['a', 'b'].map(name => () => workflow({ scriptPath: './leaf.js' }, { ...args, name })))",
        independent: true,
        restarted: None,
        questions: &[],
        result: || json!([["leaf a 0", "leaf a 1"], ["leaf b 0", "leaf b 1"]]),
    },
    Kind {
        name: "rewound",
        body: "const both = await parallel(['one', 'other'].map(name => () => agent(...early(name))))
            return [...both, await agent(...late('sum of ' + both.join(' and ')))]",
        independent: false,
        restarted: Some("one"),
        questions: &[],
        result: || json!(["one", "other", "sum of one and other"]),
    },
];

const LEAF: &str =
    "return parallel([0, 1].map(i => () => agent(...late(`leaf ${args.name} ${i}`))))";

/// Writes the scripts into a project.
pub(super) fn write(project: &Project) -> anyhow::Result<()> {
    for kind in KINDS {
        project.script(kind.name, &format!("{PRELUDE}{}", kind.body))?;
    }
    project.script("leaf", &format!("{PRELUDE}{LEAF}"))?;
    Ok(())
}

/// The kind of a run's name.
pub(super) fn of_name(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

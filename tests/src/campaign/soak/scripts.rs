//! The scripts of a soak.

macro_rules! script {
    ($name:literal, $body:literal) => {
        concat!(
            "export const meta = { name: '",
            $name,
            "', description: 'a soak' }\n",
            $body
        )
    };
}

pub(super) const FANOUT: &str = script!(
    "fanout",
    "return parallel(Array.from({ length: 40 }, (_, i) => () => agent('does ' + i, { label: `n${i}` })))"
);

pub(super) const PIPELINE: &str = script!(
    "pipeline",
    "phase('Work'); log('begun')
    return pipeline(Array.from({ length: 12 }, (_, i) => i), i => agent('slow ' + i), value => agent('then ' + value))"
);

pub(super) const TIMERS: &str = script!(
    "timers",
    "const values = []
    for (let i = 0; i < 4; i++) {
      await sleep(5)
      values.push(await Promise.race([agent('slow ' + i), sleep('PT1H')]))
    }
    return values"
);

pub(super) const PARENT: &str = script!(
    "parent",
    "return parallel([1, 2, 3].map(n => () => workflow({ scriptPath: './leaf.js' }, { n })))"
);

/// What that one calls.
pub(super) const LEAF: &str = script!(
    "leaf",
    "return parallel([1, 2].map(i => () => agent(`leaf ${args.n} ${i}`)))"
);

pub(super) const PROGRAMS: &str = script!(
    "programs",
    "return parallel([1, 2, 3].map(i => () => agent(JSON.stringify([{ flood: 2000 }, { answer: i }]))))"
);

pub(super) const FAILING: &str = script!(
    "failing",
    "const all = await parallel([1, 2, 3, 4].map(i => () => agent((i % 2 ? 'fails ' : 'does ') + i)))
    return agent('sums up ' + all.length)"
);

pub(super) const ASKING: &str = script!(
    "asking",
    "await agent('does it')
    return parallel(['a', 'b'].map(what => () => ask(`May ${what}?`)))"
);

pub(super) const STEERED: &str = script!(
    "steered",
    "await agent('does it')
    return parallel([1, 2, 3].map(i => () => agent('holds ' + i)))"
);

/// So many agents have begun when it is steered.
pub(super) const STEERED_AGENTS: usize = 4;

//! What each call's context holds (`docs/replay.md`).

use std::collections::{BTreeMap, BTreeSet};

use bellwether_journal::key::Digest;
use proptest::prelude::*;

use crate::support::{Host, Run, crashed, run, script, text};

fn exact(body: &str) -> bool {
    script(body).is_followed_exactly()
}

fn keys(run: &Run) -> BTreeSet<Digest> {
    run.keys.iter().copied().collect()
}

fn by_prompt(run: &Run) -> BTreeMap<String, Digest> {
    run.calls
        .iter()
        .zip(&run.keys)
        .map(|(call, key)| (call.prompt.to_string(), *key))
        .collect()
}

/// The keys of a run in which the last open call always settles first.
fn reversed(body: &str) -> Run {
    let host = Host {
        order: Box::new(|open| open - 1),
        ..Host::new()
    };
    host.run(&script(body))
}

#[test]
fn r02_worked_example_in_both_orders() {
    let body = "const v = await pipeline(['a', 'b'], x => agent('fix ' + x), () => agent('verify'))
        await agent('report'); return v";
    assert!(exact(body));
    let (first, second) = (run(body), reversed(body));
    assert_eq!(first.keys.len(), 5);
    assert_ne!(first.prompts(), ["fix a", "fix b", "verify", "report"]);
    assert_eq!(keys(&first), keys(&second));
    assert_eq!(
        keys(&first).len(),
        5,
        "equal calls of two lanes have different keys"
    );
}

#[test]
fn r02_only_descendants_of_a_repeated_call_have_other_keys() {
    let body = "const v = await pipeline(['a', 'b'], x => agent('fix ' + x), (p, x) => agent('verify ' + x))
        await agent('report')";
    let before = by_prompt(&run(body));
    let again = Host {
        repeated: Some("fix a".to_owned()),
        ..Host::new()
    };
    let after = by_prompt(&again.run(&script(body)));
    let changed: Vec<_> = before
        .iter()
        .filter(|(prompt, key)| after[*prompt] != **key)
        .collect();
    let prompts: Vec<_> = changed.iter().map(|(prompt, _)| prompt.as_str()).collect();
    assert_eq!(prompts, ["report", "verify a"]);
}

#[test]
fn r02_forms_that_are_followed_exactly() {
    for body in [
        "for (const x of [1, 2]) { const r = await agent('a' + x); if (!r) break }",
        "async function fix(x) { try { return await agent(x) } catch (e) { return null } }\n return await fix('a')",
        "const one = (x) => agent(x); const r = await one('a'); await agent(r)",
        "await parallel([1, 2].map((x) => () => agent('a' + x)))",
        "await parallel([1, 2].map((x) => async () => { const r = await agent('a'); return agent('b' + r) }))",
        "await parallel([() => agent('a'), ...[1].map((i) => () => agent('b' + i))])",
        "const thunks = []; for (const x of [1, 2]) thunks.push(() => agent('a' + x)); await parallel(thunks)",
        "const thunks = [1, 2].map((x) => () => agent('a' + x)); const r = await parallel(thunks); await agent('b')",
        "await pipeline([1, 2], (x) => agent('a' + x), (r, x) => parallel([() => agent('b' + x), () => agent('c' + x)]))",
        "const all = await Promise.all([1, 2].map((x) => agent('a' + x))); await agent('b')",
        "const all = await Promise.all([1, 2].map(async (x) => { await agent('a' + x); return agent('c' + x) }))",
        "const r = await agent('a').then((x) => x + '!').catch(() => null).finally(() => {}); await agent('b')",
        "const r = await Promise.race([agent('a'), sleep(1000)]); await agent('b')",
        "const r = args ? await agent('a') : await (args && agent('b')); agent('not awaited'); await agent('c')",
        "await parallel(Array.from({ length: 3 }, (_, i) => () => agent('a' + i)))",
        "const r = await (async () => { await agent('a'); return 1 })(); await agent('b')",
        "const r = await attempt('a'); await agent(r.ok ? 'b' : 'c')",
        "attempt('not awaited'); merge(['w']); const r = await merge(['v']); await agent('b')",
        "const yes = await ask('Go on?', { choices: ['yes', 'no'] }); await agent(yes); await ask('b')",
        "await pipeline([1, 2], (x) => attempt('a' + x), (r) => r.ok ? merge([r]) : null)",
        "const r = await patterns.refute('a'); await agent('b')",
        "return await pipeline([1, 2], (x) => patterns.refute('a' + x, { reviewers: [{ name: 'n', review: async () => { await agent('b' + x); return [] } }, () => [], {}] }), () => agent('c'))",
        "const check = async (c) => { const r = await attempt('b'); return r.ok ? [] : null }\n const r = await patterns.converge({ task: 'a', implement: ({ prompt }) => agent(prompt), verify: check, reviewers: args ? 2 : [check, ...[1, 2].map((i) => async () => { await agent('r' + i); return [] })] }); await agent('c')",
        "const r = await patterns.converge({ task: 'a', async implement() { return await agent('b') }, reviewers: [1, 2].map((i) => ({ name: 'r' + i, review: () => attempt('c' + i) })) }).catch(() => null); await agent('d')",
        "await parallel(['a', 'b'].map((x) => () => patterns.refute(x)))",
        "const votes = (x) => parallel([0, 1].map((i) => () => agent(x + i)))\n await votes('a'); await votes('b')",
    ] {
        assert!(exact(body), "{body}");
        let (first, second) = (run(body), reversed(body));
        if !body.contains("race") {
            assert_eq!(keys(&first), keys(&second), "{body}");
        }
        assert!(!first.keys.is_empty(), "{body}");
    }
}

#[test]
fn r02_forms_that_hold_everything() {
    for body in [
        "const p = agent('a'); await agent('b'); await p",
        "const ps = [1, 2].map((x) => agent('a' + x)); await Promise.all(ps)",
        "let go; const gate = new Promise((r) => { go = r }); agent('a').then(go); await gate",
        "const f = agent; await f('a')",
        "const p = attempt('a'); await agent('b'); await p",
        "const f = attempt; await f('a')",
        "const { refute } = patterns; await refute('a')",
        "patterns.refute('a'); await agent('b')",
        "const p = patterns.refute('a'); await agent('b'); await p",
        "await patterns['refute']('a')",
        "const options = { reviewers: [async () => { await agent('a'); return [] }] }; await patterns.refute('c', options)",
        "await patterns.converge({ task: 't', extra: { toJSON: async () => { await agent('a') } }, implement: () => agent('b') })",
        "await patterns.converge({ task: 't', get implement() { return async () => { await agent('a'); return 1 } }, reviewers: [() => []] })",
        ";[1, 2].forEach(async (x) => { await agent('a' + x); await agent('b' + x) }); await agent('c')",
        "async function side() { await null; await agent('a') }\n side(); await agent('b')",
        "await globalThis.agent('a')",
        "setTimeout(() => agent('a'), 5); await agent('b')",
        "const o = { async f() { return agent('a') } }; await o.f()",
        "await { then(resolve) { agent('a').then(resolve) } }",
        "const run = async (f) => await f(); const one = () => agent('a'); await run(one)",
        "async function* g() { yield agent('a') }\n for await (const x of g()) log(x)",
    ] {
        assert!(!exact(body), "{body}");
        assert!(!run(body).keys.is_empty(), "{body}");
    }
}

#[test]
fn r02_kept_promise_holds_all_settlements() {
    let body = "const p = agent('a'); await agent('b'); await agent('c'); return await p";
    let before = by_prompt(&run(body));
    let again = Host {
        repeated: Some("a".to_owned()),
        ..Host::new()
    };
    let after = by_prompt(&again.run(&script(body)));
    // `a` settles first, so everything after it is taken to depend on it.
    assert_eq!(before["b"], after["b"]);
    assert_ne!(before["c"], after["c"]);
}

#[test]
fn r02_race_counts_the_winner_alone() {
    let body = "const r = await Promise.race([agent('a'), agent('b')]); await agent('c ' + r)";
    let before = by_prompt(&run(body));
    for (repeated, changes) in [("a", true), ("b", false)] {
        let again = Host {
            repeated: Some(repeated.to_owned()),
            ..Host::new()
        };
        let after = by_prompt(&again.run(&script(body)));
        assert_eq!(
            before["c done: a"] != after["c done: a"],
            changes,
            "{repeated}"
        );
    }
}

#[test]
fn r02_timer_carries_what_was_waited_for_before_it() {
    let body = "await agent('a'); await sleep(1000); await agent('b')";
    let before = by_prompt(&run(body));
    let again = Host {
        repeated: Some("a".to_owned()),
        ..Host::new()
    };
    assert_ne!(before["b"], by_prompt(&again.run(&script(body)))["b"]);
}

/// The library is trusted since it is proved as scripts are.
#[test]
fn r02_patterns_are_followed_exactly() {
    let library = concat!(
        include_str!("../../library/patterns/tools.js"),
        include_str!("../../library/patterns/refute.js"),
        include_str!("../../library/patterns/converge.js"),
    );
    let ended = |end: &str| format!("const held = args;\n{library}\n{end}");
    assert!(exact(&ended(
        "return args ? await refute('c') : await converge({})"
    )));
    // It can fail: these have no awaiter.
    assert!(!exact(&ended("refute('c')")));
    let lost = library.replace("await attempt(reviewPrompt", "attempt(reviewPrompt");
    assert!(lost != library && !exact(&format!("const held = args;\n{lost}")));
}

/// A reviewer that is asked again changes what comes after it in its own lane, and what joins the lanes.
#[test]
fn r02_a_repeated_reviewer_changes_its_own_lane_alone() {
    let body = "await pipeline(['a', 'b'], (x) => patterns.converge({
            task: 'make ' + x, implement: async ({ round }) => { await agent(`make ${x}${round}`); return x + round },
            reviewers: [
              { name: 'one', review: async ({ change }) => { await agent('first ' + change); return change.includes('1') ? [{ reason: 'r', quote: 'q' }] : [] } },
              { name: 'two', review: async ({ change }) => { await agent('second ' + change); return [] } },
            ],
          }), (r, x) => agent('then ' + x))
        await agent('report')";
    assert!(exact(body));
    let changed: Vec<_> = changed_by(body, "second a1", 5, false)
        .into_iter()
        .collect();
    assert_eq!(
        changed,
        ["first a2", "make a2", "report", "second a2", "then a"]
    );
}

/// A script as a tree, which knows what each of its calls waits for.
#[derive(Clone, Debug)]
enum Step {
    Agent,
    Sequence(Vec<Step>),
    Parallel(Vec<Step>),
    All(Vec<Step>),
    Settled(Vec<Step>),
    Pipeline(usize, Vec<Step>),
    Helper(Box<Step>),
    /// A refutation whose reviewers are these.
    Refute(Vec<Step>),
    /// One round: this is how it is implemented, by a function, and these are the reviewers.
    Converge(Box<Step>, Vec<Step>),
    Nothing,
}

fn steps() -> impl Strategy<Value = Step> {
    let leaf = prop_oneof![6 => Just(Step::Agent), 1 => Just(Step::Nothing)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            3 => many.clone().prop_map(Step::Sequence),
            3 => many.clone().prop_map(Step::Parallel),
            1 => many.clone().prop_map(Step::All),
            1 => many.clone().prop_map(Step::Settled),
            2 => (1_usize..4, many).prop_map(|(items, stages)| Step::Pipeline(items, stages)),
            1 => inner.clone().prop_map(|step| Step::Helper(Box::new(step))),
            1 => prop::collection::vec(inner.clone(), 1..4).prop_map(Step::Refute),
            1 => (inner.clone(), prop::collection::vec(inner, 1..3))
                .prop_map(|(step, reviewers)| Step::Converge(Box::new(step), reviewers)),
        ]
    })
}

/// Writes a tree as a body; prompts are numbered and end with the items of the pipelines around.
#[derive(Default)]
struct Writer {
    calls: usize,
}

impl Writer {
    fn statements(&mut self, step: &Step, items: &str) -> String {
        match step {
            Step::Agent => {
                self.calls += 1;
                format!("await agent('p{}'{items});", self.calls)
            }
            Step::Nothing => "await null;".to_owned(),
            Step::Sequence(steps) => steps
                .iter()
                .map(|step| self.statements(step, items))
                .collect(),
            Step::Parallel(steps) => {
                format!("await parallel([{}]);", self.lanes(steps, items, "", ""))
            }
            Step::All(steps) => format!(
                "await Promise.all([{}]);",
                self.lanes(steps, items, "(", ")()")
            ),
            Step::Settled(steps) => {
                format!(
                    "await Promise.allSettled([{}]);",
                    self.lanes(steps, items, "(", ")()")
                )
            }
            Step::Pipeline(count, steps) => {
                let list: Vec<String> = (0..*count).map(|item| item.to_string()).collect();
                let depth = items.matches('+').count() / 2;
                let inner = format!("{items} + '-' + i{depth}");
                let stages: Vec<String> = steps
                    .iter()
                    .map(|step| {
                        format!(
                            ", async (_, i{depth}) => {{ {} }}",
                            self.statements(step, &inner)
                        )
                    })
                    .collect();
                let stages = stages.concat();
                format!("await pipeline([{}]{stages});", list.join(","))
            }
            Step::Helper(step) => {
                format!(
                    "await (async () => {{ {} }})();",
                    self.statements(step, items)
                )
            }
            Step::Refute(steps) => {
                format!(
                    "await patterns.refute('c', {{ reviewers: [{}] }});",
                    self.reviewers(steps, items)
                )
            }
            Step::Converge(step, reviewers) => {
                format!(
                    "await patterns.converge({{ task: 't', implement: async () => {{ {} return 1 }}, reviewers: [{}] }});",
                    self.statements(step, items),
                    self.reviewers(reviewers, items)
                )
            }
        }
    }

    /// As functions and as objects that have one, by turns.
    fn reviewers(&mut self, steps: &[Step], items: &str) -> String {
        let mut reviewers = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let review = format!(
                "async () => {{ {} return [] }}",
                self.statements(step, items)
            );
            reviewers.push(match index % 2 {
                0 => review,
                _ => format!("{{ name: 'r', review: {review} }}"),
            });
        }
        reviewers.join(", ")
    }

    fn lanes(&mut self, steps: &[Step], items: &str, before: &str, after: &str) -> String {
        let lanes: Vec<String> = steps
            .iter()
            .map(|step| {
                format!(
                    "{before}async () => {{ {} }}{after}",
                    self.statements(step, items)
                )
            })
            .collect();
        lanes.join(", ")
    }
}

type Ancestors = BTreeMap<String, BTreeSet<String>>;

/// What each call waits for, by the tree alone.
#[derive(Default)]
struct Graph {
    calls: usize,
    ancestors: Ancestors,
}

impl Graph {
    fn join(
        &mut self,
        steps: &[Step],
        items: &[String],
        before: &[BTreeSet<String>],
    ) -> Vec<BTreeSet<String>> {
        let mut after = before.to_vec();
        for step in steps {
            for (union, lane) in after.iter_mut().zip(self.walk(step, items, before)) {
                union.extend(lane);
            }
        }
        after
    }

    fn walk(
        &mut self,
        step: &Step,
        items: &[String],
        before: &[BTreeSet<String>],
    ) -> Vec<BTreeSet<String>> {
        // One entry for each combination of items of the pipelines around.
        match step {
            Step::Agent => {
                self.calls += 1;
                let number = self.calls;
                items
                    .iter()
                    .zip(before)
                    .map(|(item, known)| {
                        let prompt = format!("p{number}{item}");
                        self.ancestors.insert(prompt.clone(), known.clone());
                        known.iter().cloned().chain([prompt]).collect()
                    })
                    .collect()
            }
            Step::Nothing => before.to_vec(),
            Step::Sequence(steps) => steps.iter().fold(before.to_vec(), |known, step| {
                self.walk(step, items, &known)
            }),
            Step::Parallel(steps)
            | Step::All(steps)
            | Step::Settled(steps)
            | Step::Refute(steps) => self.join(steps, items, before),
            Step::Converge(step, reviewers) => {
                let made = self.walk(step, items, before);
                self.join(reviewers, items, &made)
            }
            Step::Pipeline(count, steps) => {
                let inner: Vec<String> = items
                    .iter()
                    .flat_map(|item| (0..*count).map(move |index| format!("{item}-{index}")))
                    .collect();
                let known: Vec<_> = before
                    .iter()
                    .flat_map(|known| vec![known.clone(); *count])
                    .collect();
                let ends = steps
                    .iter()
                    .fold(known, |known, step| self.walk(step, &inner, &known));
                ends.chunks(*count).map(ConcatSets::concat_sets).collect()
            }
            Step::Helper(step) => self.walk(step, items, before),
        }
    }
}

trait ConcatSets {
    fn concat_sets(&self) -> BTreeSet<String>;
}

impl ConcatSets for [BTreeSet<String>] {
    fn concat_sets(&self) -> BTreeSet<String> {
        self.iter().flatten().cloned().collect()
    }
}

/// A body that ends with a call which waits for everything, and what its calls wait for.
fn program(step: &Step) -> (String, Ancestors) {
    let whole = Step::Sequence(vec![step.clone(), Step::Agent]);
    let body = Writer::default().statements(&whole, "");
    let mut graph = Graph::default();
    graph.walk(&whole, &[String::new()], &[BTreeSet::new()]);
    (body, graph.ancestors)
}

fn shuffled(seed: u64) -> Host<'static> {
    let mut state = seed | 1;
    let order = move |open: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % open
    };
    Host {
        order: Box::new(order),
        answers: Box::new(|call| {
            if call.prompt.ends_with('7') {
                crashed()
            } else {
                text("yes")
            }
        }),
        ..Host::new()
    }
}

/// Which calls have another key when `repeated` has run again, in any order of completion.
fn changed_by(body: &str, repeated: &str, seed: u64, drop_contexts: bool) -> BTreeSet<String> {
    let script = script(body);
    let before = by_prompt(
        &Host {
            drop_contexts,
            ..shuffled(seed)
        }
        .run(&script),
    );
    let again = Host {
        repeated: Some(repeated.to_owned()),
        drop_contexts,
        ..shuffled(!seed)
    };
    let after = by_prompt(&again.run(&script));
    before
        .into_iter()
        .filter(|(prompt, key)| after[prompt] != *key)
        .map(|(prompt, _)| prompt)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// I2, I3, I4: whatever the order of completion, a repeated call changes the keys of those that waited for it, and of no
    /// other.
    #[test]
    fn r02_keys_follow_the_dependencies(step in steps(), seed: u64, chosen: prop::sample::Index) {
        let (body, ancestors) = program(&step);
        prop_assert!(exact(&body), "{body}");
        let first = shuffled(seed).run(&script(&body));
        let second = shuffled(!seed).run(&script(&body));
        prop_assert_eq!(by_prompt(&first), by_prompt(&second), "{}", body);
        let prompts: BTreeSet<String> = by_prompt(&first).into_keys().collect();
        prop_assert_eq!(&prompts, &ancestors.keys().cloned().collect(), "{}", body);
        let repeated = chosen.get(&prompts.iter().cloned().collect::<Vec<_>>()).clone();
        let expected: BTreeSet<String> = ancestors
            .iter()
            .filter(|(_, known)| known.contains(&repeated))
            .map(|(prompt, _)| prompt.clone())
            .collect();
        prop_assert_eq!(changed_by(&body, &repeated, seed, false), expected, "{} in {}", repeated, body);
    }

    /// I6: any grouping of settlements gives the same turns.
    #[test]
    fn r03_grouping_is_never_seen(step in steps(), seed: u64, grouping in 2_usize..9) {
        let (body, _) = program(&step);
        let script = script(&body);
        // First come, first served: the order must not depend on how many wait.
        let one = Host { ..Host::new() }.run(&script);
        let mut settlements = 0;
        let grouped = Host { grouping, ..Host::new() }.run(&script);
        settlements += grouped.turns.len();
        prop_assert_eq!(one.turns.len(), settlements);
        prop_assert_eq!(one.turns, grouped.turns, "{} {}", seed, body);
    }
}

/// I9: the property above does fail for a matcher without contexts.
#[test]
fn r02_without_contexts_the_property_fails() {
    let body = "await agent('p1'); await agent('p2');";
    assert_eq!(
        changed_by(body, "p1", 1, false),
        BTreeSet::from(["p2".to_owned()])
    );
    assert_eq!(changed_by(body, "p1", 1, true), BTreeSet::new());
}

//! The invariants of `docs/replay.md` over scripts that nobody wrote.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether::explain::Fate;
use bellwether::store::{Batch, MemoryStore, Position};
use bellwether::{CallNumber, ResumeOptions, RewindOptions, RunId, Store as _};
use bellwether_journal::codec;
use bellwether_journal::state::RunState;

use crate::bed::{Bed, script};
use crate::generate::{Edit, Program, Random};

/// The labels of the agents of a run's newest generation: those that ran, and of which call each reused one came.
fn ran(bed: &Bed, run: RunId) -> (BTreeSet<usize>, Vec<String>) {
    let view = bed.engine.archive().view(run, 0).unwrap();
    let mut live = BTreeSet::new();
    let mut from = Vec::new();
    for call in &view.calls {
        match &call.reused_from {
            Some(base) => from.push(base.clone()),
            None => _ = live.insert(number(call.label.as_deref())),
        }
    }
    (live, from)
}

fn number(label: Option<&str>) -> usize {
    label.unwrap().trim_start_matches('c').parse().unwrap()
}

/// I1, I2, I3, I7, and R04: what runs is what was changed and what waits for it, whatever the order in which things end; and
/// it is what was explained before.
#[tokio::test]
async fn r03_r04_over_two_hundred_edits_just_what_depends_on_them_runs_and_was_explained() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let program = Program::random(&mut random);
        let edit = program.edit(&mut random);
        let (edited, expected) = program.edited(&edit);
        let (before, after) = (program.body(), edited.body());
        let told = || format!("seed {seed}: {edit:?} of\n{before}\nto\n{after}");

        let bed = Bed::new().await;
        let run = bed.run(&before).await;
        let again = match &edit {
            Edit::Again(label) => Some(call_of(&bed, run, *label)),
            _ => None,
        };
        let change = RewindOptions::new().script(script(&after)).again(again);
        let explained = bed.engine.explain(run, None, &change).await.unwrap();
        assert!(bed.backend.ran().is_empty(), "explaining runs nothing");
        bed.rewound(run, change).await;
        let (live, from) = ran(&bed, run);
        let mut spared: Vec<usize> = expected.difference(&live).copied().collect();
        if matches!(edit, Edit::Remove(_)) {
            // One that stands now where an equal one was taken away has its answer.
            let shared: Vec<_> = edited
                .calls()
                .into_iter()
                .filter(|(_, call)| call.prompt == 0)
                .collect();
            spared.retain(|label| !shared.iter().any(|(_, call)| call.label == *label));
        }
        assert!(spared.is_empty(), "{spared:?} should have run: {}", told());
        assert!(
            live.is_subset(&expected),
            "{live:?}, not {expected:?}: {}",
            told()
        );
        let distinct: BTreeSet<&String> = from.iter().collect();
        assert_eq!(distinct.len(), from.len(), "used twice: {}", told());
        let foretold: BTreeSet<usize> = explained
            .calls
            .iter()
            .filter(|call| call.fate != Fate::Reused)
            .map(|call| number(call.label.as_deref()))
            .collect();
        assert_eq!(foretold, live, "explained: {}", told());
        let mut foretold_from: Vec<String> = explained
            .calls
            .iter()
            .filter(|call| call.fate == Fate::Reused)
            .map(|call| call.from.clone().unwrap())
            .collect();
        let mut from = from;
        from.sort();
        foretold_from.sort();
        assert_eq!(foretold_from, from, "{}", told());
        bed.backend.ran();
        assert!(
            bed.rewind(run, RewindOptions::new()).await.is_empty(),
            "I1: {}",
            told()
        );
    }
}

fn call_of(bed: &Bed, run: RunId, label: usize) -> CallNumber {
    let label = format!("c{label}");
    bed.engine.archive().find_call(run, &label).unwrap()
}

/// As above, with failures instead of edits: they run again with what waits for them, and all of it counts as reused next.
#[tokio::test]
async fn r05_over_a_hundred_scripts_failures_run_again_with_what_waits_for_them() {
    for seed in 1_000..1_100 {
        let mut random = Random(seed);
        let program = Program::random(&mut random);
        let calls = program.calls();
        // One whose prompt is no other's.
        let own: Vec<_> = calls.iter().filter(|(_, call)| call.prompt != 0).collect();
        let Some((_, failing)) = own.get(random.below(own.len())) else {
            continue;
        };
        let bed = Bed::new().await;
        let prompt = format!("do {}", failing.prompt);
        bed.backend.fail(&[&prompt]);
        let run = bed.run(&program.body()).await;
        bed.backend.fail(&[]);
        bed.rewound(run, RewindOptions::new()).await;
        let (live, _) = ran(&bed, run);
        let expected = program.descendants(failing.label);
        assert_eq!(
            live,
            expected,
            "seed {seed}: {failing:?} of\n{}",
            program.body()
        );
    }
}

/// A store with the first records of a run, as a crash leaves them.
fn cut(store: &MemoryStore, run: RunId, count: usize) -> MemoryStore {
    let rows = store.records(run, Position(0), count).unwrap();
    let payloads = store
        .payloads(run, Position(0), usize::MAX, usize::MAX)
        .unwrap();
    let mut state = RunState::new(run);
    for row in &rows {
        let entry = codec::decode(run, row.position, &row.bytes).unwrap();
        state.apply(&entry).unwrap();
    }
    let cut = MemoryStore::new();
    let batch = Batch {
        records: rows
            .into_iter()
            .map(|row| (run, row.position, row.bytes))
            .collect(),
        payloads: payloads
            .into_iter()
            .filter(|row| row.position < state.next)
            .map(|row| (run, row.position, row.bytes.into()))
            .collect(),
        blobs: Vec::new(),
        summaries: vec![(run, codec::encode_summary(&state.summary()))],
    };
    cut.commit(&batch).unwrap();
    cut
}

/// I8: a crash anywhere in a rewind, recovered, comes to what the rewind comes to without it, and runs nothing that had ended.
#[tokio::test]
async fn r03_r05_a_rewind_goes_on_from_every_prefix_of_its_journal() {
    let body = "const long = 'x'.repeat(3000)
        const both = await pipeline(['a', 'b', 'c', 'd'],
            (x, _, i) => agent('fix ' + x + long, { label: 'c1' + i }),
            (v, x, i) => agent('check ' + x, { label: 'c2' + i }))
        await sleep(5)
        const last = await Promise.race([agent('sum up', { label: 'c3' }), sleep(60000)])
        return [both, last]";
    let store = Arc::new(MemoryStore::new());
    let bed = Bed::on(Arc::clone(&store)).await;
    let failing = format!("fix b{}", "x".repeat(3000));
    bed.backend.fail(&[&failing]);
    let run = bed.run(body).await;
    bed.backend.fail(&[]);
    let first = store.records(run, Position(0), usize::MAX).unwrap().len();
    let ran_whole = bed.rewind(run, RewindOptions::new()).await;
    assert_eq!(ran_whole.len(), 3, "{ran_whole:?}");
    let (result, fates) = (bed.result(run), ran(&bed, run));
    let records = store.records(run, Position(0), usize::MAX).unwrap().len();

    for count in first + 1..records {
        let bed = Bed::on(Arc::new(cut(&store, run, count))).await;
        let resumed = bed.engine.resume(run, ResumeOptions::new()).await.unwrap();
        resumed.wait().await;
        // How often a prompt ran is part of its answer, and a crash may cost one more.
        let strip = |text: &str| text.replace("#2", "#1");
        assert_eq!(strip(&bed.result(run)), strip(&result), "cut at {count}");
        assert_eq!(ran(&bed, run), fates, "cut at {count}");
        let ran = bed.backend.ran();
        assert!(
            ran.iter().all(|prompt| ran_whole.contains(prompt)),
            "cut at {count}: {ran:?}"
        );
    }
}

/// What the script asked for and what it was told, in order: the generation before the last, and the last.
fn told(bed: &Bed, run: RunId) -> [Vec<String>; 2] {
    let mut generations: Vec<Vec<String>> = Vec::new();
    for line in bed
        .engine
        .archive()
        .dump(run, Position(0), usize::MAX)
        .unwrap()
    {
        let record = &line.record;
        let id = |name: &str| record[name].as_str().unwrap().to_owned();
        let told = match line.kind.as_str() {
            "GenerationOpened" | "GenerationRewound" => {
                generations.push(Vec::new());
                continue;
            }
            "CallScheduled" => format!("asked {} {} {}", id("agentId"), id("key"), record["turn"]),
            "CallSettled" => format!("told {}", id("agentId")),
            "CallReused" => {
                assert_eq!(id("agentId"), id("from"), "nothing has moved");
                format!("told {}", id("agentId"))
            }
            _ => continue,
        };
        generations.last_mut().unwrap().push(told);
    }
    let last = generations.pop().unwrap();
    [generations.pop().unwrap(), last]
}

/// I1: with nothing changed the script asks for the same, and is told the same in the same order, turn by turn.
#[tokio::test]
async fn r03_with_nothing_changed_every_turn_is_as_before() {
    for seed in 2_000..2_060 {
        let program = Program::random(&mut Random(seed));
        let bed = Bed::new().await;
        let run = bed.run(&program.body()).await;
        assert!(bed.rewind(run, RewindOptions::new()).await.is_empty());
        let [before, after] = told(&bed, run);
        let turns = |told: Vec<String>| {
            // Answers and what they lead to may share a commit, so only the order within each of the two counts.
            let (asked, answered): (Vec<_>, Vec<_>) =
                told.into_iter().partition(|line| line.starts_with("asked"));
            (asked, answered)
        };
        assert_eq!(
            turns(after),
            turns(before),
            "seed {seed}:\n{}",
            program.body()
        );
    }
}

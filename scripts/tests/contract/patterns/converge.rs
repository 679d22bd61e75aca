//! X08: what `patterns.converge` makes of its rounds.

use bellwether_journal::record::FailureKind;
use bellwether_scripts::{About, Answer, Nothing};
use serde_json::{Value, json};

use super::{CRASHES, GRUMBLES, NODS, REFUTED, STANDS, each, labels, scripted};
use crate::support::{Host, run, script, value};

/// One line a case: what the agents say, and what comes of it.
#[test]
fn x08_converge_goes_on_until_the_verifiers_agree() {
    struct Case {
        name: &'static str,
        answers: &'static [(&'static str, &'static str)],
        /// agreed, change, how often implemented
        comes_to: (bool, Value, usize),
        /// of each round: the verdicts, or the error's kind
        rounds: &'static [&'static str],
        dissent: usize,
        always_agreed: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "agreement at once",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", STANDS),
                ("converge 1: b", STANDS),
            ],
            comes_to: (true, json!(1), 1),
            rounds: &["stands stands"],
            dissent: 0,
            always_agreed: &[],
        },
        Case {
            name: "disagreement, then a fix",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", REFUTED),
                ("converge 1: b", REFUTED),
                ("converge 2: fix", "2"),
                ("converge 2: a", STANDS),
                ("converge 2: b", STANDS),
            ],
            comes_to: (true, json!(2), 2),
            rounds: &["refuted refuted", "stands stands"],
            dissent: 0,
            always_agreed: &[],
        },
        Case {
            name: "a reviewer that always agrees, with an account",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", REFUTED),
                ("converge 1: b", STANDS),
                ("converge 2: fix", "2"),
                ("converge 2: a", STANDS),
                ("converge 2: b", STANDS),
            ],
            comes_to: (true, json!(2), 2),
            rounds: &["refuted stands", "stands stands"],
            dissent: 0,
            always_agreed: &["b"],
        },
        Case {
            name: "a reviewer that always agrees, without: the same change is looked at again",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", STANDS),
                ("converge 1: b", NODS),
                ("converge 2: a", STANDS),
                ("converge 2: b", NODS),
                ("converge 3: a", STANDS),
                ("converge 3: b", NODS),
            ],
            comes_to: (false, json!(1), 1),
            rounds: &["stands stands", "stands stands", "stands stands"],
            dissent: 0,
            always_agreed: &["b"],
        },
        Case {
            name: "failures in between",
            answers: &[
                ("converge 1: implement", CRASHES),
                ("converge 2: implement", "2"),
                ("converge 2: a", CRASHES),
                ("converge 2: b", STANDS),
                ("converge 3: a", STANDS),
                ("converge 3: b", STANDS),
            ],
            comes_to: (true, json!(2), 1),
            rounds: &["crash", "failed stands", "stands stands"],
            dissent: 0,
            always_agreed: &[],
        },
        Case {
            name: "a fix that fails leaves change and dissent as they were",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", REFUTED),
                ("converge 1: b", STANDS),
                ("converge 2: fix", CRASHES),
                ("converge 3: fix", "3"),
                ("converge 3: a", STANDS),
                ("converge 3: b", GRUMBLES),
            ],
            comes_to: (false, json!(3), 2),
            rounds: &["refuted stands", "crash", "stands unproven"],
            dissent: 0,
            always_agreed: &[],
        },
        Case {
            name: "rounds that run out",
            answers: &[
                ("converge 1: implement", "1"),
                ("converge 1: a", REFUTED),
                ("converge 1: b", STANDS),
                ("converge 2: fix", "2"),
                ("converge 2: a", REFUTED),
                ("converge 2: b", STANDS),
                ("converge 3: fix", "3"),
                ("converge 3: a", STANDS),
                ("converge 3: b", REFUTED),
            ],
            comes_to: (false, json!(3), 3),
            rounds: &["refuted stands", "refuted stands", "stands refuted"],
            dissent: 1,
            always_agreed: &[],
        },
        Case {
            name: "nothing ever made",
            answers: &[
                ("converge 1: implement", CRASHES),
                ("converge 2: implement", CRASHES),
                ("converge 3: implement", CRASHES),
            ],
            comes_to: (false, json!(null), 0),
            rounds: &["crash", "crash", "crash"],
            dissent: 0,
            always_agreed: &[],
        },
    ];
    for case in cases {
        let run = scripted(case.answers).run(&script(
            "return await patterns.converge({ task: 'Do it', reviewers: ['a', 'b'] })",
        ));
        let name = case.name;
        assert_eq!(
            labels(&run),
            case.answers
                .iter()
                .map(|(label, _)| *label)
                .collect::<Vec<_>>(),
            "{name}"
        );
        let result = run.value();
        let (agreed, change, implemented) = case.comes_to;
        assert_eq!(
            (&result["agreed"], &result["change"]),
            (&json!(agreed), &change),
            "{name}: {result}"
        );
        assert_eq!(result["spent"], json!(!agreed), "{name}");
        let made = each(&result["rounds"], "implemented");
        assert_eq!(
            made.iter().filter(|made| ***made == json!(true)).count(),
            implemented,
            "{name}"
        );
        let rounds: Vec<String> = result["rounds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|round| {
                let verdicts: Vec<_> = each(&round["verdicts"], "verdict")
                    .into_iter()
                    .filter_map(Value::as_str)
                    .collect();
                round["error"]["kind"]
                    .as_str()
                    .map_or_else(|| verdicts.join(" "), str::to_owned)
            })
            .collect();
        assert_eq!(rounds, case.rounds, "{name}");
        assert_eq!(
            result["dissent"].as_array().unwrap().len(),
            case.dissent,
            "{name}"
        );
        assert_eq!(
            result["alwaysAgreed"],
            json!(case.always_agreed),
            "{name}: {result}"
        );
    }
}

#[test]
fn x08_converge_tells_what_each_reviewer_did() {
    let run = scripted(&[
        ("converge 1: implement", "1"),
        ("converge 1: a", REFUTED),
        ("converge 1: b", NODS),
        ("converge 2: fix", "2"),
        ("converge 2: a", GRUMBLES),
        ("converge 2: b", STANDS),
        ("converge 3: a", CRASHES),
        ("converge 3: b", STANDS),
    ])
    .run(&script(
        "return await patterns.converge({ task: 'Do it', reviewers: ['a', 'b'] })",
    ));
    assert_eq!(
        run.value()["reviewers"],
        json!([
            { "reviewer": "a", "asked": 3, "refuted": 1, "stands": 0, "unproven": 1, "failed": 1, "rubberStamps": 0, "missed": 0 },
            { "reviewer": "b", "asked": 3, "refuted": 0, "stands": 3, "unproven": 0, "failed": 0, "rubberStamps": 1, "missed": 1 },
        ])
    );
}

#[test]
fn x08_converge_shows_the_dissent_to_whoever_fixes() {
    let host = Host {
        about: Box::new(|call| About {
            worktree: call
                .label
                .as_deref()
                .filter(|label| label.contains("implement"))
                .map(|_| {
                    "{\"branch\":\"b/a-0\",\"base\":\"1f\",\"commit\":\"2e\",\"files\":[\"a.js\"]}"
                        .into()
                }),
            ..About::default()
        }),
        ..scripted(&[
            ("mine 1: implement", "{\"moved\":3}"),
            ("mine 1: correctness", REFUTED),
            ("mine 1: side effects", STANDS),
            ("mine 2: fix", "{\"moved\":4}"),
            ("mine 2: correctness", STANDS),
            ("mine 2: side effects", STANDS),
        ])
    };
    let body = "return await patterns.converge({ task: 'Do it', label: 'mine', implement: { prompt: 'Do it so', isolation: 'worktree', schema: {} }, agentOptions: { model: 'm' } })";
    let run = host.run(&script(body));
    let fix = &run.calls[3];
    assert_eq!(run.calls[0].prompt.as_ref(), "Do it so");
    assert_eq!(
        fix.options.as_ref(),
        "{\"model\":\"m\",\"isolation\":\"worktree\",\"schema\":{}}"
    );
    for part in [
        "Do it so\n\n# Round 2\n",
        "1. a.js:7: still called (correctness)\n   fetch(\n",
        "\"moved\": 3",
        "on branch b/a-0 (git diff 1f 2e shows it)",
        "git cherry-pick 1f..2e",
    ] {
        assert!(fix.prompt.contains(part), "{part}\n---\n{}", fix.prompt);
    }
    // Reviewers of the second round know nothing of the first.
    assert!(
        run.calls[4].prompt.contains("\"moved\": 4")
            && !run.calls[4].prompt.contains("still called")
    );
    assert!(
        run.calls[1].prompt.contains("on branch b/a-0")
            && !run.calls[1].options.contains("isolation")
    );
}

#[test]
fn x08_converge_takes_functions() {
    let body = "const seen = [];
        const r = await patterns.converge({
          task: 'Do it', rounds: 5, reviewers: 0,
          implement: ({ round, prompt, change, dissent }) => {
            seen.push([round, prompt.includes('wrong'), change, dissent.length]);
            if (round === 2) throw new Error('boom');
            if (round === 3) return null;
            return { n: round, worktree: round === 1 ? null : { branch: 'w' } };
          },
          verify: [({ change }) => change.n < 4 ? [{ reason: 'too small', quote: String(change.n) }] : [], () => []],
        });
        return { ...r, seen }";
    let result = run(body).value();
    assert_eq!(
        result["seen"],
        json!([[1, false, null, 0], [2, true, { "n": 1, "worktree": null }, 1], [3, true, { "n": 1, "worktree": null }, 1], [4, true, { "n": 1, "worktree": null }, 1]])
    );
    assert_eq!(
        (&result["agreed"], &result["worktree"]),
        (&json!(true), &json!({ "branch": "w" }))
    );
    let errors = each(&result["rounds"], "error");
    assert_eq!(
        errors,
        [
            &json!(null),
            &json!({ "kind": "thrown", "message": "Error: boom", "attempts": 1 }),
            &json!({ "kind": "nothing", "message": "the implementer gave nothing", "attempts": 1 }),
            &json!(null)
        ]
    );
    // What `attempt` says is taken as it is.
    let tried = Host {
        about: Box::new(|_| About {
            worktree: Some("{\"branch\":\"b\"}".into()),
            ..About::default()
        }),
        ..Host::answering(|call| match call.prompt.as_ref() {
            "Do it" => value("7"),
            _ => Answer::Nothing(Nothing::Failed {
                kind: FailureKind::Quota,
                message: "none left".into(),
            }),
        })
    };
    let run = tried.run(&script(
        "return await patterns.converge({ task: 'Do it', rounds: 2, reviewers: 0, implement: ({ prompt }) => attempt(prompt), verify: () => [{ reason: 'r', quote: 'q' }] })",
    )).value();
    assert_eq!(
        (&run["change"], &run["worktree"]),
        (&json!(7), &json!({ "branch": "b" }))
    );
    assert_eq!(
        run["rounds"][1]["error"],
        json!({ "kind": "quota", "message": "none left", "attempts": 0 })
    );
}

/// A check that fails saves the reviewers' money.
#[test]
fn x08_converge_asks_reviewers_only_when_the_checks_pass() {
    let body = "let n = 0; return await patterns.converge({ task: 'Do it', implement: () => ++n, reviewers: ['a'],
          verify: ({ change }) => change === 1 ? [{ reason: 'r', quote: 'q' }] : [] })";
    let run = scripted(&[("converge 2: a", STANDS)]).run(&script(body));
    assert_eq!(labels(&run), ["converge 2: a"]);
    assert_eq!(run.value()["agreed"], json!(true));
    let verdicts: Vec<_> = run.value()["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|round| each(&round["verdicts"], "reviewer").len())
        .collect();
    assert_eq!(verdicts, [1, 2]);
}

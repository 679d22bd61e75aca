//! The workflow `deep-research` over a folder of texts, with agents whose answers the test writes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use bellwether::backend::sources::Sources;
use bellwether::{
    AgentBackend, AttemptContext, Ended, Engine, FailureKind, RunError, Script, StartOptions, Task,
};
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("../../scripts/library/workflows/deep-research.js");

const JOURNAL: &str = "\
# The journal

Every message is journaled before it is
sent. A killed run goes on where it was.

The journal is one file, and grows without
bound until somebody compacts it.
";

const LIMITS: &str = "\
# Limits

At most **16 agents** run at once. The limit
can be raised to a million.
";

/// Agents that say what is written for their labels. One that has nothing to say fails; voters hold a claim and refuters
/// let it stand unless something else is written for them.
#[derive(Default)]
struct Team {
    answers: HashMap<&'static str, Value>,
    asked: Mutex<BTreeMap<String, Arc<Task>>>,
}

impl Team {
    fn new<const N: usize>(answers: [(&'static str, Value); N]) -> Arc<Self> {
        Arc::new(Self {
            answers: HashMap::from(answers),
            asked: Mutex::default(),
        })
    }

    /// The task that was given to the agent of this label.
    fn task(&self, label: &str) -> Arc<Task> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let labels: Vec<_> = asked.keys().collect();
        let task = asked.get(label);
        Arc::clone(task.unwrap_or_else(|| panic!("nobody was asked {label}: {labels:?}")))
    }

    fn was_asked(&self, label: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.contains_key(label)
    }
}

impl AgentBackend for Team {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        let label = task.label.as_deref().unwrap_or_default().to_owned();
        let answer = match self.answers.get(label.as_str()) {
            Some(answer) => answer.clone(),
            None if label.starts_with("vote ") => json!({"vote": "holds", "reason": "read it"}),
            None if label.starts_with("refute ") => {
                json!({"verdict": "stands", "evidence": [], "checked": ["all files"]})
            }
            None => Value::Null,
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.insert(label.clone(), task);
        assert!(before.is_none(), "{label} was asked twice");
        Box::pin(ready(match answer {
            Value::Null => Ended::failed(FailureKind::Refused, format!("{label} has no answer")),
            answer => Ended::completed(answer.to_string()),
        }))
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let docs = folder.path().join("docs");
    let written = fs::create_dir(&docs).and_then(|()| {
        files
            .iter()
            .try_for_each(|(path, text)| fs::write(docs.join(path), text))
    });
    written.unwrap_or_else(|error| panic!("{error}"));
    folder
}

async fn run(folder: &TempDir, team: &Arc<Team>, args: Value) -> Result<Value, RunError> {
    let engine = Engine::builder()
        .memory()
        .backend("team", Arc::clone(team) as Arc<_>)
        .backend("sources", Arc::new(Sources))
        .build()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let options = StartOptions::new()
        .backend("team")
        .working_directory(folder.path())
        .args(&args)
        .unwrap_or_else(|error| panic!("{error}"));
    let run = engine.start(Script::text(SCRIPT), options).await;
    run.unwrap_or_else(|error| panic!("{error}")).result().await
}

fn claim(claim: &str, source: &str, quotation: &str) -> Value {
    json!({"claim": claim, "quotations": [{"source": source, "quotation": quotation}]})
}

fn vote(vote: &str) -> Value {
    json!({"vote": vote, "reason": "I looked"})
}

fn refuted(file: &str, quote: &str) -> Value {
    let evidence =
        json!([{"file": file, "line": 1, "quote": quote, "reason": "it says otherwise"}]);
    json!({"verdict": "refuted", "evidence": evidence, "checked": ["all files"]})
}

#[tokio::test]
async fn only_what_stands_in_the_sources_and_holds_is_reported() {
    let long = "Nothing of interest.\n".repeat(11_000);
    let folder = folder(&[
        ("journal.md", JOURNAL),
        ("limits.md", LIMITS),
        ("long.txt", &long),
        ("picture.png", "\u{0}PNG"),
        ("zoo.txt", "Nobody gets as far as this.\n"),
    ]);
    let team = Team::new([
        (
            "plan",
            json!({"angles": [
                {"name": "durability", "task": "What survives?", "sources": ["./journal.md", "nowhere.md"]},
                {"name": "limits", "task": "What is bounded?", "sources": ["limits.md"]},
                {"name": "one too many", "task": "…", "sources": ["zoo.txt"]},
            ]}),
        ),
        (
            "durability",
            json!({"read": ["journal.md"], "claims": [
                // White space is mangled, and the case of the first letter.
                claim("Killed runs go on.", "journal.md", "a killed  run\n\tgoes on where it was"),
                claim("Messages are journaled first.", "./journal.md", "Every message is journaled before it is sent"),
                claim("The journal stays small.", "journal.md", "The journal never has more than a gigabyte"),
                claim("The journal only grows.", "journal.md", "The journal is a single file and grows without bound"),
            ]}),
        ),
        (
            "limits",
            json!({"read": ["limits.md"], "claims": [
                claim("16 agents run at once.", "limits.md", "At most 16 agents run at once."),
                claim("A killed run is resumed.", "journal.md", "A killed run goes on where it was."),
                claim("The limit is fixed.", "limits.md", "The limit can be raised to a million."),
                claim("A million agents were run.", "limits.md", "raised to a million"),
                claim("16 is the default.", "limits.md", "16 agents run at once. The limit can be raised"),
                claim("Limits are for agents.", "limits.md", "16 agents run at once … can be raised"),
                claim("The seventh claim.", "limits.md", "can be raised to a million"),
            ]}),
        ),
        (
            "correct: durability",
            json!({"corrections": [
                {"number": 0, "source": "journal.md", "quotation": "It never has more than a gigabyte"},
                {"number": 1, "source": "journal.md", "quotation": "The journal is one file, and grows without bound"},
                {"number": 7, "source": "journal.md", "quotation": "Every message is journaled"},
            ]}),
        ),
        (
            "merge",
            json!({"groups": [{"ids": ["c1", "c5"]}, {"ids": ["c2", "c99"]}]}),
        ),
        ("vote 3: c2", vote("fails")),
        ("vote 2: c4", Value::Null),
        ("vote 1: c6", vote("fails")),
        ("vote 2: c6", Value::Null),
        ("vote 3: c6", vote("fails")),
        ("vote 2: c7", Value::Null),
        ("vote 3: c7", Value::Null),
        ("vote 2: c8", vote("fails")),
        ("vote 3: c8", vote("unclear")),
        (
            "refute c3: refuter 1",
            refuted("journal.md", "until somebody compacts it"),
        ),
        (
            "refute c4: refuter 2",
            refuted("limits.md", "There are never more than eight agents"),
        ),
        ("refute c9: refuter 1", Value::Null),
        (
            "report",
            json!(
                "Runs survive [1], and messages [9]. It says “the journal is a database of messages”.\n"
            ),
        ),
        (
            "mend report",
            json!(
                "A killed run goes on [1, 2]. “Every message is journaled before it is sent,” it says [3].\n"
            ),
        ),
    ]);
    let args = json!({"question": "What survives?", "sources": "docs", "angles": 2, "rest": 1});
    let result = run(&folder, &team, args).await;
    let mut result = result.unwrap_or_else(|error| panic!("{error}"));

    let report = result["report"].take();
    assert_eq!(
        report.as_str().unwrap_or_default(),
        "A killed run goes on [1, 2]. “Every message is journaled before it is sent,” it says [3].\n\n## References\n\n\
         - [1] `journal.md`, line 4: “A killed run goes on where it was”\n\
         - [2] `journal.md`, line 4: “A killed run goes on where it was.”\n\
         - [3] `journal.md`, lines 3–4: “Every message is journaled before it is sent”\n"
    );
    let passage = |source: &str, first: u32, last: u32, text: &str| json!({"source": source, "first": first, "last": last, "text": text});
    let goes_on = passage("journal.md", 4, 4, "A killed run goes on where it was");
    let goes_on_whole = passage("journal.md", 4, 4, "A killed run goes on where it was.");
    let first_journaled = passage(
        "journal.md",
        3,
        4,
        "Every message is journaled before it is\nsent",
    );
    let cited = |number: u32, passage: &Value| {
        let mut cited = json!({"number": number});
        for (key, value) in passage.as_object().into_iter().flatten() {
            cited[key] = value.clone();
        }
        cited
    };
    let read = "holds: read it";
    let judged = |id: &str, claim: &str, quotation: &Value, why: Value, votes: Value| {
        let reader = if matches!(id, "c2" | "c3") {
            "durability"
        } else {
            "limits"
        };
        json!({"id": id, "claim": claim, "readers": [reader], "quotations": [quotation], "notFound": [], "why": why, "votes": votes})
    };
    let all_hold =
        json!({"holds": 3, "fails": 0, "unclear": 0, "missing": 0, "reasons": [read, read, read]});
    let mut merged = judged(
        "c1+c5",
        "Killed runs go on.",
        &goes_on,
        Value::Null,
        all_hold.clone(),
    );
    merged["readers"] = json!(["durability", "limits"]);
    merged["quotations"] = json!([goes_on, goes_on_whole]);
    merged["alsoSaid"] = json!(["A killed run is resumed."]);
    merged["citations"] = json!([1, 2]);
    let mut first = judged(
        "c2",
        "Messages are journaled first.",
        &first_journaled,
        Value::Null,
        json!({"holds": 2, "fails": 1, "unclear": 0, "missing": 0, "reasons": [read, read, "fails: I looked"]}),
    );
    first["citations"] = json!([3]);
    let mut only_grows = judged(
        "c3",
        "The journal only grows.",
        &passage(
            "journal.md",
            6,
            7,
            "The journal is one file, and grows without\nbound",
        ),
        json!("it was refuted from the sources"),
        all_hold.clone(),
    );
    let mut compacted = passage("journal.md", 7, 7, "until somebody compacts it");
    compacted["reason"] = json!("it says otherwise");
    only_grows["refutation"] = json!([compacted]);
    assert_eq!(
        result,
        json!({
            "report": null,
            "sources": [cited(1, &goes_on), cited(2, &goes_on_whole), cited(3, &first_journaled)],
            "claims": {
                "held": [merged, first],
                "failed": [
                    only_grows,
                    judged("c6", "The limit is fixed.", &passage("limits.md", 3, 4, "The limit\ncan be raised to a million."),
                        json!("0 of 3 votes hold it, 2 fail it"),
                        json!({"holds": 0, "fails": 2, "unclear": 0, "missing": 1, "reasons": ["fails: I looked", "fails: I looked"]})),
                ],
                "unsupported": [{
                    "claim": "The journal stays small.",
                    "readers": ["durability"],
                    "quotations": [],
                    "notFound": [{"source": "journal.md", "quotation": "The journal never has more than a gigabyte", "reason": "not in it"}],
                }],
                "undecided": [
                    judged("c4", "16 agents run at once.", &passage("limits.md", 3, 3, "At most **16 agents** run at once."),
                        json!("it was refuted with quotations that do not stand in the sources"),
                        json!({"holds": 2, "fails": 0, "unclear": 0, "missing": 1, "reasons": [read, read]})),
                    judged("c7", "A million agents were run.", &passage("limits.md", 4, 4, "raised to a million"),
                        json!("1 of 3 votes hold it, 0 fail it"),
                        json!({"holds": 1, "fails": 0, "unclear": 0, "missing": 2, "reasons": [read]})),
                    judged("c8", "16 is the default.", &passage("limits.md", 3, 4, "**16 agents** run at once. The limit\ncan be raised"),
                        json!("1 of 3 votes hold it, 1 fail it"),
                        json!({"holds": 1, "fails": 1, "unclear": 1, "missing": 0, "reasons": [read, "fails: I looked", "unclear: I looked"]})),
                    judged("c9", "Limits are for agents.", &passage("limits.md", 3, 4, "**16 agents** run at once. The limit\ncan be raised"),
                        json!("too few refuters looked and let it stand"), all_hold),
                ],
            },
            "unread": ["long.txt", "zoo.txt"],
            "warnings": [
                "1 file left out: picture.png (it is a binary file)",
                "no answer from 1 reader: rest 1",
                "claims were to be merged that are not there: c2, c99; they stay by themselves",
            ],
        })
    );

    // What the agents were told, and where they worked.
    let correction = team.task("correct: durability").prompt.to_string();
    assert!(
        correction.contains(
            "The journal is one file, and grows without\\nbound until somebody compacts it."
        ),
        "{correction}"
    );
    let voter = team.task("vote 2: c2");
    assert!(
        voter
            .prompt
            .contains("journal.md, lines 3–4: \"Every message is journaled before it is sent\""),
        "{}",
        voter.prompt
    );
    assert!(voter.working_directory.ends_with("docs"));
    let tools = ["Read", "Glob", "Grep"].map(str::to_owned).to_vec();
    assert_eq!(voter.options.tools, Some(tools));
    let reporter = team.task("report").prompt.to_string();
    assert!(
        reporter.contains("Killed runs go on.") && !reporter.contains("16 agents"),
        "{reporter}"
    );
    let mender = team.task("mend report").prompt.to_string();
    for problem in [
        "it cites [9], and there are only [1] to [3]",
        "the quotation \"the journal is a database of messages\" stands in none of its sources",
    ] {
        assert!(mender.contains(problem), "{mender}");
    }
    assert!(!team.was_asked("vote 1: c5") && !team.was_asked("refute c8: refuter 1"));
}

#[tokio::test]
async fn what_the_report_cannot_show_is_a_warning() {
    let folder = folder(&[("limits.md", LIMITS)]);
    let plan = json!({"angles": [{"name": "limits", "task": "Read.", "sources": ["limits.md"]}]});
    let found = json!({"read": ["./limits.md"], "claims": [claim("16 at once.", "limits.md", "16 agents run at once")]});
    let bad =
        "> 16 agents\n\nIt says \"sixteen agents are far too many\" [1](x.md).\n\n## Sources\n";
    let args = || json!({"question": "How many?", "sources": "docs", "voters": 1, "refuters": 1});
    let team = Team::new([
        ("plan", plan.clone()),
        ("limits", found.clone()),
        ("report", json!(bad)),
        ("mend report", json!(bad)),
    ]);
    let result = run(&folder, &team, args())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        result["warnings"],
        json!([
            "the report: it cites no source",
            "the report: it has block quotes: quotations stand between quotation marks in the line",
            "the report: it has a list of references, which is added to it later",
            "the report: the quotation \"sixteen agents are far too many\" stands in none of its sources",
        ])
    );
    assert_eq!(
        (&result["report"], &result["sources"]),
        (&json!(bad), &json!([]))
    );

    // Without anybody to write it, the report is what held.
    let team = Team::new([("plan", plan.clone()), ("limits", found.clone())]);
    let result = run(&folder, &team, args())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let expected = "- 16 at once. [1]\n\n## References\n\n- [1] `limits.md`, line 3: “**16 agents** run at once”\n";
    assert_eq!(result["report"], json!(expected));
    assert_eq!(
        result["warnings"],
        json!(["nobody could write the report: it is the list of the claims that held"])
    );

    // Without a voter there is nothing to write.
    let team = Team::new([
        ("plan", plan),
        ("limits", found),
        ("vote 1: c1", Value::Null),
    ]);
    let result = run(&folder, &team, args())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        result["report"],
        json!("No claim held: the sources, as they were read, do not answer the question.")
    );
    assert_eq!(
        result["claims"]["undecided"][0]["votes"]["missing"],
        json!(1)
    );
    assert!(!team.was_asked("report") && !team.was_asked("refute c1: refuter 1"));
}

#[tokio::test]
async fn what_is_missing_is_said_before_an_agent_works() {
    let folder = folder(&[]);
    let team = Team::new([]);
    for (args, problem) in [
        (
            json!("How many?"),
            "give the folder with the texts to read: bellwether deep-research --sources DIR",
        ),
        (
            json!({"question": " ", "sources": "docs"}),
            "give a question",
        ),
        (
            json!({"question": "How many?", "sources": "docs"}),
            "there is no text to read in docs",
        ),
        (
            json!({"question": "How many?", "sources": "none"}),
            "the folder none cannot be read",
        ),
    ] {
        match run(&folder, &team, args).await {
            Err(error) => assert!(error.to_string().contains(problem), "{error}"),
            Ok(result) => panic!("{result}"),
        }
    }
    assert!(!team.was_asked("plan"));
}

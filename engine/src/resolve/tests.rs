//! Options of calls, and what they come to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bellwether_actors::backend::{AttemptContext, Ended, Task};
use bellwether_actors::restart::Retries;
use bellwether_journal::record::FailureKind;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;

/// A backend that is known by what it says of itself.
struct Named(String);

impl AgentBackend for Named {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        Box::pin(async { Ended::cancelled() })
    }

    fn fingerprint(&self) -> String {
        self.0.clone()
    }
}

fn named(name: &str) -> Arc<dyn AgentBackend> {
    Arc::new(Named(name.to_owned()))
}

/// Rules over the backends `main` (the run's own) and `other`, whose agents are isolated by a backend that says so.
fn rules_over(types: &[AgentType], isolate: Isolate) -> RunRules {
    let by_name = ["main", "other"].map(|name| (name.to_owned(), named(name)));
    let backends = Backends::new(HashMap::from(by_name), "main");
    let isolated: Isolated = Arc::new(|inner| named(&format!("isolated {}", inner.fingerprint())));
    let make = |definition: &AgentType, command: &[String]| match definition.name.as_str() {
        "broken" => Err("no feature `command`".to_owned()),
        _ => Ok(named(&command.join(" "))),
    };
    let steps = Steps {
        isolated: Some(isolated),
        ..Steps::default()
    };
    RunRules::new(backends, types, isolate, steps, &make)
}

fn resolve(rules: &RunRules, options: Value) -> Resolution {
    let Value::Object(options) = options else {
        panic!("no options: {options}")
    };
    rules.resolve(CallKind::Agent, options)
}

fn refusal(rules: &RunRules, options: Value) -> Refusal {
    let shown = options.to_string();
    let refused = resolve(rules, options).backend.err();
    refused.unwrap_or_else(|| panic!("{shown} was accepted"))
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn reviewer() -> AgentType {
    let mut reviewer = AgentType::new("Code Reviewer");
    reviewer.backend = Some("other".to_owned());
    reviewer.tools = Some(texts(&["Read", "Grep"]));
    reviewer.disallowed_tools = texts(&["Write"]);
    reviewer.model = Some("opus".to_owned());
    reviewer.effort = Some("high".to_owned());
    reviewer.max_turns = Some(7);
    reviewer.isolation = Some("worktree".to_owned());
    reviewer.system_prompt = Some("Look closely.".into());
    reviewer
}

#[test]
fn y01_a_type_fills_in_what_the_call_does_not_say() {
    let rules = rules_over(&[reviewer()], Isolate::Asked);
    let resolved = resolve(&rules, json!({"agentType": "Code Reviewer"}));
    let options = &resolved.options;
    assert_eq!(options.agent_type.as_deref(), Some("Code Reviewer"));
    assert_eq!(options.model.as_deref(), Some("opus"));
    assert_eq!(options.effort.as_deref(), Some("high"));
    assert_eq!(options.isolation.as_deref(), Some("worktree"));
    assert_eq!(options.tools, Some(texts(&["Read", "Grep"])));
    assert_eq!(options.disallowed_tools, ["Write"]);
    assert_eq!(options.max_turns, Some(7));
    assert_eq!(options.system_prompt.as_deref(), Some("Look closely."));
    assert_eq!(resolved.backend.unwrap().fingerprint(), "isolated other");
    assert!(resolved.notices.is_empty());

    let own = json!({
        "agentType": "Code Reviewer", "model": "inherit", "effort": "low", "tools": ["Edit"], "disallowedTools": ["Bash"],
        "backend": "main", "maxTurns": 1, "isolation": null,
    });
    let resolved = resolve(&rules, own);
    let options = &resolved.options;
    assert_eq!(
        (&options.model, options.effort.as_deref()),
        (&None, Some("low"))
    );
    assert_eq!(options.tools, Some(texts(&["Edit"])));
    // What either forbids stays forbidden.
    assert_eq!(options.disallowed_tools, ["Write", "Bash"]);
    assert_eq!(options.max_turns, Some(1));
    assert_eq!(resolved.backend.unwrap().fingerprint(), "isolated main");

    let plain = resolve(&rules, json!({})).options;
    assert_eq!((plain.system_prompt, plain.tools), (None, None));
    let all = resolve(
        &rules,
        json!({"agentType": "Code Reviewer", "tools": ["*"]}),
    );
    assert_eq!(all.options.tools, None);
}

#[test]
fn y01_two_types_are_built_in_and_files_go_before_them() {
    let rules = rules_over(&[], Isolate::Asked);
    for (name, writes) in [("general-purpose", true), ("Explore", false)] {
        let options = resolve(&rules, json!({ "agentType": name })).options;
        assert!(options.system_prompt.is_some());
        assert_eq!(may_write(options.tools.as_deref(), &[]), writes, "{name}");
    }
    let mut explore = AgentType::new("Explore");
    explore.system_prompt = Some("Ours.".into());
    let second = AgentType::new("Explore");
    let rules = rules_over(&[explore, second], Isolate::Asked);
    let options = resolve(&rules, json!({"agentType": "Explore"})).options;
    assert_eq!(
        (options.system_prompt.as_deref(), options.tools),
        (Some("Ours."), None)
    );
}

#[test]
fn y01_a_types_own_command_is_one_backend_for_all_its_calls() {
    let mut lander = AgentType::new("lander");
    lander.command = Some(texts(&["./land", "--fast"]));
    let mut broken = AgentType::new("broken");
    broken.command = Some(texts(&["x"]));
    broken.source = Some("agents/broken.md".into());
    let mut lost = AgentType::new("lost");
    lost.backend = Some("nowhere".to_owned());
    let rules = rules_over(&[lander, broken, lost], Isolate::Asked);
    let backend = |options| resolve(&rules, options).backend.unwrap();
    let one = backend(json!({"agentType": "lander"}));
    let again = backend(json!({"agentType": "lander", "model": "m"}));
    assert!(Arc::ptr_eq(&one, &again));
    assert_eq!(one.fingerprint(), "./land --fast");
    let other = backend(json!({"agentType": "lander", "backend": "other"}));
    assert_eq!(other.fingerprint(), "other");
    let refused = refusal(&rules, json!({"agentType": "broken"}));
    assert_eq!(
        refused.message,
        "agent type `broken` (agents/broken.md): no feature `command`"
    );
    let refused = refusal(&rules, json!({"agentType": "lost"}));
    assert_eq!(
        refused.message,
        "agent type `lost`: there is no backend `nowhere` (there is: main, other)"
    );
}

#[test]
fn y01_fields_without_effect_are_told_when_their_type_is_used() {
    let mut one = AgentType::new("one");
    one.source = Some("agents/one.md".into());
    one.unread = texts(&["skills", "memory"]);
    one.permission_mode = Some("plan".to_owned());
    let mut two = AgentType::new("two");
    two.unread = texts(&["hooks"]);
    two.effort = Some("heroic".to_owned());
    let rules = rules_over(&[one, two], Isolate::Asked);
    let notices = |options| resolve(&rules, options).notices;
    assert!(notices(json!({})).is_empty());
    assert_eq!(
        notices(json!({"agentType": "one"})),
        ["agent type `one` (agents/one.md): `skills`, `memory`, `permissionMode` have no effect"]
    );
    assert_eq!(
        notices(json!({"agentType": "two"})),
        [
            "agent type `two`: `hooks` has no effect",
            "agent type `two`: the effort `heroic` is not known and has no effect; there is: low, medium, high, xhigh, max",
        ]
    );
    assert_eq!(
        notices(json!({"agentType": "two", "effort": "max"})).len(),
        1
    );
    let options = json!({"maxCost": 0.25, "maxTokens": 900, "key": "k", "pure": true});
    let resolution = resolve(&rules, options);
    assert!(resolution.notices.is_empty());
    let allowance = resolution.options.allowance();
    assert_eq!(
        (allowance.tokens, allowance.cost),
        (Some(900), Some(250_000))
    );
    assert!(
        !resolution.content.contains_key("maxTokens"),
        "another limit is no other call"
    );
}

#[test]
fn a10_every_tool_but_starting_workflows() {
    let mut writer = AgentType::new("writer");
    writer.tools = Some(texts(&["Workflow"]));
    let rules = rules_over(&[writer], Isolate::Asked);
    for options in [json!({}), json!({"agentType": "general-purpose"})] {
        let resolved = resolve(&rules, options);
        assert_eq!(resolved.options.tools, None);
        assert_eq!(resolved.options.disallowed_tools, ["Workflow"]);
        assert_eq!(resolved.content.get("disallowedTools"), None);
    }
    // Whoever writes a type says what its agents may.
    let named = resolve(&rules, json!({"agentType": "writer"}));
    assert!(named.options.disallowed_tools.is_empty());
}

#[test]
fn x01_what_else_a_call_may_say() {
    let rules = rules_over(&[], Isolate::Asked);
    let said = json!({
        "timeout": "PT10M", "stallTimeout": 90_000, "retries": 2, "cwd": "below", "env": ["TOKEN"],
    });
    let resolved = resolve(&rules, said);
    assert_eq!(resolved.options.retries, Some(Retries::all(2)));
    assert_eq!(resolved.options.env, Some(texts(&["TOKEN"])));
    // How long and how often it is tried does not change what it says (R02).
    let content =
        json!({"cwd": "below", "env": ["TOKEN"], "backend": "main", "fingerprint": "main"});
    assert_eq!(Value::Object(resolved.content), content);
    for (options, says) in [
        (
            json!({"timeout": "10m"}),
            "`timeout` is a string; give milliseconds",
        ),
        (json!({"timeout": 0}), "`timeout` is 0"),
        (json!({"stallTimeout": 1e300}), "`stallTimeout` is 1e+300"),
        (json!({"stallTimeout": true}), "`stallTimeout` is true"),
        (
            json!({"retries": -1}),
            "`retries` is -1; give a whole number from 0",
        ),
        (json!({"retries": 1.5}), "`retries` is 1.5"),
        (
            json!({"retries": {"crash": "often"}}),
            "`retries` has a `crash` that is a string",
        ),
        (
            json!({"stallTimeout": {"agent": 5}}),
            "`stallTimeout` has no `agent`; there is: silent, tool, person",
        ),
        (json!({"cwd": ""}), "`cwd` is an empty string"),
        (
            json!({"cwd": "../other", "isolation": "worktree"}),
            "within the repository",
        ),
        (
            json!({"cwd": "/elsewhere", "isolation": "worktree"}),
            "within the repository",
        ),
        (
            json!({"env": "TOKEN"}),
            "`env` is a string; give an array of texts",
        ),
        (json!({"env": ["TOKEN=secret"]}), "no script sees them"),
    ] {
        let refused = refusal(&rules, options);
        assert_eq!(refused.code, "OPTIONS");
        assert!(refused.message.contains(says), "{}", refused.message);
    }
}

#[test]
fn x01_what_a_type_says_of_retries_holds_where_a_call_says_nothing() {
    let mut patient = AgentType::new("patient");
    patient.retries = Some(Retries::default().of(FailureKind::Crash, 3));
    let rules = rules_over(&[patient.clone()], Isolate::Asked);
    let own = resolve(&rules, json!({"agentType": "patient"}));
    assert_eq!(own.options.retries, patient.retries);
    let said = resolve(&rules, json!({"agentType": "patient", "retries": 0}));
    assert_eq!(said.options.retries, Some(Retries::all(0)));
}

#[test]
fn a03_what_cannot_be_meant_is_refused_before_anything_is_spent() {
    let mut remote = AgentType::new("remote");
    remote.isolation = Some("remote".to_owned());
    let rules = rules_over(&[reviewer(), remote], Isolate::Asked);
    let table = [
        (
            json!({"effort": "ultra"}),
            "UNKNOWN_EFFORT",
            "`ultra`; there is: low, medium, high, xhigh, max",
        ),
        (
            json!({"effort": 3}),
            "OPTIONS",
            "`effort` is 3; give a text",
        ),
        (
            json!({"isolation": "remote"}),
            "UNKNOWN_ISOLATION",
            "`remote`; there is: worktree",
        ),
        (json!({"isolation": true}), "OPTIONS", "`isolation` is true"),
        (
            json!({"agentType": "remote"}),
            "UNKNOWN_ISOLATION",
            "agent type `remote`: there is no isolation",
        ),
        (
            json!({"agentType": ""}),
            "OPTIONS",
            "`agentType` is an empty string",
        ),
        (
            json!({"model": ["a"]}),
            "OPTIONS",
            "`model` is such an array",
        ),
        (
            json!({"tools": "Read"}),
            "OPTIONS",
            "`tools` is a string; give an array of texts",
        ),
        (
            json!({"tools": ["Read", 1]}),
            "OPTIONS",
            "`tools` is such an array",
        ),
        (
            json!({"disallowedTools": {}}),
            "OPTIONS",
            "`disallowedTools` is an object",
        ),
        (
            json!({"maxTurns": 0}),
            "OPTIONS",
            "`maxTurns` is 0; give a whole number from 1",
        ),
        (json!({"maxTurns": 1.5}), "OPTIONS", "`maxTurns` is 1.5"),
        (json!({"key": 1}), "OPTIONS", "`key` is 1"),
        (
            json!({"backend": "nowhere"}),
            "UNKNOWN_BACKEND",
            "(there is: main, other)",
        ),
        (
            json!({"schema": "object"}),
            "SCHEMA_MALFORMED",
            "the schema is malformed at its root: ",
        ),
        (
            json!({"schema": {"properties": {"a": {"type": "text"}}}}),
            "SCHEMA_MALFORMED",
            "at /properties/a/type: \"text\" is not one of",
        ),
        (
            json!({"schema": {"items": {"$ref": "https://example.org/a"}}}),
            "SCHEMA_MALFORMED",
            "at /items/$ref: `https://example.org/a` is not in this schema",
        ),
        (
            json!({"agentType": "Coder Reviewer"}),
            "UNKNOWN_AGENT_TYPE",
            "; did you mean `Code Reviewer`?",
        ),
        (
            json!({"agentType": "explore"}),
            "UNKNOWN_AGENT_TYPE",
            "; did you mean `Explore`?",
        ),
        (
            json!({"agentType": "zzz"}),
            "UNKNOWN_AGENT_TYPE",
            "`zzz`\nthere is: Code Reviewer, Explore, general-purpose, remote\n",
        ),
        (
            json!({"agentType": "zzz"}),
            "UNKNOWN_AGENT_TYPE",
            "~/.claude/agents",
        ),
    ];
    for (options, code, message) in table {
        let shown = options.to_string();
        let refused = refusal(&rules, options);
        assert_eq!(refused.code, code, "{shown}: {}", refused.message);
        assert!(
            refused.message.contains(message),
            "{shown}: {}",
            refused.message
        );
    }
    let endless = refusal(&rules, json!({"agentType": "z".repeat(1 << 20)}));
    assert!(endless.message.len() < 1_000);
    // Null is as good as nothing.
    let nothing = json!({"schema": null, "model": null, "effort": null, "tools": null, "agentType": null, "maxTurns": null});
    assert!(resolve(&rules, nothing).backend.is_ok());
}

#[test]
fn a03_a_plugins_type_is_near_by_its_last_name_too() {
    let rules = rules_over(&[AgentType::new("fleet:scribe")], Isolate::Asked);
    let refused = refusal(&rules, json!({"agentType": "scribe"}));
    assert!(refused.message.contains("did you mean `fleet:scribe`?"));
}

#[test]
fn r02_the_content_has_what_changes_the_answer() {
    let content = |types: &[AgentType], options: Value| {
        Value::Object(resolve(&rules_over(types, Isolate::Asked), options).content)
    };
    assert_eq!(
        content(
            &[],
            json!({"model": "m", "maxTurns": 3, "timeout": 5, "pure": true})
        ),
        json!({"model": "m", "backend": "main", "fingerprint": "main"})
    );
    let of_type = |change: &dyn Fn(&mut AgentType)| {
        let mut reviewer = reviewer();
        change(&mut reviewer);
        content(&[reviewer], json!({"agentType": "Code Reviewer"}))
    };
    let as_it_is = of_type(&|_| {});
    assert_eq!(
        (&as_it_is["model"], &as_it_is["isolation"]),
        (&json!("opus"), &json!("worktree"))
    );
    assert_eq!(
        of_type(&|changed| changed.description = "x".to_owned()),
        as_it_is
    );
    assert_ne!(of_type(&|changed| changed.system_prompt = None), as_it_is);
    assert_ne!(of_type(&|changed| changed.max_turns = None), as_it_is);
    let file = of_type(&|changed| changed.content = Some("1".to_owned()));
    assert_eq!(file["agentTypeContent"], "1");
    // What comes with the engine may be worded better by the next one.
    let explore = content(&[], json!({"agentType": "Explore"}));
    assert_eq!(
        explore,
        json!({"agentType": "Explore", "backend": "main", "fingerprint": "main"})
    );
    // How a model comes to be none does not matter.
    assert_eq!(
        content(&[], json!({"model": "inherit"})),
        content(&[], json!({}))
    );
    assert_ne!(content(&[], json!({"schema": {}})), content(&[], json!({})));
}

#[test]
fn all_who_may_write_are_isolated_when_the_run_says_so() {
    let rules = rules_over(&[], Isolate::Always);
    for (options, isolated) in [
        (json!({}), true),
        (json!({"tools": ["Read", "Bash"]}), true),
        (
            json!({"tools": ["Read", "Bash"], "disallowedTools": ["Bash"]}),
            false,
        ),
        (json!({"agentType": "Explore"}), false),
        (json!({"agentType": "Explore", "tools": ["*"]}), true),
        (
            json!({"agentType": "Explore", "isolation": "worktree"}),
            true,
        ),
        (json!({"agentType": "general-purpose"}), true),
    ] {
        let shown = options.to_string();
        let resolved = resolve(&rules, options);
        let backend = resolved.backend.unwrap().fingerprint();
        assert_eq!(backend.starts_with("isolated"), isolated, "{shown}");
        assert_eq!(resolved.options.isolation.is_some(), isolated);
        assert_eq!(resolved.content.contains_key("isolation"), isolated);
    }
}

#[test]
fn isolation_without_worktrees_is_refused() {
    let backends = Backends::new(HashMap::from([("main".to_owned(), named("main"))]), "main");
    let rules = RunRules::new(backends, &[], Isolate::Asked, Steps::default(), &|_, _| {
        Err(String::new())
    });
    let refused = refusal(&rules, json!({"isolation": "worktree"}));
    assert!(
        refused.message.contains("feature `worktree`"),
        "{}",
        refused.message
    );
}

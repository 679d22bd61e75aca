//! Tasks that are wrong: the place and what to do, before anything is looked at.

use serde_json::{Value, json};

use super::super::task::Task;
use crate::backend::codemod::{Language, Rewriter, Rules, TaskError};

fn rule_error(rule: &Value, language: &str) -> TaskError {
    let rules = Rules::parse(&json!([rule]).to_string());
    let made = rules.and_then(|rules| Rewriter::new(&rules, Language::named(language).unwrap()));
    match made {
        Ok(_) => panic!("no error in {rule}"),
        Err(error) => error,
    }
}

#[test]
fn a_task_has_rules_and_files_and_nothing_else() {
    let rule = json!({"pattern": "a", "rewrite": "b"});
    for (task, place, problem) in [
        ("Change a to b.".to_owned(), "", "it is no JSON"),
        (
            json!([]).to_string(),
            "",
            "an object is expected here, not an array",
        ),
        (
            json!({"rules": [rule]}).to_string(),
            "",
            "`files` is missing",
        ),
        (
            json!({"files": ["a"]}).to_string(),
            "",
            "`rules` is missing",
        ),
        (
            json!({"rules": [rule], "files": ["a"], "file": "a"}).to_string(),
            "file",
            "known are rules, files",
        ),
        (
            json!({"rules": [rule], "files": "a"}).to_string(),
            "files",
            "an array is expected here, not a text",
        ),
        (
            json!({"rules": [rule], "files": ["a", 7]}).to_string(),
            "files[1]",
            "a text is expected here, not a number",
        ),
        (
            json!({"rules": [rule], "files": []}).to_string(),
            "files",
            "no files are named",
        ),
        (
            json!({"rules": [], "files": ["a"]}).to_string(),
            "rules",
            "there are no rules",
        ),
        (
            json!({"rules": rule, "files": ["a"]}).to_string(),
            "rules",
            "an array is expected here",
        ),
        (
            json!({"rules": [rule, "b"], "files": ["a"]}).to_string(),
            "rules[1]",
            "an object is expected here",
        ),
    ] {
        let error = Task::parse(&task).unwrap_err();
        assert_eq!(error.place(), place, "{error}");
        assert!(error.problem().contains(problem), "{error}");
    }
    let error = Task::parse(&json!({"rules": [7], "files": ["a"]}).to_string()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the codemod's task at `rules[0]`: an object is expected here, not a number"
    );
}

#[test]
fn what_is_wrong_with_a_rule_is_said_where_it_is() {
    let deep = |levels| (0..levels).fold(json!({"kind": "a"}), |rule, _| json!({"not": rule}));
    let cases = [
        (
            json!({"patern": "a", "rewrite": "b"}),
            "patern",
            "no such field; known are pattern, rewrite",
        ),
        (json!({"rewrite": "b"}), "", "give a `pattern`"),
        (json!({"pattern": "a"}), "", "`rewrite` is missing"),
        (
            json!({"pattern": "a", "rewrite": "b", "fix": "c"}),
            "fix",
            "give one of them",
        ),
        (
            json!({"pattern": "a", "rule": {"kind": "b"}, "rewrite": "c"}),
            "pattern",
            "beside `rule`",
        ),
        (
            json!({"pattern": "a", "rewrite": 7}),
            "rewrite",
            "not a number",
        ),
        (
            json!({"pattern": "a", "rewrite": {"expandEnd": {"regex": ","}}}),
            "rewrite",
            "`template` is missing",
        ),
        (
            json!({"pattern": "a", "fix": [{"title": "b", "template": "c"}]}),
            "fix",
            "not an array",
        ),
        (
            json!({"pattern": 7, "rewrite": "b"}),
            "pattern",
            "{context, selector}",
        ),
        (
            json!({"pattern": {"selector": "b"}, "rewrite": "b"}),
            "pattern",
            "`context` is missing",
        ),
        (
            json!({"pattern": "", "rewrite": "b"}),
            "pattern",
            "No AST root",
        ),
        (
            json!({"pattern": "a; b", "rewrite": "b"}),
            "pattern",
            "Multiple AST nodes",
        ),
        (
            json!({"pattern": "$$$A", "rewrite": "b"}),
            "pattern",
            "Standalone multi meta variable",
        ),
        (
            json!({"pattern": "import $A from $B", "rewrite": "b"}),
            "pattern",
            "stands by itself",
        ),
        (
            json!({"pattern": "a(", "rewrite": "b"}),
            "pattern",
            "stands by itself",
        ),
        (
            json!({"pattern": {"context": "a()", "selector": "string"}, "rewrite": "b"}),
            "pattern",
            "matches no node",
        ),
        (
            json!({"pattern": {"context": "a()", "selector": "strings"}, "rewrite": "b"}),
            "pattern",
            "`strings` is invalid",
        ),
        (
            json!({"kind": "calls", "rewrite": "b"}),
            "kind",
            "no kind of node in JavaScript",
        ),
        (
            json!({"pattern": "a", "regex": "(", "rewrite": "b"}),
            "regex",
            "unclosed group",
        ),
        (json!({"regex": "a", "rewrite": "b"}), "", "every node"),
        (
            json!({"pattern": "a", "inside": {"kind": "program", "field": "bodies"}, "rewrite": "b"}),
            "inside.field",
            "`bodies`",
        ),
        (
            json!({"pattern": "a", "inside": {"stopBy": "end"}, "rewrite": "b"}),
            "inside",
            "nothing is asked",
        ),
        (
            json!({"pattern": "a", "has": {"kind": "string", "stopBy": "ends"}, "rewrite": "b"}),
            "has.stopBy",
            "`neighbor`, `end`",
        ),
        (
            json!({"pattern": "a", "has": {"any": [{"kind": "string"}, {"kinds": "b"}]}, "rewrite": "b"}),
            "has.any[1].kinds",
            "no such field",
        ),
        (
            json!({"pattern": "a", "all": [], "rewrite": "b"}),
            "all",
            "an empty list",
        ),
        (
            json!({"pattern": "a", "notInside": "b", "rewrite": "b"}),
            "notInside",
            "an object is expected",
        ),
        (
            json!({"pattern": "a", "notInside": {"pattern": "b("}, "rewrite": "b"}),
            "notInside.pattern",
            "stands by itself",
        ),
        (
            json!({"pattern": "$A", "kind": "string", "rewrite": "$B"}),
            "rewrite",
            "`$B` is captured by no pattern",
        ),
        (
            json!({"rule": {"pattern": "f($A)"}, "fix": "$$$A"}),
            "fix",
            "`$$$A` is captured as `$A`",
        ),
        (
            json!({"pattern": "f($A)", "constraints": {"B": {"regex": "b"}}, "rewrite": "$A"}),
            "constraints",
            "`$B` is captured by no",
        ),
        (
            json!({"pattern": "f($A)", "constraints": {"A": {"rgx": "b"}}, "rewrite": "$A"}),
            "constraints.A.rgx",
            "no such field",
        ),
        (
            json!({"pattern": "f($$$A)", "constraints": {"A": {"regex": "b"}}, "rewrite": "g()"}),
            "constraints.A",
            "`$$$A` is a list",
        ),
        (
            json!({"pattern": "f($A)", "transform": {"B": "upper($A)"}, "rewrite": "$B"}),
            "transform",
            "Cannot parse transform string: `upper($A)`",
        ),
        (
            json!({"pattern": "f($A)", "transform": {"B": {"rewrite": {"source": "$A", "rewriters": ["c"]}}}, "rewrite": "$B"}),
            "transform.B",
            "not supported here",
        ),
        (
            json!({"pattern": "f($A)", "transform": {"B": "rewrite($A, rewriters=[c])"}, "rewrite": "$B"}),
            "transform.B",
            "not supported here",
        ),
        (
            json!({"pattern": "f($A)", "rewriters": [], "rewrite": "$A"}),
            "rewriters",
            "give several rules",
        ),
        (
            json!({"pattern": "a", "severity": "off", "rewrite": "b"}),
            "severity",
            "leave it out",
        ),
        (
            json!({"pattern": "a", "language": "cobol", "rewrite": "b"}),
            "language",
            "built in are javascript, typescript, tsx, python, rust",
        ),
        (
            json!({"pattern": "a", "language": ["js", "es6"], "rewrite": "b"}),
            "language[1]",
            "no language `es6`",
        ),
        (
            json!({"pattern": "a", "files": ["{a"], "rewrite": "b"}),
            "files[0]",
            "no glob",
        ),
        (
            json!({"pattern": "a", "matches": "b", "rewrite": "b"}),
            "matches",
            "have no `b`",
        ),
        (
            json!({"pattern": "a", "matches": {"b": {}}, "rewrite": "b"}),
            "matches",
            "the name of one",
        ),
        (
            json!({"pattern": "a", "matches": "b", "utils": {"b": {"has": {"matches": "c"}}, "c": {"inside": {"matches": "b"}}}, "rewrite": "b"}),
            "utils.c.inside.matches",
            "may not go in a circle",
        ),
        (
            json!({"pattern": "a", "not": deep(50), "rewrite": "b"}),
            "",
            "nested at most 48 deep",
        ),
    ];
    for (rule, place, problem) in cases {
        let error = rule_error(&rule, "javascript");
        let expected = if place.is_empty() {
            "rules[0]".to_owned()
        } else {
            format!("rules[0].{place}")
        };
        // Of what is nested deep, the place is as long.
        assert!(
            error.place() == expected || problem.contains("nested"),
            "{rule}: {error}"
        );
        assert!(error.problem().contains(problem), "{rule}: {error}");
    }
}

#[test]
fn what_would_never_end_is_refused() {
    // Each of twenty utils names the next one twice.
    let next = |index: usize| match index {
        20 => json!({"kind": "number"}),
        _ => {
            json!({"any": [{"matches": format!("u{}", index + 1)}, {"not": {"matches": format!("u{}", index + 1)}}]})
        }
    };
    let utils: serde_json::Map<String, Value> = (0..=20)
        .map(|index| (format!("u{index}"), next(index)))
        .collect();
    let error = rule_error(
        &json!({"pattern": "a", "matches": "u0", "utils": utils, "rewrite": "b"}),
        "js",
    );
    assert!(error.problem().contains("more than 500 utils"), "{error}");
    let pattern = format!("{}a{}", "(".repeat(50_000), ")".repeat(50_000));
    let error = rule_error(&json!({"pattern": pattern, "rewrite": "b"}), "js");
    assert!(
        error.problem().contains("more than 200 deep"),
        "{}",
        error.place()
    );
}

#[test]
fn a_rule_for_another_language_is_told_to_name_it() {
    let rule = json!({"pattern": "$A as $B", "rewrite": "$A"});
    let error = rule_error(&rule, "javascript");
    assert!(
        error
            .problem()
            .ends_with("If the rule is not for JavaScript, name its `language`"),
        "{error}"
    );
    let rules = json!([{"pattern": "$A as $B", "rewrite": "$A", "language": ["ts", "tsx"]}]);
    let rules = Rules::parse(&rules.to_string()).unwrap();
    let [javascript, tsx] =
        ["js", "tsx"].map(|name| Rewriter::new(&rules, Language::named(name).unwrap()).unwrap());
    assert!(!javascript.covers("a.js".as_ref()) && tsx.covers("a.tsx".as_ref()));
}

/// Of those that come as features of their own; with all of them built in there is none.
#[test]
#[cfg(not(feature = "codemod-go"))]
fn a_language_that_is_not_built_names_its_feature() {
    let error = rule_error(
        &json!({"pattern": "a", "language": "Go", "rewrite": "b"}),
        "js",
    );
    assert_eq!(
        error.to_string(),
        "the codemod's task at `rules[0].language`: Go is not built in: build with the feature `codemod-go` of the crate \
         `bellwether`"
    );
    let rules = Rules::parse(&json!([{"pattern": "a", "rewrite": "b"}]).to_string()).unwrap();
    let error = Rewriter::new(&rules, Language::of("a.go".as_ref()).unwrap()).unwrap_err();
    assert!(error.problem().contains("`codemod-go`"), "{error}");
}

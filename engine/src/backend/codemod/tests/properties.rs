//! What holds for any code: exactly the calls that are meant become others, layout, comments and strings stay as they
//! are to the byte, and a second run changes nothing.

use proptest::prelude::*;
use serde_json::json;

use super::rewritten;

/// Code before and after.
type Pair = (String, String);

/// How a language writes what is generated.
#[derive(Clone, Copy, Debug)]
struct Syntax {
    path: &'static str,
    old: &'static str,
    new: &'static str,
    comment: &'static str,
    quotes: &'static str,
    end: &'static str,
    /// What stands around the statements.
    frame: (&'static str, &'static str),
}

const LANGUAGES: &[Syntax] = &[
    Syntax {
        path: "a.js",
        old: "axios.get",
        new: "http.get",
        comment: "//",
        quotes: "`",
        end: ";",
        frame: ("", ""),
    },
    Syntax {
        path: "a.tsx",
        old: "axios.get",
        new: "client.http.get",
        comment: "//",
        quotes: "`",
        end: ";",
        frame: ("async function f(): Promise<void> {\n", "}\n"),
    },
    Syntax {
        path: "a.py",
        old: "requests.get",
        new: "get",
        comment: "#",
        quotes: "\"\"\"",
        end: "",
        frame: ("", ""),
    },
    Syntax {
        path: "a.rs",
        old: "reqwest::get",
        new: "crate::http::get",
        comment: "//",
        quotes: "\"",
        end: ";",
        frame: ("async fn f() {\n", "}\n"),
    },
];

fn both(text: impl Into<String>) -> Pair {
    let text = text.into();
    (text.clone(), text)
}

/// Expressions, which also stand where they are no code: in strings and in comments.
fn expression(syntax: Syntax) -> impl Strategy<Value = Pair> {
    let Syntax { old, quotes, .. } = syntax;
    let leaf = prop_oneof![
        "[a-e]|[1-9]".prop_map(both),
        Just(both(format!("\"ü {old}(x)\""))),
        "[ ]{0,6}".prop_map(move |indent| both(format!(
            "{quotes}a\n{indent}{old}(b,\n{indent}c){quotes}"
        ))),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let arguments = arguments(syntax, inner.clone());
        prop_oneof![
            3 => arguments.clone().prop_map(move |(before, after)| {
                (format!("{old}{before}"), format!("{}{after}", syntax.new))
            }),
            1 => arguments.clone().prop_map(|(before, after)| (format!("f{before}"), format!("f{after}"))),
            1 => (inner.clone(), arguments).prop_map(|(object, then)| {
                (format!("[{}].then{}", object.0, then.0), format!("[{}].then{}", object.1, then.1))
            }),
            1 => (inner.clone(), inner).prop_map(|(left, right)| {
                (format!("({} + {})", left.0, right.0), format!("({} + {})", left.1, right.1))
            }),
        ]
    })
}

/// Arguments in parentheses: on one line, or each on its own with or without comments.
fn arguments(
    syntax: Syntax,
    inner: impl Strategy<Value = Pair> + Clone + 'static,
) -> impl Strategy<Value = Pair> + Clone {
    let items = prop::collection::vec((inner, any::<bool>()), 0..4);
    (items, any::<bool>(), "[ ]{0,9}")
        .prop_map(move |(items, lines, indent)| {
            let list = |pick: fn(&Pair) -> &String| {
                if !lines {
                    let items: Vec<&str> =
                        items.iter().map(|(pair, _)| pick(pair).as_str()).collect();
                    return format!("({})", items.join(", "));
                }
                let items = items.iter().map(|(pair, comment)| {
                    let Syntax {
                        comment: start,
                        old,
                        ..
                    } = syntax;
                    let comment = if *comment {
                        format!(" {start} {old}(x)")
                    } else {
                        String::new()
                    };
                    format!("\n{indent}{},{comment}", pick(pair))
                });
                let items: Vec<String> = items.collect();
                if items.is_empty() {
                    return "()".to_owned();
                }
                format!("({}\n{indent})", items.concat())
            };
            (list(|pair| &pair.0), list(|pair| &pair.1))
        })
        .boxed()
}

fn program() -> impl Strategy<Value = (Syntax, Pair)> {
    prop::sample::select(LANGUAGES).prop_flat_map(|syntax| {
        let statements = prop::collection::vec((expression(syntax), any::<bool>()), 1..5);
        (Just(syntax), statements).prop_map(|(syntax, statements)| {
            let text = |pick: fn(&Pair) -> &String| {
                let mut text = syntax.frame.0.to_owned();
                for (pair, comment) in &statements {
                    if *comment {
                        text.extend([syntax.comment, " ", syntax.old, "(y)\n"]);
                    }
                    text.extend([pick(pair), syntax.end, "\n"]);
                }
                text + syntax.frame.1
            };
            let pair = (text(|pair| &pair.0), text(|pair| &pair.1));
            (syntax, pair)
        })
    })
}

proptest! {
    #[test]
    fn exactly_the_calls_that_are_meant_are_rewritten((syntax, (before, after)) in program(), returns: bool) {
        let rule = json!({
            "pattern": format!("{}($$$ARGUMENTS)", syntax.old),
            "rewrite": format!("{}($$$ARGUMENTS)", syntax.new),
        });
        let ends = |text: &str| if returns { text.replace('\n', "\r\n") } else { text.to_owned() };
        let first = rewritten(&rule, syntax.path, &ends(&before)).unwrap();
        prop_assert_eq!(&first.source, &ends(&after));
        prop_assert_eq!(first.edits.is_empty(), before == after);
    }

    #[test]
    fn a_second_run_changes_nothing((syntax, (before, _)) in program()) {
        let rule = json!({
            "pattern": format!("{}($FIRST, $$$REST)", syntax.old),
            "rewrite": format!("got(\n  $$$REST,\n  $FIRST\n)"),
            "import": {"module": "m", "name": "got"},
        });
        let first = rewritten(&rule, syntax.path, &before).unwrap();
        let second = rewritten(&rule, syntax.path, &first.source).unwrap();
        prop_assert_eq!(&second.source, &first.source);
        prop_assert!(second.edits.is_empty() && second.imports.is_empty());
    }
}

//! What is matched in the languages that are always built in, and what becomes of it.

use serde_json::{Value, json};

use super::{after, rewritten};
use crate::backend::codemod::RewriteError;

#[track_caller]
fn check(rules: &Value, path: &str, cases: &[(&str, &str)]) {
    for (before, expected) in cases {
        assert_eq!(after(rules, path, before), *expected, "{path}: {before}");
    }
}

#[test]
fn calls_of_javascript_in_all_their_forms() {
    let rule = json!({"pattern": "axios.get($$$ARGS)", "rewrite": "http.get($$$ARGS)"});
    for path in ["a.js", "a.mjs", "a.jsx", "a.ts", "a.tsx"] {
        check(
            &rule,
            path,
            &[
                ("axios.get('/a', b);\n", "http.get('/a', b);\n"),
                ("axios.get()", "http.get()"),
                (
                    "const { data } = await axios.get(`/${a}`)\n",
                    "const { data } = await http.get(`/${a}`)\n",
                ),
                (
                    "axios.get(a).then((r) => r.data)",
                    "http.get(a).then((r) => r.data)",
                ),
                (
                    "axios\n  .get(\n    '/a',\n    b,\n  )\n",
                    "http\n  .get(\n    '/a',\n    b,\n  )\n",
                ),
                (
                    "axios.get(axios.get(a), [axios.get(b)])",
                    "http.get(http.get(a), [http.get(b)])",
                ),
                ("`${axios.get(a)}`", "`${http.get(a)}`"),
                (
                    "axios.get(a) // axios.get(b)\n/* axios.get(c) */",
                    "http.get(a) // axios.get(b)\n/* axios.get(c) */",
                ),
                (
                    "'axios.get(a)'; `axios.get(b)`",
                    "'axios.get(a)'; `axios.get(b)`",
                ),
                (
                    "axios.post(a); my.axios.get(a); axios.get; axios?.get(a)",
                    "axios.post(a); my.axios.get(a); axios.get; axios?.get(a)",
                ),
                (
                    "axios.get(a /* b */, { 'ü': c })",
                    "http.get(a /* b */, { 'ü': c })",
                ),
                ("axios.get(\n  a, // b\n)\n", "http.get(\n  a, // b\n)\n"),
            ],
        );
    }
}

#[test]
fn types_of_typescript_and_elements_of_tsx() {
    let types = json!({"pattern": "Promise<AxiosResponse<$T>>", "rewrite": "Promise<Response<$T>>",
        "language": ["ts", "tsx"]});
    // A type is no expression: the context says which of the two is meant.
    let types = json!({"rule": {"pattern": {"context": "let a: AxiosResponse<$T>", "selector": "generic_type"}},
        "fix": "Response<$T>", "language": types["language"]});
    let cases = [
        (
            "const a = (b: AxiosResponse<C>): Promise<AxiosResponse<D[]>> => e;",
            "const a = (b: Response<C>): Promise<Response<D[]>> => e;",
        ),
        ("let a = b as AxiosResponse<C>", "let a = b as Response<C>"),
    ];
    check(&types, "a.ts", &cases);
    check(&types, "a.tsx", &cases);
    let element = json!({"pattern": "<Old $$$P>$$$C</Old>", "rewrite": "<New $$$P>$$$C</New>"});
    check(
        &element,
        "a.tsx",
        &[(
            "const a = <Old b={c} d><Old>{e}</Old></Old>;",
            "const a = <New b={c} d><New>{e}</New></New>;",
        )],
    );
}

#[test]
fn statements_of_javascript_keep_their_semicolons() {
    let rule = json!({"pattern": "let $A = $B", "rewrite": "const $A = $B"});
    check(
        &rule,
        "a.js",
        &[("let a = 1;\nlet b = 2\n", "const a = 1;\nconst b = 2\n")],
    );
    // Of several declarations the pattern covers the first; those inside the others are matched all the same.
    check(
        &rule,
        "a.js",
        &[(
            "let a = 1, b = () => { let c = 2 }",
            "const a = 1, b = () => { const c = 2 }",
        )],
    );
    let rules = json!([
        {"rule": {"any": [{"pattern": "let $A = $B"}, {"pattern": "var $A = $B"}]}, "fix": "const $A = $B"},
        {"pattern": "if ($C) { $$$B }", "rewrite": "when($C, () => {\n  $$$B\n})"},
    ]);
    check(
        &rules,
        "a.js",
        &[(
            "function g() {\n  if (a) {\n    let b = 1;\n    if (c) {\n      d(); // e\n    }\n  }\n}\n",
            "function g() {\n  when(a, () => {\n    const b = 1;\n    when(c, () => {\n      d(); // e\n    })\n  })\n}\n",
        )],
    );
}

#[test]
fn python_in_all_its_forms() {
    let rules = json!([
        {"pattern": "self.assertEquals($A, $B)", "rewrite": "self.assertEqual($A, $B)"},
        {"pattern": "print($$$A)", "rewrite": "log.info($$$A, stacklevel=2)", "notInside": {"kind": "class_definition"}},
    ]);
    check(
        &rules,
        "a.py",
        &[
            (
                "class T:\n    def t(self):\n        print(a)\n        self.assertEquals(\n            await a(),\n            b\n        )\n",
                "class T:\n    def t(self):\n        print(a)\n        self.assertEqual(\n            await a(),\n            b\n        )\n",
            ),
            (
                "print()\nprint(a, 'print(x)',)  # print(y)\n",
                "log.info(stacklevel=2)\nlog.info(a, 'print(x)', stacklevel=2)  # print(y)\n",
            ),
            ("f'{print(a)}'\n", "f'{log.info(a, stacklevel=2)}'\n"),
            (
                "\"\"\"print(a)\"\"\"\nlambda: print\n",
                "\"\"\"print(a)\"\"\"\nlambda: print\n",
            ),
        ],
    );
}

#[test]
fn rust_in_all_its_forms() {
    let rules = json!([
        {"pattern": "$A.unwrap()", "rewrite": "$A?", "inside": {"kind": "function_item", "has": {"kind": "generic_type", "regex": "^Result"}}},
        {"pattern": "println!($$$A)", "rewrite": "tracing::info!($$$A)"},
        {"pattern": {"context": "fn f(a: Vec<$T>) {}", "selector": "generic_type"}, "rewrite": "Box<[$T]>"},
    ]);
    check(
        &rules,
        "a.rs",
        &[
            (
                "fn f() -> Result<()> {\n    let x = a().unwrap();\n    b.unwrap().c().await.unwrap(); // d.unwrap()\n    Ok(())\n}\n",
                "fn f() -> Result<()> {\n    let x = a()?;\n    b?.c().await?; // d.unwrap()\n    Ok(())\n}\n",
            ),
            ("fn f() { a.unwrap() }\n", "fn f() { a.unwrap() }\n"),
            (
                "fn f() {\n    println!(\"{} println!()\", a);\n}\n",
                "fn f() {\n    tracing::info!(\"{} println!()\", a);\n}\n",
            ),
            (
                "fn f(a: Vec<Vec<u8>>) {}\n",
                "fn f(a: Box<[Box<[u8]>]>) {}\n",
            ),
        ],
    );
}

#[test]
fn what_is_deleted_goes_with_its_line_where_nothing_depends_on_it() {
    let rule = json!({"pattern": "console.log($$$A)", "rewrite": ""});
    check(
        &rule,
        "a.js",
        &[
            (
                "a();\n  console.log(1);\nb();console.log(2);\n",
                "a();\nb();\n",
            ),
            ("if (a) console.log(3);\nb()\n", "if (a) ;\nb()\n"),
            ("if (a) {\n  console.log(4)\n}\n", "if (a) {\n}\n"),
            ("console.log(5) // why\n", " // why\n"),
            ("a(console.log(6))", "a()"),
        ],
    );
    let rule = json!({"pattern": "print($$$A)", "rewrite": ""});
    check(
        &rule,
        "a.py",
        &[
            ("def f():\n    a()\n    print(1)\n", "def f():\n    a()\n"),
            ("def f():\n    print(1)\n", "def f():\n    pass\n"),
        ],
    );
    let left_empty = rewritten(&rule, "a.py", "def f():\n    print(1)\n    print(2)\n");
    let shown = left_empty.unwrap_err().to_string();
    assert!(shown.contains("`statement` is missing"), "{shown}");
    let rule = json!({"pattern": "dbg!($$$A)", "rewrite": ""});
    check(
        &rule,
        "a.rs",
        &[(
            "fn f() {\n    dbg!(a);\n    b()\n}\n",
            "fn f() {\n    b()\n}\n",
        )],
    );
}

#[test]
fn constraints_transformations_and_relations_are_those_of_ast_grep() {
    let rule = json!({
        "id": "quotes", "language": "JavaScript", "severity": "hint", "message": "Use double quotes",
        "rule": {"kind": "string", "pattern": "$TEXT", "regex": "^'", "not": {"regex": "\""},
                 "inside": {"kind": "arguments", "not": {"has": {"matches": "number"}}}},
        "utils": {"number": {"any": [{"kind": "number"}, {"pattern": "NaN"}]}},
        "transform": {"INNER": {"substring": {"source": "$TEXT", "startChar": 1, "endChar": -1}}},
        "fix": "\"$INNER\"",
    });
    check(
        &rule,
        "a.js",
        &[(
            "a('b', 'c\"d', \"e\"); f('g', 1); f(['h'])",
            "a(\"b\", 'c\"d', \"e\"); f('g', 1); f(['h'])",
        )],
    );
    let rule = json!({"pattern": "$OBJECT.$METHOD($$$A)", "rewrite": "http.$METHOD($$$A)",
        "constraints": {"$OBJECT": {"regex": "^(axios|got)$"}, "METHOD": {"any": [{"regex": "^get$"}, {"regex": "^put$"}]}}});
    check(
        &rule,
        "a.ts",
        &[(
            "axios.get(a); got.put(b); axios.head(c); d.get(e)",
            "http.get(a); http.put(b); axios.head(c); d.get(e)",
        )],
    );
}

#[test]
fn a_relation_looks_all_the_way_in_the_short_form_alone() {
    let source = "function f() { if (a) { b(c) } }";
    let inside = json!({"kind": "function_declaration"});
    let short = json!({"pattern": "b($A)", "inside": inside, "rewrite": "d($A)"});
    let long = json!({"rule": {"pattern": "b($A)", "inside": inside}, "rewrite": "d($A)"});
    assert_eq!(
        after(&short, "a.js", source),
        "function f() { if (a) { d(c) } }"
    );
    assert_eq!(after(&long, "a.js", source), source);
}

#[test]
fn what_a_replacement_brings_in_is_not_matched_by_its_own_rule() {
    let once = |rule: &Value, source| rewritten(rule, "a.js", source).unwrap();
    let rule = json!({"pattern": "log($A)", "rewrite": "safe(log($A))"});
    let nested = once(&rule, "x;\nlog(log(\n  y))");
    assert_eq!(nested.source, "x;\nsafe(log(safe(log(y))))");
    let places: Vec<(usize, usize)> = nested
        .edits
        .iter()
        .map(|edit| (edit.line, edit.column))
        .collect();
    assert_eq!(places, [(2, 1), (2, 5)]);
    // Each of two copies of what was captured.
    let rule = json!({"pattern": "f($A)", "rewrite": "g($A, $A)"});
    assert_eq!(once(&rule, "f(f(x))").source, "g(g(x, x), g(x, x))");
    // The next rule sees what the one before has made, and its edits are placed in the text as it was.
    let rules = json!([{"id": "first", "pattern": "a($A)", "rewrite": "\n\nb($A)"}, {"id": "second", "pattern": "b($A)", "rewrite": "c($A)"}]);
    let both = once(&rules, "z;\n  a(1); b(2)");
    assert_eq!(both.source, "z;\n  \n\n  c(1); c(2)");
    let edits: Vec<_> = both
        .edits
        .iter()
        .map(|edit| (edit.rule.as_str(), edit.line, edit.column))
        .collect();
    assert_eq!(edits, [("first", 2, 3), ("second", 2, 3), ("second", 2, 9)]);
}

#[test]
fn a_comment_that_is_lost_is_named() {
    let rule = json!({"pattern": "axios.get($URL)", "rewrite": "http.get($URL)"});
    let result = rewritten(
        &rule,
        "a.js",
        "axios.get(/* why */ {\n  a, // kept\n} /* gone */)",
    )
    .unwrap();
    assert_eq!(result.source, "http.get({\n  a, // kept\n})");
    assert_eq!(
        result.edits[0].dropped_comments,
        ["/* why */", "/* gone */"]
    );
}

#[test]
fn a_comment_at_the_end_of_a_list_ends_its_line() {
    let rule = json!({"pattern": "f($$$A)", "rewrite": "g({ all: [$$$A] })"});
    check(
        &rule,
        "a.js",
        &[
            (
                "  f(\n    a, // b\n  );\n",
                "  g({ all: [a, // b\n  ] });\n",
            ),
            (
                "f(() => {\n  // First.\n  //\n  a()\n})",
                "g({ all: [() => {\n  // First.\n  //\n  a()\n}] })",
            ),
        ],
    );
    let rule = json!({"pattern": "f($$$A)", "rewrite": "$$$A"});
    check(&rule, "a.js", &[("b(f(\n  a // c\n))", "b(a // c\n)")]);
}

#[test]
fn the_lines_of_a_string_are_its_content() {
    let rule = json!({"pattern": "run($A)", "rewrite": "exec({\n  text: $A,\n})"});
    let text = "`\n a ${b}\n  c`";
    check(
        &rule,
        "a.js",
        &[(
            &format!("function f() {{\n    run(\n        {text},\n    );\n}}\n"),
            &format!("function f() {{\n    exec({{\n      text: {text},\n    }});\n}}\n"),
        )],
    );
    let rule = json!({"pattern": "run($A, $B)", "rewrite": "call($B, $A)"});
    let text = "\"\"\"\na\n  b\n\"\"\"";
    check(
        &rule,
        "a.py",
        &[(
            &format!("if x:\n    run(y,\n        {text})\n"),
            &format!("if x:\n    call({text}, y)\n"),
        )],
    );
}

#[test]
fn marks_line_ends_and_the_end_of_the_file_stay() {
    let rule = json!({"pattern": "a($A)", "rewrite": "b(\r\n  $A\n)", "import": {"module": "m", "name": "b"}});
    check(
        &rule,
        "a.js",
        &[
            (
                "\u{feff}a(1)",
                "\u{feff}import { b } from 'm'\n\nb(\n  1\n)",
            ),
            (
                "\u{feff}a(1);\r\nc()\r\n",
                "\u{feff}import { b } from 'm';\r\n\r\nb(\r\n  1\r\n);\r\nc()\r\n",
            ),
            ("c()\r\n", "c()\r\n"),
        ],
    );
    // Mixed ends are nobody's to sort out.
    let rule = json!({"pattern": "a($A)", "rewrite": "b($A)"});
    check(
        &rule,
        "a.py",
        &[("a(1)\r\na(2)\nc\r\n", "b(1)\r\nb(2)\nc\r\n")],
    );
}

#[test]
fn a_new_syntax_error_is_refused_with_its_line() {
    let rule = json!({"pattern": "f($A)", "rewrite": "f($A))"});
    let error = rewritten(&rule, "a.js", "a();\n\n  let b = f(c);\n").unwrap_err();
    let RewriteError::Syntax { line, text, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((line, text.as_str()), (3, "let b = f(c));"));
    let error = rewritten(&rule, "a.js", "let = = 1;\nf(a);\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("(the grammar does not understand line 1 of the file as it is, either)"),
        "{error}"
    );
    // One that was there before, elsewhere, is none of the rule's.
    let rule = json!({"pattern": "f($A)", "rewrite": "\ng($A)"});
    check(
        &rule,
        "a.js",
        &[("f(c);\nlet = = 1;\n", "\ng(c);\nlet = = 1;\n")],
    );
}

#[test]
fn code_that_is_nested_too_deep_is_left_alone() {
    let rule = json!({"pattern": "$A === $A", "rewrite": "isSame($A)"});
    let nested = |depth: usize| format!("{}x{}", "f(".repeat(depth), ")".repeat(depth));
    let same = move |depth| format!("{} === {}", nested(depth), nested(depth));
    assert_eq!(
        rewritten(&rule, "a.js", &same(2_000)),
        Err(RewriteError::TooDeep)
    );
    // Comparing recurses; this is as deep as it may be, on a stack as small as those of the runtime's threads.
    let deep = move || rewritten(&rule, "a.js", &same(700)).unwrap().edits.len();
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(deep)
        .unwrap();
    assert_eq!(thread.join().unwrap(), 1);
    let doubling = json!({"pattern": "f($A)", "rewrite": "g($A, $A)"});
    assert_eq!(
        rewritten(&doubling, "a.js", &nested(40)),
        Err(RewriteError::TooLarge)
    );
}

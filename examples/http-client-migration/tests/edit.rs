//! The forms of `fetch` that the service does not have, and where an import goes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use http_client_migration::edit::{Migration, migrate};

const CLIENT: &str = "src/lib/http-client.ts";

fn migrated(file: &str, text: &str) -> Migration {
    migrate(Path::new(file), text, Path::new(CLIENT), true).unwrap()
}

/// The migrated text of a module in `src/`, without the import.
fn body(text: &str) -> String {
    let text = migrated("src/a.ts", &format!("import \"./b\";\n{text}")).text;
    let lines = text.lines().filter(|line| !line.starts_with("import"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Why a use in a module in `src/` is refused.
fn reason(text: &str) -> String {
    let migration = migrated("src/a.ts", &format!("import \"./b\";\n{text}"));
    assert_eq!(migration.calls, 0, "{}", migration.text);
    let reasons: Vec<String> = migration
        .refused
        .into_iter()
        .map(|one| one.reason)
        .collect();
    reasons.join("; ")
}

#[test]
fn forms_that_move() {
    let forms = [
        ("self['fetch'](u);", "httpClient.request(u);"),
        ("(globalThis).fetch(u);", "httpClient.request(u);"),
        ("((fetch))(u);", "((httpClient.request))(u);"),
        (
            "let f = fetch; f(u); f(v);",
            "let f = httpClient.request; f(u); f(v);",
        ),
        (
            "const { fetch } = window; fetch(u);",
            "const { request: fetch } = httpClient; fetch(u);",
        ),
        (
            "const { 'fetch': g } = self; g(u);",
            "const { request: g } = httpClient; g(u);",
        ),
        (
            "class A { m = fetch(u); static { fetch(v) } }",
            "class A { m = httpClient.request(u); static { httpClient.request(v) } }",
        ),
        (
            "async function* g() { yield* (await fetch(u)).body }",
            "async function* g() { yield* (await httpClient.request(u)).body }",
        ),
        (
            "for await (const c of (await fetch(u)).body!) c;",
            "for await (const c of (await httpClient.request(u)).body!) c;",
        ),
        (
            "const r = <Response>(await fetch(u));",
            "const r = <Response>(await httpClient.request(u));",
        ),
        (
            "type F = typeof fetch; fetch(u);",
            "type F = typeof fetch; httpClient.request(u);",
        ),
        (
            "if (window.fetch) fetch(u);",
            "if (window.fetch) httpClient.request(u);",
        ),
        (
            "tag`${await fetch(`${await fetch(u)}`)}`;",
            "tag`${await httpClient.request(`${await httpClient.request(u)}`)}`;",
        ),
    ];
    for (before, after) in forms {
        assert_eq!(body(before), after);
    }
}

#[test]
fn forms_that_stay_and_why() {
    let forms = [
        ("window?.fetch(u);", "guarded by ?."),
        ("(0, fetch)(u);", "used as a value"),
        ("fetch.bind(window);", ".bind()"),
        ("export const f = fetch;", "exported as f"),
        ("export { f }; const f = fetch;", "uses as a value"),
        ("let f = fetch; f = g; f(u);", "assigned again"),
        ("const f: typeof fetch = fetch; f(u);", "type of its own"),
        ("const f = fetch; f(new Request(u));", "gets a new Request"),
        (
            "const { fetch, URL: U } = globalThis; fetch(u);",
            "together with other globals",
        ),
        (
            "const { fetch = g } = globalThis; fetch(u);",
            "with a default",
        ),
        (
            "const a = (r: RequestInfo) => fetch(r);",
            "may hold a Request",
        ),
        ("fetch();", "without an address"),
        ("fetch<T>(u);", "type arguments"),
        ("export default fetch;", "exported"),
        ("new Client(fetch);", "constructor"),
        ("delete globalThis.fetch;", "deleted"),
        ("(globalThis as any).fetch(u);", "cast"),
        ("fetch.mock.calls;", "property .mock"),
        ("async () => { return fetch; }", "returned as a value"),
        (
            "({ fetch: f } = globalThis);",
            "in an assignment or a default",
        ),
        ("page.evaluate(() => fetch(u));", "runs in another process"),
    ];
    for (text, why) in forms {
        let found = reason(text);
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn other_things_of_that_name() {
    let texts = [
        "function g(fetch: F) { return fetch(u); }",
        "try { g(); } catch (fetch) { fetch(u); }",
        "class fetch {} new fetch();",
        "import { fetch } from 'undici'; fetch(u);",
        "import * as fetch from 'f'; fetch.go(u);",
        "{ let fetch = g; fetch(u); }",
        "store.fetch(u); this.fetch(u); a.b.fetch(u);",
        "const window = g(); window.fetch(u);",
        "enum E { fetch } E.fetch;",
        "fetch: for (;;) break fetch;",
        "const o = { fetch(u) { return u; }, get fetch2() { return 1; } };",
        "declare function fetch(u: string): void; fetch(u);",
    ];
    for text in texts {
        let migration = migrated("src/a.ts", text);
        assert_eq!(
            (migration.text.as_str(), migration.refused.len()),
            (text, 0),
            "{text}"
        );
    }
}

#[test]
fn where_the_import_goes() {
    let import = "import { httpClient } from \"./lib/http-client\";";
    let required = "const { httpClient } = require(\"./lib/http-client\");";
    let cases = [
        // Behind the last import, in its style; comments stay where they were.
        ("src/a.ts", "import b from './b'\n// c\nfetch(b)\n", "import b from './b'\nimport { httpClient } from './lib/http-client'\n// c\nhttpClient.request(b)\n".to_owned()),
        ("src/a.ts", "import b from \"./b\"; fetch(b);", format!("import b from \"./b\";\n{import} httpClient.request(b);")),
        // At the top: below what must stay first, above what is said of the first statement.
        ("src/a.ts", "fetch(\"b\");\n", format!("{import}\n\nhttpClient.request(\"b\");\n")),
        ("src/a.ts", "\u{feff}fetch(\"b\");\n", format!("\u{feff}{import}\n\nhttpClient.request(\"b\");\n")),
        ("src/a.ts", "/** Of b. */\nexport const b = fetch(\"b\");\n", format!("{import}\n\n/** Of b. */\nexport const b = httpClient.request(\"b\");\n")),
        ("src/a.ts", "/* Licence. */\n\nfetch(\"b\");\n", format!("/* Licence. */\n\n{import}\n\nhttpClient.request(\"b\");\n")),
        ("src/a.ts", "/// <reference lib=\"dom\" />\nfetch(\"b\");\n", format!("/// <reference lib=\"dom\" />\n{import}\n\nhttpClient.request(\"b\");\n")),
        ("src/a.cjs", "#!/usr/bin/env node\n\"use strict\";\nfetch(\"b\");\n", format!("#!/usr/bin/env node\n\"use strict\";\n{required}\nhttpClient.request(\"b\");\n")),
        ("src/a.cjs", "const b = require(\"b\"); // b\n\nfetch(b);\n", format!("const b = require(\"b\"); // b\n{required}\n\nhttpClient.request(b);\n")),
        // With the file's line ends, and with the endings of its other imports.
        ("src/a.ts", "import \"./b\";\r\nfetch(\"b\");\r\n", format!("import \"./b\";\r\n{import}\r\nhttpClient.request(\"b\");\r\n")),
        ("src/a.ts", "import \"./b.js\";\nfetch(\"b\");\n", "import \"./b.js\";\nimport { httpClient } from \"./lib/http-client.js\";\nhttpClient.request(\"b\");\n".to_owned()),
        ("web/x/a.ts", "import \"../b.ts\";\nfetch(\"b\");\n", "import \"../b.ts\";\nimport { httpClient } from \"../../src/lib/http-client.ts\";\nhttpClient.request(\"b\");\n".to_owned()),
        // A name that is taken.
        ("src/a.ts", "import \"./b\";\nfetch(httpClient);\n", "import \"./b\";\nimport { httpClient as sharedHttpClient } from \"./lib/http-client\";\nsharedHttpClient.request(httpClient);\n".to_owned()),
    ];
    for (file, before, after) in cases {
        assert_eq!(migrated(file, before).text, after);
    }
}

#[test]
fn what_does_not_parse_is_an_error_with_a_line() {
    let problem = migrate(
        Path::new("a.ts"),
        "fetch(u);\nlet = ;\n",
        Path::new(CLIENT),
        true,
    );
    assert_eq!(problem.unwrap_err().line, 2);
    assert!(migrate(Path::new("a.css"), "fetch(u)", Path::new(CLIENT), true).is_err());
}

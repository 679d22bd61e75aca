//! Imports of JavaScript, TypeScript and TSX: which form, where, merged into what.

use serde_json::json;

use super::imports::{check, refused};

#[test]
fn a_named_import_is_merged_or_added() {
    let named = json!({"module": "m", "name": "g"});
    for path in ["a.js", "a.ts", "a.tsx"] {
        check(
            &named,
            path,
            &[
                // There already.
                ("import { g } from 'm'\n", "import { g } from 'm'\n"),
                (
                    "import d, { a, g } from \"m\"\n",
                    "import d, { a, g } from \"m\"\n",
                ),
                // Merged.
                ("import { a } from 'm';\n", "import { a, g } from 'm';\n"),
                ("import { a, } from 'm';\n", "import { a, g, } from 'm';\n"),
                ("import {} from 'm'\n", "import { g } from 'm'\n"),
                ("import d from 'm'\n", "import d, { g } from 'm'\n"),
                (
                    "import { g as other } from 'm'\n",
                    "import { g as other, g } from 'm'\n",
                ),
                (
                    "import {\n  a,\n  b, // why\n} from 'm'\n",
                    "import {\n  a,\n  b, // why\n  g,\n} from 'm'\n",
                ),
                (
                    "import {\n  a,\n  b // why\n} from 'm'\n",
                    "import {\n  a,\n  b, // why\n  g\n} from 'm'\n",
                ),
                // Added behind.
                (
                    "import a from \"a\"; // a\n\n",
                    "import a from \"a\"; // a\nimport { g } from \"m\";\n\n",
                ),
                (
                    "import * as m from 'm'\n",
                    "import * as m from 'm'\nimport { g } from 'm'\n",
                ),
                (
                    "import 'm'\nb()\nimport c from 'c'\n",
                    "import 'm'\nb()\nimport c from 'c'\nimport { g } from 'm'\n",
                ),
                (
                    "import {\n  a,\n} from 'n'\n",
                    "import {\n  a,\n} from 'n'\nimport { g } from 'm'\n",
                ),
                (
                    "import a from './a.json' with { type: 'json' }\n",
                    "import a from './a.json' with { type: 'json' }\nimport { g } from 'm'\n",
                ),
                // Added at the top.
                ("", "import { g } from 'm'\n\n"),
                (
                    "'use strict'\n",
                    "'use strict'\n\nimport { g } from 'm'\n\n",
                ),
                (
                    "'use client';\n\n",
                    "'use client';\n\nimport { g } from 'm';\n\n",
                ),
                (
                    "#!/usr/bin/env node\n",
                    "#!/usr/bin/env node\n\nimport { g } from 'm'\n\n",
                ),
                (
                    "#!/usr/bin/env node\n// Copyright\n'use strict';\nlet a;\n",
                    "#!/usr/bin/env node\n// Copyright\n'use strict';\n\nimport { g } from 'm';\n\nlet a;\n",
                ),
                (
                    "// About the file.\n\n// About the call.\n",
                    "// About the file.\n\nimport { g } from 'm'\n\n// About the call.\n",
                ),
                (
                    "/** About the call. */\n",
                    "import { g } from 'm'\n\n/** About the call. */\n",
                ),
                (
                    "/* eslint-disable */\n",
                    "/* eslint-disable */\n\nimport { g } from 'm'\n\n",
                ),
                (
                    "export const a = \"a\";\n",
                    "import { g } from \"m\";\n\nexport const a = \"a\";\n",
                ),
            ],
        );
    }
}

#[test]
fn the_other_forms_of_import() {
    check(
        &json!({"module": "m", "default": "g"}),
        "a.mjs",
        &[
            ("", "import g from 'm'\n\n"),
            ("import { a } from 'm'\n", "import g, { a } from 'm'\n"),
            (
                "import { default as g } from 'm'\n",
                "import { default as g } from 'm'\n",
            ),
            (
                "import a from 'm'\n",
                "import a from 'm'\nimport g from 'm'\n",
            ),
        ],
    );
    check(
        &json!({"module": "m", "namespace": "g"}),
        "a.js",
        &[(
            "import { a } from 'm'\n",
            "import { a } from 'm'\nimport * as g from 'm'\n",
        )],
    );
    check(
        &json!({"module": "m"}),
        "a.js",
        &[
            ("import 'm'\n", "import 'm'\n"),
            ("import a from 'a'\n", "import a from 'a'\nimport 'm'\n"),
        ],
    );
    check(
        &json!({"module": "m", "name": "h", "as": "g"}),
        "a.js",
        &[("import { h } from 'm'\n", "import { h, h as g } from 'm'\n")],
    );
    check(
        &json!("import d, { g, h as i } from 'm'"),
        "a.js",
        &[
            (
                "import { g } from 'm'\n",
                "import d, { g, h as i } from 'm'\n",
            ),
            (
                "const { g } = require('m')\n",
                "const { g, h: i } = require('m')\nconst d = require('m')\n",
            ),
            (
                "import a from 'a'\n",
                "import a from 'a'\nimport d, { g, h as i } from 'm'\n",
            ),
        ],
    );
    check(
        &json!([{"module": "m", "name": "g"}, "import { h } from 'n'"]),
        "a.ts",
        &[("", "import { g } from 'm'\nimport { h } from 'n'\n\n")],
    );
}

#[test]
fn types_are_imported_as_types() {
    let only_type = json!({"module": "m", "name": "G", "type": true});
    check(
        &only_type,
        "a.ts",
        &[
            ("import { G } from 'm'\n", "import { G } from 'm'\n"),
            (
                "import { type G } from 'm'\n",
                "import { type G } from 'm'\n",
            ),
            (
                "import type { A } from 'm'\n",
                "import type { A, G } from 'm'\n",
            ),
            (
                "import { a } from 'm'\n",
                "import { a } from 'm'\nimport type { G } from 'm'\n",
            ),
        ],
    );
    check(
        &json!("import type { G } from 'm'"),
        "a.tsx",
        &[(
            "import type { A } from 'n'\n",
            "import type { A } from 'n'\nimport type { G } from 'm'\n",
        )],
    );
    let value = json!({"module": "m", "name": "g"});
    check(
        &value,
        "a.ts",
        &[
            (
                "import type { A } from 'm'\n",
                "import type { A } from 'm'\nimport { g } from 'm'\n",
            ),
            (
                "import { type A } from 'm'\n",
                "import { type A, g } from 'm'\n",
            ),
        ],
    );
    let shown = refused(&value, "a.ts", "\nimport type { g } from 'm'\nf(x)");
    assert!(
        shown.contains("line 2 imports it as a type only"),
        "{shown}"
    );
}

#[test]
fn a_commonjs_file_requires() {
    let named = json!({"module": "m", "name": "g"});
    check(
        &named,
        "a.js",
        &[
            (
                "const { g } = require('m')\n",
                "const { g } = require('m')\n",
            ),
            ("const g = require('m').g\n", "const g = require('m').g\n"),
            (
                "const { a } = require('m')\n",
                "const { a, g } = require('m')\n",
            ),
            (
                "const { a, ...b } = require('m')\n",
                "const { a, ...b } = require('m')\nconst { g } = require('m')\n",
            ),
            (
                "const a = require(\"a\");\n",
                "const a = require(\"a\");\nconst { g } = require(\"m\");\n",
            ),
            (
                "'use strict';\n\nmodule.exports = 1;\n",
                "'use strict';\n\nconst { g } = require('m');\n\nmodule.exports = 1;\n",
            ),
            (
                "exports.a = () => {}\n",
                "const { g } = require('m')\n\nexports.a = () => {}\n",
            ),
            // One that comes later comes too late.
            (
                "'use strict'\nconst a = require('a'), b = require('b')\nc()\nconst d = require('m')\n",
                "'use strict'\nconst a = require('a'), b = require('b')\nconst { g } = require('m')\nc()\nconst d = require('m')\n",
            ),
        ],
    );
    check(&named, "a.cjs", &[("", "const { g } = require('m')\n\n")]);
    check(
        &json!({"module": "m", "name": "h", "as": "g"}),
        "a.cjs",
        &[("", "const { h: g } = require('m')\n\n")],
    );
    let whole = json!({"module": "m", "default": "g"});
    check(
        &whole,
        "a.cjs",
        &[
            ("", "const g = require('m')\n\n"),
            ("const g = require('m')\n", "const g = require('m')\n"),
        ],
    );
    check(
        &json!({"module": "m"}),
        "a.cjs",
        &[
            ("require('m')\n", "require('m')\n"),
            ("require('a')\n", "require('a')\nrequire('m')\n"),
        ],
    );
    check(
        &json!("const g = require('m')"),
        "a.mjs",
        &[("", "import * as g from 'm'\n\n")],
    );
    check(
        &whole,
        "a.ts",
        &[("import g = require('m')\n", "import g = require('m')\n")],
    );
}

#[test]
fn a_file_of_the_project_is_imported_from_where_one_stands() {
    let file = json!({"path": "./src/http/client.js", "name": "g"});
    for (path, module) in [
        ("a.js", "./src/http/client.js"),
        ("src/a.js", "./http/client.js"),
        ("src/http/a.js", "./client.js"),
        ("src/jobs/deep/a.js", "../../http/client.js"),
        ("test/a.js", "../src/http/client.js"),
    ] {
        let added = format!("import {{ g }} from '{module}'\n\n");
        check(&file, path, &[("", &added)]);
    }
    check(
        &file,
        "src/jobs/a.ts",
        &[
            (
                "import { g } from '../http/client'\n",
                "import { g } from '../http/client'\n",
            ),
            (
                "import { a } from '../http/client.ts'\n",
                "import { a, g } from '../http/client.ts'\n",
            ),
        ],
    );
}

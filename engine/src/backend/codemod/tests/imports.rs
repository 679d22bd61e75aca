//! Imports: found, merged, added, refused.

use serde_json::{Value, json};

use super::{after, rewritten};
use crate::backend::codemod::{Language, Rewriter, Rules};

/// The texts before `f(x)`, which becomes `g(x)`, with the import and without.
#[track_caller]
pub(super) fn check(import: &Value, path: &str, cases: &[(&str, &str)]) {
    let rule = json!({"pattern": "f($A)", "rewrite": "g($A)", "import": import});
    let call = if path.ends_with("rs") {
        ("fn main() { f(x) }\n", "fn main() { g(x) }\n")
    } else {
        ("f(x)\n", "g(x)\n")
    };
    for (before, expected) in cases {
        let source = format!("{before}{}", call.0);
        let expected = format!("{expected}{}", call.1);
        assert_eq!(after(&rule, path, &source), expected, "{path}: {source}");
    }
}

/// What is said against it.
#[track_caller]
pub(super) fn refused(import: &Value, path: &str, source: &str) -> String {
    let rule = json!({"pattern": "f($A)", "rewrite": "g($A)", "import": import});
    rewritten(&rule, path, source).unwrap_err().to_string()
}

#[test]
fn python_imports() {
    let from = json!({"module": "m.n", "name": "g"});
    check(
        &from,
        "a.py",
        &[
            ("from m.n import g\n", "from m.n import g\n"),
            ("from m.n import a\n", "from m.n import a, g\n"),
            (
                "from m.n import (\n    a,\n    b,  # why\n)\n",
                "from m.n import (\n    a,\n    b,  # why\n    g,\n)\n",
            ),
            (
                "from m.n import (a as b)\n",
                "from m.n import (a as b, g)\n",
            ),
            (
                "from m.n import *\n",
                "from m.n import *\nfrom m.n import g\n",
            ),
            (
                "import a  # a\nimport b\n\n",
                "import a  # a\nimport b\nfrom m.n import g\n\n",
            ),
            (
                "import a; import b\n",
                "import a; import b\nfrom m.n import g\n",
            ),
            ("", "from m.n import g\n\n"),
            (
                "\"\"\"About.\n\"\"\"\n",
                "\"\"\"About.\n\"\"\"\n\nfrom m.n import g\n\n",
            ),
            (
                "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\"\"\"About.\"\"\"\nfrom __future__ import annotations\n\n",
                "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\"\"\"About.\"\"\"\nfrom __future__ import annotations\nfrom m.n import g\n\n",
            ),
            (
                "__all__ = ['a']\nimport a\ntry:\n    import b\nexcept ImportError:\n    b = None\nc()\nimport d\n",
                "__all__ = ['a']\nimport a\nfrom m.n import g\ntry:\n    import b\nexcept ImportError:\n    b = None\nc()\nimport d\n",
            ),
            (
                "if TYPE_CHECKING:\n    from m.n import g\n",
                "from m.n import g\n\nif TYPE_CHECKING:\n    from m.n import g\n",
            ),
        ],
    );
    check(
        &json!("from .m import g as h"),
        "a.py",
        &[
            ("from .m import g\n", "from .m import g, g as h\n"),
            (
                "from . import a\n",
                "from . import a\nfrom .m import g as h\n",
            ),
        ],
    );
    check(
        &json!({"module": ".", "name": "g"}),
        "a.py",
        &[("", "from . import g\n\n")],
    );
    check(
        &json!({"module": "m.n"}),
        "a.py",
        &[
            ("import m.o\n", "import m.o\nimport m.n\n"),
            ("import m.n\n", "import m.n\n"),
        ],
    );
    check(
        &json!({"module": "m", "as": "g"}),
        "a.py",
        &[("import m\n", "import m\nimport m as g\n")],
    );
    check(
        &json!("from __future__ import annotations"),
        "a.py",
        &[
            (
                "\"\"\"About.\"\"\"\nimport a\n",
                "\"\"\"About.\"\"\"\n\nfrom __future__ import annotations\n\nimport a\n",
            ),
            (
                "from __future__ import division\nimport a\n",
                "from __future__ import division, annotations\nimport a\n",
            ),
        ],
    );
}

#[test]
fn rust_imports() {
    let import = json!({"module": "crate::m", "name": "g"});
    check(
        &import,
        "a.rs",
        &[
            ("use crate::m::g;\n\n", "use crate::m::g;\n\n"),
            (
                "use crate::{a, m::{self, b as c, g}};\n\n",
                "use crate::{a, m::{self, b as c, g}};\n\n",
            ),
            (
                "use std::io; // io\nmod a;\n\n",
                "use std::io; // io\nuse crate::m::g;\nmod a;\n\n",
            ),
            (
                "use crate::m::g as h;\n",
                "use crate::m::g as h;\nuse crate::m::g;\n",
            ),
            ("", "use crate::m::g;\n\n"),
            (
                "//! About.\n\n#![allow(dead_code)]\n\n",
                "//! About.\n\n#![allow(dead_code)]\n\nuse crate::m::g;\n\n",
            ),
            (
                "//! About.\n/// Runs.\n",
                "//! About.\n\nuse crate::m::g;\n\n/// Runs.\n",
            ),
            (
                "// SPDX-License-Identifier: MIT\n#[test]\n",
                "// SPDX-License-Identifier: MIT\n\nuse crate::m::g;\n\n#[test]\n",
            ),
        ],
    );
    check(
        &json!("use crate::m::{g, h as i};"),
        "a.rs",
        &[(
            "use crate::m::h as i;\n",
            "use crate::m::h as i;\nuse crate::m::g;\n",
        )],
    );
    check(
        &json!({"module": "a::b"}),
        "a.rs",
        &[
            ("use a::{b::{self}};\n", "use a::{b::{self}};\n"),
            ("", "use a::b;\n\n"),
        ],
    );
    check(
        &json!("use a::*;"),
        "a.rs",
        &[
            ("use a::b;\n", "use a::b;\nuse a::*;\n"),
            ("use a::{self, *};\n", "use a::{self, *};\n"),
        ],
    );
    check(
        &json!({"module": "a", "name": "T", "as": "_"}),
        "a.rs",
        &[("use b::U as _;\n", "use b::U as _;\nuse a::T as _;\n")],
    );
}

#[test]
fn a_name_that_stands_for_something_else_is_refused() {
    let script = json!({"module": "m", "name": "g"});
    for (path, source, line) in [
        ("a.js", "import { g } from 'other'\nf(x)", 1),
        ("a.js", "f(x)\nfunction g() {}", 2),
        ("a.js", "f(x)\nexport const { a: { g }, ...b } = c", 2),
        ("a.js", "f(x)\nconst [d = 1, g = e] = c", 2),
        ("a.js", "import g from 'm'\nf(x)", 1),
        ("a.cjs", "const g = require('other')\nf(x)", 1),
        ("a.ts", "f(x)\nexport abstract class g {}", 2),
        ("a.ts", "f(x)\ndeclare function g(): void", 2),
        ("a.tsx", "f(x)\nenum g {}", 2),
    ] {
        let shown = refused(&script, path, source);
        let expected = format!("line {line} makes `g` something else");
        assert!(shown.contains(&expected), "{source}: {shown}");
    }
    // A key of a pattern, a default value and a name further in are no names at the top.
    check(
        &script,
        "a.js",
        &[(
            "const { g: a, b = g } = c\n",
            "import { g } from 'm'\n\nconst { g: a, b = g } = c\n",
        )],
    );
    for source in [
        "from o import g\nf(x)",
        "def g(): pass\nf(x)",
        "@a\nclass g: pass\nf(x)",
        "a, (g, b) = c\nf(x)",
        "import g.h\nf(x)",
    ] {
        let shown = refused(&json!({"module": "m", "name": "g"}), "a.py", source);
        assert!(shown.contains("line 1 makes `g`"), "{source}: {shown}");
    }
    for source in [
        "use a::g;\nfn b() { f(x) }",
        "mod g { }\nfn b() { f(x) }",
        "use a::h as g;\nfn b() { f(x) }",
    ] {
        let shown = refused(&json!({"module": "m", "name": "g"}), "a.rs", source);
        assert!(shown.contains("line 1 makes `g`"), "{source}: {shown}");
    }
}

#[test]
fn only_a_file_that_was_changed_gets_an_import() {
    let rules = json!([
        {"pattern": "f($A)", "rewrite": "g($A)", "import": {"module": "m", "name": "g"}},
        {"pattern": "h($A)", "rewrite": "i($A)", "import": {"module": "m", "name": "i"}},
    ]);
    assert_eq!(
        after(&rules, "a.js", "h(1)"),
        "import { i } from 'm'\n\ni(1)"
    );
    assert_eq!(after(&rules, "a.js", "// f(1)"), "// f(1)");
    let both = rewritten(&rules, "a.js", "f(h(1))").unwrap();
    assert_eq!(both.source, "import { g, i } from 'm'\n\ng(i(1))");
    assert_eq!(
        both.imports,
        ["import { g } from 'm'", "import { i } from 'm'"]
    );
}

#[test]
fn an_import_that_cannot_be_is_an_error_with_its_place() {
    for (language, import, place, problem) in [
        ("js", json!("g"), "import", "no import of JavaScript"),
        (
            "js",
            json!("import { g } from"),
            "import",
            "no import of JavaScript",
        ),
        (
            "py",
            json!("import { g } from 'm'"),
            "import",
            "no import of Python",
        ),
        ("rust", json!("pub use a;"), "import", "no import of Rust"),
        ("js", json!(7), "import", "not a number"),
        (
            "js",
            json!([{"name": "g"}]),
            "import[0]",
            "`module` is missing",
        ),
        (
            "js",
            json!({"module": "m", "path": "n"}),
            "import",
            "give one of them",
        ),
        (
            "js",
            json!({"module": "m", "named": "g"}),
            "import.named",
            "no such field",
        ),
        (
            "js",
            json!({"module": "m", "name": "g h"}),
            "import.name",
            "`g h` is no name",
        ),
        (
            "js",
            json!({"module": "m'; f('", "name": "g"}),
            "import",
            "no name of a module",
        ),
        (
            "js",
            json!({"module": "m", "as": "g"}),
            "import.as",
            "together with `name`",
        ),
        (
            "js",
            json!({"module": "m", "name": "G", "type": true}),
            "import.type",
            "in TypeScript",
        ),
        (
            "js",
            json!({"path": "../m.js", "name": "g"}),
            "import.path",
            "without `..`",
        ),
        (
            "py",
            json!({"module": "m.", "name": "g"}),
            "import.module",
            "no module",
        ),
        (
            "py",
            json!({"module": ".m"}),
            "import.module",
            "together with a `name`",
        ),
        ("rust", json!({"module": "a.b"}), "import.module", "no path"),
    ] {
        let rules = json!([{"pattern": "f($A)", "rewrite": "g($A)", "import": import}]);
        let rules = Rules::parse(&rules.to_string()).unwrap();
        let error = Rewriter::new(&rules, Language::named(language).unwrap()).unwrap_err();
        assert_eq!(error.place(), format!("rules[0].{place}"), "{error}");
        assert!(error.problem().contains(problem), "{import}: {error}");
    }
}

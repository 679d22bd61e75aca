//! The same workflow by a rule of the reader's own, in a repository of another language.

use serde_json::{Value, json};

use crate::bed::{checkout, git, repository, run};

const TWO: &str = "import requests\n\n\ndef both(a, b):\n    return requests.get(a), requests.get(\n        b,\n        timeout=3,\n    )\n";
const FILES: [(&str, &str); 6] = [
    ("app/__init__.py", ""),
    (
        "app/http.py",
        "def get(url, **more):\n    raise NotImplementedError\n",
    ),
    ("app/prices.py", TWO),
    (
        "app/secret.py",
        "import requests\n\nTOKEN = requests.get(\"https://vault.example\")\n",
    ),
    (
        "app/talk.py",
        "import requests\n\nNOTE = \"requests.get(x) is what we used\"  # requests.get\n",
    ),
    (
        "tools/build.py",
        "import requests\n\nprint(requests.get(\"https://ci.example\"))\n",
    ),
];

fn arguments() -> Value {
    json!({
        "path": "app",
        "pattern": "requests.get($$$ARGS)",
        "rewrite": "http.get($$$ARGS)",
        "import": "from app import http",
        "verify": "! grep -rn 'TOKEN = http' app",
    })
}

#[test]
fn a_python_repository_lands_what_its_command_passes() {
    let folder = repository(&FILES);
    let at = folder.path();
    let home = tempfile::tempdir().unwrap();
    let before = checkout(at);
    let report = run(at, home.path(), &arguments());
    assert_eq!(before, checkout(at), "the checkout changed");
    assert_eq!(git(at, &["status", "--porcelain"]), "");

    // Three files have the pattern's words; one of them only in a string and a comment.
    let counts = ["files", "changed", "unchanged", "calls", "landed"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [3, 2, 1, 3, 1]);
    assert_eq!(report["quarantined"], json!([]));
    let left = report["leftOut"].as_array().unwrap();
    assert_eq!(
        (left.len(), &left[0]["file"], &left[0]["reason"]),
        (1, &json!("app/secret.py"), &json!("verify"))
    );
    let into = report["into"].as_str().unwrap();
    assert!(
        into.starts_with("bellwether/") && into.ends_with("/landed"),
        "{into}"
    );
    let names = git(at, &["diff", "--name-only", "HEAD", into]);
    assert_eq!(names, "app/prices.py\n");
    let landed = git(at, &["show", &format!("{into}:app/prices.py")]);
    let expected = TWO.replace("requests.get(", "http.get(");
    assert_eq!(landed.replace("from app import http\n", ""), expected);
    assert!(landed.contains("from app import http\n"), "{landed}");
}

#[test]
fn without_a_command_there_are_only_branches() {
    let folder = repository(&FILES);
    let at = folder.path();
    let home = tempfile::tempdir().unwrap();
    let mut arguments = arguments();
    arguments.as_object_mut().unwrap().remove("verify");
    let before = checkout(at);
    let report = run(at, home.path(), &arguments);
    assert_eq!(before, checkout(at));
    assert_eq!(
        (&report["into"], &report["landed"]),
        (&Value::Null, &json!(0))
    );
    let branches = report["branches"].as_array().unwrap();
    assert_eq!(branches.len(), 2);
    for one in branches {
        let (branch, file) = (
            one["branch"].as_str().unwrap(),
            one["file"].as_str().unwrap(),
        );
        assert_eq!(
            git(at, &["diff", "--name-only", "HEAD", branch]).trim(),
            file
        );
    }
}

//! The migration over the whole service: every file, and every fault that the verifier must see.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]
use std::path::Path;
#[test]
fn look() {
    for entry in walk(Path::new("service")) {
        let text = std::fs::read_to_string(&entry).unwrap();
        let file = entry.strip_prefix("service").unwrap();
        let client = Path::new("src/lib/http-client.ts");
        let m = http_client_migration::edit::migrate(file, &text, client, !entry.starts_with("service/src/legacy")).unwrap_or_else(|e| panic!("{file:?} {e:?}"));
        println!("== {} calls {} guards {}", file.display(), m.calls, m.guards);
        for c in &m.changes { println!("   {:3} - {}\n       + {}", c.line, c.before, c.after); }
        for r in &m.refused { println!("   {:3} ! {}: {}", r.line, r.text, r.reason); }
        let import: Vec<_> = m.text.lines().filter(|l| l.contains("lib/http-client") || l.contains("./http-client")).collect();
        println!("   {import:?}");
        let lines: Vec<usize> = m.refused.iter().map(|r| r.line).collect();
        let v = http_client_migration::verify::verify(file, &text, &m.text, client, &lines).unwrap();
        for r in &v.refutations { println!("   REFUTED {r:?}"); }
    }
}
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)); }
        else if path.extension().is_some_and(|e| http_client_migration::source::EXTENSIONS.contains(&e.to_str().unwrap())) { files.push(path); }
    }
    files.sort();
    files
}

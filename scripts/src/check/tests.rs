//! Sources and what is found in them.

use super::*;

/// The findings as lines: place, severity, code, message, remedy.
fn told(source: &str, surroundings: &dyn Surroundings) -> String {
    let mut text = String::new();
    for it in check(source, &Limits::default(), surroundings) {
        let Finding { line, column, end_line, end_column, code, message, remedy, .. } = &it;
        let severity = match it.severity { Severity::Error => "error", Severity::Warning => "warning" };
        text += &format!("{line}:{column}-{end_line}:{end_column} {severity} {code}: {message} = {remedy}\n");
        for related in &it.related {
            text += &format!("    {}:{} {}\n", related.line, related.column, related.message);
        }
    }
    text
}

const HEADER: &str = "export const meta = { name: 'n', description: 'd' }\n";

/// What is found in a body; its first line is line 2.
fn of_body(body: &str) -> String {
    told(&format!("{HEADER}{body}"), &Anywhere)
}

#[test]
fn try_out() {
    for body in [
        "Date.now(); new Date(); Date(); Math.random(); new Date(5); process.env; typeof fetch; fetch('x'); foo(); eval('1')",
        "try { Date.now() } catch {}",
        "return await agent('x', { lable: 'y', isolation: 'worktree' })",
        "agent(); agent({}); agent('  '); await agent('x', 'l'); await agent(5)",
        "await parallel([agent('x'), () => agent('y')]); await parallel([1,2].map(x => agent('x')))",
        "await parallel(Array.from({ length: 5000 }, (_, i) => () => agent('x' + i)))",
        "for (let i = 0; i < 2000; i++) await agent('x')",
        "patterns.refut('x'); await patterns.refute('x', { reviewer: 2 })",
        "await pipeline([1], agent('x'))",
        "return parallel([]).filter(Boolean)",
        "import('x'); require('y')",
        "const x: string = 'a'; agent('x')",
        "const a = ; agent()",
        "let a; let a;",
        "meta.name",
    ] {
        println!("{body}\n{}", of_body(body));
    }
    println!("{}", told("const a = 1\nexport const meta = {name: 'n', description: 'd'}", &Anywhere));
    println!("{}", told("export const meta = {name: x, phases: [f()], ...y}\nDate.now(); await agent('x', {lable: 1})", &Anywhere));
    panic!();
}

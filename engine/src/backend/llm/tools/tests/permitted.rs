//! What an agent may use.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::names::{Meaning, meaning};
use super::super::{Name, Permitted, Reason, Switches};

const ON: Switches = Switches {
    shell: true,
    web_fetch: true,
};

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn permitted(
    tools: Option<&[&str]>,
    disallowed: &[&str],
    switches: Switches,
) -> (Vec<Name>, Vec<String>) {
    let tools = tools.map(owned);
    let (permitted, warnings) = Permitted::new(tools.as_deref(), &owned(disallowed), switches);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    (permitted.names().collect(), warnings)
}

#[test]
fn names_of_other_programs_are_ours() {
    let expected = vec![Name::Read, Name::Edit, Name::Grep, Name::Shell];
    for tools in [
        ["read", "edit", "grep", "shell"],
        ["Read", "Edit", "Grep", "Bash"],
        [
            "read_file",
            "replace",
            "search_file_content",
            "run_shell_command",
        ],
    ] {
        assert_eq!(
            permitted(Some(&tools), &[], ON),
            (expected.clone(), vec![]),
            "{tools:?}"
        );
    }
    let all = permitted(None, &[], ON);
    assert_eq!(all, (Name::ALL.to_vec(), vec![]));
    assert_eq!(permitted(Some(&["*"]), &[], ON), all);
    assert_eq!(permitted(None, &["*"], ON), (vec![], vec![]));
    assert_eq!(permitted(None, &["Workflow", "mcp__a__b"], ON), all);
}

#[test]
fn what_means_nothing_allows_nothing_and_is_said() {
    let (allowed, warnings) = permitted(
        Some(&[
            "bash",
            "NotebookEdit",
            "mcp__github__get",
            "Bash(git log:*)",
            "Frobnicate",
        ]),
        &[],
        ON,
    );
    assert_eq!(allowed, []);
    assert_eq!(
        warnings,
        [
            "no tool is called `bash`: it allows nothing; did you mean `Bash`?",
            "the built-in agent has no tool like `NotebookEdit`: it allows nothing",
            "`mcp__github__get` belongs to an MCP server, and the built-in agent has none: it allows nothing",
            "`Bash(git log:*)` is a part of a tool, and the built-in agent cannot be held to a part: it allows nothing; `Bash` allows the whole tool",
            "no tool is called `Frobnicate`: it allows nothing",
        ]
    );
}

#[test]
fn what_is_forbidden_in_part_is_forbidden() {
    let (allowed, warnings) = permitted(Some(&["Bash", "Read"]), &["Bash(rm *)", "Raed"], ON);
    assert_eq!(allowed, [Name::Read]);
    assert_eq!(
        warnings,
        [
            "`Bash(rm *)` is a part of a tool, and the built-in agent cannot be held to a part: all of `shell` is forbidden",
            "no tool is called `Raed`: it forbids nothing; did you mean `Read`?",
        ]
    );
    let (allowed, _) = permitted(Some(&["Edit", "Write", "Read"]), &["apply_patch"], ON);
    assert_eq!(allowed, [Name::Read]);
}

#[test]
fn what_is_switched_off_is_off_whatever_a_type_says() {
    let off = Switches::default();
    let (allowed, warnings) = permitted(None, &[], off);
    assert!(!allowed.contains(&Name::Shell) && !allowed.contains(&Name::WebFetch));
    assert!(warnings.is_empty(), "nobody asked for it");
    let tools = owned(&["Bash", "Read"]);
    let (permitted, warnings) = Permitted::new(Some(&tools), &[], off);
    assert_eq!(permitted.names().collect::<Vec<_>>(), [Name::Read]);
    let reasons: Vec<_> = warnings.iter().map(|warning| warning.reason).collect();
    assert_eq!(reasons, [Reason::Off(Name::Shell)]);
}

fn some_names() -> impl Strategy<Value = Vec<String>> {
    let known = vec![
        "read",
        "Read",
        "Edit",
        "MultiEdit",
        "Bash",
        "shell",
        "BashOutput",
        "apply_patch",
        "Task",
        "LS",
        "WebFetch",
        "TodoWrite",
        "NotebookEdit",
        "mcp__a__b",
        "Bash(git *)",
        "Read(src/**)",
        "Agent(Explore)",
        "read_file",
        "replace",
        "glob",
        "write_todos",
    ];
    let name = prop_oneof![
        4 => prop::sample::select(known).prop_map(str::to_owned),
        1 => "[A-Za-z_(* )]{0,8}",
    ];
    prop::collection::vec(name, 0..6)
}

fn switches() -> impl Strategy<Value = Switches> {
    (any::<bool>(), any::<bool>()).prop_map(|(shell, web_fetch)| Switches { shell, web_fetch })
}

fn names(tools: Option<&[String]>, disallowed: &[String], switches: Switches) -> BTreeSet<Name> {
    Permitted::new(tools, disallowed, switches)
        .0
        .names()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_list_allows_more_than_it_names(tools in some_names(), disallowed in some_names(), switches in switches()) {
        let allowed = names(Some(&tools), &disallowed, switches);
        let named: BTreeSet<_> = tools
            .iter()
            .flat_map(|name| match meaning(name.trim()) {
                Meaning::Tools(tools) => tools.to_vec(),
                _ if name.trim() == "*" => Name::ALL.to_vec(),
                _ => Vec::new(),
            })
            .collect();
        prop_assert!(allowed.is_subset(&named));
        prop_assert!(allowed.is_subset(&names(None, &disallowed, switches)));
        prop_assert!(switches.shell || !allowed.contains(&Name::Shell));
        prop_assert!(switches.web_fetch || !allowed.contains(&Name::WebFetch));
        for name in &disallowed {
            let whole = name.split('(').next().unwrap_or_default().trim();
            if let Meaning::Tools(forbidden) = meaning(whole) {
                prop_assert!(forbidden.iter().all(|tool| !allowed.contains(tool)), "{}", name);
            }
        }
    }

    #[test]
    fn forbidding_more_never_allows_more(
        tools in prop::option::of(some_names()),
        disallowed in some_names(),
        more in some_names(),
        switches in switches(),
    ) {
        let both = [disallowed.clone(), more].concat();
        let fewer = names(tools.as_deref(), &both, switches);
        prop_assert!(fewer.is_subset(&names(tools.as_deref(), &disallowed, switches)));
        let off = names(tools.as_deref(), &disallowed, Switches::default());
        prop_assert!(off.is_subset(&names(tools.as_deref(), &disallowed, switches)));
    }
}

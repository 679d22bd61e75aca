//! The names of tools: ours, and what they are called in the programs that agent types are written for.
//!
//! Names are compared exactly. Ours are lower case (`read`), those of Claude Code are not (`Read`), and `READ` is
//! nobody's.

use Name::{Agent, Edit, Glob, Grep, Read, Shell, Todo, WebFetch, WebSearch, Write};

/// A tool of the built-in loop, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Name {
    /// Reads a file.
    Read,
    /// Writes a whole file.
    Write,
    /// Replaces a piece of a file.
    Edit,
    /// Finds files by their names.
    Glob,
    /// Finds lines by a regular expression.
    Grep,
    /// Runs a command.
    Shell,
    /// Gets a page of the web.
    WebFetch,
    /// Asks the provider's search.
    WebSearch,
    /// Keeps the agent's list of what is to be done.
    Todo,
    /// Hands a task to an agent of its own.
    Agent,
}

impl Name {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Read, Write, Edit, Glob, Grep, Shell, WebFetch, WebSearch, Todo, Agent,
    ];

    /// As the model is told it, and as agent types may write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Read => "read",
            Write => "write",
            Edit => "edit",
            Glob => "glob",
            Grep => "grep",
            Shell => "shell",
            WebFetch => "web_fetch",
            WebSearch => "web_search",
            Todo => "todo",
            Agent => "agent",
        }
    }

    /// The tool that has exactly this name here.
    pub(crate) fn ours(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == name)
    }

    /// Whether it leaves the working directory as it is.
    pub(crate) const fn only_reads(self) -> bool {
        match self {
            Read | Glob | Grep | WebFetch | WebSearch | Todo => true,
            Write | Edit | Shell | Agent => false,
        }
    }
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// These tools of ours.
    Tools(&'static [Name]),
    /// A tool of another program that has no counterpart here.
    NotOffered,
    /// A tool of an MCP server: `mcp__server__tool`.
    Server,
    /// Nobody's.
    Unknown,
}

/// What `name` means, here or in one of the programs of the table.
///
/// A name stands for a tool of ours only if that tool can do no more than the one which is meant: `BashOutput` reads
/// what a command wrote and is not `shell`, `NotebookRead` is not `read`. `Edit` is `edit` alone, as in the lists of
/// Claude Code's subagents, and not `write`: whoever forbids all changes names both, and `shell`. `apply_patch` makes
/// files as well as it changes them, and is both.
pub(crate) fn meaning(name: &str) -> Meaning {
    if name.starts_with(SERVER_PREFIX) {
        return Meaning::Server;
    }
    let own = OURS.iter().find(|(ours, _)| *ours == name);
    if let Some((_, tools)) = own {
        return Meaning::Tools(tools);
    }
    match ALIASES.iter().find(|alias| alias.name == name) {
        Some(alias) if alias.tools.is_empty() => Meaning::NotOffered,
        Some(alias) => Meaning::Tools(alias.tools),
        None => Meaning::Unknown,
    }
}

/// Whether the tool of this name, in whichever program, leaves the working directory as it is. Of a name that nobody
/// knows it cannot be said, so it is `false`. A part of a tool (`Bash(git log:*)`) is as the tool.
#[cfg(test)]
pub(crate) fn only_reads(name: &str) -> bool {
    let whole = whole(name);
    match ALIASES.iter().find(|alias| alias.name == whole) {
        Some(alias) => alias.only_reads,
        None => Name::ours(whole).is_some_and(Name::only_reads),
    }
}

/// The tool in `Bash(git log:*)`.
pub(super) fn whole(name: &str) -> &str {
    name.split('(').next().unwrap_or_default().trim()
}

/// The known name that `name` may have been meant as.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    const ALIKE: f64 = 0.85;
    let known = Name::ALL
        .into_iter()
        .map(Name::as_str)
        .chain(ALIASES.iter().map(|alias| alias.name));
    let alike = |known: &str| {
        strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase())
            // `read` is as near to `reed` as `Read` is: the same case goes before.
            + if known.starts_with(char::is_uppercase) == name.starts_with(char::is_uppercase) {
                0.01
            } else {
                0.0
            }
    };
    known
        .map(|known| (alike(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

const SERVER_PREFIX: &str = "mcp__";

/// Each of ours by its name, as a slice.
const OURS: [(&str, &[Name]); 10] = [
    ("read", &[Read]),
    ("write", &[Write]),
    ("edit", &[Edit]),
    ("glob", &[Glob]),
    ("grep", &[Grep]),
    ("shell", &[Shell]),
    ("web_fetch", &[WebFetch]),
    ("web_search", &[WebSearch]),
    ("todo", &[Todo]),
    ("agent", &[Agent]),
];

struct Alias {
    name: &'static str,
    /// What it is here; empty when it is nothing here.
    tools: &'static [Name],
    /// Whether it leaves the working directory as it is, in the program that has it.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the tests hold it to what the engine knows")
    )]
    only_reads: bool,
}

const fn reading(name: &'static str, tools: &'static [Name]) -> Alias {
    Alias {
        name,
        tools,
        only_reads: true,
    }
}

const fn changing(name: &'static str, tools: &'static [Name]) -> Alias {
    Alias {
        name,
        tools,
        only_reads: false,
    }
}

/// The table. Names that a program shares with us (`glob`, `shell`, `web_fetch` …) have no row.
const ALIASES: &[Alias] = &[
    // Claude Code
    reading("Read", &[Read]),
    changing("Write", &[Write]),
    changing("Edit", &[Edit]),
    changing("MultiEdit", &[Edit]),
    reading("Glob", &[Glob]),
    reading("Grep", &[Grep]),
    reading("LS", &[Glob]),
    changing("Bash", &[Shell]),
    reading("WebFetch", &[WebFetch]),
    reading("WebSearch", &[WebSearch]),
    reading("TodoWrite", &[Todo]),
    reading("TodoRead", &[Todo]),
    changing("Task", &[Agent]),
    changing("Agent", &[Agent]),
    reading("NotebookRead", &[]),
    changing("NotebookEdit", &[]),
    changing("BashOutput", &[]),
    changing("KillBash", &[]),
    changing("KillShell", &[]),
    changing("TaskCreate", &[]),
    changing("TaskGet", &[]),
    changing("TaskList", &[]),
    changing("TaskUpdate", &[]),
    changing("TaskOutput", &[]),
    changing("TaskStop", &[]),
    changing("AskUserQuestion", &[]),
    changing("EnterPlanMode", &[]),
    changing("ExitPlanMode", &[]),
    changing("EnterWorktree", &[]),
    changing("ExitWorktree", &[]),
    changing("ListMcpResourcesTool", &[]),
    changing("ReadMcpResourceTool", &[]),
    changing("LSP", &[]),
    changing("PowerShell", &[]),
    changing("SendMessage", &[]),
    changing("Skill", &[]),
    changing("SlashCommand", &[]),
    changing("ToolSearch", &[]),
    changing("Workflow", &[]),
    // codex
    changing("local_shell", &[Shell]),
    changing("shell_command", &[Shell]),
    changing("exec_command", &[Shell]),
    changing("apply_patch", &[Edit, Write]),
    reading("update_plan", &[Todo]),
    reading("list_dir", &[Glob]),
    reading("grep_files", &[Grep]),
    changing("spawn_agent", &[Agent]),
    // It goes on with a command that `exec_command` began, and begins none.
    changing("write_stdin", &[]),
    reading("view_image", &[]),
    changing("send_input", &[]),
    changing("wait_agent", &[]),
    changing("close_agent", &[]),
    changing("request_user_input", &[]),
    // gemini-cli; codex has `read_file` too
    reading("read_file", &[Read]),
    reading("read_many_files", &[Read]),
    changing("write_file", &[Write]),
    changing("replace", &[Edit]),
    changing("run_shell_command", &[Shell]),
    reading("search_file_content", &[Grep]),
    reading("grep_search", &[Grep]),
    reading("list_directory", &[Glob]),
    reading("google_web_search", &[WebSearch]),
    reading("write_todos", &[Todo]),
    changing("save_memory", &[]),
    changing("activate_skill", &[]),
    changing("ask_user", &[]),
    changing("enter_plan_mode", &[]),
    changing("exit_plan_mode", &[]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_in_the_table_once() {
        let mut names = BTreeSet::new();
        for name in OURS
            .iter()
            .map(|(name, _)| *name)
            .chain(ALIASES.iter().map(|alias| alias.name))
        {
            assert!(names.insert(name), "{name} is there twice");
        }
        for (tool, (name, tools)) in Name::ALL.into_iter().zip(OURS) {
            assert_eq!((tool.as_str(), [tool].as_slice()), (name, tools));
        }
    }

    #[test]
    fn what_only_reads_stands_for_nothing_that_writes() {
        for alias in ALIASES.iter().filter(|alias| alias.only_reads) {
            assert!(
                alias.tools.iter().all(|tool| tool.only_reads()),
                "{}",
                alias.name
            );
        }
        for name in [
            "Read",
            "Grep",
            "Glob",
            "LS",
            "NotebookRead",
            "WebFetch",
            "WebSearch",
            "TodoWrite",
            "read",
            "Read(src/**)",
        ] {
            assert!(only_reads(name), "{name}");
        }
        for name in [
            "Bash(git log:*)",
            "apply_patch",
            "Workflow",
            "mcp__a__b",
            "bash",
            "",
        ] {
            assert!(!only_reads(name), "{name}");
        }
    }

    #[test]
    fn names_are_compared_exactly() {
        assert_eq!(meaning("Bash"), Meaning::Tools(&[Shell]));
        assert_eq!(meaning("shell"), Meaning::Tools(&[Shell]));
        assert_eq!(meaning("bash"), Meaning::Unknown);
        assert_eq!(meaning("READ"), Meaning::Unknown);
        assert_eq!(meaning("BashOutput"), Meaning::NotOffered);
        assert_eq!(meaning("mcp__github__create_issue"), Meaning::Server);
        assert_eq!(nearest("bash"), Some("Bash"));
        assert_eq!(nearest("raed"), Some("read"));
        assert_eq!(nearest("Frobnicate"), None);
    }
    /// The names in a row of the table in `docs/tools.md` that begins with this tool.
    fn documented(tool: Name) -> Vec<&'static str> {
        let page = include_str!("../../../../../docs/tools.md");
        let start = format!("| `{}` | `", tool.as_str());
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("{} has no row", tool.as_str()));
        row.split('`').skip(3).step_by(2).collect()
    }

    #[test]
    fn the_page_has_the_names_of_the_table() {
        for tool in Name::ALL {
            let names = documented(tool);
            for name in &names {
                let Meaning::Tools(tools) = meaning(name) else {
                    panic!("{name} means nothing");
                };
                assert!(tools.contains(&tool), "{name} is not {}", tool.as_str());
            }
            for alias in ALIASES.iter().filter(|alias| alias.tools.contains(&tool)) {
                assert!(
                    names.contains(&alias.name),
                    "{} is not on the page",
                    alias.name
                );
            }
        }
    }
}
